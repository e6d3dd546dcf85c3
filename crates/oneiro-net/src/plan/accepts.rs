//! Whether a network accepts a batch and a size: by shape inference alone, without kernels or memory.

use super::Request;
use super::request::checked;
use crate::error::Result;
use crate::graph::Graph;

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
/// [`Error::Shape`](crate::Error::Shape) if a node refuses the shapes or constants of its inputs; others as
/// for [`Plan::compile`](super::Plan::compile).
pub fn accepts(graph: &Graph, request: &Request) -> Result<Accepted> {
    let typed = request.threads.run(|| checked(graph, request))?;
    let shape = |v: &crate::ValueId| typed.facts[v.index()].as_ref().map_or(vec![], |f| f.shape.clone());
    Ok(Accepted { targets: request.targets.iter().map(shape).collect() })
}
