//! Finds where a network can begin if its first part cannot be run.

use super::{cut_at, dims_from_readers, known_dims};
use crate::error::Error;
use crate::graph::{Dim, Graph, ValueId};
use crate::tensor::DType;
use crate::typed::{ancestors, infer};

/// The number of tensors that are tried as beginnings.
const TRIALS: usize = 64;
/// Side of pictures in a trial if the file does not fix it.
const SIDE: usize = 224;
/// Numbers of channels that a picture may have in a trial.
const CHANNELS: [usize; 2] = [1, 3];

/// Returns the axes and the element type that a file declares for a tensor of this name.
pub type Declarations<'a> = dyn Fn(&str) -> Option<(Vec<Dim>, DType)> + 'a;

/// The nodes of a network that cannot be run.
#[derive(Debug, Clone)]
pub struct Blocked {
    nodes: Vec<bool>,
}

impl Blocked {
    /// Finds the nodes that cannot be run: those without a supported operator, and the one that `error`
    /// names.
    pub fn new(graph: &Graph, error: Option<&Error>) -> Self {
        let named = match error {
            Some(
                Error::Unsupported { node, .. }
                | Error::Node { node, .. }
                | Error::Shape { node, .. }
                | Error::Data { node, .. },
            ) => Some(node),
            _ => None,
        };
        // Nodes without operands stand for parts that a reader or a cut removed, so no node precedes them.
        let is_blocked =
            |n: &crate::graph::Node| !n.op.is_supported() && !n.inputs.is_empty() || Some(&n.name) == named;
        Self { nodes: graph.nodes.iter().map(is_blocked).collect() }
    }

    /// Whether this crate can run all nodes of the graph.
    pub fn is_empty(&self) -> bool {
        !self.nodes.contains(&true)
    }

    /// Returns the first tensor after the blocked nodes from which all targets can be computed. Without
    /// targets, returns the tensor from which most nodes can be computed. `declared` returns the axes that
    /// the file declares for a tensor.
    ///
    /// Tensors that could be a picture are preferred.
    pub fn beginning(
        &self,
        graph: &Graph,
        targets: &[ValueId],
        declared: &Declarations<'_>,
    ) -> Option<ValueId> {
        let needed =
            if targets.is_empty() { vec![true; graph.nodes.len()] } else { ancestors(graph, targets) };
        let mut behind = vec![false; graph.values.len()];
        let mut candidates = Vec::new();
        for ((node, blocked), needed) in graph.nodes.iter().zip(&self.nodes).zip(&needed) {
            let depends = *blocked || node.inputs.iter().flatten().any(|v| behind[v.index()]);
            if depends && *needed {
                for v in node.outputs.iter().flatten() {
                    behind[v.index()] = true;
                    candidates.push(*v);
                }
            }
        }
        candidates.retain(|v| !targets.contains(v));
        let mut best: Option<(ValueId, usize)> = None;
        for &candidate in candidates.iter().take(TRIALS) {
            let known = known_dims(graph, candidate).or_else(|| declared(graph.name(candidate)));
            let known = known.or_else(|| Some((dims_from_readers(graph, candidate)?, DType::Float)));
            let Some((dims, dtype)) = known else { continue };
            let Some(reached) = self.reached(graph, candidate, &dims, dtype, targets) else { continue };
            let bonus = if is_picture(&dims) { graph.nodes.len() } else { 0 };
            if best.is_none_or(|(_, most)| reached + bonus > most) {
                best = Some((candidate, reached + bonus));
            }
            if !targets.is_empty() && bonus > 0 {
                break;
            }
        }
        best.map(|(value, _)| value)
    }

    /// Counts the nodes that can be computed from a tensor; returns `None` if a target cannot.
    fn reached(
        &self,
        graph: &Graph,
        at: ValueId,
        dims: &[Dim],
        dtype: DType,
        targets: &[ValueId],
    ) -> Option<usize> {
        let mut cut = cut_at(graph, at, Some(dims.to_vec()), dtype).ok()?.graph;
        // The node that an error named must stay excluded, too.
        let blocked: Vec<&str> =
            graph.nodes.iter().zip(&self.nodes).filter(|(_, b)| **b).map(|(n, _)| n.name.as_str()).collect();
        cut.nodes.retain(|n| !blocked.contains(&n.name.as_str()));
        let shapes: Vec<Vec<usize>> = cut.inputs.iter().map(|i| trial(i.dims.as_deref())).collect();
        let facts = infer(&cut, &shapes, &vec![true; cut.nodes.len()], |_, _| Ok(())).ok()?;
        let depends = |v: &ValueId| facts[v.index()].as_ref().is_some_and(|f| f.value.is_none());
        if !targets.iter().all(depends) {
            return None;
        }
        let reached = cut.nodes.iter().filter(|n| n.outputs.iter().flatten().any(depends)).count();
        (reached > 0).then_some(reached)
    }
}

fn is_picture(dims: &[Dim]) -> bool {
    let usual = |d: Option<&Dim>| matches!(d, Some(Dim::Fixed(n)) if CHANNELS.contains(n));
    match dims.len() {
        4 => usual(dims.get(1)) || usual(dims.last()),
        3 => usual(dims.first()) || usual(dims.last()),
        _ => false,
    }
}

fn trial(dims: Option<&[Dim]>) -> Vec<usize> {
    let dims = dims.unwrap_or_default();
    let open = |axis: usize| if axis > 0 && dims.len() > 2 || dims.len() == 3 { SIDE } else { 1 };
    let extent = |(axis, dim): (usize, &Dim)| if let Dim::Fixed(n) = dim { *n } else { open(axis) };
    dims.iter().enumerate().map(extent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::ops::Unsupported;
    use crate::tensor::Tensor;

    #[test]
    fn the_first_picture_behind_what_cannot_be_run_is_found() {
        let mut net = Builder::new();
        let x = net.input("bytes", &[Dim::Free("n".into())]).unwrap();
        let decoded = net.node("Identity", "decoded", &[x], vec![]).unwrap();
        let scale = net.constant("scale", Tensor::floats(&[], vec![0.5])).unwrap();
        let scaled = net.node("Mul", "scaled", &[decoded, scale], vec![]).unwrap();
        let weight = net.constant("w", Tensor::floats(&[2, 3, 1, 1], vec![0.5; 6])).unwrap();
        let conv = net.node("Conv", "conv", &[scaled, weight], vec![]).unwrap();
        let mut graph = net.finish(&[conv]);
        graph.nodes[0].op = std::sync::Arc::new(Unsupported { op_type: "Decode".into(), why: None });
        let blocked = Blocked::new(&graph, None);
        assert!(!blocked.is_empty());
        for targets in [&[][..], &[conv]] {
            assert_eq!(blocked.beginning(&graph, targets, &|_| None), Some(decoded));
        }
        assert_eq!(blocked.beginning(&graph, &[decoded], &|_| None), None);
    }
}
