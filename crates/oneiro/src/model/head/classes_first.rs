//! Logits whose classes are not on axis 1: behind them comes a `Flatten`, so that objectives find one class a channel.

use std::sync::Arc;

use oneiro_net::graph::{Node, Value};
use oneiro_net::ops::{Attribute, Attributes, Operator, build};
use oneiro_net::{Graph, ValueId};

/// The graph with a value of shape (N, classes) behind logits of this shape: (N, 1, 1, classes), or (classes) for a
/// batch of one. `None` if the classes are on axis 1 already, or the entries are no row.
pub(crate) fn classes_first(
    graph: &Graph,
    logits: ValueId,
    shape: &[usize],
    batch: usize,
) -> Option<(Graph, ValueId)> {
    let axis = match shape {
        // Without a batch axis.
        [n] if batch == 1 && *n != 1 => 0,
        [first, entry @ ..] if *first == batch => {
            let wide = entry.iter().position(|&n| n != 1)?;
            if wide == 0 || entry.iter().filter(|&&n| n != 1).count() > 1 {
                return None;
            }
            1
        }
        _ => return None,
    };
    let mut graph = graph.clone();
    let attributes = Attributes::new(graph.opset, vec![("axis", Attribute::Int(axis))]);
    let op: Arc<dyn Operator> = build("Flatten", &attributes);
    let mut name = format!("{} (classes)", graph.name(logits));
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    let flat = ValueId(u32::try_from(graph.values.len()).ok()?);
    graph.values.push(Value { name: name.clone(), constant: None });
    graph.nodes.push(Node { name, module: None, op, inputs: vec![Some(logits)], outputs: vec![Some(flat)] });
    Some((graph, flat))
}
