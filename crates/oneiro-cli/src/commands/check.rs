//! `oneiro check`: compares activations, values and input gradients with another framework's numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use oneiro::objective_session::ObjectiveSession;
use oneiro::rng::Stream;
use oneiro_net::Rules;

use crate::args::model::{self, ModelArgs};
use crate::commands::run::{in_graph_order, picture_size, value_and_gradient};
use crate::context::Context;
use oneiro_jobs::tensors::{RawTensor, read_tensors};

/// Compare a network's numbers with those of another framework
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  oneiro check model.onnx golden.safetensors

The file holds input/NAME, act/LAYER, value/ID and grad/ID/INPUT; its metadata key `objectives` is JSON that maps
each ID to an expression. Prints ||ours - theirs|| / ||theirs|| for each; exit 1 if any exceeds its tolerance.

A gradient jumps where an activation is zero within rounding. If one disagrees, inputs that differ by one unit in the
last place are tried, too; a gradient that agrees there counts as right, and the line says so.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The other framework's numbers
    #[arg(value_name = "FILE.safetensors")]
    golden: PathBuf,
    /// Largest relative error of activations and values
    #[arg(long, default_value_t = 1e-4, allow_negative_numbers = true)]
    rtol: f64,
    /// Largest relative error of gradients
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    grad_rtol: f64,
}

/// ||ours − theirs|| / ||theirs||; the absolute error where theirs is zero.
fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = ours.iter().zip(theirs).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = theirs.iter().map(|b| square(f64::from(*b))).sum();
    if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() }
}

/// Whether shapes are the same but for axes of extent 1, in which frameworks differ and which change nothing.
fn same_extents(a: &[usize], b: &[usize]) -> bool {
    let extents = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    extents(a) == extents(b)
}

/// Inputs one rounding away that are tried where a gradient disagrees.
const NEARBY: u64 = 64;

/// The data with every number moved by at most one unit in its last place.
fn one_rounding_away(data: &[Vec<f32>], seed: u64) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(seed, 0);
    let mut moved = |x: &f32| x * (1.0 + stream.range_i32(-1, 1) as f32 * f32::EPSILON);
    data.iter().map(|d| d.iter().map(&mut moved).collect()).collect()
}

/// The smallest error of a gradient over inputs that differ from the given one by rounding alone.
///
/// Where an activation is zero within rounding, the gradient in f32 is that of one side or the other of the
/// kink, and either is right. A gradient that is wrong stays wrong at every one of these inputs.
fn error_nearby(
    session: &mut ObjectiveSession,
    data: &[Vec<f32>],
    input: usize,
    theirs: &[f32],
    tolerance: f64,
) -> oneiro::Result<f64> {
    let mut best = f64::INFINITY;
    for seed in 0..NEARBY {
        value_and_gradient(session, &one_rounding_away(data, seed), Some(&Rules::default()))?;
        best = best.min(relative_error(&session.whole_input_gradient(input), theirs));
        if best <= tolerance {
            break;
        }
    }
    Ok(best)
}

/// The lines of the result. They are printed together: a file that turns out to be unusable has none.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    failed: usize,
}

impl Report {
    fn agrees_nearby(&mut self, theirs: &RawTensor, here: f64, nearby: f64, tolerance: f64) {
        self.lines.push(format!(
            "{}: {nearby:.2e} (at most {tolerance:.0e})  ok at an input that differs by rounding alone; {here:.2e} at \
             the one given, where an activation is zero within rounding",
            theirs.name
        ));
    }

