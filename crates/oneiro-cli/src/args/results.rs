//! Results beside the picture: `--raw` and `--json`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::files;
use oneiro_jobs::job::render::Finished;
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::provenance::UnitReport;

use crate::context::Context;
use crate::sheets::print_json;

/// What is wanted of results beside their picture.
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
    /// An error if the inputs could not be written later.
    pub fn check_writable(&self) -> Result<()> {
        self.raw.as_deref().map_or(Ok(()), files::check_writable)
    }

    /// Prints what came of a sheet: `--json`, or a line for each unit and where everything is.
    pub fn print(
        &self,
        context: &Context,
        model: &LoadedModel,
        finished: &[Finished],
        files: &[String],
        started: Instant,
        line: impl Fn(&UnitReport) -> String,
    ) -> Result<ExitCode> {
        if self.json {
            print_json(
                context,
                model,
                &finished.iter().map(|f| &f.report).collect::<Vec<_>>(),
                files,
                started,
            )?;
        } else {
            finished.iter().try_for_each(|f| context.print(&line(&f.report)))?;
            context.print(&format!("written to {}", files.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
