//! Which node stands in the way of a target: the first that this runtime cannot compute, and what lies right behind it.

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::typed::{ancestors, infer};

/// A node that cannot be computed, on the way to a target.
#[derive(Debug)]
pub struct Obstacle {
    /// Position of the node in [`Graph::nodes`].
    pub node: usize,
    /// Why it cannot be computed; names the node and the operator.
    pub error: Error,
    /// Its results that the target depends on, in the node's order: tensors at which the network could be cut.
    pub behind: Vec<ValueId>,
}

/// The first node, in topological order, that cannot be computed and that a target depends on; `None` if there is none.
/// `shapes` has one entry an input of the graph.
///
/// # Errors
///
/// The shapes themselves cannot be used.
pub fn obstacle(graph: &Graph, shapes: &[Vec<usize>], target: ValueId) -> Result<Option<Obstacle>> {
    let needed = ancestors(graph, &[target]);
    let mut failures: Vec<(usize, Error)> = Vec::new();
    let facts = infer(graph, shapes, &needed, |node, error| {
        failures.push((node, error));
        Ok(())
    })?;
    // The branch of an `If` that is not taken may fail.
    if facts[target.index()].is_some() || failures.is_empty() {
        return Ok(None);
    }
    let (node, error) = failures.swap_remove(0);
    let read = |value: &ValueId| {
        let readers = graph.nodes.iter().zip(&needed).filter(|(_, needed)| **needed);
        *value == target || readers.into_iter().any(|(n, _)| n.inputs.contains(&Some(*value)))
    };
    let behind = graph.nodes[node].outputs.iter().flatten().copied().filter(read).collect();
    Ok(Some(Obstacle { node, error, behind }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Builder, Dim};
    use crate::ops::Unsupported;

    #[test]
    fn the_first_node_that_fails_is_named_with_what_lies_behind_it() {
        let mut net = Builder::new();
        let x = net.input("x", &[Dim::Fixed(1), Dim::Fixed(2)]).unwrap();
        let before = net.node("Relu", "before", &[x], vec![]).unwrap();
        let strange = net.node("Relu", "strange", &[before], vec![]).unwrap();
        let stranger = net.node("Relu", "stranger", &[strange], vec![]).unwrap();
        let last = net.node("Neg", "last", &[stranger], vec![]).unwrap();
        let mut graph = net.finish(&[last]);
        for (node, op) in [(1, "Loop"), (2, "Scan")] {
            graph.nodes[node].op = Arc::new(Unsupported { op_type: op.into(), why: None });
        }
        let shapes = [vec![1, 2]];
        assert!(obstacle(&graph, &shapes, before).unwrap().is_none());
        let found = obstacle(&graph, &shapes, last).unwrap().unwrap();
        assert_eq!((found.node, found.behind.as_slice()), (1, &[strange][..]));
        let text = found.error.to_string();
        assert!(text.contains("Loop") && text.contains("\"strange\""), "{text}");
    }
}
