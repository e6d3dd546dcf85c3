//! Runs ONNX's own test cases for single operators ("node tests"), which the Python package `onnx` has under
//! `backend/test/data/node`. The environment variable `ONEIRO_ONNX_NODE_TESTS` names that folder.
//!
//! A case is tried in three ways: with all float inputs as data, with only the first as data and the others
//! as constants (like weights), and with all as constants. The first way that this crate accepts is run and
//! compared. Its gradient is computed too, and must not panic. A wrong result is a failure. A case that is
//! accepted in no way is unsupported. That is a failure for the operators in `PROMISED` only, unless
//! `OUT_OF_SCOPE` gives a reason.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)] // a test that reports a table

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oneiro_net::analysis;
use oneiro_net::format::onnx;
use oneiro_net::graph::Fact;
use oneiro_net::graph::Graph;
use oneiro_net::tensor::{DType, Tensor};
use oneiro_net::{CpuSession, Plan, Request, Rules, Session};

mod attempt;
#[path = "../outside/mod.rs"]
mod outside;
mod promised;

use attempt::{Attempt, attempt, difference};
use promised::{EXCEPTIONS, OUT_OF_SCOPE, PROMISED};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    AllData,
    FirstIsData,
    Folded,
}

const WAYS: [Way; 3] = [Way::AllData, Way::FirstIsData, Way::Folded];

enum Outcome {
    Passed(Way),
    Unsupported(String),
    Wrong(String),
}

#[derive(Default)]
struct Row {
    data: usize,
    folded: usize,
    unsupported: usize,
    wrong: usize,
}

#[test]
fn operators_agree_with_the_test_cases_of_onnx() {
    let cases = cases();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut promises: BTreeMap<String, Promise> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let (operator, outcome) = catch_unwind(AssertUnwindSafe(|| run(case)))
            .unwrap_or_else(|_| ("(panic)".into(), Outcome::Wrong("panicked".into())));
        let row = rows.entry(operator.clone()).or_default();
        promises.entry(subject(case, &operator)).or_default().count(&name, &outcome);
        match outcome {
            Outcome::Passed(Way::Folded) => row.folded += 1,
            Outcome::Passed(_) => row.data += 1,
            Outcome::Unsupported(why) => {
                row.unsupported += 1;
                reasons.entry(format!("{operator}: {why}")).or_default().push(name);
            }
            Outcome::Wrong(why) => match EXCEPTIONS.iter().find(|(n, _)| *n == name) {
                Some((_, known)) => {
                    row.unsupported += 1;
                    reasons.entry(format!("{operator}: {known}")).or_default().push(name);
                }
                None => {
                    row.wrong += 1;
                    wrong.push(format!("{name}: {why}"));
                }
            },
        }
    }
    println!("operator, passed on data, passed folded, unsupported, wrong");
    for (operator, r) in &rows {
        println!("{operator:32} {:4} {:4} {:4} {:4}", r.data, r.folded, r.unsupported, r.wrong);
    }
    println!();
    for (why, names) in &reasons {
        println!("{:4} {why}, as in {}", names.len(), names[0]);
    }
    let sum = |f: fn(&Row) -> usize| rows.values().map(f).sum::<usize>();
    println!(
        "\n{} cases: {} passed on data, {} folded, {} unsupported, {} wrong",
        cases.len(),
        sum(|r| r.data),
        sum(|r| r.folded),
        sum(|r| r.unsupported),
        sum(|r| r.wrong)
    );
    let broken = report(&promises);
    assert!(wrong.is_empty(), "{} cases with wrong results:\n{}", wrong.len(), wrong.join("\n"));
    assert!(broken.is_empty(), "{} cases of promised operators:\n{}", broken.len(), broken.join("\n"));
}

/// Counts of the cases of one promised operator.
#[derive(Default)]
struct Promise {
    data: usize,
    folded: usize,
    /// Reasons for cases that are out of scope, each with the number of cases.
    out_of_scope: BTreeMap<&'static str, usize>,
    broken: Vec<String>,
}

