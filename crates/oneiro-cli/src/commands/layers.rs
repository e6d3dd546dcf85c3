//! `oneiro layers`: every layer of a network, what it sees and what it costs.

use std::process::ExitCode;

use anyhow::Result;
use oneiro::card::Layout;
use oneiro_net::analysis::{self, Layer};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::model::{self, LoadedModel, ModelArgs};

/// List the layers of a network: names, shapes, receptive fields, cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro layers squeezenet1_1
  oneiro layers model.onnx --json | jq '.[] | select(.op == \"Conv\") | .name'

The receptive field is the extent in input pixels that one position sees, the stride the input pixels between
neighbours. Any alias names the layer on a command line.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let model = model::load_for_shapes(context, &args.model)?;
    let shapes = model.model.input_shapes(1, None)?;
    let mut found = {
        let channels_last = model.model.card.layout == Layout::Nhwc;
        analysis::layers(&model.model.graph, &model.model.names(), &shapes, channels_last)?
    };
    let inputs = model.model.replaced_inputs();
    found.layers.retain(|l| !inputs.contains(&l.value));
    if args.json {
        let list: Vec<Value> = found.layers.iter().map(|l| as_json(&model, l)).collect();
        context.print(&serde_json::to_string_pretty(&list)?)?;
    } else {
        table(context, &model, &found.layers)?;
    }
    for error in &found.skipped {
        context.note(&format!("note: {error}"));
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
    })
}

fn table(context: &Context, model: &LoadedModel, layers: &[Layer]) -> Result<()> {
    let times = |v: &[usize]| v.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
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
    let header = ["layer", "operator", "shape", "sees", "stride", "parameters", "MFLOP"].map(String::from);
    let mut rows = vec![header.to_vec()];
    for layer in layers {
        rows.push(vec![
            layer.name.clone(),
            layer.op.clone(),
            times(&layer.shape),
            per_input(layer, &|f| square(&f.extent)),
            per_input(layer, &|f| square(&f.stride) + if f.strides_differ { " (differ)" } else { "" }),
            if layer.params == 0 { String::new() } else { layer.params.to_string() },
            if layer.flops == 0 { String::new() } else { format!("{:.1}", layer.flops as f64 / 1e6) },
        ]);
    }
    let widths: Vec<usize> =
        (0..header.len()).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(c, (cell, &w))| if c >= 5 { format!("{cell:>w$}") } else { format!("{cell:<w$}") })
            .collect();
        context.print(cells.join("  ").trim_end())?;
    }
    let params: usize = layers.iter().map(|l| l.params).sum();
    let flops: u64 = layers.iter().map(|l| l.flops).sum();
    context.print(&format!(
        "{}: {} layers, {:.2} million parameters, {:.2} GFLOP forward",
        model.title,
        layers.len(),
        params as f64 / 1e6,
        flops as f64 / 1e9
    ))
}
