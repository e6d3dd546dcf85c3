//! Requests: the shapes, targets and gradients that a plan is compiled for.

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::kernels::{Isa, MaxPoolRule};
use crate::tensor::DType;
use crate::threads::Threads;
use crate::typed::{MAX_COMPUTED, Typed};

/// Default limit of memory in bytes, above which a request is refused before anything is allocated.
pub const MAX_BYTES: usize = 1 << 37;

/// What a plan computes: input shapes, requested values, and whether and how gradients are computed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Shape of every input, in the graph's order.
    pub shapes: Vec<Vec<usize>>,
    /// Values that a session can read, and from which gradients start.
    pub targets: Vec<ValueId>,
    /// Whether the plan has a backward pass, which computes gradients.
    pub gradients: bool,
    /// Whether the backward pass computes gradients of the inputs. If not, it ends at the values of
    /// `inner_gradients`.
    pub input_gradients: bool,
    /// Values between inputs and targets whose gradients are kept ([`crate::Session::inner_gradient`]).
    /// Passes treat them as targets: no step is merged with a later one across such a value.
    pub inner_gradients: Vec<ValueId>,
    /// The rule for the gradients of max-pooling. It is part of the plan, because one rule needs the
    /// positions of the maxima and another the pooled values. The arena has room only for those that are
    /// needed.
    pub max_pool: MaxPoolRule,
    /// Instruction set of the kernels, such as AVX2.
    pub isa: Isa,
    /// Threads for which the plan is made, and on which sessions run.
    pub threads: Threads,
    /// Limit in bytes for activations, gradients and weights that no file holds.
    pub max_bytes: usize,
    /// Micro-batch size: number of batch entries that are computed together. It changes time and memory,
    /// never a bit. By default it is chosen from the sizes of the caches. The whole batch is one micro-batch
    /// if the size does not divide it, or if a node may not compute each entry independently; see
    /// [`Plan::micro_batches`](super::Plan::micro_batches).
    pub micro_batch_size: Option<usize>,
}

impl Request {
    /// A request for every input at its exported shape with this batch size. The other settings are those of
    /// [`Request::of_shapes`].
    pub fn new(graph: &Graph, batch: usize, targets: &[ValueId]) -> Result<Self> {
        let shapes = (0..graph.inputs.len())
            .map(|i| {
                let mut shape = graph.default_shape(i).ok_or_else(|| {
                    let name = graph.name(graph.inputs[i].value);
                    Error::Request(format!("the model gives no shape for input \"{name}\""))
                })?;
                if let Some(n) = shape.first_mut() {
                    *n = batch;
                }
                Ok(shape)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::of_shapes(shapes, targets.to_vec()))
    }

    /// A request for inputs of these shapes with gradients, for this machine's instruction set and the
    /// caller's threads.
    pub fn of_shapes(shapes: Vec<Vec<usize>>, targets: Vec<ValueId>) -> Self {
        Self {
            shapes,
            targets,
            gradients: true,
            input_gradients: true,
            inner_gradients: vec![],
            max_pool: MaxPoolRule::Exact,
            isa: Isa::detect(),
            threads: Threads::default(),
            max_bytes: MAX_BYTES,
            micro_batch_size: None,
        }
    }
}

/// Refuses shapes that are empty, or whose number or rank does not fit the inputs.
fn check_shapes(graph: &Graph, request: &Request) -> Result<()> {
    if request.shapes.len() != graph.inputs.len() {
        return Err(Error::Request(format!(
            "{} input shapes for a network with {} inputs",
            request.shapes.len(),
            graph.inputs.len()
        )));
    }
    for (input, shape) in graph.inputs.iter().zip(&request.shapes) {
        let name = graph.name(input.value);
        if shape.contains(&0) {
            return Err(Error::Request(format!("input \"{name}\": shape {shape:?} is empty")));
        }
        if let Some(dims) = &input.dims {
            let fits = dims.len() == shape.len();
            if !fits {
                return Err(Error::Request(format!(
                    "input \"{name}\" has {} axes, the shape given is {shape:?}",
                    dims.len()
                )));
            }
        }
    }
    Ok(())
}

/// Returns the typed graph of a request after checking that its shapes and targets fit the network.
pub(super) fn checked(graph: &Graph, request: &Request) -> Result<Typed> {
    check_shapes(graph, request)?;
    let typed = typed_of(graph, request)?;
    for &target in request.targets.iter().filter(|_| request.gradients) {
        if typed.fact(target).is_ok_and(|fact| fact.dtype != DType::Float) {
            let name = graph.name(target);
            return Err(Error::Request(format!("\"{name}\" holds no real numbers to maximise")));
        }
    }
    Ok(typed)
}

/// Returns the typed graph of a request, with a tap at each value whose gradient is kept.
pub(super) fn typed_of(graph: &Graph, request: &Request) -> Result<Typed> {
    let computed = request.max_bytes.min(MAX_COMPUTED);
    let mut typed = Typed::within(graph, &request.shapes, &request.targets, computed)?;
    if request.gradients {
        typed.tap(graph, &request.inner_gradients)?;
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::Net;
    use crate::plan::testing::{request, value};

    /// A tanh of x, and the position of its largest element.
    fn network() -> Graph {
        let (mut net, x) = Net::new(&[3, 2]);
        let y = net.node("Tanh", "y", &[x], &[]);
        let z = net.node("Neg", "z", &[y], &[]);
        let at = net.node("ArgMax", "at", &[z], &[]);
        net.graph(&[z, at])
    }

    #[track_caller]
    fn says(result: Result<Typed>, words: &str) {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Request(text) if text.contains(words)), "{error}");
    }

