//! Runs ONNX's "light" models: classical networks in files of a few kilobytes, whose weights are a repeated
//! number (`ConstantOfShape`). They lie in `../light`, beside the node tests that `ONEIRO_ONNX_NODE_TESTS`
//! names. Each has the expected output for the input i/n (`onnx/backend/test/runner`, `generate_dummy_data`).

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::sync::Arc;

use oneiro_net::analysis::infer;
use oneiro_net::axes::{self, Axes};
use oneiro_net::format::onnx;
use oneiro_net::names::Names;
use oneiro_net::tensor::volume;
use oneiro_net::{CpuSession, Plan, Request, Rules, Session, analysis};

mod outside;

/// Largest error, relative to the largest value of the output.
const TOLERANCE: f32 = 1e-4;
const MODELS: usize = 9;

#[test]
fn light_models_list_all_layers_and_take_a_step() {
    let Some(nodes) = outside::named_by("ONEIRO_ONNX_NODE_TESTS") else { return };
    let folder = nodes.with_file_name("light");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "onnx") {
            one_step(&path);
            seen += 1;
        }
    }
    assert!(seen >= MODELS, "only {seen} models");
}

fn one_step(path: &Path) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let graph = onnx::read(std::fs::read(path).unwrap().into()).unwrap();
    let shapes: Vec<_> = (0..graph.inputs.len()).map(|i| graph.default_shape(i).unwrap()).collect();
    let facts = infer(&graph, &shapes, &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap();
    let stated: Vec<_> =
        graph.inputs.iter().zip(&shapes).map(|(i, s)| (i.value, Axes::channels_first(s))).collect();
    let followed = axes::follow(&graph, &facts, &stated, 1, None);
    let layers = analysis::layers(&graph, &Names::new(&graph, &[]), &shapes, &followed).unwrap();
    assert!(layers.skipped.is_empty(), "{name}: {:?}", layers.skipped);
    let output = graph.outputs[0];
    assert!(layers.layers.iter().any(|l| l.value == output), "{name}: the output is no layer");

    let plan = Plan::compile(&graph, &Request::new(&graph, 1, &[output]).unwrap()).unwrap();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let n = volume(&shapes[0]) as f32;
    session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = i as f32 / n);
    session.forward();
    let expected = std::fs::read(path.with_file_name(format!("{name}_output_0.pb"))).unwrap();
    let expected = onnx::read_tensor(expected.into()).unwrap();
    assert_eq!(session.plan().targets[0].shape, expected.shape(), "{name}");
    let expected = expected.as_floats().unwrap();
    let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    for (i, (a, b)) in session.activation(0).iter().zip(expected.iter()).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "{name}: output {i} is {a}, not {b}");
    }
    session.seed(0).1.fill(1.0);
    session.backward(&Rules::default());
    assert!(session.input_gradient(0).iter().all(|x| x.is_finite()), "{name}: gradient");
    eprintln!("{name}: {} layers", layers.layers.len());
}
