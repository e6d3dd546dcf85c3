//! `oneiro run`: raw tensors through a network, activations and gradients out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use oneiro::Model;
use oneiro::gradients::{MaxPoolGradient, ReluGradient};
use oneiro::objective::{AnyNames, Objective};
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::Rules;

use crate::args::model::{self, ModelArgs};
use crate::args::settings::RuleArgs;
use crate::collisions;
use crate::context::Context;
use oneiro_jobs::files;
use oneiro_jobs::tensors::{RawTensor, write_tensors};

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
    /// Where to write
    #[arg(long, short, value_name = "FILE.safetensors")]
    out: PathBuf,
}

/// Shapes and data for a network's inputs.
type Fed = (Vec<Vec<usize>>, Vec<Vec<f32>>);

/// The tensors for a network's inputs, in the graph's order. Inputs that no node reads may be left out.
pub fn in_graph_order(model: &Model, mut given: Vec<RawTensor>) -> Result<Fed> {
    let names: Vec<&str> = model.card.input.iter().map(|i| i.name.as_str()).collect();
    let listed = given.iter().map(|t| t.name.clone()).collect::<Vec<_>>().join(", ");
    let mut shapes = Vec::new();
    let mut data = Vec::new();
    for (i, &name) in names.iter().enumerate() {
        if !given.iter().any(|t| t.name == name) && !model.is_read(i) {
            let shape = model.graph.default_shape(i).unwrap_or_default();
            data.push(vec![0.0; shape.iter().product()]);
            shapes.push(shape);
            continue;
        }
        let at = given
            .iter()
            .position(|t| t.name == name)
            .ok_or_else(|| anyhow!("input \"{name}\" of the network is not given (given: {listed})"))?;
        let tensor = given.swap_remove(at);
        shapes.push(tensor.shape);
        data.push(tensor.data);
    }
    if let Some(twice) = given.iter().find(|t| names.contains(&t.name.as_str())) {
        bail!("input \"{}\" is given twice", twice.name);
    }
    if let Some(extra) = given.first() {
        bail!("the network has no input \"{}\"; it has {}", extra.name, names.join(", "));
    }
    Ok((shapes, data))
}

/// Height and width of the first input that has them.
pub fn picture_size(shapes: &[Vec<usize>]) -> Option<[usize; 2]> {
    shapes.iter().find(|s| s.len() >= 4).map(|s| [s[s.len() - 2], s[s.len() - 1]])
}

/// Runs a session on data and, given rules, back from the mean of its objective over the batch; returns that
/// mean.
pub fn value_and_gradient(
    session: &mut ObjectiveSession,
    data: &[Vec<f32>],
    gradient: Option<&Rules>,
) -> oneiro::Result<f64> {
    for (i, data) in data.iter().enumerate() {
        session.input_mut(i).copy_from_slice(data);
    }
    session.show_inputs()?;
    session.forward();
    let batch = session.batch();
    let value = session.mean_value();
    if let Some(rules) = gradient {
        for entry in 0..batch {
            session.seed(entry, 1.0 / batch as f64);
        }
        session.backward(rules);
    }
    Ok(value)
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if args.captures.is_empty() && args.grad.is_none() {
        bail!("nothing to store: give --capture LAYER or --grad EXPR");
    }
    let relu = args.rules.relu_rule.unwrap_or_default();
    let max_pool = args.rules.max_pool().unwrap_or_default();
    if args.grad.is_none() && (relu != ReluGradient::default() || max_pool != MaxPoolGradient::default()) {
        bail!("--relu-rule and --max-pool-rule are rules for gradients: give --grad EXPR, too");
    }
    files::check_writable(&args.out)?;
    let mut given = Vec::new();
    let mut made_from = Vec::new();
    for input in &args.inputs {
        let (name, file) = input
            .split_once('=')
            .filter(|(name, file)| !name.is_empty() && !file.is_empty())
            .ok_or_else(|| anyhow!("--input {input}: write it as NAME=FILE.npy"))?;
        let (shape, data) = oneiro_media::read_npy(file)?;
        made_from.push(file);
        given.push(RawTensor { name: name.to_owned(), shape, data });
    }
    // Slips are found before the model is read, which alone knows its classes.
    args.grad.as_ref().map(|g| Objective::parse(g, &AnyNames)).transpose()?;
    let names: Vec<&str> = given.iter().map(|t| t.name.as_str()).collect();
    let model = model::load_for_tensors(context, &args.model, &names)?;
    collisions::check(context, Some(&model), made_from, [("--out", args.out.as_path())])?;
    let unsound: Vec<String> =
        given.iter().filter(|t| t.data.iter().any(|x| !x.is_finite())).map(|t| t.name.clone()).collect();
    let unsound = unsound.join(", ");
    let (raw, data) = in_graph_order(&model.model, given)?;
    let shapes = model.model.with_all_axes(&raw)?;
    let size = picture_size(&shapes);
    let objective = args.grad.as_ref().map(|g| model.expression(g, size)).transpose()?;
    let mut captures: Vec<&String> = Vec::new();
    for layer in &args.captures {
        if !captures.contains(&layer) {
            captures.push(layer);
        }
    }
    let captured = captures.iter().map(|l| model.model.resolve(l)).collect::<oneiro::Result<Vec<_>>>()?;
    let results = context.compute(|| -> Result<Vec<RawTensor>> {
        let objectives: Vec<Objective> = objective.clone().into_iter().collect();
        let max_pool = objective.is_some().then(|| max_pool.rule());
        let mut session =
            ObjectiveSession::with_max_pool(&model.model, &objectives, &captured, shapes, max_pool)?;
        let rules = Rules { relu: relu.rule() };
        let value = value_and_gradient(&mut session, &data, objective.is_some().then_some(&rules))?;
        let mut results = Vec::new();
        for (i, layer) in captures.iter().enumerate() {
            let (shape, data) = session.captured(i);
            results.push(RawTensor {
                name: format!("act/{layer}"),
                shape: shape.to_vec(),
                data: data.to_vec(),
            });
        }
        if objective.is_some() {
            results.push(RawTensor { name: "value".into(), shape: vec![1], data: vec![value as f32] });
            for (i, input) in session.inputs().iter().enumerate() {
                results.push(RawTensor {
                    name: format!("grad/{}", input.name),
                    shape: raw[i].clone(),
                    data: session.whole_input_gradient(i),
                });
            }
        }
        Ok(results)
    })?;
    write_tensors(&args.out, &results, HashMap::new())?;
    model.say_output(context);
    let broken = |t: &&RawTensor| t.data.iter().any(|x| !x.is_finite());
    let named = |tensors: &[RawTensor]| {
        tensors.iter().filter(broken).map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if results.iter().any(|t| broken(&t)) {
        let given =
            if unsound.is_empty() { String::new() } else { format!(", and so do the inputs {unsound}") };
        context.note(&format!("{} hold NaN or infinite numbers{given}", named(&results)));
    }
    for t in &results {
        let norm = t.data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        context.print(&format!("{} {:?} norm {norm:.6}", t.name, t.shape))?;
    }
    Ok(ExitCode::SUCCESS)
}
