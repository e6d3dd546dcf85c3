//! Facts about the node that computes one of an operator's inputs.

use crate::graph::{Node, ValueId};

/// Operators that hand positions on as they are.
const COPIES: &[&str] = &["Identity", "Cast", "Dropout"];

/// Gives each `MaxUnpool` whose positions come from a `MaxPool` the tensor that was pooled as a fourth input
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

/// The tensor that the positions of a `MaxUnpool` count in.
fn pooled_tensor(nodes: &[Node], producers: &[Option<usize>], unpool: usize) -> Option<ValueId> {
    let mut positions = nodes[unpool].inputs.get(1).copied().flatten()?;
    // A graph may be a circle before it is sorted.
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
