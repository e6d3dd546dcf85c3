//! Gives operators facts about the node that computes one of their inputs.

use crate::graph::{Node, ValueId};

/// Operators that pass positions on unchanged.
const COPIES: &[&str] = &["Identity", "Cast", "Dropout"];

/// Adds a fourth input to each `MaxUnpool` whose positions come from a `MaxPool`: the input of that pooling
/// ([`crate::ops::cnn::unpool`]).
pub(super) fn link_unpooling(nodes: &mut [Node], values: usize) {
    let mut producers = vec![None; values];
    for (i, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().flatten() {
            producers[output.index()] = Some(i);
        }
    }
    for at in 0..nodes.len() {
        if nodes[at].op.op_type() == "MaxUnpool"
            && let Some(pooled) = pooled_tensor(nodes, &producers, at)
        {
            nodes[at].inputs.resize(4, None);
            nodes[at].inputs[3] = Some(pooled);
        }
    }
}

/// Returns the input of the `MaxPool` that computes the positions of a `MaxUnpool`.
fn pooled_tensor(nodes: &[Node], producers: &[Option<usize>], unpool: usize) -> Option<ValueId> {
    let mut positions = nodes[unpool].inputs.get(1).copied().flatten()?;
    // The number of iterations is limited, because an unsorted graph may have a cycle.
    for _ in 0..nodes.len() {
        let node = &nodes[producers[positions.index()]?];
        match node.op.op_type() {
            "MaxPool" if node.outputs.get(1) == Some(&Some(positions)) => return *node.inputs.first()?,
            copy if COPIES.contains(&copy) => positions = (*node.inputs.first()?)?,
            _ => return None,
        }
    }
    None
}
