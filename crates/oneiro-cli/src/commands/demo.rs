//! `oneiro demo`: the embedded network, from edges to classes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::files;
use oneiro_jobs::job::demo::{DemoJob, STEPS};
use oneiro_jobs::job::{Folder, Job as _, Run};
use oneiro_jobs::model::{self, ModelSpec};
use oneiro_zoo::embedded;

use crate::context::Context;

/// See it work: visualize the embedded network from edges to classes, as pictures and a page
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  oneiro demo --out demo      # then open demo/index.html")]
pub struct Args {
    /// Folder for the pictures and the page
    #[arg(long, short, value_name = "DIR", default_value = "oneiro-demo")]
    out: PathBuf,
    /// Seed of all random numbers
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    seed: u64,
    /// Steps of the optimiser, for tests
    #[arg(long, hide = true, default_value_t = STEPS)]
    steps: usize,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    files::check_folder(&args.out)?;
    let model = model::load(context, &ModelSpec::named(embedded::NAME))?;
    let job = DemoJob { seed: args.seed, steps: args.steps };
    let report = job.run(&Run::new(&model, context), &mut Folder::new(&args.out))?;
    context.print(&format!(
        "{} pictures in {:.0} s. Open {}",
        report.units.len(),
        started.elapsed().as_secs_f64(),
        args.out.join("index.html").display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
