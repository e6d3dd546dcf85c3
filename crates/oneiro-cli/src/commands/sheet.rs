//! The command `oneiro sheet`: renders many units into one picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::Error;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::kernels::KernelsJob;
use oneiro_jobs::job::parts::{Parts, Shard};
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::render::work::UnitRequest;
use oneiro_jobs::job::scan::examples::is_scan;
use oneiro_jobs::job::sheet::layout::Measure;
use oneiro_jobs::job::sheet::{Row, SheetPlan, beliefs_in_words};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::model::unit_list::{NamedUnit, Numbers, UnitList};
use oneiro_jobs::store::ScanFile;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::recipe;
use crate::args::settings::{RenderArgs, SETTINGS};
use crate::context::Context;
use crate::inputs;
use crate::results::{self, Results, print_json};

/// Default number of units shown of each layer.
const DEFAULT_UNITS: usize = 16;
/// Name of the sheet's file if no flag chooses one.
const DEFAULT_OUT: &str = "sheet.png";
/// Default for the least side of a picture on the sheet, in pixels.
const DEFAULT_TILE: usize = 128;
/// Default number of columns of the grid if example images stand beside each picture.
const COLUMNS_WITH_DATA: usize = 4;
/// Default number of columns of the grid.
const DEFAULT_COLUMNS: usize = 8;

