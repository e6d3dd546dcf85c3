//! Reads and runs peculiar forms in files of old converters; expected values were computed by hand.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use oneiro_net::format::onnx;
use oneiro_net::{CpuSession, Graph, Plan, Request, Rules, Session};

#[allow(dead_code)]
#[path = "../../../fuzz/src/protobuf.rs"]
mod protobuf;

use protobuf::{FLOAT, INT64, Value, attribute, model, node, tensor, value};

/// The value `STRING` of ONNX's `TensorProto.DataType`.
const STRING: u64 = 8;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn floats(name: &str, shape: &[i64], values: &[f32]) -> Vec<u8> {
    tensor(name, shape, FLOAT, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|n| n.to_le_bytes()).collect();
    tensor(name, &[values.len() as i64], INT64, &raw)
}

fn graph(parts: &[Vec<u8>], opset: u64) -> Graph {
    onnx::read(model(parts, opset).into()).unwrap()
}

/// Returns a layer's activations for an input, and the input gradient of their sum weighted by `seed`.
fn run(graph: &Graph, layer: &str, batch: usize, x: &[f32], seed: impl Fn(usize) -> f32) -> [Vec<f32>; 2] {
    let target = graph.find_value(layer).unwrap();
    let plan = Plan::compile(graph, &Request::new(graph, batch, &[target]).unwrap()).unwrap();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    session.input_mut(0).copy_from_slice(x);
    session.forward();
    let (values, seeds) = session.seed(0);
    let values = values.to_vec();
    seeds.iter_mut().enumerate().for_each(|(i, s)| *s = seed(i));
    session.backward(&Rules::default());
    [values, session.input_gradient(0).to_vec()]
}

#[test]
fn texts_are_bystanders_also_where_they_are_listed_as_inputs() {
    let names = tensor("names", &[1, 3], STRING, &[]);
    let parts = [
        names,
        value(11, "x", Some(&[1, 3])),
        value(11, "names", Some(&[1, 3])),
        node("Relu", &strings(&["x"]), &strings(&["r"]), &[]),
        node("ArgMax", &strings(&["r"]), &strings(&["best"]), &[]),
        node("Gather", &strings(&["names", "best"]), &strings(&["label"]), &[]),
        value(12, "label", None),
    ];
    let graph = graph(&parts, 7);
    assert_eq!(graph.inputs.len(), 1);
    assert_eq!(run(&graph, "r", 1, &[-1.0, 2.0, 3.0], |_| 1.0)[0], [0.0, 2.0, 3.0]);
    let request = Request::new(&graph, 1, &graph.outputs).unwrap();
    let refused = Plan::compile(&graph, &request).unwrap_err().to_string();
    assert!(refused.contains("\"names\"") && refused.contains("STRING"), "{refused}");
}

#[test]
fn an_image_scaler_scales_and_moves_each_channel() {
    let parts = [
        value(11, "x", Some(&[1, 2, 1, 2])),
        node(
            "ImageScaler",
            &strings(&["x"]),
            &strings(&["y"]),
            &[attribute("scale", &Value::Float(0.5)), attribute("bias", &Value::Floats(vec![1.0, -3.0]))],
        ),
        value(12, "y", None),
    ];
    let [values, gradient] = run(&graph(&parts, 7), "y", 1, &[2.0, 4.0, 6.0, 8.0], |_| 1.0);
    assert_eq!(values, [2.0, 3.0, 0.0, 1.0]);
    assert_eq!(gradient, [0.5; 4]);
}

/// Runs `MaxPool` of a 5×5 map by 2×2, and `MaxUnpool` back to this output shape.
fn unpooled(shape: &[i64]) -> [Vec<f32>; 2] {
    let window = || {
        [attribute("kernel_shape", &Value::Ints(vec![2, 2])), attribute("strides", &Value::Ints(vec![2, 2]))]
    };
    let parts = [
        integers("shape", shape),
        value(11, "x", Some(&[1, 1, 5, 5])),
        node("MaxPool", &strings(&["x"]), &strings(&["p", "at"]), &window()),
        node("MaxUnpool", &strings(&["p", "at", "shape"]), &strings(&["y"]), &window()),
        value(12, "y", None),
    ];
    let x: Vec<f32> = (0..25).map(|i| (i * 7 % 25) as f32 + 1.0).collect();
    run(&graph(&parts, 13), "y", 1, &x, |i| i as f32)
}

#[test]
fn values_are_unpooled_into_outputs_larger_than_the_windows_cover() {
    for side in [5, 7] {
        let [values, gradient] = unpooled(&[1, 1, side as i64, side as i64]);
        let x = |at: usize| (at * 7 % 25) as f32 + 1.0;
        let (mut expected, mut slopes) = (vec![0.0; side * side], vec![0.0; 25]);
        for (row, column) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
            let window = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| (row + dy, column + dx));
            let best = window.into_iter().max_by(|a, b| x(a.0 * 5 + a.1).total_cmp(&x(b.0 * 5 + b.1)));
            let (y, at) = best.unwrap();
            expected[y * side + at] = x(y * 5 + at);
            slopes[y * 5 + at] = (y * side + at) as f32;
        }
        assert_eq!(values, expected, "{side}");
        assert_eq!(gradient, slopes, "{side}");
    }
}

#[test]
fn a_normalisation_that_names_its_statistics_computes_them() {
    let one = [1.0f32];
    let parts = |outputs: &[&str]| {
        vec![
            floats("scale", &[1], &one),
            floats("bias", &[1], &[0.0]),
            floats("mean", &[1], &[10.0]),
            floats("var", &[1], &one),
            value(11, "x", Some(&[2, 1])),
            node(
                "BatchNormalization",
                &strings(&["x", "scale", "bias", "mean", "var"]),
                &strings(outputs),
                &[],
            ),
            value(12, "y", None),
        ]
    };
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
    let x = [1.0, 3.0];
    let [trained, _] = run(&graph(&parts(&["y", "m", "v"]), 9), "y", 2, &x, |_| 1.0);
    assert!(near(&trained, &[-1.0, 1.0]), "{trained:?}");
    let [frozen, _] = run(&graph(&parts(&["y"]), 9), "y", 2, &x, |_| 1.0);
    assert!(near(&frozen, &[-9.0, -7.0]), "{frozen:?}");
    let [old, _] = run(&graph(&parts(&["y"]), 6), "y", 2, &x, |_| 1.0);
    assert!(near(&old, &[-1.0, 1.0]), "{old:?}");
}
