//! ONNX's own test cases for single operators ("node tests"), which lie in the Python package `onnx` under
//! `backend/test/data/node`. The environment variable `ONEIRO_ONNX_NODE_TESTS` names that folder.
//!
//! A case is tried three ways: all float inputs flow as data; only the first one does, the others are
//! constants (as weights are); everything is constant and folds. The first way that this crate accepts is run
//! and compared, and its gradient computed, for it must not panic. A wrong result is a failure. A case that
//! is accepted in no way is unsupported; that is a failure only for the operators in `PROMISED`, unless
//! `OUT_OF_SCOPE` says why it is none.

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

mod outside;

/// Tolerances of ONNX's runner (`onnx/backend/test/runner`); the absolute one is 10 times as large, as f32
/// and f64 cases are computed in f32 alike.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-6;

/// Cases whose expected values this crate does not reproduce, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("test_cast_FLOAT_to_BFLOAT16", ROUNDING),
    ("test_castlike_FLOAT_to_BFLOAT16", ROUNDING),
    ("test_castlike_FLOAT_to_BFLOAT16_expanded", ROUNDING),
    ("test_castlike_FLOAT_to_INT4", NARROW),
    ("test_castlike_FLOAT_to_UINT4", NARROW),
    ("test_castlike_FLOAT16_to_INT4", NARROW),
    ("test_castlike_FLOAT16_to_UINT4", NARROW),
    ("test_quantizelinear", UNROUNDED),
    ("test_quantizelinear_int16", UNROUNDED),
    ("test_quantizelinear_int4", UNROUNDED),
    ("test_quantizelinear_uint4", UNROUNDED),
    ("test_dynamicquantizelinear", UNROUNDED),
    ("test_resize_downsample_scales_cubic_align_corners", CORNERS),
    ("test_resize_downsample_scales_linear_align_corners", CORNERS),
    ("test_dynamicquantizelinear_max_adjusted", UNROUNDED),
    ("test_dynamicquantizelinear_min_adjusted", UNROUNDED),
    ("test_qlinearmatmul_2D_int8_float16", WRAPPED),
    ("test_qlinearmatmul_2D_int8_float32", WRAPPED),
    ("test_qlinearmatmul_3D_int8_float16", WRAPPED),
    ("test_qlinearmatmul_3D_int8_float32", WRAPPED),
];
const ROUNDING: &str = "a cast to a narrower float type does not round";
const NARROW: &str = "all integer types compute in 64 bits, so a cast to a narrower one does not wrap around";
const CORNERS: &str = "aligned corners by a scale: those of the output, as PyTorch and ONNX Runtime have it";
const UNROUNDED: &str =
    "data are quantized without rounding, and a scale of the data is 1: what they stand for is the same";
const WRAPPED: &str = "the stored result wraps around where it leaves the range; quantization saturates";

/// The operators that this crate promises, by theme; every case of them passes, the expanded ones (which
/// write the operator as a graph of others) included.
#[rustfmt::skip]
const PROMISED: &[(&str, &[&str])] = &[
    ("convolution", &["Conv", "ConvTranspose"]),
    (
        "pooling",
        &[
            "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool",
            "MaxUnpool",
        ],
    ),
    (
        "normalization",
        &[
            "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization",
            "RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN",
        ],
    ),
    (
        "activation",
        &[
            "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish",
            "Swish", "Mish", "Softplus", "Softsign", "Tanh", "Erf", "Gelu", "Shrink", "ThresholdedRelu",
            "Softmax", "LogSoftmax", "Hardmax",
        ],
    ),
    (
        "function",
        &[
            "Exp", "Log", "Sqrt", "Pow", "Abs", "Neg", "Reciprocal", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin",
            "Acos", "Atan", "Asinh", "Acosh", "Atanh", "Round", "Floor", "Ceil", "Sign", "Mod",
        ],
    ),
    ("arithmetic", &["Add", "Sub", "Mul", "Div", "Min", "Max", "Mean", "Sum"]),
    (
        "logic",
        &[
            "Where", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not", "And", "Or", "Xor",
            "IsNaN", "IsInf", "If",
        ],
    ),
    (
        "movement",
        &[
            "Concat", "Split", "Slice", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND",
            "Pad", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Transpose", "DepthToSpace",
            "SpaceToDepth", "Trilu", "OneHot",
        ],
    ),
    ("resampling", &["Resize", "Upsample", "GridSample", "AffineGrid", "CenterCropPad"]),
    ("attention", &["Attention", "RotaryEmbedding"]),
    (
        "reduction",
        &[
            "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd",
            "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ArgMax", "ArgMin", "TopK", "CumSum",
        ],
    ),
    ("product", &["Gemm", "MatMul", "Einsum"]),
    (
        "constant",
        &["Dropout", "Identity", "Cast", "CastLike", "Constant", "ConstantOfShape", "Range", "Shape", "Size"],
    ),
];

