//! Runs an ONNX test case, and compares its results with the expected ones.

use super::*;

/// Tolerances of ONNX's own runner (`onnx/backend/test/runner`). The absolute one is 10 times larger here,
/// because f64 cases are computed in f32, too.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-6;

/// The result of running a test model.
pub struct Attempt {
    /// The values of all outputs.
    pub results: Vec<Tensor>,
    /// The gradients with respect to all inputs that were fed, if there are any.
    pub gradients: Vec<Vec<f32>>,
    /// Whether a plan computed any output; otherwise everything was folded into constants.
    pub ran: bool,
    /// Number of micro-batches into which the plan divides the entries.
    pub micro_batches: usize,
}

/// Runs a model with this micro-batch size on axis 0. An error says why this crate does not accept the model.
pub fn attempt(
    graph: &Graph,
    inputs: &[Tensor],
    way: Way,
    micro_batch_size: Option<usize>,
) -> oneiro_net::Result<Attempt> {
    let mut graph = graph.clone();
    let flows = |i: usize| {
        inputs[i].dtype() == DType::Float
            && match way {
                Way::AllData => true,
                Way::FirstIsData => i == 0,
                Way::Folded => false,
            }
    };
    for (i, tensor) in inputs.iter().enumerate().filter(|(i, _)| !flows(*i)) {
        let value = graph.inputs[i].value;
        graph.values[value.index()].constant = Some(tensor.clone());
    }
    let fed: Vec<usize> = (0..inputs.len()).filter(|&i| flows(i)).collect();
    graph.inputs = fed.iter().map(|&i| graph.inputs[i].clone()).collect();
    let shapes: Vec<Vec<usize>> = fed.iter().map(|&i| inputs[i].shape().to_vec()).collect();
    let needed = analysis::ancestors(&graph, &graph.outputs);
    // The branch of an `If` that is not taken may be invalid.
    let mut failure = None;
    let facts = analysis::infer(&graph, &shapes, &needed, |_, error| {
        failure.get_or_insert(error);
        Ok(())
    })?;
    let fact = |v: oneiro_net::ValueId| -> Option<&Fact> { facts[v.index()].as_ref() };
    if let Some(error) = failure
        && graph.outputs.iter().any(|&v| fact(v).is_none())
    {
        return Err(error);
    }
    let constant = |v: oneiro_net::ValueId| fact(v).and_then(|f| f.value.as_ref());
    let targets: Vec<_> = graph.outputs.iter().copied().filter(|&v| constant(v).is_none()).collect();
    let real = |v: &oneiro_net::ValueId| fact(*v).is_some_and(|f| f.dtype == DType::Float);
    let reals: Vec<_> = targets.iter().copied().filter(real).collect();
    let run = |targets: &[oneiro_net::ValueId], gradients: bool| -> oneiro_net::Result<CpuSession> {
        let request = Request::of_shapes(shapes.clone(), targets.to_vec());
        let request = Request { gradients, micro_batch_size, ..request };
        let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request)?))?;
        for (slot, &i) in fed.iter().enumerate() {
            if session.plan().inputs[slot].used {
                session.input_mut(slot).copy_from_slice(&inputs[i].as_floats().unwrap());
            }
        }
        session.forward();
        Ok(session)
    };
    let session = if targets.is_empty() { None } else { Some(run(&targets, reals.len() == targets.len())?) };
    let mut results = Vec::new();
    let mut target = 0;
    for &value in &graph.outputs {
        results.push(match (constant(value), &session) {
            (Some(tensor), _) => tensor.clone(),
            (None, Some(session)) => {
                let shape = session.plan().targets[target].shape.clone();
                let tensor = Tensor::floats(&shape, session.activation(target).to_vec());
                target += 1;
                tensor
            }
            (None, None) => unreachable!("a session runs what is not constant"),
        });
    }
    // Only outputs of real numbers have gradients.
    let mut session = if reals.len() == targets.len() { session } else { None };
    if session.is_none() && !reals.is_empty() {
        session = Some(run(&reals, true)?);
    }
    let (mut gradients, mut micro_batches) = (Vec::new(), 1);
    if let Some(session) = &mut session {
        for i in 0..reals.len() {
            if session.plan().targets[i].has_seed() {
                let (values, seed) = session.seed(i);
                seed.iter_mut().zip(values).for_each(|(seed, value)| *seed = 1.0 + 0.5 * value);
            }
        }
        session.backward(&Rules::default());
        gradients.extend((0..fed.len()).map(|i| session.input_gradient(i).to_vec()));
        micro_batches = session.plan().micro_batches();
    }
    Ok(Attempt { results, gradients, ran: !targets.is_empty(), micro_batches })
}

pub fn difference(got: &Tensor, wanted: &Tensor) -> Option<String> {
    if got.shape() != wanted.shape() {
        return Some(format!("shape {:?} for {:?}", got.shape(), wanted.shape()));
    }
    let floats = |t: &Tensor| t.cast(DType::Float).as_floats().unwrap().into_owned();
    if let (Ok(a), Ok(b)) = (got.as_ints(), wanted.as_ints()) {
        let at = (0..a.len()).find(|&i| a[i] != b[i])?;
        return Some(format!("element {at}: {} for {}", a[at], b[at]));
    }
    let (a, b) = (floats(got), floats(wanted));
    let agrees = |a: f32, b: f32| {
        let (a, b) = (f64::from(a), f64::from(b));
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= ATOL + RTOL * b.abs()
    };
    let at = (0..a.len()).find(|&i| !agrees(a[i], b[i]))?;
    Some(format!("element {at} of {:?}: {} for {}", got.shape(), a[at], b[at]))
}
