//! An attention block gives the same bits with any number of threads, and for an entry in any batch.

#![allow(clippy::unwrap_used)] // a test

use std::collections::BTreeMap;
use std::sync::Arc;

use oneiro_net::graph::{Attributes, build};
use oneiro_net::graph::{Graph, Input, Node, Value, ValueId};
use oneiro_net::tensor::{DType, Tensor};
use oneiro_net::{CpuSession, Plan, Request, Rules, Session};

/// Numbers of positions, channels and hidden channels; none is a multiple of a vector's length.
const SIZES: [usize; 3] = [37, 19, 70];

fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Builds an attention block: softmax(x·t)·x, normalised, a hidden layer with `Gelu`, and a gate by the mean
/// over positions.
fn block() -> Graph {
    let [_, channels, hidden] = SIZES;
    let mut values: Vec<Value> = Vec::new();
    let mut nodes = Vec::new();
    let mut value = |name: &str, constant: Option<Tensor>| {
        values.push(Value { name: name.into(), constant });
        ValueId(values.len() as u32 - 1)
    };
    let (x, t) = (value("x", None), value("t", None));
    let floats = |shape: &[usize], seed| Tensor::floats(shape, numbers(shape.iter().product(), seed));
    let scale = value("scale", Some(floats(&[channels], 1)));
    let wide = value("wide", Some(floats(&[channels, hidden], 2)));
    let narrow = value("narrow", Some(floats(&[hidden, channels], 3)));
    let axis = value("axis", Some(Tensor::ints(&[1], vec![1])));
    let mut node = |op: &str, inputs: &[ValueId]| {
        let output = value(op, None);
        nodes.push(Node {
            name: op.into(),
            module: None,
            op: build(op, &Attributes::new(20, vec![])),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(output)],
        });
        output
    };
    let scores = node("MatMul", &[x, t]);
    let weights = node("Softmax", &[scores]);
    let mixed = node("MatMul", &[weights, x]);
    let normal = node("LayerNormalization", &[mixed, scale]);
    let up = node("MatMul", &[normal, wide]);
    let bent = node("Gelu", &[up]);
    let down = node("MatMul", &[bent, narrow]);
    let mean = node("ReduceMean", &[down, axis]);
    let gate = node("Sigmoid", &[mean]);
    let y = node("Mul", &[down, gate]);
    let inputs = [x, t].map(|value| Input { value, dims: None, dtype: DType::Float }).to_vec();
    Graph { values, nodes, inputs, outputs: vec![y], opset: 20, notes: vec![], metadata: BTreeMap::new() }
}

/// Runs the block; returns its result and the gradients of both inputs.
fn run(threads: usize, batch: usize, data: [&[f32]; 2]) -> [Vec<f32>; 3] {
    let (graph, [length, channels, _]) = (block(), SIZES);
    let shapes = vec![vec![batch, length, channels], vec![batch, channels, length]];
    let request = Request::of_shapes(shapes, graph.outputs.clone());
    let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request).unwrap())).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        (0..2).for_each(|i| session.input_mut(i).copy_from_slice(data[i]));
        session.forward();
        let (y, seed) = session.seed(0);
        seed.iter_mut().zip(y).for_each(|(seed, y)| *seed = y * y);
        let y = y.to_vec();
        session.backward(&Rules::default());
        [y, session.input_gradient(0).to_vec(), session.input_gradient(1).to_vec()]
    })
}

#[test]
fn attention_depends_on_neither_threads_nor_batch() {
    let entry = SIZES[0] * SIZES[1];
    let (x, t) = (numbers(3 * entry, 4), numbers(3 * entry, 5));
    let all = run(1, 3, [&x, &t]);
    assert!(all.iter().flatten().all(|v| v.is_finite()) && all[1].iter().any(|v| *v != 0.0));
    for threads in [2, 3, 5] {
        assert_eq!(run(threads, 3, [&x, &t]), all, "{threads} threads");
    }
    for i in 0..3 {
        let part = entry * i..entry * (i + 1);
        let alone = run(2, 1, [&x[part.clone()], &t[part.clone()]]);
        for (alone, all) in alone.iter().zip(&all) {
            assert_eq!(*alone, all[part.clone()], "entry {i} alone");
        }
    }
}