impl Promise {
    fn count(&mut self, name: &str, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Passed(Way::Folded) => return self.folded += 1,
            Outcome::Passed(_) => return self.data += 1,
            Outcome::Unsupported(why) => why.as_str(),
            Outcome::Wrong(why) => match EXCEPTIONS.iter().find(|(n, _)| *n == name) {
                Some((_, reason)) => return *self.out_of_scope.entry(reason).or_default() += 1,
                None => why.as_str(),
            },
        };
        match OUT_OF_SCOPE.iter().find(|(case, part, _)| name.contains(case) && why.contains(part)) {
            Some((_, _, reason)) => *self.out_of_scope.entry(reason).or_default() += 1,
            None => self.broken.push(format!("{name}: {why}")),
        }
    }
}

/// Returns the operator that a case tests; an expanded case tests the operator that it expands.
fn subject(case: &Path, operator: &str) -> String {
    let name = case.file_name().unwrap().to_string_lossy();
    // Operators that are always expanded into other operators, in this crate or in the file.
    let graphs = [
        ("test_if", "If"),
        ("test_attention", "Attention"),
        ("test_rotary_embedding", "RotaryEmbedding"),
        ("test_mvn", "MeanVarianceNormalization"),
    ];
    if let Some((_, operator)) = graphs.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return (*operator).into();
    }
    let Some((base, _)) = name.split_once("_expanded") else { return operator.to_owned() };
    let bytes = std::fs::read(case.with_file_name(base).join("model.onnx")).unwrap_or_default();
    match onnx::read(bytes.into()).as_ref().map(|graph| graph.nodes.as_slice()) {
        Ok([node]) => node.op.op_type().to_owned(),
        _ => operator.to_owned(),
    }
}

/// Prints the table of the promised operators; returns the cases that break a promise.
fn report(promises: &BTreeMap<String, Promise>) -> Vec<String> {
    let mut broken = Vec::new();
    println!("\npromised operator: cases, passed on data, passed folded, out of scope (why)");
    for (theme, operators) in PROMISED {
        println!("{theme}");
        for operator in *operators {
            let Some(p) = promises.get(*operator) else {
                println!("  {operator:30} no case");
                continue;
            };
            let outside: usize = p.out_of_scope.values().sum();
            let cases = p.data + p.folded + outside + p.broken.len();
            let why: Vec<String> = p.out_of_scope.iter().map(|(why, n)| format!("{n}: {why}")).collect();
            println!("  {operator:30} {cases:4} {:4} {:4} {outside:4}  {}", p.data, p.folded, why.join("; "));
            broken.extend(p.broken.iter().cloned());
        }
    }
    broken
}

/// Runs the test models on inputs of unexpected shapes: an error or a result, never a panic.
#[test]
fn no_shape_makes_an_operator_panic() {
    let shapes: [&[usize]; 9] =
        [&[], &[0], &[1], &[3], &[2, 0], &[2, 3], &[3, 4, 5], &[1, 2, 1, 1], &[1, 4, 2, 3, 2]];
    let (mut tried, mut accepted) = (0, 0);
    let mut panics = Vec::new();
    for case in cases() {
        let Ok(bytes) = std::fs::read(case.join("model.onnx")) else { continue };
        let Ok(mut graph) = onnx::read(bytes.into()) else { continue };
        // Without this, most shapes would be refused before an operator sees them.
        graph.inputs.iter_mut().for_each(|input| input.dims = None);
        let Ok(given) = tensors(&case, "input", graph.inputs.len()) else { continue };
        for odd in 0..given.len() {
            for shape in shapes {
                let n = shape.iter().product();
                let mut inputs = given.clone();
                inputs[odd] = match given[odd].dtype() {
                    DType::Float => Tensor::floats(shape, vec![1.5; n]),
                    DType::Int => Tensor::ints(shape, (0..n as i64).map(|i| 5 - 2 * i).collect()),
                    DType::Bool => Tensor::bools(shape, vec![true; n]),
                };
                for way in WAYS {
                    tried += 1;
                    match catch_unwind(AssertUnwindSafe(|| attempt(&graph, &inputs, way, None).is_ok())) {
                        Ok(ok) => accepted += usize::from(ok),
                        Err(_) => panics
                            .push(format!("{}: input {odd} of shape {shape:?}, {way:?}", case.display())),
                    }
                }
            }
        }
    }
    println!("{tried} odd inputs, {accepted} accepted");
    assert!(panics.is_empty(), "{} panics:\n{}", panics.len(), panics.join("\n"));
}

