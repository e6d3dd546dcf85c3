//! `oneiro sheet`: one picture of many units.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use oneiro::objective::{Objective, Unit};
use oneiro_jobs::Error;
use oneiro_jobs::files::PicturePaths;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::parts::{Parts, Shard};
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::render::work::UnitRequest;
use oneiro_jobs::job::sheet::layout::Measure;
use oneiro_jobs::job::sheet::{Row, SheetPlan};
use oneiro_jobs::model::LoadedModel;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::settings::{RenderArgs, is_recipe_file};
use crate::context::Context;
use crate::outputs;
use crate::results::{self, Results, print_json};

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
  oneiro sheet squeezenet1_1 --layer fire8 --units 1-4 --class goldfish --class zebra
  oneiro sheet squeezenet1_1 --layer fire8 --units 1-4 --presets lucid,conveiro,mahendran16")]
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
    /// Recipes to compare, a row each, for instance lucid,maco,mahendran16
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    presets: Vec<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where to write [default: sheet.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Make only these units, the I-th of N parts, and keep them for a run that has all; several machines
    /// share the work
    #[arg(long, value_name = "I/N", conflicts_with_all = ["raw", "json"])]
    shard: Option<Shard>,
    /// Measure what survives JPEG, a shift and a turn, for --json
    #[arg(long)]
    robustness: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.layers.is_empty() && args.classes.is_empty() {
        bail!("nothing to show: give --layer (`oneiro layers MODEL` lists them) or --class");
    }
    if !args.presets.is_empty() && args.settings.preset_is_chosen() {
        bail!("--preset and --presets: give one of them");
    }
    if let (Some(path), false) = (args.settings.save_path(), args.presets.is_empty()) {
        bail!("--save-preset {}: one recipe is saved, and --presets compares several", path.display());
    }
    let mut preset = args.settings.preset(context)?;
    args.materials.adapt(context, &args.settings, &mut preset);
    let units = args.units.as_deref().map(parse_units).transpose()?;
    if let (Some(list), []) = (&args.units, &args.layers[..]) {
        bail!(
            "--units {list}: they are channels of a --layer, and none is given; classes are chosen by --class alone"
        );
    }
    let paths = match &args.out {
        Some(out) => {
            outputs::require_picture("--out", out)?;
            PicturePaths::file(out)
        }
        None => outputs::default_path(context, DEFAULT_OUT),
    };
    let parts = Parts::new(parts_folder(&paths.files[0]), args.shard);
    let mut results =
        Results::pictures(paths).and(Role::Raw, "--raw", args.raw.as_ref()).and_other(args.settings.placed());
    results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let start = args.materials.start(None)?;
    let seed = args.settings.seed;
    let (mut settings, mut rows) = (Vec::new(), Vec::new());
    if args.presets.is_empty() {
        let of = Of { setting: 0, start, size: preset.size };
        rows = rows_of(context, &model, args, units.as_deref(), &of)?;
        settings.push(Setting { preset, seed });
    } else {
        for (setting, name) in args.presets.iter().enumerate() {
            let mut preset = args.settings.preset_or(context, name)?;
            args.materials.adapt(context, &args.settings, &mut preset);
            let of = Of { setting, start: start.clone(), size: preset.size };
            settings.push(Setting { preset, seed });
            for row in rows_of(context, &model, args, units.as_deref(), &of)? {
                rows.push(Row { title: format!("{name}: {}", row.title), ..row });
            }
        }
    }
    let columns = args.columns.map_or_else(|| columns(&rows), usize::from);
    let plan = SheetPlan { title: None, columns, measure: Measure::Value, rows, settings };
    let mut work = args.materials.work(args.settings.size_is_chosen(), args.display.how);
    work.robustness = args.robustness;
    let job = plan.job(work);
    let compared = args.presets.iter().map(Path::new).filter(|name| is_recipe_file(name));
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().chain(compared).collect();
    results::check(context, Some(&model), &job, &results, &made_from)?;
    let outcome = results::run_checked(context, Some(&model), &job, &mut results, Some(&parts));
    let report = match outcome {
        Err(Error::Unfinished(unfinished)) => {
            context.print(&format!(
                "{unfinished}; the sheet is put together by the run that finds all of them"
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error @ Error::Cancelled(_)) if parts.folder().is_dir() => {
            let folder = parts.folder().display();
            context
                .note(&format!("finished units are kept in {folder}; the same command goes on from there"));
            return Err(error.into());
        }
        outcome => outcome?,
    };
    parts.clear();
    let saved = args.settings.save(&job.work.settings[0].preset)?;
    if args.json {
        let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
        print_json(context, &model, &report, &files, started)?;
    } else {
        context.print(&format!("{} units written to {}", report.units.len(), results.listed()[0]))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of finished units beside the sheet.
fn parts_folder(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

/// Columns of a grid: those of its longest row, [`DEFAULT_COLUMNS`] at most.
fn columns(rows: &[Row]) -> usize {
    rows.iter().map(|r| r.cells.len()).max().unwrap_or(1).min(DEFAULT_COLUMNS)
}

/// What the pictures of rows have in common: the setting, the picture that they start from, and their size.
struct Of {
    setting: usize,
    start: Option<String>,
    size: Option<[usize; 2]>,
}

fn rows_of(
    context: &Context,
    model: &LoadedModel,
    args: &Args,
    units: Option<&[usize]>,
    of: &Of,
) -> Result<Vec<Row>> {
    let request = |unit: String, objective: Objective| UnitRequest {
        objective: Some(objective.to_string()),
        start: of.start.clone(),
        setting: of.setting,
        ..UnitRequest::new(unit)
    };
    let mut rows = Vec::new();
    for layer in &args.layers {
        let channels: Vec<usize> = match units {
            Some(units) => units.to_vec(),
            None => (0..channels_of(context, model, layer, of.size)?.min(DEFAULT_UNITS)).collect(),
        };
        let of_channel = |c: usize| request(format!("{layer}:{c}"), Objective::channel(layer, c));
        let cells = channels.into_iter().map(|c| (format!("channel {c}"), of_channel(c))).collect();
        rows.push(Row { title: layer.clone(), photos: Vec::new(), cells });
    }
    if !args.classes.is_empty() {
        let cells = args
            .classes
            .iter()
            .map(|name| {
                let unit: Unit = format!("class:{name}").parse()?;
                let objective = model.objective(&unit)?;
                Ok((name.clone(), request(unit.to_string(), objective)))
            })
            .collect::<Result<Vec<_>>>()?;
        rows.push(Row { title: "classes".into(), photos: Vec::new(), cells });
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
    Ok(context.compute(|| model.model.map_of(value, &shapes))?.shape()[1])
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
