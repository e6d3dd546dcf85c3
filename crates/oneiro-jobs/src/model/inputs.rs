//! Describes how a graph declares its inputs.

use oneiro::card::TensorLayout;
use oneiro_net::Graph;
use oneiro_net::graph::{Dim, Input};

pub(super) fn fixed(input: &Input, axis: usize) -> Option<usize> {
    match input.dims.as_ref()?.get(axis)? {
        Dim::Fixed(n) => Some(*n),
        Dim::Free(_) => None,
    }
}

/// Whether any node reads an input. Some exporters leave unused inputs in the file.
pub(super) fn is_read(graph: &Graph, input: &Input) -> bool {
    graph.nodes.iter().any(|n| n.inputs.contains(&Some(input.value)))
}

pub(super) fn rank(input: &Input) -> usize {
    input.dims.as_ref().map_or(4, Vec::len)
}

/// Returns the extent of an input's channel axis, if the model fixes it.
pub(super) fn channels(input: &Input, layout: TensorLayout) -> Option<usize> {
    fixed(input, if layout == TensorLayout::Nhwc { rank(input).saturating_sub(1) } else { 1 })
}