    fn compare(&mut self, theirs: &RawTensor, shape: &[usize], ours: &[f32], tolerance: f64) {
        if !same_extents(&theirs.shape, shape) {
            self.failed += 1;
            self.lines.push(format!("{}: shape {shape:?}, theirs {:?}  FAILED", theirs.name, theirs.shape));
            return;
        }
        let error = relative_error(ours, &theirs.data);
        // A NaN fails, too.
        let fine = error <= tolerance;
        self.failed += usize::from(!fine);
        let verdict = if fine { "ok" } else { "FAILED" };
        self.lines.push(format!("{}: {error:.2e} (at most {tolerance:.0e})  {verdict}", theirs.name));
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    for (name, value) in [("rtol", args.rtol), ("grad-rtol", args.grad_rtol)] {
        if !(value.is_finite() && value >= 0.0) {
            bail!("--{name} {value}: a non-negative number is needed");
        }
    }
    let golden = read_tensors(&args.golden)?;
    let given: Vec<&str> = golden.tensors.iter().filter_map(|t| t.name.strip_prefix("input/")).collect();
    let model = model::load_for_tensors(context, &args.model, &given)?;
    let file = args.golden.display();
    let objectives: BTreeMap<String, String> = match golden.metadata.get("objectives") {
        None => BTreeMap::new(),
        Some(json) => {
            serde_json::from_str(json).with_context(|| format!("the metadata \"objectives\" of {file}"))?
        }
    };
    let mut inputs = Vec::new();
    let mut activations = Vec::new();
    let mut rest = Vec::new();
    for mut tensor in golden.tensors {
        if let Some(name) = tensor.name.strip_prefix("input/") {
            tensor.name = name.to_owned();
            inputs.push(tensor);
        } else if tensor.name.starts_with("act/") {
            activations.push(tensor);
        } else {
            rest.push(tensor);
        }
    }
    let names: Vec<String> = model.model.card.input.iter().map(|i| i.name.clone()).collect();
    let (raw, data) = in_graph_order(&model.model, inputs).with_context(|| file.to_string())?;
    let shapes = model.model.with_all_axes(&raw).with_context(|| file.to_string())?;
    let size = picture_size(&shapes);
    let objectives = objectives
        .into_iter()
        .map(|(id, text)| Ok((id, model.expression(&text, size).with_context(|| file.to_string())?)))
        .collect::<Result<Vec<_>>>()?;
    if activations.is_empty() && rest.is_empty() {
        bail!("{file} holds nothing to compare with");
    }
    let belongs = |t: &RawTensor, id: &str| {
        t.name == format!("value/{id}") || t.name.starts_with(&format!("grad/{id}/"))
    };
    if let Some(stray) = rest.iter().find(|t| !objectives.iter().any(|(id, _)| belongs(t, id))) {
        bail!("{file}: \"{}\" belongs to no objective of the metadata", stray.name);
    }
    let mut report = Report::default();

    let layers: Vec<&str> = activations.iter().map(|t| &t.name["act/".len()..]).collect();
    let captured = layers.iter().map(|l| model.model.resolve(l)).collect::<oneiro::Result<Vec<_>>>()?;
    if !captured.is_empty() {
        let mut session =
            context.compute(|| ObjectiveSession::new(&model.model, &[], &captured, shapes.clone(), false))?;
        context.compute(|| value_and_gradient(&mut session, &data, None))?;
        for (i, theirs) in activations.iter().enumerate() {
            let (shape, ours) = session.captured(i);
            report.compare(theirs, shape, ours, args.rtol);
        }
    }
    for (id, objective) in &objectives {
        context.check()?;
        let mut session = context.compute(|| {
            ObjectiveSession::new(&model.model, std::slice::from_ref(objective), &[], shapes.clone(), true)
        })?;
        let value = context.compute(|| value_and_gradient(&mut session, &data, Some(&Rules::default())))?;
        if let Some(theirs) = rest.iter().find(|t| t.name == format!("value/{id}")) {
            report.compare(theirs, &[1], &[value as f32], args.rtol);
        }
        let prefix = format!("grad/{id}/");
        for theirs in &rest {
            let Some(name) = theirs.name.strip_prefix(&prefix) else { continue };
            let input = names
                .iter()
                .position(|n| n == name)
                .ok_or_else(|| anyhow!("{}: the network has no input \"{name}\"", theirs.name))?;
            let shape = raw[input].clone();
            let ours = session.whole_input_gradient(input);
            let here = relative_error(&ours, &theirs.data);
            if same_extents(&shape, &theirs.shape) && here > args.grad_rtol {
                let nearby = context
                    .compute(|| error_nearby(&mut session, &data, input, &theirs.data, args.grad_rtol))?;
                if nearby <= args.grad_rtol {
                    report.agrees_nearby(theirs, here, nearby, args.grad_rtol);
                    continue;
                }
            }
            report.compare(theirs, &shape, &ours, args.grad_rtol);
        }
    }
    model.say_output(context);
    for line in &report.lines {
        context.print(line)?;
    }
    let compared = report.lines.len();
    context.print(&format!("{} of {compared} agree", compared - report.failed))?;
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
