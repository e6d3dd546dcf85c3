//! `oneiro sheet`: many units in one picture, a row a layer.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use oneiro::objective::{Objective, Unit};
use oneiro::preset::Preset;
use oneiro::probe::Probe;
use oneiro_media::{Cell, Sheet};

use crate::commands::render::{short, write_raw};
use crate::context::Context;
use crate::files::{self, PicturePaths};
use crate::metadata::{Layout, LayoutRow, UnitReport, sheet_text};
use crate::model::{self, LoadedModel, ModelArgs};
use crate::rendering::{Finished, Job, Options, prepare, render_all};
use crate::settings::RenderArgs;

/// Units of a layer shown when none are chosen.
const DEFAULT_UNITS: usize = 16;
/// Where the sheet goes when not chosen.
const DEFAULT_OUT: &str = "sheet.png";
/// Columns of the grid when not chosen.
const DEFAULT_COLUMNS: usize = 8;

/// One picture with many units: a grid of a layer, or a row for each of several layers
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro sheet squeezenet1_1 --layer fire8.expand3x3 --units 0-15 --out fire8.png
  oneiro sheet model.onnx --layer conv3_3 --layer conv4_3 --layer conv5_2 --units 5,12,40,100
  oneiro sheet squeezenet1_1 --layer fire8 --units 1-4 --class goldfish --class zebra")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A layer; may be repeated, a row each
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// Channels of every layer, for instance 0-15 or 5,12,40 [default: the first 16]
    #[arg(long, allow_hyphen_values = true, value_name = "LIST")]
    units: Option<String>,
    /// A class by name or index; may be repeated, all in one row
    #[arg(long = "class", value_name = "NAME")]
    classes: Vec<String>,
    /// Columns of the grid
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    columns: Option<u16>,
    #[command(flatten)]
    settings: RenderArgs,
    /// Where to write [default: sheet.png]
    #[arg(long, short, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Measure what survives JPEG, a shift and a turn, for --json
    #[arg(long)]
    robustness: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

