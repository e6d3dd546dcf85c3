//! Analysis of a network without running it: its layers, with receptive fields and cost.

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

/// The receptive field of one position of a value, within one input, along each spatial axis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Extent in input positions. Windows count in full, also where they extend beyond the border. After a
    /// global operation, it is the input's extent. After an enlarging layer, it is the largest extent among
    /// neighbouring positions.
    pub extent: Vec<usize>,
    /// Distance in input positions between neighbours, accumulated over all strides on the path; rounded, and
    /// at least 1. A layer that is larger than the input has a stride of 1. If an operation loses the
    /// positions, the stride is the input's extent divided by the map's. A layer without positions has the
    /// stride of the last layer with positions.
    pub stride: Vec<usize>,
    /// First input position that position 0 reads; negative if the field begins before the border. If strides
    /// are whole numbers, the field of position p begins p strides later.
    pub first: Vec<i64>,
    /// Whether all positions have fields of the same form, a whole stride apart. After enlarging layers they
    /// do not, and `first` holds for position 0 only.
    pub is_regular: bool,
    /// Whether branches with different strides were joined; `stride` then is the larger one.
    pub strides_differ: bool,
}

impl ReceptiveField {
    /// Whether the field of every position covers all of an axis of this extent.
    pub fn sees_all(&self, axis: usize, len: usize) -> bool {
        self.extent[axis] >= len && self.first[axis] == 0
    }

    /// Returns the input positions that a position of the layer reads, within an input of these extents:
    /// along each axis, the first one and the end. Returns `None` if the layer has other axes, or its
    /// positions have fields of different form.
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
    /// The graph's value that holds the layer's output.
    pub value: ValueId,
    /// The name to display. Aliases are other names of the same layer.
    pub name: String,
    /// All other names of the layer.
    pub aliases: Vec<String>,
    /// The layer's operator, as ONNX names it.
    pub op: String,
    /// Shape of the layer's output.
    pub shape: Vec<usize>,
    /// The meaning of the layer's axes; `None` if unknown.
    pub axes: Option<Axes>,
    /// Extent of the channel axis; 0 if there is none or it is unknown.
    pub channels: usize,
    /// For every input on which the layer depends: its index in the graph's inputs, and the receptive field.
    pub fields: Vec<(usize, ReceptiveField)>,
    /// Number of elements in the constants that the node reads.
    pub params: usize,
    /// The tensors from which those constants are computed, each with its number of elements. A tensor may be
    /// shared with other layers.
    pub tensors: Vec<(ValueId, usize)>,
    /// Floating-point operations of one forward pass of the node.
    pub flops: u64,
}

/// The layers of a network, and the errors of nodes that this runtime cannot compute.
#[derive(Debug)]
pub struct Layers {
    /// Layers in the order of the graph.
    pub layers: Vec<Layer>,
    /// Errors of nodes that were left out. Nodes that depend on them are left out without an error.
    pub skipped: Vec<crate::Error>,
}

/// Lists the layers for these input shapes. Nodes that cannot be computed are reported, without failing.
///
/// A receptive field is the interval of the input that a position reads. It is composed over windows, strides
/// and resizing, and joined over branches. On a plain path this is r ← r + (k−1)·s, s ← s·stride. A dense
/// layer over a flattened map counts as a convolution of the map's size (Araujo et al., "Computing receptive
/// fields of convolutional neural networks", Distill 2019).
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
    // Only the first failing node of a path is reported.
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
            // Integer pictures may be moved before they are cast to floats. Computed positions, however, are
            // no layers.
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