/// One picture with many units: a grid of a layer, or a row for each of several layers
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro sheet squeezenet1_1 --layer fire8.expand3x3 --units 0-15 --out fire8.png
  oneiro sheet model.onnx --layer conv3_3 --layer conv4_3 --layer conv5_2 --units 5,12,40,100
  oneiro sheet squeezenet1_1 --unit fire2:0-7 --unit fire8:12,40 --class goldfish,zebra
  oneiro sheet squeezenet1_1 --layer conv1 --units all       # every filter of a layer
  oneiro sheet squeezenet1_1 --kernels conv1                 # the weights of the first layer
  oneiro sheet model.onnx --layer conv4_3 --units all --html conv4_3.html   # a page as well
  oneiro sheet squeezenet1_1 --layer fire8 --units 1-4 --presets lucid,conveiro,mahendran16
  oneiro sheet squeezenet1_1 --class tabby --seeds 0-3       # what of a picture is the unit's, and what is chance
  oneiro sheet squeezenet1_1 --layer fire8 --units 0-7 --data photos.scan   # beside each its nine best crops")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A layer; may be repeated, a row each
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// Channels of every --layer: 0-15, 5,12,40, or all [default: the first 16]
    #[arg(long = "units", allow_hyphen_values = true, value_name = "LIST", value_parser = Numbers::parse)]
    channels: Option<Numbers>,
    /// Units of any layers: conv1:5, conv1:0-15, conv1:all, class:zebra; may be repeated
    #[arg(long = "unit", short = 'u', value_name = "UNIT", value_parser = UnitList::parse)]
    units: Vec<UnitList>,
    /// Classes by name or index: goldfish, goldfish,zebra, 0-9, or all; may be repeated, all in one row
    #[arg(long = "class", value_name = "NAMES", value_parser = UnitList::parse_classes)]
    classes: Vec<UnitList>,
    /// Draw the kernels (weights) of a first layer, on a sheet of their own without optimised pictures;
    /// --units chooses channels [default: all]
    #[arg(
        long,
        value_name = "LAYER",
        conflicts_with_all = ["layers", "units", "classes", "presets", "seeds", "raw", "shard", "robustness", "data", "images", "belief"],
        conflicts_with_all = SETTINGS,
        conflicts_with_all = ["RuleArgs", "MaterialArgs", "DisplayArgs"]
    )]
    kernels: Option<String>,
    /// Least side of a tile in pixels: smaller pictures are enlarged by a whole factor [default: 128]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    tile: Option<u16>,
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
    /// Several seeds, for instance 0-2, a row each: what their pictures share is the unit's, the rest is
    /// chance
    #[arg(long, value_name = "N-M", conflicts_with_all = ["presets", "seed"])]
    seeds: Option<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// A scan, or a folder of images: the nine crops that excite a unit most stand beside its picture
    #[arg(long, value_name = "SCAN|FOLDER")]
    data: Option<PathBuf>,
    /// The folder that the images of the scan lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Say below each picture whether it may be believed, by the images of --data: path and predictability
    /// (docs/belief.md). Takes some seconds a unit
    #[arg(long, requires = "data")]
    belief: bool,
    /// Where to write [default: sheet.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Also write a page that holds all pictures: one file for any browser, with how each was made
    #[arg(long, value_name = "FILE.html", value_parser = inputs::page_path)]
    html: Option<PathBuf>,
    /// Make only these units, the I-th of N parts, and keep them for a run that has all; several machines
    /// share the work
    #[arg(long, value_name = "I/N", conflicts_with_all = ["raw", "html", "json"])]
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
    if let Some(layer) = &args.kernels {
        return kernels(context, args, layer);
    }
    if args.layers.is_empty() && args.units.is_empty() && args.classes.is_empty() {
        bail!("nothing to show: give --layer (`oneiro layers MODEL` lists them), --unit or --class");
    }
    if !args.presets.is_empty() && args.settings.preset_is_chosen() {
        bail!("--preset and --presets: give one of them");
    }
    if let (Some(path), false) = (args.settings.save_path(), args.presets.is_empty()) {
        bail!("--save-preset {}: one recipe is saved, and --presets compares several", path.display());
    }
    let mut preset = args.settings.preset(context)?;
    args.materials.adapt(context, &args.settings, &mut preset);
    if args.channels.is_some() && args.layers.is_empty() {
        bail!(
            "--units: these are channels of a --layer, and none is given; --unit LAYER:0-15 names both, and classes are chosen by \
             --class alone"
        );
    }
    if args.images.is_some() && !args.data.as_deref().is_some_and(is_scan) {
        bail!("--images: this is where the images of a scan lie, and --data names none");
    }
    let paths = inputs::out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    let parts = Parts::new(parts_folder(&paths.files[0]), args.shard);
    let mut results = Results::pictures(paths).and(Role::Raw, "--raw", args.raw.as_ref()).and(
        Role::Page,
        "--html",
        args.html.as_ref(),
    );
    results = results.and_other(args.settings.placed());
    results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let start = args.materials.start(None)?;
    let seed = args.settings.seed;
    let (mut settings, mut rows) = (Vec::new(), Vec::new());
    if args.presets.is_empty() {
        let seeds = args.seeds.as_deref().map(|seeds| inputs::number_list("--seeds", seeds)).transpose()?;
        let seeds = seeds.unwrap_or_else(|| vec![seed]);
        let lists = lists(context, &model, args, preset.size)?;
        for (setting, &seed) in seeds.iter().enumerate() {
            let of = Of { setting, start: start.clone(), size: preset.size };
            settings.push(Setting { preset: preset.clone(), seed });
            let name = |row: Row| match seeds.len() {
                1 => row,
                _ => Row { title: format!("{}, seed {seed}", row.title), ..row },
            };
            rows.extend(rows_of(context, &model, &lists, &of)?.into_iter().map(name));
        }
    } else {
        for (setting, name) in args.presets.iter().enumerate() {
            let mut preset = args.settings.preset_or(context, name)?;
            args.materials.adapt(context, &args.settings, &mut preset);
            let of = Of { setting, start: start.clone(), size: preset.size };
            settings.push(Setting { preset, seed });
            for row in rows_of(context, &model, &lists(context, &model, args, of.size)?, &of)? {
                rows.push(Row { title: format!("{name}: {}", row.title), ..row });
            }
        }
    }
    let most = if args.data.is_some() { COLUMNS_WITH_DATA } else { DEFAULT_COLUMNS };
    let columns = args.columns.map_or_else(|| columns(&rows, most), usize::from);
    let tile = args.tile.map_or(DEFAULT_TILE, usize::from);
    let plan = SheetPlan { title: None, columns, measure: Measure::Value, rows, settings };
    let mut work = args.materials.work(args.settings.size_is_chosen(), args.display.how);
    work.robustness = args.robustness;
    let mut job = plan.job(work);
    job.layout.tile = tile;
    job.layout.data = args.data.as_ref().map(|data| data.display().to_string());
    job.layout.images = args.images.as_ref().map(|folder| folder.display().to_string());
    job.layout.belief = args.belief;
    let compared = args.presets.iter().map(Path::new).filter(|name| recipe::is_file(name));
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
            results::say_kept(context, &parts);
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
        beliefs_in_words(report.units.iter()).iter().try_for_each(|words| context.print(words))?;
        context.print(&format!("{} units written to {}", report.units.len(), results.listed()[0]))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws a sheet of a layer's kernels, for `--kernels`.
