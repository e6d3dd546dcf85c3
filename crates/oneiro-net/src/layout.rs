//! Rewrites networks with channels-last inputs so that they are fed with channels first.
//!
//! Frameworks with a channels-last layout export networks that take their images in this layout.
//! [`fed_channels_first`] transposes such inputs, so that code which prepares pictures handles one layout
//! only. Inside the network, [`crate::axes`] follows the channels.

use std::sync::Arc;

use crate::attributes::{Attribute, Attributes};
use crate::graph::{Dim, Graph, Node, Value, ValueId};
use crate::ops::{Operator, build};

/// Returns a copy of the graph that is fed with channels first. Each input that is marked in `turned` and has
/// at least three axes is replaced by one of the same name, whose axis 1 holds the channels. A `Transpose`
/// follows it. Also returns the values that were the inputs.
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
    use crate::ops::Fact;
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
        }
    }

    fn facts(graph: &Graph, shape: &[usize]) -> Vec<Option<Fact>> {
        infer(graph, &[shape.to_vec()], &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap()
    }

    #[test]
    fn a_turned_graph_is_fed_with_channels_first() {
        let (turned, replaced) = fed_channels_first(&graph(), &[true]);
        assert_eq!(replaced, [ValueId(0)]);
        assert_eq!(turned.name(turned.inputs[0].value), "x");
        assert_eq!(turned.inputs[0].dims.as_ref().unwrap()[1], Dim::Fixed(3));
        let relu = turned.find_value("relu").unwrap();
        let facts = facts(&turned, &[2, 3, 6, 7]);
        assert_eq!(facts[relu.index()].as_ref().unwrap().shape, [2, 6, 7, 5]);
    }
}
