//! Where the channels of a network's values are, for networks that are fed with channels last.
//!
//! ONNX's convolutions have their channels on axis 1. A network that was exported from a framework with channels last takes
//! its images that way, transposes them, and may leave values of either layout inside; what a person calls channel 12 of a
//! layer is on axis 1 of the one and on the last axis of the other. [`channel_axes`] follows the channels through the graph;
//! [`fed_channels_first`] and [`channels_first`] turn inputs and values so that whoever uses the graph need not care.

use std::sync::Arc;

use crate::attributes::{Attribute, Attributes};
use crate::graph::{Dim, Graph, Node, Value, ValueId};
use crate::ops::movement::Movement;
use crate::ops::{Fact, Operator, build};

/// Operators whose result has its channels on axis 1 by ONNX's definition.
const CHANNELS_ON_AXIS_1: &[&str] = &[
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "DepthToSpace",
    "SpaceToDepth",
];

/// The axis of each value's channels. `inputs` has those of the graph's inputs; where nothing tells, it is the last axis of a
/// value with at least three, else axis 1.
pub fn channel_axes(graph: &Graph, facts: &[Option<Fact>], inputs: &[usize]) -> Vec<usize> {
    let shape = |v: ValueId| facts.get(v.index()).and_then(|f| f.as_ref()).map(|f| f.shape.as_slice());
    let mut known: Vec<Option<usize>> = vec![None; graph.values.len()];
    for (input, &axis) in graph.inputs.iter().zip(inputs) {
        known[input.value.index()] = Some(axis);
    }
    for node in &graph.nodes {
        for output in node.outputs.iter().flatten() {
            let Some(to) = shape(*output) else { continue };
            known[output.index()] = axis_after(node, to, &known, &shape);
        }
    }
    let fallback = |v: usize| match facts.get(v).and_then(|f| f.as_ref()) {
        Some(fact) if fact.shape.len() >= 3 => fact.shape.len() - 1,
        _ => 1,
    };
    known.iter().enumerate().map(|(v, axis)| axis.unwrap_or_else(|| fallback(v))).collect()
}

fn axis_after<'a>(
    node: &Node,
    to: &[usize],
    known: &[Option<usize>],
    shape: &impl Fn(ValueId) -> Option<&'a [usize]>,
) -> Option<usize> {
    let op = node.op.op_type();
    if CHANNELS_ON_AXIS_1.contains(&op) {
        return Some(1);
    }
    let first = node.inputs.first().copied().flatten();
    if op == "MatMul" && to.len() >= 3 {
        // A dense layer makes new channels on the last axis.
        return Some(to.len() - 1);
    }
    if let Some(Movement::Transpose(order)) = node.op.as_any().downcast_ref::<Movement>() {
        let from = known[first?.index()]?;
        return match order {
            Some(order) => order.iter().position(|&axis| axis == from),
            None => (to.len() - 1).checked_sub(from),
        };
    }
    let data = node.inputs.iter().flatten().filter_map(|v| Some((known[v.index()]?, shape(*v)?)));
    for (axis, from) in data {
        if from.len() == to.len() && op != "Reshape" {
            return Some(axis);
        }
        // Other shapes for the same channels: first or last as before, else the one axis with their number.
        let channels = *from.get(axis)?;
        let last = to.len().saturating_sub(1);
        if axis == 1 && to.get(1) == Some(&channels) {
            return Some(1);
        }
        if axis + 1 == from.len() && to.last() == Some(&channels) && last > 0 {
            return Some(last);
        }
        let mut fits = (1..to.len()).filter(|&i| to[i] == channels);
        if let (Some(at), None) = (fits.next(), fits.next()) {
            return Some(at);
        }
    }
    None
}

/// The same graph, fed with channels first: each input marked in `turned` (and of at least three axes) is replaced by one
/// of the same name whose axis 1 holds the channels, and a `Transpose` behind it. Also the values that were the inputs.
pub fn fed_channels_first(graph: &Graph, turned: &[bool]) -> (Graph, Vec<ValueId>) {
    let mut graph = graph.clone();
    let mut replaced = Vec::new();
    for i in 0..graph.inputs.len() {
        let rank = graph.inputs[i].dims.as_ref().map_or(4, Vec::len);
        if !turned.get(i).copied().unwrap_or(false) || rank < 3 {
            continue;
        }
        let old = graph.inputs[i].value;
        let name = graph.name(old).to_owned();
        let inner = unused_name(&graph, &format!("{name} (channels last)"));
        graph.values[old.index()].name.clone_from(&inner);
        let new = add_value(&mut graph, name);
        if let Some(dims) = &mut graph.inputs[i].dims {
            let channels: Dim = dims.remove(rank - 1);
            dims.insert(1, channels);
        }
        graph.inputs[i].value = new;
        let order: Vec<i64> = std::iter::once(0).chain(2..rank as i64).chain([1]).collect();
        graph.nodes.insert(0, transpose(inner, new, old, order));
        replaced.push(old);
    }
    (graph, replaced)
}

