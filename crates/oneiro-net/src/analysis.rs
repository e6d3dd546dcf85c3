//! Analysis of a network without running it: its layers with receptive fields and cost.

use crate::axes::{Axes, Followed};
use crate::graph::{Graph, ValueId};
pub use crate::kernels::blocked::multiply_in_cache;
use crate::names::Names;
use crate::ops::{Fact, Facts};
pub use crate::reads::Reads;
use crate::tensor::DType;
pub use crate::typed::{ancestors, infer};

mod along;
mod fields;
mod weights;

use fields::Fields;
pub use weights::parameters;

/// The receptive field of a position of a value in one input, along each spatial axis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Extent in input positions. Windows count in full, also where they reach over the border; after a
    /// global operation it is the input's extent. Behind an enlarging layer, the largest among neighbours.
    pub extent: Vec<usize>,
    /// Input positions between neighbours, accumulated over all steps on the way: rounded, and at least 1. A
    /// layer that is larger than the input has a stride of 1. Where operations on the way lose the positions,
    /// it is the input's extent over the map's; a layer without positions has the stride before them.
    pub stride: Vec<usize>,
    /// The first input position that position 0 sees; negative where the field begins in front of the border.
    /// That of position p begins p strides further on, where strides are whole.
    pub first: Vec<i64>,
    /// Whether all positions see alike, a whole stride apart. Behind enlarging layers they do not, and
    /// `first` tells nothing of the others.
    pub is_regular: bool,
    /// Whether branches with different strides met on the way (the larger one is given).
    pub strides_differ: bool,
}

impl ReceptiveField {
    /// Whether every position sees all of an axis of this extent.
    pub fn sees_all(&self, axis: usize, len: usize) -> bool {
        self.extent[axis] >= len && self.first[axis] == 0
    }

    /// The input positions that a position of the layer sees, along each axis from the first to the one
    /// behind the last, within an input of these extents. `None` if the layer has other axes, or its
    /// positions do not see alike.
    pub fn of_position(&self, position: &[usize], input: &[usize]) -> Option<Vec<[usize; 2]>> {
        let axes = self.extent.len();
        if position.len() != axes || input.len() != axes || !self.is_regular {
            return None;
        }
        let along = |axis: usize| {
            let (first, len) = (self.first[axis] + (position[axis] * self.stride[axis]) as i64, input[axis]);
            let inside = |at: i64| usize::try_from(at).unwrap_or(0).min(len);
            match self.extent[axis] {
                _ if self.sees_all(axis, len) => [0, len],
                extent => [inside(first), inside(first + extent as i64)],
            }
        };
        Some((0..axes).map(along).collect())
    }
}

/// One layer of a network: a node whose result depends on an input.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its value in the graph.
    pub value: ValueId,
    /// The name to show; every alias means the same layer.
    pub name: String,
    /// All other names.
    pub aliases: Vec<String>,
    /// ONNX operator.
    pub op: String,
    /// Output shape.
    pub shape: Vec<usize>,
    /// The meaning of its axes; `None` if nothing is known.
    pub axes: Option<Axes>,
    /// Extent of the channel axis; 0 if there is none, or it is not known which one that is.
    pub channels: usize,
    /// For every input that the layer depends on: its position in the graph's inputs, and the field.
    pub fields: Vec<(usize, ReceptiveField)>,
    /// Numbers in the constants that the node reads.
    pub params: usize,
    /// The tensors that those constants are computed from, each with its number of elements; a tensor may be
    /// shared with other layers.
    pub tensors: Vec<(ValueId, usize)>,
    /// Operations of one forward pass of the node.
    pub flops: u64,
}

/// The layers of a network, and the nodes that this runtime cannot compute.
#[derive(Debug)]
pub struct Layers {
    /// In the order of the graph.
    pub layers: Vec<Layer>,
    /// Errors of nodes that were left out; nodes behind them are left out silently.
    pub skipped: Vec<crate::Error>,
}

/// Lists the layers for these input shapes. Nodes that cannot be computed here are reported, not fatal.
///
/// Receptive fields: the interval of the input that each position reads, composed over windows, steps and
/// resizing, and joined over branches. On a plain path that is r ← r + (k−1)·s, s ← s·stride; a dense layer
/// over a flattened map counts as a convolution of the map's size (Araujo et al., "Computing receptive fields
/// of convolutional neural networks", Distill 2019).
///
/// `followed` has the axes of the values, for inputs of the same shapes.
pub fn layers(
    graph: &Graph,
    names: &Names<'_>,
    shapes: &[Vec<usize>],
    followed: &Followed,
) -> crate::Result<Layers> {
    let needed = vec![true; graph.nodes.len()];
    let mut failed = vec![false; graph.nodes.len()];
    let mut errors = Vec::new();
    let facts = infer(graph, shapes, &needed, |i, e| {
        failed[i] = true;
        errors.push((i, e));
        Ok(())
    })?;
    // Only the first node of a broken path is to blame.
    let produced_by_failure = |i: usize| {
        graph.nodes[i].inputs.iter().flatten().any(|v| graph.producer(*v).is_some_and(|p| failed[p]))
    };
    let skipped = errors.into_iter().filter(|(i, _)| !produced_by_failure(*i)).map(|(_, e)| e).collect();

    let mut fields = Fields::new(graph, shapes, followed);
    let mut layers = Vec::new();
    for node in &graph.nodes {
        let inputs: Vec<Option<&Fact>> =
            node.inputs.iter().map(|v| v.and_then(|v| facts[v.index()].as_ref())).collect();
        for (index, value) in node.outputs.iter().enumerate() {
            let Some((value, fact)) = value.and_then(|v| Some((v, facts[v.index()].as_ref()?))) else {
                continue;
            };
            // Pictures of integers are moved before they become numbers; positions are no layers.
            let of_inputs =
                if fact.value.is_none() { fields.follow(node, &inputs, fact, index) } else { vec![] };
            if of_inputs.is_empty() || fact.dtype != DType::Float {
                continue;
            }
            let mut aliases = names.of(value);
            let name = aliases.remove(0);
            let params = inputs
                .iter()
                .flatten()
                .filter(|f| f.value.is_some() && f.dtype == DType::Float)
                .map(|f| f.len())
                .sum();
            layers.push(Layer {
                value,
                name,
                aliases,
                op: node.op.op_type().to_owned(),
                shape: fact.shape.clone(),
                channels: followed
                    .of(value)
                    .and_then(Axes::channel)
                    .map_or(0, |at| fact.shape.get(at).copied().unwrap_or(0)),
                axes: followed.of(value).cloned(),
                fields: of_inputs,
                params,
                tensors: weights::tensors(graph, &node.inputs, &facts),
                flops: node.op.flops(Facts(&inputs), fact),
            });
        }
    }
    Ok(Layers { layers, skipped })
}

#[cfg(test)]
mod tests;
