//! What can be said of a network without running it: its layers, how far each sees, how much each costs.

use crate::axes::{Axes, FeatureMap, Followed};
use crate::graph::{Graph, Node, ValueId};
use crate::names::Names;
use crate::ops::{Fact, Facts, Reach};
use crate::tensor::{DType, volume};
use crate::typed::infer;

/// What a position of a value sees of one input, along each spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Extent in input positions. Windows count in full, also where they reach over the border; after a
    /// global operation it is the input's extent.
    pub extent: Vec<usize>,
    /// Input positions between neighbours, accumulated over all strides on the way.
    pub stride: Vec<usize>,
    /// Whether branches with different strides met on the way (the larger one is given).
    pub strides_differ: bool,
    /// Extents of the map that was flattened into this value, if it was.
    flattened: Option<Vec<usize>>,
    /// Whether the layer sees all of the input through something global: then the extent stays the input's.
    whole: bool,
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
    /// What its axes mean; `None` if nothing is known.
    pub axes: Option<Axes>,
    /// Extent of the channel axis; 0 if there is none, or it is not known which one that is.
    pub channels: usize,
    /// For every input that the layer depends on: its position in the graph's inputs, and the field.
    pub fields: Vec<(usize, ReceptiveField)>,
    /// Numbers in the constants that the node reads.
    pub params: usize,
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
/// Receptive fields: r ← r + (k−1)·s, s ← s·stride along the path, with the largest r over branches; a dense
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
    // Only the first node of a broken path is to blame.
    let produced_by_failure = |i: usize| {
        graph.nodes[i].inputs.iter().flatten().any(|v| graph.producer(*v).is_some_and(|p| failed[p]))
    };
    let skipped = errors.into_iter().filter(|(i, _)| !produced_by_failure(*i)).map(|(_, e)| e).collect();

    let map_shape = |value: ValueId, shape: &[usize]| {
        let map = followed.of(value).and_then(|axes| FeatureMap::of(axes, shape, followed.batch()));
        map.map_or_else(|| shape.to_vec(), |map| map.shape().to_vec())
    };
    let mut fields: Vec<Vec<(usize, ReceptiveField)>> = vec![Vec::new(); graph.values.len()];
    for (i, input) in graph.inputs.iter().enumerate() {
        let rank = shapes[i].len().saturating_sub(2);
        let field = ReceptiveField {
            extent: vec![1; rank],
            stride: vec![1; rank],
            strides_differ: false,
            flattened: None,
            whole: false,
        };
        fields[input.value.index()].push((i, field));
    }
    let mut layers = Vec::new();
    for node in &graph.nodes {
        let inputs: Vec<Option<&Fact>> =
            node.inputs.iter().map(|v| v.and_then(|v| facts[v.index()].as_ref())).collect();
        for value in node.outputs.iter().flatten() {
            let Some(fact) = facts[value.index()].as_ref() else { continue };
            if fact.value.is_some() {
                continue;
            }
            let to = map_shape(*value, &fact.shape);
            let mut merged: Vec<(usize, ReceptiveField)> = Vec::new();
            for (k, source) in node.inputs.iter().enumerate() {
                let Some(source) = source else { continue };
                let from = inputs[k].map_or(vec![], |f| map_shape(*source, &f.shape));
                let known = followed.of(*source).zip(followed.of(*value));
                let reach = known.map_or_else(
                    || node.op.reach(Facts(&inputs)),
                    |axes| reach_over(node, &inputs, axes, &from, &to),
                );
                for (input, field) in &fields[source.index()] {
                    let seen = field.after(&reach, &from, &to, &shapes[*input]);
                    match merged.iter_mut().find(|(i, _)| i == input) {
                        None => merged.push((*input, seen)),
                        Some((_, other)) => other.merge(&seen),
                    }
                }
            }
            if merged.is_empty() {
                continue;
            }
            merged.sort_by_key(|(i, _)| *i);
            if fact.dtype != DType::Float {
                // Pictures of integers are moved before they become numbers; positions are no layers.
                fields[value.index()] = merged;
                continue;
            }
            let mut aliases = names.of(*value);
            let name = aliases.remove(0);
            let params = inputs
                .iter()
                .flatten()
                .filter(|f| f.value.is_some() && f.dtype == DType::Float)
                .map(|f| f.len())
                .sum();
            fields[value.index()] = merged.clone();
            layers.push(Layer {
                value: *value,
                name,
                aliases,
                op: node.op.op_type().to_owned(),
                shape: fact.shape.clone(),
                channels: followed
                    .of(*value)
                    .and_then(Axes::channel)
                    .map_or(0, |at| fact.shape.get(at).copied().unwrap_or(0)),
                axes: followed.of(*value).cloned(),
                fields: merged,
                params,
                flops: node.op.flops(Facts(&inputs), fact),
            });
        }
    }
    Ok(Layers { layers, skipped })
}

