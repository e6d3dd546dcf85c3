//! The command `oneiro demo`: visualizes a network from its first layer to its classes, as pictures and a
//! page.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::files;
use oneiro_jobs::job::demo::{DemoJob, STEPS};
use oneiro_jobs::job::{Folder, Job as _, Run};
use oneiro_jobs::model;
use oneiro_zoo::embedded;

use crate::args::model::PreparationArgs;
use crate::context::Context;

/// See it work: visualize a network from edges to classes, as pictures and a page
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro demo --out demo      # the built-in network; then open demo/index.html
  oneiro demo --model model.onnx --out model      # layers, units and classes of your own
  oneiro demo --model model.onnx --data photos/   # with the parts of your photos that excite each unit")]
pub struct Args {
    /// An .onnx file instead of the built-in network
    #[arg(long, value_name = "FILE", default_value = embedded::NAME)]
    model: String,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Folder for the pictures and the page
    #[arg(long, short, value_name = "DIR", default_value = "oneiro-demo")]
    out: PathBuf,
    /// A scan of the network, or a folder of images: beside each picture stand the parts of images that
    /// excite the unit most, and classes are chosen that the images are of
    #[arg(long, value_name = "SCAN|FOLDER")]
    data: Option<PathBuf>,
    /// Seed of all random numbers
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    seed: u64,
    /// Steps of the optimiser
    #[arg(long, allow_negative_numbers = true, default_value_t = STEPS)]
    steps: usize,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    files::check_folder(&args.out)?;
    let model = model::load(context, &args.preparation.spec(&args.model))?;
    let data = args.data.as_ref().map(|data| data.display().to_string());
    let job = match args.model == embedded::NAME && data.is_none() {
        true => DemoJob::embedded(args.seed, args.steps),
        false => DemoJob::of(&model, args.seed, args.steps, data)?,
    };
    let report = job.run(&Run::new(&model, context), &mut Folder::new(&args.out))?;
    context.print(&format!(
        "{} pictures in {:.0} s. Open {}",
        report.units.len(),
        started.elapsed().as_secs_f64(),
        args.out.join("index.html").display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
