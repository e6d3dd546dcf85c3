//! The command `oneiro run`: runs raw tensors through a network and stores activations and gradients.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use oneiro_jobs::job::tensors::{ActivationsJob, TensorInput};
use oneiro_jobs::job::{Job as _, Role};

use crate::args::model::{self, ModelArgs};
use crate::args::settings::RuleArgs;
use crate::context::Context;
use crate::results::{self, Results};

/// Run raw tensors through a network and store activations and gradients
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro run model.onnx --input x=image.npy --capture conv4 --grad \"channel(conv4,5)\" --out result.safetensors
  oneiro run model.onnx --input x=image.npy --grad \"logit(7)\" --relu-rule guided --out guided.safetensors

Nothing is prepared: the tensors must be what the network reads. The result holds act/LAYER, value and grad/INPUT;
with a batch, value and gradient are those of the mean over its entries.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// An input of the graph and its data; once for every input
    #[arg(long = "input", required = true, value_name = "NAME=FILE.npy")]
    inputs: Vec<String>,
    /// A layer whose activations are stored; may be repeated
    #[arg(long = "capture", value_name = "LAYER")]
    captures: Vec<String>,
    /// An objective whose value and gradient are stored
    #[arg(long, allow_hyphen_values = true, value_name = "EXPR")]
    grad: Option<String>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Safetensors file that receives the results
    #[arg(long, short, value_name = "FILE.safetensors")]
    out: PathBuf,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let mut results = Results::default().and(Role::Raw, "--out", Some(&args.out));
    results.check_writable()?;
    let input = |text: &String| {
        let parts = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
        let (name, file) = parts.ok_or_else(|| anyhow!("--input {text}: write it as NAME=FILE.npy"))?;
        Ok(TensorInput { name: name.to_owned(), file: file.to_owned() })
    };
    let job = ActivationsJob {
        inputs: args.inputs.iter().map(input).collect::<Result<Vec<_>>>()?,
        layers: args.captures.clone(),
        objective: args.grad.clone(),
        relu: args.rules.relu_rule.unwrap_or_default(),
        max_pool: args.rules.max_pool().unwrap_or_default(),
    };
    // Mistakes in the flags are reported before the model is read.
    job.check()?;
    let names: Vec<&str> = job.inputs.iter().map(|input| input.name.as_str()).collect();
    let model = model::load_for_tensors(context, &args.model, &names)?;
    let made_from: Vec<&Path> = job.inputs.iter().map(|input| Path::new(&input.file)).collect();
    for t in results::run(context, Some(&model), &job, &mut results, &made_from, None)? {
        context.print(&format!("{} {:?} norm {:.6}", t.name, t.shape, t.norm))?;
    }
    Ok(ExitCode::SUCCESS)
}
