//! Gradient rules for max-pooling in a plan: results stay the same, gradients follow the rule, and additional
//! memory is used only if a rule needs it.

// An error in a helper function makes the test fail, so `unwrap` is allowed.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use oneiro_net::names::Names;
use oneiro_net::{CpuSession, Graph, MaxPoolRule, Plan, Request, Rules, Session};

fn graph() -> Graph {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plain2d.legacy.onnx");
    oneiro_net::format::onnx::read(std::fs::read(file).unwrap().into()).unwrap()
}

/// Returns a layer's activations, the input gradient of their sum, and the plan. The plan's targets are the
/// layer and `more`.
fn run(graph: &Graph, layer: &str, more: &[&str], rule: MaxPoolRule) -> (Vec<f32>, Vec<f32>, Arc<Plan>) {
    let names = Names::new(graph, &[]);
    let targets: Vec<_> = std::iter::once(&layer).chain(more).map(|l| names.resolve(l).unwrap()).collect();
    let request = Request { max_pool: rule, ..Request::new(graph, 1, &targets).unwrap() };
    let plan = Arc::new(Plan::compile(graph, &request).unwrap());
    let mut session = CpuSession::new(plan.clone()).unwrap();
    for (i, x) in session.input_mut(0).iter_mut().enumerate() {
        *x = (i as f32 * 0.37).sin();
    }
    session.forward();
    let (activations, seed) = session.seed(0);
    let activations = activations.to_vec();
    seed.fill(1.0);
    session.backward(&Rules::default());
    (activations, session.input_gradient(0).to_vec(), plan)
}

#[test]
fn smoothing_changes_the_gradient_of_a_max_pooling_and_not_its_result() {
    let graph = graph();
    let (exact, exact_gradient, _) = run(&graph, "pool", &[], MaxPoolRule::Exact);
    let (smoothed, smoothed_gradient, _) = run(&graph, "pool", &[], MaxPoolRule::Smoothed);
    assert_eq!(exact, smoothed);
    assert_ne!(exact_gradient, smoothed_gradient);
    let product =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let cosine = product(&exact_gradient, &smoothed_gradient)
        / (product(&exact_gradient, &exact_gradient) * product(&smoothed_gradient, &smoothed_gradient))
            .sqrt();
    assert!(cosine > 0.5, "the smoothed gradient has another direction: cosine {cosine}");
}

#[test]
fn layers_before_any_pooling_are_the_same_under_every_rule() {
    let graph = graph();
    let before = graph.nodes.iter().find(|n| n.op.op_type() == "Relu").unwrap();
    let before = graph.name(before.outputs[0].unwrap()).to_owned();
    let (exact, exact_gradient, exact_plan) = run(&graph, &before, &[], MaxPoolRule::Exact);
    let (smoothed, smoothed_gradient, smoothed_plan) = run(&graph, &before, &[], MaxPoolRule::Smoothed);
    assert_eq!((exact, exact_gradient), (smoothed, smoothed_gradient));
    assert_eq!(exact_plan.arena_bytes(), smoothed_plan.arena_bytes());
}
