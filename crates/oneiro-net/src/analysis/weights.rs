//! The tensors from which the constants of a network's layers are computed.

use std::collections::BTreeMap;

use super::Layer;
use crate::graph::{Graph, ValueId};
use crate::ops::Fact;
use crate::tensor::DType;

/// Number of elements in the tensors that these layers read. A tensor that several layers share counts once.
/// A computed constant (an expanded table of biases) counts as the tensors from which it is computed.
pub fn parameters(layers: &[Layer]) -> usize {
    let tensors = layers.iter().flat_map(|layer| &layer.tensors).copied();
    tensors.collect::<BTreeMap<ValueId, usize>>().values().sum()
}

/// Returns the tensors from which the constants among a node's operands are computed.
pub(super) fn tensors(
    graph: &Graph,
    operands: &[Option<ValueId>],
    facts: &[Option<Fact>],
) -> Vec<(ValueId, usize)> {
    let fact = |value: ValueId| facts.get(value.index()).and_then(Option::as_ref);
    let constant =
        |value: &ValueId| fact(*value).is_some_and(|f| f.value.is_some() && f.dtype == DType::Float);
    let mut found = Vec::new();
    for &operand in operands.iter().flatten().filter(|v| constant(v)) {
        let own = |value: ValueId| fact(value).map(|f| (value, f.len()));
        let mut behind = BTreeMap::new();
        let mut open = vec![operand];
        while let Some(value) = open.pop() {
            let Some(node) = graph.producer(value).map(|i| &graph.nodes[i]) else {
                behind.extend(own(value));
                continue;
            };
            let inputs = node.inputs.iter().enumerate().filter_map(|(k, input)| Some((k, (*input)?)));
            // Integers are indices and shapes, unless the operator decodes them to real numbers.
            let holds = |k: usize, v: ValueId| constant(&v) || k == 0 && node.op.decodes_integers();
            open.extend(inputs.filter(|(k, v)| holds(*k, *v)).map(|(_, v)| v));
        }
        // Single numbers are parameters of operators, not weights.
        behind.retain(|_, n| *n > 1);
        if behind.is_empty() {
            behind.extend(own(operand));
        }
        found.extend(behind);
    }
    found
}
