//! Tells whether a network accepts a batch and a size, by shape inference alone, without kernels or memory.

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
/// Compiling a plan for the request may still fail, if a kernel is missing or memory does not suffice.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if a node refuses the shapes or constants of its inputs. Otherwise
/// the errors of [`Plan::compile`](super::Plan::compile).
pub fn accepts(graph: &Graph, request: &Request) -> Result<Accepted> {
    let typed = request.threads.run(|| checked(graph, request))?;
    let shape = |v: &crate::ValueId| typed.facts[v.index()].as_ref().map_or(vec![], |f| f.shape.clone());
    Ok(Accepted { targets: request.targets.iter().map(shape).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::graph::Graph;
    use crate::passes::testing::{Net, ints};
    use crate::plan::testing::{request, value};

    /// A convolution, a pooling by 2, and a dense layer that needs 2×2 positions.
    fn network() -> Graph {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.weights("w", &[3, 2, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let window = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        let pooled = net.node("MaxPool", "pooled", &[conv], &window);
        let flat = net.node("Flatten", "flat", &[pooled], &[]);
        let w = net.weights("dense.w", &[12, 5]);
        let y = net.node("Gemm", "y", &[flat, w], &[]);
        net.graph(&[y])
    }

    fn at(batch: usize, side: usize, targets: &[&str]) -> Result<Accepted> {
        let graph = network();
        let targets = targets.iter().map(|name| value(&graph, name)).collect();
        accepts(&graph, &Request { targets, shapes: vec![vec![batch, 2, side, side]], ..request(&graph) })
    }

    #[test]
    fn shapes_of_all_targets_come_in_the_order_of_the_request() {
        let accepted = at(3, 4, &["y", "conv"]).unwrap();
        assert_eq!(accepted.targets, [vec![3, 5], vec![3, 3, 4, 4]]);
    }

    #[test]
    fn a_size_is_refused_by_the_node_that_does_not_take_it_and_only_in_front_of_a_target() {
        let refusal = at(1, 6, &["y"]).unwrap_err();
        assert!(
            matches!(&refusal, Error::Shape { node, op, .. } if node == "y" && op == "Gemm"),
            "{refusal}"
        );
        assert_eq!(at(1, 6, &["pooled"]).unwrap().targets, [[1, 3, 3, 3]]);
        let refusal = at(1, 1, &["pooled"]).unwrap_err();
        assert!(matches!(&refusal, Error::Shape { node, .. } if node == "pooled"), "{refusal}");
    }

    #[test]
    fn a_constant_that_is_computed_from_the_input_is_refused_at_every_size() {
        let (mut net, x) = Net::new(&[4]);
        let at = net.node("ArgMax", "at", &[x], &[]);
        let y = net.node("Reshape", "y", &[x, at], &[]);
        let graph = net.graph(&[y]);
        let refusal = accepts(&graph, &request(&graph)).unwrap_err();
        assert!(matches!(&refusal, Error::Data { node, .. } if node == "y"), "{refusal}");
    }

    #[test]
    fn memory_is_no_matter() {
        let graph = network();
        let request = Request { max_bytes: 64, ..request(&graph) };
        assert!(accepts(&graph, &request).is_ok());
        assert!(crate::Plan::compile(&graph, &request).is_err());
    }
}
