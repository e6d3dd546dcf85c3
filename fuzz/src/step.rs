//! Fuzz target: any bytes are refused as a model, or give one that compiles within its memory limit and runs
//! a step.

use std::sync::Arc;

use bytes::Bytes;
use oneiro_net::analysis::infer;
use oneiro_net::axes::{self, Axes, FeatureMap};
use oneiro_net::format::onnx;
use oneiro_net::tensor::volume;
use oneiro_net::{CpuSession, Graph, Plan, Request, Rules, Session, analysis, names::Names};

/// Largest number of input values; larger networks are slow and reveal nothing more.
const MAX_FED: usize = 1 << 14;
/// Largest memory of a plan in bytes.
const MAX_BYTES: usize = 1 << 24;
/// Plans with more operations than this are not run.
const MAX_FLOPS: u64 = 1 << 24;
/// Number of targets tried in each model.
const MAX_TARGETS: usize = 3;
/// Graphs with more nodes than this are not listed, because the list's cost grows with the square of their
/// number.
const MAX_LISTED: usize = 40;

/// Reads a model and runs one step towards each of its outputs.
pub fn step(bytes: &[u8]) {
    let Ok(graph) = onnx::read(Bytes::copy_from_slice(bytes)) else { return };
    step_graph(&graph);
}

/// Runs one step of a graph; returns for how many targets that was possible.
pub fn step_graph(graph: &Graph) -> usize {
    let shapes: Option<Vec<_>> = (0..graph.inputs.len()).map(|i| graph.default_shape(i)).collect();
    let Some(shapes) = shapes else { return 0 };
    let fed = shapes.iter().map(|s| s.iter().fold(1usize, |n, &d| n.saturating_mul(d)));
    if fed.fold(0, usize::saturating_add) > MAX_FED {
        return 0;
    }
    let mut taken = 0;
    for &target in graph.outputs.iter().take(MAX_TARGETS) {
        for gradients in [true, false] {
            let mut request = Request::of_shapes(shapes.clone(), vec![target]);
            (request.gradients, request.max_bytes) = (gradients, MAX_BYTES);
            request.micro_batch_size = Some(usize::MAX);
            match Plan::compile(graph, &request) {
                Ok(plan) => {
                    let whole = run(plan, gradients);
                    taken += usize::from(whole.is_some());
                    for micro_batch_size in [None, Some(1), Some(2)] {
                        request.micro_batch_size = micro_batch_size;
                        let Some(whole) = &whole else { break };
                        let plan = Plan::compile(graph, &request).expect("the whole compiles");
                        if plan.micro_batches() == 1 {
                            continue;
                        }
                        let micro_batches = run(plan, gradients).expect("it is as large as the whole");
                        let same =
                            |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                        let alike =
                            micro_batches.len() == whole.len() && micro_batches.iter().zip(whole).all(same);
                        assert!(alike, "entries in micro_batches give other numbers than all at once");
                    }
                    break;
                }
                Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
            }
        }
    }
    if taken > 0 && graph.nodes.len() <= MAX_LISTED {
        list(graph, &shapes);
    }
    taken
}

/// Lists the graph's layers, and treats each as a feature map.
fn list(graph: &Graph, shapes: &[Vec<usize>]) {
    let Ok(facts) = infer(graph, shapes, &vec![true; graph.nodes.len()], |_, _| Ok(())) else { return };
    let batch = shapes.first().and_then(|s| s.first()).copied().unwrap_or(1);
    let stated: Vec<_> =
        graph.inputs.iter().zip(shapes).map(|(i, s)| (i.value, Axes::channels_first(s))).collect();
    let followed = axes::follow(graph, &facts, &stated, batch, None);
    for (axes, fact) in followed.axes.iter().zip(&facts) {
        let (Some(axes), Some(fact)) = (axes, fact) else { continue };
        let Some(map) = FeatureMap::of(axes, &fact.shape, batch) else { continue };
        let n = volume(map.shape());
        assert!(n <= fact.len(), "a map of {:?} has more elements than {:?}", map.shape(), fact.shape);
        if fact.len() <= MAX_FED {
            let mut elements = map.gather(&(0..fact.len()).map(|i| i as f32).collect::<Vec<_>>());
            elements.sort_by(f32::total_cmp);
            elements.dedup();
            assert_eq!(elements.len(), n, "{axes} of {:?} as a map: elements are lost", fact.shape);
        }
    }
    _ = analysis::layers(graph, &Names::new(graph, &[]), shapes, &followed);
}

/// Returns the result and gradients of one step of a plan, which may contain NaN. `None` if the plan is too
/// large to run.
fn run(plan: Plan, gradients: bool) -> Option<Vec<f32>> {
    if plan.forward_flops() > MAX_FLOPS {
        return None;
    }
    let plan = Arc::new(plan);
    let mut session = CpuSession::new(plan.clone()).expect("memory within the limit is there");
    for (i, input) in plan.inputs.iter().enumerate() {
        let data = session.input_mut(i);
        assert_eq!(data.len(), volume(&input.shape), "an input as large as its shape says");
        data.iter_mut().enumerate().for_each(|(k, x)| *x = (k % 7) as f32 * 0.25 - 0.5);
    }
    session.forward();
    assert_eq!(
        session.activation(0).len(),
        volume(&plan.targets[0].shape),
        "a result as large as its shape says"
    );
    let mut numbers = session.activation(0).to_vec();
    if gradients && plan.targets[0].has_seed() {
        session.seed(0).1.fill(1.0);
        session.backward(&Rules::default());
        for (i, input) in plan.inputs.iter().enumerate() {
            assert_eq!(session.input_gradient(i).len(), volume(&input.shape));
            numbers.extend(session.input_gradient(i));
        }
    }
    Some(numbers)
}
