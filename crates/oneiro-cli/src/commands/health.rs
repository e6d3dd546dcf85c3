//! `oneiro health`: which filters are dead, always on, copies of others, or only chase noise.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use oneiro_jobs::job::health::fail_on::FailOn;
use oneiro_jobs::job::health::{HealthJob, HealthReport, Verdict};
use oneiro_jobs::job::{Job as _, Role};
use oneiro_jobs::numbers::short;

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use crate::results::Results;

/// Exit code when a condition of `--fail-on` holds.
const CONDITION_HOLDS: u8 = 3;
/// Unhealthy filters of a layer that are listed on the terminal.
const LISTED: usize = 12;

/// Judge the filters of a network: dead, always on, copies of others, or only chasing noise
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro health model.onnx photos/                    # a verdict on every filter, by what photos do to it
  oneiro health model.onnx photos.scan --html health.html
  oneiro health model.onnx                            # without data: by synthetic pictures; less is certain
  oneiro health model.onnx photos.scan --json > health.json
  oneiro health model.onnx photos.scan --fail-on 'dead>5%' --fail-on 'duplicate>0'

Verdicts: dead (never active), always_on (active everywhere, so no filter but a linear map), noise (answers pixel noise
rather than pictures), duplicate (equals another filter of its layer up to a factor), healthy. docs/health.md says how each
is found and how sure it is. Exit code 3 says that a condition of --fail-on holds.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A scan, or a folder or list of images
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// Layers, separated by commas [default: all convolutions, and dense layers in front of an activation
    /// function]
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Vec<String>,
    /// The folder that the scan's images lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Exit with 3 if this holds, such as 'dead>5%' or 'noise>=3'; may be given several times
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<FailOn>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let job = HealthJob {
        data: args.data.as_ref().map(|data| data.display().to_string()),
        layers: args.layers.clone(),
        images: args.images.as_ref().map(|folder| folder.display().to_string()),
    };
    job.check()?;
    let model = model::load(context, &args.model)?;
    let mut results = Results::default().and(Role::Page, "--html", None);
    let report = job.run(&oneiro_jobs::Run::new(&model, context), &mut results)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
    } else {
        print(context, &report)?;
    }
    let mut code = ExitCode::SUCCESS;
    for condition in &args.fail_on {
        if let Some(count) = condition.holds(&report) {
            context.note(&format!("{condition}: {count} of {} filters", report.units()));
            code = ExitCode::from(CONDITION_HOLDS);
        }
    }
    Ok(code)
}

fn print(context: &Context, report: &HealthReport) -> Result<()> {
    let width = report.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in &report.layers {
        let sick: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Healthy && layer.count(*verdict) > 0)
            .map(|verdict| format!("{} {}", layer.count(verdict), verdict.name()))
            .collect();
        let said = if sick.is_empty() { "all healthy".to_owned() } else { sick.join(", ") };
        let rank = layer
            .summary
            .effective_rank
            .map_or_else(String::new, |rank| format!("; as diverse as {} independent ones", short(rank)));
        context.print(&format!("{:width$}  {} filters: {said}{rank}", layer.name, layer.units.len()))?;
        let unhealthy = layer.units.iter().filter(|unit| unit.verdict != Verdict::Healthy);
        for unit in unhealthy.clone().take(LISTED) {
            let of = unit.of.map_or_else(String::new, |of| format!(" of {of}"));
            let sure = 100.0 * unit.confidence;
            context.print(&format!(
                "    {:>4}  {}{of}, {sure:.0} % sure",
                unit.channel,
                unit.verdict.name()
            ))?;
        }
        if unhealthy.clone().count() > LISTED {
            context.print(&format!("    and {} more", unhealthy.count() - LISTED))?;
        }
    }
    for line in &report.not_judged {
        context.note(&format!("not judged: {line}"));
    }
    Ok(())
}
