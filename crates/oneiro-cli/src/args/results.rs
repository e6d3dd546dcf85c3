//! Results beside the picture: `--raw` and `--json`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::job::render::RenderReport;
use oneiro_jobs::job::render::report::UnitReport;
use oneiro_jobs::model::LoadedModel;

use crate::context::Context;
use crate::results::print_json;

/// Results to write in addition to the pictures.
#[derive(clap::Args)]
pub struct ResultArgs {
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    pub raw: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl ResultArgs {
    /// Prints what came of units: `--json`, or a line for each unit and where everything is.
    pub fn print(
        &self,
        context: &Context,
        model: &LoadedModel,
        report: &RenderReport,
        files: &[String],
        started: Instant,
        line: impl Fn(&UnitReport) -> String,
    ) -> Result<ExitCode> {
        if self.json {
            print_json(context, model, report, files, started)?;
        } else {
            report.units.iter().try_for_each(|unit| context.print(&line(unit)))?;
            context.print(&format!("written to {}", files.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