/// Why a case of a promised operator does not pass: a part of its name, a part of the refusal, the reason.
const OUT_OF_SCOPE: &[(&str, &str, &str)] = &[
    ("", "element type FLOAT8", "8-bit floats"),
    ("", "element type FLOAT4", "4-bit floats"),
    ("", "element type 22", "casts to 4-bit integers"),
    ("", "element type 21", "casts to 4-bit integers"),
    ("", "element type INT2", "2-bit integers"),
    ("", "element type UINT2", "2-bit integers"),
    ("", "element type STRING", "strings"),
    ("identity_sequence", "", "sequences"),
    ("identity_opt", "", "optional values"),
    ("if_seq", "", "sequences"),
    ("if_opt", "", "optional values"),
    ("training_mode", "nothing computes", "training: running statistics as results"),
    ("", "training_mode = 1", "training: random masks"),
    ("test_range_", "operator Loop", "the operator itself passes; loops as a graph are not read"),
];

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

/// What became of the cases of one operator.
#[derive(Default)]
struct Promise {
    data: usize,
    folded: usize,
    /// Reasons, with the number of cases.
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

/// The operator that a case is about; an expanded case is about that of the case it expands.
fn subject(case: &Path, operator: &str) -> String {
    let name = case.file_name().unwrap().to_string_lossy();
    // What is a graph of others from the start, here or in the file.
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

/// The same models on inputs of shapes that they were not made for: an error or a result, never a panic.
#[test]
fn no_shape_makes_an_operator_panic() {
    let shapes: [&[usize]; 9] =
        [&[], &[0], &[1], &[3], &[2, 0], &[2, 3], &[3, 4, 5], &[1, 2, 1, 1], &[1, 4, 2, 3, 2]];
    let (mut tried, mut accepted) = (0, 0);
    let mut panics = Vec::new();
    for case in cases() {
        let Ok(bytes) = std::fs::read(case.join("model.onnx")) else { continue };
        let Ok(mut graph) = onnx::read(bytes.into()) else { continue };
        // Else most shapes were refused before any operator sees them.
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

/// Axis 0 of these cases is hardly ever a batch, so whatever couples its places has to be noticed.
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

/// The folders of the cases, in order; none if no folder is named.
fn cases() -> Vec<PathBuf> {
    let Some(folder) = outside::named_by("ONEIRO_ONNX_NODE_TESTS") else { return Vec::new() };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("model.onnx").exists())
        .collect();
    cases.sort();
    cases
}

/// The inputs or outputs of a case.
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
    // Names of nodes and values say nothing here.
    let refusal = refusal
        .split_once(": ")
        .filter(|(n, _)| n.starts_with("node"))
        .map_or(refusal.clone(), |r| r.1.into());
    (operator, Outcome::Unsupported(refusal))
}

/// What came of a model.
struct Attempt {
    /// The results of all outputs.
    results: Vec<Tensor>,
    /// The gradients with respect to all inputs that were fed, if there are any.
    gradients: Vec<Vec<f32>>,
    /// Whether a plan computed any of them (else everything folded).
    ran: bool,
    /// Number of micro-batches of its entries.
    micro_batches: usize,
}

/// Runs a model with so many entries of axis 0 at once; an error says why this crate does not accept it this
/// way.
fn attempt(
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
    // A branch of an `If` that is not taken may fail.
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
    // Only real numbers have gradients.
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

fn difference(got: &Tensor, wanted: &Tensor) -> Option<String> {
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
