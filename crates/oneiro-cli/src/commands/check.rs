//! The command `oneiro check`: compares activations, objective values and input gradients with another
//! framework's.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro_jobs::job::tensors::{Agreement, Comparison, GoldenJob};
use oneiro_jobs::job::{Job as _, Kept, Run};

use crate::args::model::{self, ModelArgs};
use crate::context::Context;

/// Compare a network's activations and gradients with another framework's
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
    /// Inputs, activations and gradients computed by the other framework (a safetensors file)
    #[arg(value_name = "FILE.safetensors")]
    golden: PathBuf,
    /// Largest relative error of activations and values
    #[arg(long, default_value_t = 1e-4, allow_negative_numbers = true)]
    rtol: f64,
    /// Largest relative error of gradients
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    grad_rtol: f64,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    for (name, value) in [("rtol", args.rtol), ("grad-rtol", args.grad_rtol)] {
        if !(value.is_finite() && value >= 0.0) {
            bail!("--{name} {value}: a non-negative number is needed");
        }
    }
    let job = GoldenJob {
        file: args.golden.display().to_string(),
        tolerance: args.rtol,
        gradient_tolerance: args.grad_rtol,
    };
    let inputs = job.inputs()?;
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let model = model::load_for_tensors(context, &args.model, &inputs)?;
    let report = job.run(&Run::new(&model, context), &mut Kept::all())?;
    for comparison in &report {
        context.print(&line(comparison))?;
    }
    let agree = report.iter().filter(|comparison| comparison.agrees()).count();
    context.print(&format!("{agree} of {} agree", report.len()))?;
    Ok(if agree == report.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(comparison: &Comparison) -> String {
    let Comparison { name, tolerance, agreement } = comparison;
    let verdict = if comparison.agrees() { "ok" } else { "FAILED" };
    match agreement {
        Agreement::Nearby { here, error } => format!(
            "{name}: {error:.2e} (at most {tolerance:.0e})  {verdict} at an input that differs by rounding alone; \
             {here:.2e} at the one given, where an activation is zero within rounding"
        ),
        Agreement::Shapes { ours, theirs } => format!("{name}: shape {ours:?}, theirs {theirs:?}  {verdict}"),
        Agreement::Numbers { error } => format!("{name}: {error:.2e} (at most {tolerance:.0e})  {verdict}"),
        other => format!("{name}: {other:?}  {verdict}"),
    }
}
