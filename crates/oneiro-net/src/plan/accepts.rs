//! Whether a network accepts a batch and a size: by shape inference alone, without kernels or memory.

use super::Request;
use super::request::check_shapes;
use crate::error::Result;
use crate::graph::Graph;
use crate::typed::{MAX_COMPUTED, Typed};

/// A request that the shape rules of a network accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Shapes of the targets, in the request's order.
    pub targets: Vec<Vec<usize>>,
}

/// Infers the shapes of a request's targets.
///
/// A plan for the request may still fail: where a kernel is missing, or memory does not suffice.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the shape rule of a node refuses its inputs; others as for
/// [`Plan::compile`](super::Plan::compile).
pub fn accepts(graph: &Graph, request: &Request) -> Result<Accepted> {
    check_shapes(graph, request)?;
    let computed = request.max_bytes.min(MAX_COMPUTED);
    let typed = Typed::within(graph, &request.shapes, &request.targets, computed)?;
    let shape = |v: &crate::ValueId| typed.facts[v.index()].as_ref().map_or(vec![], |f| f.shape.clone());
    Ok(Accepted { targets: request.targets.iter().map(shape).collect() })
}