struct Row {
    title: String,
    jobs: Vec<(String, Job)>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.layers.is_empty() && args.classes.is_empty() {
        bail!("nothing to show: give --layer (`oneiro layers MODEL` lists them) or --class");
    }
    let preset = args.settings.preset(context)?;
    let units = args.units.as_deref().map(parse_units).transpose()?;
    if let (Some(list), []) = (&args.units, &args.layers[..]) {
        bail!(
            "--units {list}: they are channels of a --layer, and none is given; classes are chosen by --class alone"
        );
    }
    let paths = match &args.out {
        Some(out) => {
            files::require_png(out)?;
            PicturePaths::file(out)
        }
        None => files::default_path(context, DEFAULT_OUT),
    };
    let out = &paths.files[0];
    if args.raw.as_ref() == Some(out) {
        bail!("--raw {}: the sheet goes there; name another file", out.display());
    }
    paths.check_writable()?;
    args.raw.as_deref().map_or(Ok(()), files::check_writable)?;
    let model = model::load(context, &args.model)?;
    let rows = rows(context, &model, args, units.as_deref())?;
    let jobs: Vec<Job> = rows.iter().flat_map(|r| r.jobs.iter().map(|(_, j)| j.clone())).collect();
    if let Some([h, w]) = preset.size
        && jobs.len().saturating_mul(h * w) as u64 > oneiro_media::MAX_PIXELS
    {
        bail!(
            "{} pictures of {h}x{w} are too much for one sheet (at most {} million pixels); choose fewer --units, a \
             smaller --size, or `oneiro render`",
            jobs.len(),
            oneiro_media::MAX_PIXELS / 1_000_000
        );
    }
    let work = prepare(context, &model, &preset, &jobs, args.settings.size.is_some())?;
    let preset = &work.preset;
    let options = Options { seed: args.settings.seed, robustness: args.robustness, film: None };
    let finished = render_all(context, &work, &options)?;
    let columns = args.columns.map_or_else(
        || rows.iter().map(|r| r.jobs.len()).max().unwrap_or(1).min(DEFAULT_COLUMNS),
        usize::from,
    );
    let row = |r: &Row| LayoutRow {
        title: r.title.clone(),
        captions: r.jobs.iter().map(|(caption, _)| caption.clone()).collect(),
    };
    let layout = Layout { title: model.title.clone(), columns, rows: rows.iter().map(row).collect() };
    let bytes = encode(&model, preset, &options, &layout, &finished)?;
    paths.create_folder()?;
    oneiro_media::write_atomic(out, &bytes)?;
    if let Some(path) = &args.raw {
        write_raw(path, &finished)?;
    }
    if args.json {
        let mut files = vec![out.display().to_string()];
        files.extend(args.raw.iter().map(|p| p.display().to_string()));
        let seconds = started.elapsed().as_secs_f64();
        let reports: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
        let object = serde_json::json!({ "units": reports, "files": files, "seconds": seconds });
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        context.print(&format!("{} units written to {}", finished.len(), out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The sheet as a PNG that says how it was made.
pub fn encode(
    model: &LoadedModel,
    preset: &Preset,
    options: &Options,
    layout: &Layout,
    finished: &[Finished],
) -> Result<Vec<u8>> {
    let mut sheet = Sheet::new(layout.columns)
        .title(&layout.title)
        .subtitle(format!("preset {}, {} steps, seed {}", preset.name, preset.steps, options.seed));
    let mut results = finished.iter();
    for row in &layout.rows {
        sheet = sheet.row(&row.title);
        for (caption, result) in row.captions.iter().zip(results.by_ref()) {
            sheet = sheet
                .cell(Cell::new(result.picture.clone()).caption(caption).caption(short(result.report.value)));
        }
    }
    let reports: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
    let text = sheet_text(model, preset, options.seed, layout, &reports)?;
    Ok(oneiro_media::encode_png(&sheet.render()?, &text)?)
}

fn rows(context: &Context, model: &LoadedModel, args: &Args, units: Option<&[usize]>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for layer in &args.layers {
        let channels: Vec<usize> = match units {
            Some(units) => units.to_vec(),
            None => (0..channels_of(context, model, layer, args.settings.size)?.min(DEFAULT_UNITS)).collect(),
        };
        let jobs = channels
            .into_iter()
            .map(|c| {
                let objective = Objective::channel(layer, c);
                (format!("channel {c}"), Job { unit: format!("{layer}:{c}"), objective })
            })
            .collect();
        rows.push(Row { title: layer.clone(), jobs });
    }
    if !args.classes.is_empty() {
        let jobs = args
            .classes
            .iter()
            .map(|name| {
                let unit: Unit = format!("class:{name}").parse()?;
                let objective = model.objective(&unit)?;
                Ok((name.clone(), Job { unit: unit.to_string(), objective }))
            })
            .collect::<Result<Vec<_>>>()?;
        rows.push(Row { title: "classes".into(), jobs });
    }
    Ok(rows)
}

fn channels_of(
    context: &Context,
    model: &LoadedModel,
    layer: &str,
    size: Option<[usize; 2]>,
) -> Result<usize> {
    let value = model.model.resolve(layer)?;
    let shapes = model.model.input_shapes(1, size)?;
    let probe = context.compute(|| Probe::new(&model.model, &[], &[value], shapes, false))?;
    match probe.captured(0).0.get(1) {
        Some(&channels) => Ok(channels),
        None => bail!("layer \"{layer}\" has no channels"),
    }
}

/// "0-15", "5,12,40" or a mixture.
fn parse_units(text: &str) -> Result<Vec<usize>> {
    let number = |t: &str| {
        t.trim()
            .parse::<usize>()
            .map_err(|_| anyhow!("--units {text}: \"{t}\" is no whole number; use 0-15 or 5,12,40"))
    };
    let mut units = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => units.push(number(part)?),
            Some((a, b)) => {
                let (a, b) = (number(a)?, number(b)?);
                if b < a {
                    bail!("--units {text}: the range {part} runs backwards");
                }
                if b - a > 100_000 {
                    bail!("--units {text}: the range {part} is too long");
                }
                units.extend(a..=b);
            }
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_lists_mix_ranges_and_numbers() {
        assert_eq!(parse_units("0-2,7, 9").unwrap(), [0, 1, 2, 7, 9]);
        for bad in ["", "a", "3-1", "1-", "-1"] {
            assert!(parse_units(bad).is_err(), "{bad}");
        }
    }
}
