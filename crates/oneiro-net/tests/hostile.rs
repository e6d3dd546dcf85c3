//! Small model files that ask for huge amounts of memory. Each is refused with a message that names the node,
//! without allocating that memory.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use oneiro_net::format::onnx;
use oneiro_net::{CpuSession, Graph, Plan, Request, Session};

#[allow(dead_code)]
#[path = "../../../fuzz/src/protobuf.rs"]
mod protobuf;

use protobuf::{FLOAT, INT64, Value, attribute, message, model, node, number, tensor, text, value};

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|n| n.to_le_bytes()).collect();
    tensor(name, &[values.len() as i64], INT64, &raw)
}

fn graph(parts: &[Vec<u8>]) -> Graph {
    onnx::read(model(parts, 18).into()).unwrap()
}

/// Compiles the graph's outputs with at most `max_bytes` of memory; returns the plan or the error's text.
fn compile(graph: &Graph, max_bytes: usize) -> Result<Plan, String> {
    let mut request = Request::new(graph, 1, &graph.outputs).unwrap();
    request.max_bytes = max_bytes;
    Plan::compile(graph, &request).map_err(|e| e.to_string())
}

/// Returns a graph that adds the value `c`, computed by `parts`, to its input.
fn with_constant(parts: &[Vec<u8>]) -> Graph {
    let ends = [
        value(11, "x", Some(&[1])),
        node("Add", &strings(&["x", "c"]), &strings(&["y"]), &[]),
        value(12, "y", None),
    ];
    graph(&[parts, &ends].concat())
}

#[test]
fn many_computed_constants_are_refused_in_all() {
    // Each constant is within the limit, but a thousand of them would take 256 GB.
    let mut parts = vec![integers("n", &[1 << 13, 1 << 13]), integers("axes", &[0, 1])];
    let mut sum = "c0".to_owned();
    for i in 0..1000 {
        let (range, part) = (format!("r{i}"), format!("c{i}"));
        parts.push(node("ConstantOfShape", &strings(&["n"]), &strings(&[&range]), &[]));
        parts.push(node("Exp", &strings(&[&range]), &strings(&[&part]), &[]));
        if i > 0 {
            let next = if i == 999 { "all".to_owned() } else { format!("s{i}") };
            parts.push(node("Add", &strings(&[&sum, &part]), &strings(&[&next]), &[]));
            sum = next;
        }
    }
    parts.push(node("ReduceMean", &strings(&["all", "axes"]), &strings(&["c"]), &[]));
    let error = compile(&with_constant(&parts), 1 << 26).unwrap_err();
    assert!(error.contains("too large in all") && error.contains("node"), "{error}");
}

#[test]
fn a_repeated_number_takes_memory_only_in_a_plan_that_allows_it() {
    let parts = [
        integers("n", &[1 << 14, 1 << 14]),
        node("ConstantOfShape", &strings(&["n"]), &strings(&["w"]), &[]),
        value(11, "x", Some(&[1, 1 << 14])),
        node("MatMul", &strings(&["x", "w"]), &strings(&["y"]), &[]),
        value(12, "y", None),
    ];
    let graph = graph(&parts);
    let error = compile(&graph, 1 << 26).unwrap_err();
    assert!(error.contains("one number") && error.contains("1 GB"), "{error}");
    let filled = node("ConstantOfShape", &strings(&["n"]), &strings(&["c"]), &[]);
    let error = compile(&with_constant(&[integers("n", &[1 << 40]), filled]), 1 << 26).unwrap_err();
    assert!(error.contains("\"c\""), "{error}");
}

#[test]
fn one_number_repeated_by_expand_is_a_weight() {
    let one = [tensor("one", &[1], FLOAT, &2.0f32.to_le_bytes()), integers("n", &[3, 2])];
    let parts = [
        node("Expand", &strings(&["one", "n"]), &strings(&["w"]), &[]),
        value(11, "x", Some(&[1, 3])),
        node("MatMul", &strings(&["x", "w"]), &strings(&["y"]), &[]),
        value(12, "y", None),
    ];
    let plan = compile(&graph(&[&one[..], &parts].concat()), 1 << 20).unwrap();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    session.input_mut(0).fill(1.0);
    session.forward();
    assert_eq!(session.activation(0), [6.0, 6.0]);
}

#[test]
fn activations_beyond_the_limit_are_refused_by_size() {
    let parts = [
        integers("n", &[1, 1 << 12, 1 << 12]),
        value(11, "x", Some(&[1, 1, 1])),
        node("Expand", &strings(&["x", "n"]), &strings(&["y"]), &[]),
        value(12, "y", None),
    ];
    let error = compile(&graph(&parts), 1 << 20).unwrap_err();
    assert!(error.contains("64 MB") && error.contains("smaller size"), "{error}");
}

#[test]
fn a_split_into_more_parts_than_results_is_refused() {
    let parts = [
        value(11, "x", Some(&[2, 2])),
        node("Split", &strings(&["x"]), &strings(&["y"]), &[attribute("num_outputs", &Value::Int(1 << 33))]),
        value(12, "y", None),
    ];
    let error = compile(&graph(&parts), 1 << 20).unwrap_err();
    assert!(error.contains("num_outputs"), "{error}");
}

#[test]
fn two_gigabytes_claimed_in_a_kilobyte_are_an_error_of_the_tensor() {
    for raw in [&[][..], &[0; 64]] {
        let bytes = model(&[tensor("w", &[1 << 15, 1 << 14], FLOAT, raw), value(11, "x", Some(&[1]))], 18);
        let error = onnx::read(bytes.into()).unwrap_err().to_string();
        assert!(error.contains("\"w\"") && error.contains("needs"), "{error}");
    }
    // Dimensions whose product exceeds 64 bits.
    let huge = [number(1, 1 << 40), number(1, 1 << 40), number(2, FLOAT), text(8, "w")].concat();
    let error = onnx::read(model(&[message(5, &huge)], 18).into()).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn an_input_declared_twice_is_an_error() {
    let parts = [value(11, "x", Some(&[2])), value(11, "x", Some(&[3])), value(12, "x", None)];
    let error = onnx::read(model(&parts, 18).into()).unwrap_err().to_string();
    assert!(error.contains("\"x\" is declared twice"), "{error}");
}
