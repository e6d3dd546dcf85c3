//! The command `oneiro layers`: lists the layers of a network with receptive fields and cost.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro::card::TensorLayout;
use oneiro_net::analysis::{self, Layer};
use serde_json::{Map, Value, json};

use crate::args::model::{self, ModelArgs};
use crate::collisions::{self, placed};
use crate::context::Context;
use crate::dot;
use oneiro_jobs::files;
use oneiro_jobs::model::LoadedModel;

/// List the layers of a network: names, shapes, receptive fields, cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro layers squeezenet1_1
  oneiro layers model.onnx --grep conv4 --aliases
  oneiro layers model.onnx --dot model.dot && dot -Tsvg model.dot > model.svg
  oneiro layers model.onnx --json | jq '.[] | select(.op == \"Conv\") | .name'

The receptive field is the extent in input pixels that one position sees, the stride the input pixels between
neighbours, rounded and at least 1 (docs/axes.md). Parameters are all numbers that a layer reads from the file: weights
and biases, but also a factor, or the bounds of a clip. The total of parameters counts a shared tensor once. Any alias names the layer on a command line.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Only layers with this text in a name or operator, ignoring case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Also list every other name of each layer
    #[arg(long)]
    aliases: bool,
    /// Write the network as a graph for Graphviz instead (- for standard output)
    #[arg(long, value_name = "FILE.dot", conflicts_with_all = ["json", "grep", "aliases"])]
    dot: Option<PathBuf>,
    /// Print one JSON array
    #[arg(long, conflicts_with = "aliases")]
    json: bool,
}

impl Args {
    /// Whether the flags select this layer.
    fn wants(&self, layer: &Layer) -> bool {
        let Some(text) = self.grep.as_ref().map(|t| t.to_lowercase()) else { return true };
        let names = [&layer.name, &layer.op].into_iter().chain(&layer.aliases);
        names.into_iter().any(|name| name.to_lowercase().contains(&text))
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let to_stdout = args.dot.as_deref() == Some(Path::new("-"));
    args.dot.as_deref().filter(|_| !to_stdout).map_or(Ok(()), files::check_writable)?;
    let model = model::load_for_shapes(context, &args.model)?;
    let file = args.dot.as_ref().filter(|_| !to_stdout);
    collisions::check(context, Some(&model), [""; 0], placed("--dot", file))?;
    let found = model.layers()?;
    let channels_last = model.model.card.layout == TensorLayout::Nhwc;
    let wanted: Vec<&Layer> = found.layers.iter().filter(|l| args.wants(l)).collect();
    if let (Some(text), true) = (&args.grep, wanted.is_empty()) {
        bail!(
            "no layer has \"{text}\" in a name or operator; without --grep all {} are listed",
            found.layers.len()
        );
    }
    if let Some(path) = &args.dot {
        let inputs: Vec<(String, String)> = model
            .model
            .card
            .input
            .iter()
            .zip(&found.inputs)
            .map(|(i, s)| (i.name.clone(), times(s)))
            .collect();
        let graph = dot::graph(&model.title, &model.model.graph, &found.layers, &inputs);
        if to_stdout {
            context.print(graph.trim_end())?;
        } else {
            oneiro_media::write_atomic(path, graph.as_bytes())?;
            context.print(&format!("{} layers written to {}", found.layers.len(), path.display()))?;
        }
    } else if args.json {
        let list: Vec<Value> = wanted.iter().map(|l| as_json(&model, l)).collect();
        context.print(&serde_json::to_string_pretty(&list)?)?;
    } else {
        for (input, shape) in model.model.card.input.iter().zip(&found.inputs) {
            let last =
                if channels_last && shape.len() > 2 { " (in the file with its channels last)" } else { "" };
            context.print(&format!("input \"{}\": {}{last}", input.name, times(shape)))?;
        }
        table(context, &model, &wanted, args.aliases)?;
        summary(context, &model, &found.layers)?;
    }
    for error in &found.skipped {
        context.note(&format!("{error}"));
    }
    if let Some(name) = &found.begin_at {
        context.note(&format!("to start behind what is not supported give --from-layer \"{name}\""));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(model: &LoadedModel, layer: &Layer) -> Value {
    let by_input = |f: &dyn Fn(&analysis::ReceptiveField) -> Value| {
        let map: Map<String, Value> = layer
            .fields
            .iter()
            .map(|(input, field)| (model.model.card.input[*input].name.clone(), f(field)))
            .collect();
        Value::Object(map)
    };
    json!({
        "name": layer.name,
        "aliases": layer.aliases,
        "op": layer.op,
        "shape": layer.shape,
        "channels": layer.channels,
        "receptive_field": by_input(&|f| json!(f.extent)),
        "stride": by_input(&|f| json!(f.stride)),
        "params": layer.params,
        "flops": layer.flops,
        "axes": layer.axes.as_ref().map(ToString::to_string),
    })
}

fn times(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "one number".into();
    }
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

fn table(context: &Context, model: &LoadedModel, layers: &[&Layer], aliases: bool) -> Result<()> {
    let square = |v: &[usize]| match v {
        [first, rest @ ..] if rest.iter().all(|n| n == first) => first.to_string(),
        _ => times(v),
    };
    let several = model.model.graph.inputs.len() > 1;
    let per_input = |layer: &Layer, f: &dyn Fn(&analysis::ReceptiveField) -> String| {
        let each = layer.fields.iter().map(|(i, field)| {
            if several { format!("{} {}", model.model.card.input[*i].name, f(field)) } else { f(field) }
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let mut header = ["layer", "operator", "shape", "axes", "sees", "stride", "parameters", "MFLOP"].to_vec();
    if aliases {
        header.push("also called");
    }
    let mut rows = vec![header.iter().map(|&h| h.to_owned()).collect::<Vec<_>>()];
    for layer in layers {
        let mut row = vec![
            layer.name.clone(),
            layer.op.clone(),
            times(&layer.shape),
            layer.axes.as_ref().map_or_else(|| "?".into(), ToString::to_string),
            per_input(layer, &|f| square(&f.extent)),
            per_input(layer, &|f| square(&f.stride) + if f.strides_differ { " (differ)" } else { "" }),
            if layer.params == 0 { String::new() } else { layer.params.to_string() },
            if layer.flops == 0 { String::new() } else { format!("{:.1}", layer.flops as f64 / 1e6) },
        ];
        if aliases {
            row.push(layer.aliases.join(" "));
        }
        rows.push(row);
    }
    let widths: Vec<usize> =
        (0..header.len()).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(
                |(c, (cell, &w))| {
                    if c == 6 || c == 7 { format!("{cell:>w$}") } else { format!("{cell:<w$}") }
                },
            )
            .collect();
        context.print(cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn summary(context: &Context, model: &LoadedModel, layers: &[Layer]) -> Result<()> {
    let params = analysis::parameters(layers);
    let flops: u64 = layers.iter().map(|l| l.flops).sum();
    context.print(&format!(
        "{}: {} layers, {:.2} million parameters, {:.2} GFLOP forward",
        model.title,
        layers.len(),
        params as f64 / 1e6,
        flops as f64 / 1e9
    ))
}