/// A value of the same content with its channels on axis 1, behind a `Transpose` that is added to the graph.
pub fn channels_first(graph: &mut Graph, value: ValueId, axis: usize, rank: usize) -> ValueId {
    let name = unused_name(graph, &format!("{} (channels first)", graph.name(value)));
    let new = add_value(graph, name.clone());
    let rest = (1..rank as i64).filter(|&i| i != axis as i64);
    let order: Vec<i64> = [0, axis as i64].into_iter().chain(rest).collect();
    graph.nodes.push(transpose(name, value, new, order));
    new
}

fn transpose(name: String, from: ValueId, to: ValueId, order: Vec<i64>) -> Node {
    let attributes = Attributes::new(1, vec![("perm", Attribute::Ints(order))]);
    let op: Arc<dyn Operator> = build("Transpose", &attributes);
    Node { name, module: None, op, inputs: vec![Some(from)], outputs: vec![Some(to)] }
}

pub(crate) fn add_value(graph: &mut Graph, name: String) -> ValueId {
    graph.values.push(Value { name, constant: None });
    ValueId(graph.values.len() as u32 - 1)
}

pub(crate) fn unused_name(graph: &Graph, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Input;
    use crate::tensor::{DType, Tensor};
    use crate::typed::infer;

    /// x (N,H,W,3) → Transpose → Conv (5 channels) → Transpose → Relu → Reshape (N, H·W, 5).
    fn graph() -> Graph {
        let names = ["x", "turned", "w", "conv", "back", "relu", "shape", "tokens"];
        let mut values: Vec<Value> =
            names.iter().map(|n| Value { name: (*n).into(), constant: None }).collect();
        values[2].constant = Some(Tensor::floats(&[5, 3, 1, 1], vec![0.5; 15]));
        values[6].constant = Some(Tensor::ints(&[3], vec![0, -1, 5]));
        let id = |i: u32| Some(ValueId(i));
        let node = |op: &str, attributes: Vec<(&str, Attribute)>, inputs: Vec<_>, output: u32| Node {
            name: names[output as usize].into(),
            module: None,
            op: build(op, &Attributes::new(17, attributes)),
            inputs,
            outputs: vec![id(output)],
        };
        let perm = |p: &[i64]| vec![("perm", Attribute::Ints(p.to_vec()))];
        Graph {
            values,
            nodes: vec![
                node("Transpose", perm(&[0, 3, 1, 2]), vec![id(0)], 1),
                node("Conv", vec![], vec![id(1), id(2)], 3),
                node("Transpose", perm(&[0, 2, 3, 1]), vec![id(3)], 4),
                node("Relu", vec![], vec![id(4)], 5),
                node("Reshape", vec![], vec![id(5), id(6)], 7),
            ],
            inputs: vec![Input {
                value: ValueId(0),
                dims: Some(vec![Dim::Free("N".into()), Dim::Fixed(6), Dim::Fixed(7), Dim::Fixed(3)]),
                dtype: DType::Float,
            }],
            outputs: vec![ValueId(7)],
            opset: 17,
            notes: vec![],
            metadata: Default::default(),
            used: Default::default(),
        }
    }

    fn facts(graph: &Graph, shape: &[usize]) -> Vec<Option<Fact>> {
        infer(graph, &[shape.to_vec()], &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap()
    }

    #[test]
    fn channels_are_followed_through_transposes() {
        let graph = graph();
        let axes = channel_axes(&graph, &facts(&graph, &[2, 6, 7, 3]), &[3]);
        assert_eq!([0, 1, 3, 4, 5, 7].map(|v: usize| axes[v]), [3, 1, 1, 3, 3, 2]);
    }

    #[test]
    fn a_turned_graph_is_fed_with_channels_first() {
        let (mut turned, replaced) = fed_channels_first(&graph(), &[true]);
        assert_eq!(replaced, [ValueId(0)]);
        assert_eq!(turned.name(turned.inputs[0].value), "x");
        assert_eq!(turned.inputs[0].dims.as_ref().unwrap()[1], Dim::Fixed(3));
        let relu = turned.find_value("relu").unwrap();
        let first = channels_first(&mut turned, relu, 3, 4);
        let facts = facts(&turned, &[2, 3, 6, 7]);
        assert_eq!(facts[relu.index()].as_ref().unwrap().shape, [2, 6, 7, 5]);
        assert_eq!(facts[first.index()].as_ref().unwrap().shape, [2, 5, 6, 7]);
    }
}
