//! The flags `--raw` and `--json`: results that are written or printed besides pictures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::job::render::RenderReport;
use oneiro_jobs::job::render::report::UnitReport;
use oneiro_jobs::model::LoadedModel;

use crate::context::Context;
use crate::results::print_json;

/// Flags for results that are written or printed besides pictures.
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
    /// Prints the results of rendered units: one JSON object for `--json`, otherwise a line for each unit and
    /// the names of the files.
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