/// How far a node sees on the map of an operand with these axes. Operators count with axis 1 for channels and
/// those behind it for positions; in other orders of axes the maps tell.
fn reach_over(
    node: &Node,
    inputs: &[Option<&Fact>],
    (axes, result): (&Axes, &Axes),
    from: &[usize],
    to: &[usize],
) -> Reach {
    let reach = node.op.reach(Facts(inputs));
    let op = node.op.op_type();
    let (positions, after) = (from.get(2..).unwrap_or_default(), to.get(2..).unwrap_or_default());
    let same = !positions.is_empty() && positions == after;
    match op {
        "MatMul" | "Gemm" | "Einsum" if from.len() > 2 || to.len() > 2 => {
            let data = inputs.iter().flatten().filter(|fact| fact.value.is_none()).count();
            // Products of data with data are attention.
            if same && data == 1 { Reach::Point } else { Reach::Whole }
        }
        "Transpose" if same => Reach::Point,
        // Channels that are split into heads, or picked, leave the positions where they are.
        "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" | "Gather"
            if axes.positions() == result.positions() && axes.has_positions() =>
        {
            Reach::Point
        }
        _ if op.starts_with("Reduce") && same => Reach::Point,
        _ if op.starts_with("Reduce") && volume(positions) > volume(after) => Reach::Whole,
        "Reshape" | "Flatten" | "Transpose"
            if positions.len() == after.len() && !after.is_empty() && !same =>
        {
            let shrinks = positions.iter().zip(after).all(|(n, m)| *m > 0 && n.is_multiple_of(*m));
            let blocks: Vec<usize> = positions.iter().zip(after).map(|(n, m)| n / (*m).max(1)).collect();
            // Neighbours that become channels of one position; of a map that has one left, everything.
            if volume(after) == 1 {
                Reach::Whole
            } else if shrinks {
                Reach::Window { extent: blocks.clone(), stride: blocks }
            } else {
                reach
            }
        }
        _ if reach == Reach::Whole => {
            let along = node.op.mixes_along(Facts(inputs));
            let spatial = |at: &usize| axes.0.get(*at).is_some_and(|a| a.iter().any(|p| p.kind.is_spatial()));
            if !along.is_empty() && same && !along.iter().any(spatial) { Reach::Point } else { reach }
        }
        _ => reach,
    }
}

/// r + (k − 1)·s.
fn grown(extent: usize, window: usize, stride: usize) -> usize {
    extent.saturating_add(window.saturating_sub(1).saturating_mul(stride))
}

impl ReceptiveField {
    fn after(&self, reach: &Reach, from: &[usize], to: &[usize], input: &[usize]) -> Self {
        let mut field = self.clone();
        let whole = |field: &mut Self| field.whole = true;
        match reach {
            Reach::Point | Reach::Nothing => {}
            Reach::Whole => whole(&mut field),
            Reach::Window { extent, stride } if extent.len() == field.extent.len() => {
                for i in 0..extent.len() {
                    field.extent[i] = grown(field.extent[i], extent[i], field.stride[i]);
                    field.stride[i] = field.stride[i].saturating_mul(stride[i]);
                }
            }
            Reach::Window { .. } => whole(&mut field),
            Reach::Regroup => match (&self.flattened, from.len(), to.len()) {
                // A dense layer over a flattened map is a convolution of the map's size.
                (Some(map), 2, 2) => {
                    for i in 0..map.len().min(field.extent.len()) {
                        field.extent[i] = grown(field.extent[i], map[i], field.stride[i]);
                    }
                    field.flattened = None;
                }
                (_, 3.., 2) => field.flattened = Some(from[2..].to_vec()),
                (_, 0..=2, 0..=2) => {}
                // Channels split or merged before the same map.
                (_, 3.., 3..) if to.len() >= from.len() - 2 && to.ends_with(&from[2..]) => {}
                _ if volume(from.get(2..).unwrap_or_default()) == 1 => {}
                _ => whole(&mut field),
            },
        }
        if field.whole {
            field.extent = input.get(2..).unwrap_or_default().to_vec();
        }
        field
    }

    fn merge(&mut self, other: &Self) {
        let whole = match (self.whole, other.whole) {
            (true, _) => Some(self.extent.clone()),
            (false, true) => Some(other.extent.clone()),
            (false, false) => None,
        };
        self.whole |= other.whole;
        for i in 0..self.extent.len().min(other.extent.len()) {
            self.extent[i] = self.extent[i].max(other.extent[i]);
            self.strides_differ |= self.stride[i] != other.stride[i];
            self.stride[i] = self.stride[i].max(other.stride[i]);
        }
        self.strides_differ |= other.strides_differ;
        if let Some(extent) = whole {
            self.extent = extent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Builder, Dim};
    use crate::ops::Attribute;
    use crate::tensor::Tensor;

    #[test]
    fn what_is_behind_squeeze_and_excite_sees_the_whole_input_and_no_more() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 2, 12, 10].map(Dim::Fixed)).unwrap();
        let weight = net.constant("w", Tensor::floats(&[2, 2, 3, 3], vec![0.1; 36])).unwrap();
        let conv = |net: &mut Builder, name: &str, from| {
            let attributes =
                vec![("strides", Attribute::Ints(vec![2, 2])), ("pads", Attribute::Ints(vec![1; 4]))];
            net.node("Conv", name, &[from, weight], attributes).unwrap()
        };
        let first = conv(&mut net, "first", x);
        let squeezed = net.node("GlobalAveragePool", "squeezed", &[first], vec![]).unwrap();
        let excited = net.node("Mul", "excited", &[first, squeezed], vec![]).unwrap();
        let second = conv(&mut net, "second", excited);
        let graph = net.finish(&[second]);
        let shapes = [vec![1, 2, 12, 10]];
        let facts = infer(&graph, &shapes, &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap();
        let stated = [(x, Axes::channels_first(&shapes[0]))];
        let followed = crate::axes::follow(&graph, &facts, &stated, 1, None);
        let found = layers(&graph, &Names::new(&graph, &[]), &shapes, &followed).unwrap();
        let field = |name: &str| {
            let layer = found.layers.iter().find(|l| l.name == name).unwrap();
            (layer.fields[0].1.extent.clone(), layer.fields[0].1.stride.clone())
        };
        assert_eq!(field("first"), (vec![3, 3], vec![2, 2]));
        assert_eq!(field("squeezed"), (vec![12, 10], vec![2, 2]));
        assert_eq!(field("excited"), (vec![12, 10], vec![2, 2]));
        assert_eq!(field("second"), (vec![12, 10], vec![4, 4]));
    }
}
