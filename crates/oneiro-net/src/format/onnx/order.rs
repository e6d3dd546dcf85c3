//! Sorts the nodes of a file so that each comes after the nodes whose results it reads.

use crate::error::{Error, Result};
use crate::graph::{Input, Node, Value};

/// Sorts nodes so that each comes after the nodes on which it depends. Otherwise the file's order is kept.
///
/// # Errors
/// If a tensor is defined twice or not at all, or nodes depend on each other in a cycle.
pub(super) fn in_topological_order(
    nodes: Vec<Node>,
    values: &[Value],
    inputs: &[Input],
) -> Result<Vec<Node>> {
    let mut ready: Vec<bool> = values.iter().map(|v| v.constant.is_some()).collect();
    for input in inputs {
        ready[input.value.index()] = true;
    }
    let mut producer: Vec<Option<usize>> = vec![None; values.len()];
    for (i, node) in nodes.iter().enumerate() {
        for out in node.outputs.iter().flatten() {
            if ready[out.index()] || producer[out.index()].replace(i).is_some() {
                let name = &values[out.index()].name;
                return Err(Error::Graph(format!("tensor \"{name}\" is defined twice")));
            }
        }
    }
    // A depth-first search from every node in the file's order. It uses no recursion, because graphs can be
    // deep.
    let mut state = vec![0u8; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for root in 0..nodes.len() {
        let mut stack = vec![(root, 0usize)];
        while let Some((n, next)) = stack.pop() {
            if next == 0 {
                if state[n] == 2 {
                    continue;
                }
                state[n] = 1;
            }
            match nodes[n].inputs.get(next) {
                None => {
                    state[n] = 2;
                    order.push(n);
                }
                Some(input) => {
                    stack.push((n, next + 1));
                    let Some(value) = input.filter(|v| !ready[v.index()]) else { continue };
                    let Some(p) = producer[value.index()] else {
                        return Err(Error::Graph(format!(
                            "node \"{}\" reads \"{}\", which nothing defines",
                            nodes[n].name,
                            values[value.index()].name
                        )));
                    };
                    match state[p] {
                        0 => stack.push((p, 0)),
                        1 => {
                            return Err(Error::Graph(format!(
                                "node \"{}\" depends on its own result",
                                nodes[p].name
                            )));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|n| nodes[n].take()).collect())
}