    #[test]
    fn a_batch_takes_the_place_of_the_exported_one() {
        let graph = network();
        let request = Request::new(&graph, 5, &[]).unwrap();
        assert_eq!(request.shapes, [[5, 2]]);
        assert!(request.gradients && request.input_gradients && request.inner_gradients.is_empty());
        let mut unknown = network();
        unknown.inputs[0].dims = None;
        let error = Request::new(&unknown, 5, &[]).unwrap_err().to_string();
        assert!(error.contains("no shape for input \"x\""), "{error}");
    }

    #[test]
    fn shapes_that_do_not_fit_the_inputs_are_refused() {
        let mut graph = network();
        graph.outputs.pop();
        let with = |shapes: &[&[usize]]| {
            let shapes = shapes.iter().map(|s| s.to_vec()).collect();
            checked(&graph, &Request { shapes, ..request(&graph) })
        };
        assert!(with(&[&[7, 9]]).is_ok());
        says(with(&[]), "0 input shapes for a network with 1 inputs");
        says(with(&[&[1, 2], &[1, 2]]), "2 input shapes");
        says(with(&[&[1, 2, 1]]), "\"x\" has 2 axes");
        says(with(&[&[0, 2]]), "is empty");
    }

    #[test]
    fn targets_without_real_numbers_are_refused_where_gradients_are_wanted() {
        let graph = network();
        says(checked(&graph, &request(&graph)), "\"at\" holds no real numbers");
        assert!(checked(&graph, &Request { gradients: false, ..request(&graph) }).is_ok());
    }

    #[test]
    fn inner_values_are_tapped_where_gradients_are_wanted() {
        let mut graph = network();
        graph.outputs.pop();
        let inner = value(&graph, "y");
        let names = |gradients: bool| {
            let request = Request { gradients, inner_gradients: vec![inner], ..request(&graph) };
            let typed = typed_of(&graph, &request).unwrap();
            typed.nodes.iter().map(|n| n.op.op_type().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(true), ["Tanh", "Identity", "Neg"]);
        assert_eq!(names(false), ["Tanh", "Neg"]);
    }
}