/// Axis 0 of these cases is rarely a batch, so operators that couple its entries must be noticed.
#[test]
fn entries_in_micro_batches_give_the_same_bits() {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let (mut in_micro_batches, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new());
    for case in cases() {
        let Ok(graph) = onnx::read(std::fs::read(case.join("model.onnx")).unwrap().into()) else { continue };
        let Ok(inputs) = tensors(&case, "input", graph.inputs.len()) else { continue };
        for way in [Way::AllData, Way::FirstIsData] {
            let Ok(all) = attempt(&graph, &inputs, way, Some(usize::MAX)) else { continue };
            for micro_batch_size in [1, 2, 3] {
                let parts = attempt(&graph, &inputs, way, Some(micro_batch_size)).unwrap();
                if parts.micro_batches == 1 {
                    continue;
                }
                for node in &graph.nodes {
                    *in_micro_batches.entry(node.op.op_type().to_owned()).or_default() += 1;
                }
                let floats = |t: &Tensor| t.cast(DType::Float).as_floats().unwrap().into_owned();
                let same_results = all
                    .results
                    .iter()
                    .zip(&parts.results)
                    .all(|(a, b)| a.shape() == b.shape() && bits(&floats(a)) == bits(&floats(b)));
                let mut gradients = all.gradients.iter().zip(&parts.gradients);
                if !same_results || !gradients.all(|(a, b)| bits(a) == bits(b)) {
                    wrong.push(format!("{}, {way:?}, {micro_batch_size} at once", case.display()));
                }
            }
        }
    }
    println!("in micro-batches: {in_micro_batches:?}");
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns the folders of the cases, in order; none if the variable is not set.
fn cases() -> Vec<PathBuf> {
    let Some(folder) = outside::named_by("ONEIRO_ONNX_NODE_TESTS") else { return Vec::new() };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("model.onnx").exists())
        .collect();
    assert!(!cases.is_empty(), "ONEIRO_ONNX_NODE_TESTS names a folder without cases");
    cases.sort();
    cases
}

/// Reads the inputs or outputs of a case.
fn tensors(case: &Path, prefix: &str, count: usize) -> Result<Vec<Tensor>, String> {
    (0..count)
        .map(|i| {
            let path = case.join(format!("test_data_set_0/{prefix}_{i}.pb"));
            let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
            onnx::read_tensor(bytes.into()).map_err(|e| e.to_string())
        })
        .collect()
}

fn run(case: &Path) -> (String, Outcome) {
    let bytes = std::fs::read(case.join("model.onnx")).unwrap();
    let graph = match onnx::read(bytes.into()) {
        Ok(graph) => graph,
        Err(why) => return ("(unreadable)".into(), Outcome::Unsupported(why.to_string())),
    };
    let operator = match graph.nodes.as_slice() {
        [node] => node.op.op_type().to_owned(),
        nodes => format!("({} nodes)", if nodes.is_empty() { "no" } else { "several" }),
    };
    let (inputs, outputs) =
        match (tensors(case, "input", graph.inputs.len()), tensors(case, "output", graph.outputs.len())) {
            (Ok(inputs), Ok(outputs)) => (inputs, outputs),
            (Err(why), _) | (_, Err(why)) => return (operator, Outcome::Unsupported(why)),
        };
    let mut refusal = String::new();
    for way in WAYS {
        match attempt(&graph, &inputs, way, None) {
            Ok(Attempt { results, ran, .. }) => {
                let way = if ran { way } else { Way::Folded };
                let wrong = results.iter().zip(&outputs).enumerate().find_map(|(i, (got, wanted))| {
                    difference(got, wanted).map(|why| format!("output {i} ({way:?}): {why}"))
                });
                return (operator, wrong.map_or(Outcome::Passed(way), Outcome::Wrong));
            }
            Err(why) => refusal = why.to_string(),
        }
    }
    // Names of nodes and values are removed from the message, so that equal refusals are counted together.
    let refusal = refusal
        .split_once(": ")
        .filter(|(n, _)| n.starts_with("node"))
        .map_or(refusal.clone(), |r| r.1.into());
    (operator, Outcome::Unsupported(refusal))
}
