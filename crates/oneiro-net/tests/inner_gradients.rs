//! Gradients with respect to inner values, between inputs and targets.

#![allow(clippy::unwrap_used)] // a test

use std::sync::Arc;

use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Builder, Dim};
use oneiro_net::tensor::Tensor;
use oneiro_net::{CpuSession, Graph, Plan, Request, Rules, Session, ValueId};

const SHAPE: [usize; 4] = [4, 16, 6, 5];

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
}

/// Builds a graph: conv → relu → (conv2 + relu), and the mean of relu as a second output.
fn graph() -> Graph {
    let mut b = Builder::new();
    let dims = [Dim::Free("N".into()), Dim::Fixed(16), Dim::Fixed(6), Dim::Fixed(5)];
    let x = b.input("x", &dims).unwrap();
    let conv = |b: &mut Builder, name: &str, x| {
        let weight = Tensor::floats(&[16, 16, 3, 3], numbers(16 * 16 * 9, name.len()));
        let weight = b.constant(&format!("{name}.weight"), weight).unwrap();
        b.node("Conv", name, &[x, weight], vec![("pads", Attribute::Ints(vec![1; 4]))]).unwrap()
    };
    let first = conv(&mut b, "conv", x);
    let relu = b.node("Relu", "relu", &[first], vec![]).unwrap();
    let second = conv(&mut b, "second", relu);
    let sum = b.node("Add", "sum", &[second, relu], vec![]).unwrap();
    let mean = b.node("GlobalAveragePool", "mean", &[relu], vec![]).unwrap();
    b.finish(&[sum, mean])
}

fn value(graph: &Graph, name: &str) -> ValueId {
    graph.find_value(name).unwrap()
}

fn request(graph: &Graph, targets: &[&str], inner: &[&str]) -> Request {
    let ids = |names: &[&str]| names.iter().map(|name| value(graph, name)).collect::<Vec<_>>();
    let request = Request::of_shapes(vec![SHAPE.to_vec()], ids(targets));
    Request { inner_gradients: ids(inner), ..request }
}

/// Runs forward and backward, with different seeds for every target.
fn run(graph: &Graph, request: &Request) -> CpuSession {
    let plan = Plan::compile(graph, request).unwrap();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let len = session.input_mut(0).len();
    session.input_mut(0).copy_from_slice(&numbers(len, 5));
    session.forward();
    for target in 0..request.targets.len() {
        let seed = session.seed(target).1;
        let values = numbers(seed.len(), 7 + target);
        seed.iter_mut().zip(values).for_each(|(s, v)| *s += v);
    }
    session.backward(&Rules::default());
    session
}

#[test]
fn they_are_the_input_gradients_of_the_network_behind_and_before() {
    let graph = graph();
    let session = run(&graph, &request(&graph, &["sum", "mean"], &["relu", "conv", "x"]));
    assert_eq!(session.plan().inner[0].shape, SHAPE);
    let plain = run(&graph, &request(&graph, &["sum", "mean", "relu", "conv"], &[]));
    // The gradient of a ReLU's operand is that of its result where the operand is positive, and 0 elsewhere.
    let (relu, conv) = (session.inner_gradient(0), session.inner_gradient(1));
    let activations = plain.activation(3);
    for ((r, c), a) in relu.iter().zip(conv).zip(activations) {
        assert_eq!(*c, if *a > 0.0 { *r } else { 0.0 });
    }
    assert!(relu.iter().zip(conv).any(|(r, c)| r != c));
    assert_eq!(session.inner_gradient(2), session.input_gradient(0));
    // A plan without inner gradients gives the same input gradient.
    let directly = run(&graph, &request(&graph, &["sum", "mean"], &[]));
    let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off(session.input_gradient(0), directly.input_gradient(0)) < 1e-4);
}

#[test]
fn seeds_of_a_target_belong_to_its_own_gradient() {
    let graph = graph();
    let session = run(&graph, &request(&graph, &["relu"], &["relu"]));
    assert_eq!(session.inner_gradient(0), numbers(session.inner_gradient(0).len(), 7));
}

#[test]
fn without_input_gradients_they_are_the_same_bits() {
    let graph = graph();
    let whole = request(&graph, &["sum", "mean"], &["relu"]);
    let alone = Request { input_gradients: false, ..whole.clone() };
    let (whole, alone) = (run(&graph, &whole), run(&graph, &alone));
    assert_eq!(whole.inner_gradient(0), alone.inner_gradient(0));
    assert!(alone.plan().backward_flops() < whole.plan().backward_flops());
}

#[test]
fn micro_batches_give_the_same_bits() {
    let graph = graph();
    let of = |size: usize, threads: usize| {
        let request =
            Request { micro_batch_size: Some(size), ..request(&graph, &["sum", "mean"], &["relu", "conv"]) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let session = run(&graph, &request);
            assert_eq!(session.plan().micro_batches(), 4 / size);
            [session.inner_gradient(0).to_vec(), session.inner_gradient(1).to_vec()]
        })
    };
    let whole = of(4, 1);
    for (size, threads) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
        assert!(of(size, threads) == whole, "{size} a micro-batch, {threads} threads");
    }
}

#[test]
fn a_value_that_no_target_depends_on_is_refused() {
    let graph = graph();
    let error = Plan::compile(&graph, &request(&graph, &["mean"], &["second"])).unwrap_err();
    assert!(error.to_string().contains("no target depends on \"second\""), "{error}");
}