fn kernels(context: &Context, args: &Args, layer: &str) -> Result<ExitCode> {
    let paths = inputs::out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    let mut results = Results::pictures(paths).and(Role::Page, "--html", args.html.as_ref());
    results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let channels = match &args.channels {
        Some(Numbers::Of(channels)) => channels.clone(),
        Some(Numbers::All) | None => (0..model.channels_of(context, layer, None)?).collect(),
    };
    let job = KernelsJob {
        layer: layer.to_owned(),
        channels,
        columns: args.columns.map_or(DEFAULT_COLUMNS, usize::from),
        tile: args.tile.map_or(DEFAULT_TILE, usize::from),
    };
    let report = results::run(context, Some(&model), &job, &mut results, &[], None)?;
    if args.json {
        let object = serde_json::json!({ "files": results.listed(), "kernels": report.kernels, "alike": report.alike });
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        context.print(&report.words())?;
        context.print(&format!("{} kernels written to {}", report.kernels.len(), results.listed()[0]))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the folder, beside the sheet's file, in which finished units are kept.
fn parts_folder(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

/// Returns the number of columns of a grid: the length of its longest row, but at most `most`.
fn columns(rows: &[Row], most: usize) -> usize {
    rows.iter().map(|r| r.cells.len()).max().unwrap_or(1).min(most)
}

/// Settings common to the pictures of all rows: the index of the preset, the start picture, and the size.
struct Of {
    setting: usize,
    start: Option<String>,
    size: Option<[usize; 2]>,
}

/// Returns the requested units as rows of the sheet, one row for each layer.
fn rows_of(context: &Context, model: &LoadedModel, lists: &[UnitList], of: &Of) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for list in lists {
        for NamedUnit { group, caption, unit, objective } in list.resolve(context, model, of.size)? {
            let request = UnitRequest {
                objective: Some(objective.to_string()),
                start: of.start.clone(),
                setting: of.setting,
                ..UnitRequest::new(unit)
            };
            match rows.last_mut().filter(|row| row.title == group) {
                Some(row) => row.cells.push((caption, request)),
                None => rows.push(Row { title: group, photos: Vec::new(), cells: vec![(caption, request)] }),
            }
        }
    }
    Ok(rows)
}

/// Returns the units that the flags name: channels of layers, single units, and classes.
fn lists(
    context: &Context,
    model: &LoadedModel,
    args: &Args,
    size: Option<[usize; 2]>,
) -> Result<Vec<UnitList>> {
    let mut lists = Vec::new();
    for layer in &args.layers {
        let channels = match &args.channels {
            Some(channels) => channels.clone(),
            None => {
                let count = model.channels_of(context, layer, size)?;
                Numbers::Of((0..count.min(DEFAULT_UNITS)).collect())
            }
        };
        lists.push(UnitList::Channels { layer: layer.clone(), channels, position: String::new() });
    }
    let scan = args.data.as_deref().filter(|data| is_scan(data)).map(ScanFile::open).transpose()?;
    for list in &args.units {
        lists.push(scan.iter().try_fold(list.clone(), |list, scan| list.by_scan(context, scan))?);
    }
    lists.extend(args.classes.iter().cloned());
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    #[test]
    fn kernels_refuse_every_flag_that_they_do_not_read() {
        const READ: [&str; 7] = ["model", "kernels", "channels", "tile", "columns", "html", "json"];
        let command = crate::Cli::command();
        let sheet = command.find_subcommand("sheet").unwrap();
        let kernels = sheet.get_arguments().find(|arg| arg.get_id() == "kernels").unwrap();
        let refused = sheet.get_arg_conflicts_with(kernels);
        let prepares = sheet.get_groups().find(|group| group.get_id() == "PreparationArgs").unwrap();
        let of_model: Vec<_> = prepares.get_args().cloned().collect();
        let is_read = |arg: &&Arg| {
            let id = arg.get_id();
            READ.contains(&id.as_str()) || id == "out" || of_model.contains(id)
        };
        for arg in sheet.get_arguments().filter(|arg| !is_read(arg)) {
            assert!(refused.contains(&arg), "--{} would be ignored", arg.get_id());
        }
    }
}
