//! `oneiro invert`: which pictures a layer cannot tell from a given one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{Objective, Term, TermKind};
use oneiro_media::{Plot, Series};
use serde_json::{Value, json};

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::collisions::placed;
use crate::context::Context;
use crate::inputs::{self, need_layers, number_list, out_path, settings};
use crate::outputs;
use crate::sheets::{self, Output};
use oneiro_jobs::files;
use oneiro_jobs::job::render::metrics::psnr;
use oneiro_jobs::job::render::metrics::spread;
use oneiro_jobs::job::render::{Finished, Job, Options};
use oneiro_jobs::job::sheet::{Row, SheetPlan};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::numbers::Mean;
use oneiro_jobs::provenance::{Measure, PLOT, Photo, push_setting, relative_error, text_of_model};
use oneiro_jobs::source::listing::pictures;
use oneiro_jobs::source::materials;
use oneiro_jobs::source::references::{self, Files};
use oneiro_jobs::source::stem;

/// The recipe where none is chosen.
const DEFAULT_PRESET: &str = "mahendran16";
/// Where the sheet goes when not chosen.
const DEFAULT_OUT: &str = "inversion.png";

/// Reconstruct pictures from what a layer makes of them: what is lost shows what the layer no longer knows
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro invert squeezenet1_1 cat.png --layer fire2 --layer fire5 --layer fire9 --out cat-inverted.png
  oneiro invert hog cat.png --layer hog --out cat-from-hog.png
  oneiro invert vgg16.onnx cat.png --layer conv5_1 --strength 1,20,100,300        # a column each
  oneiro invert vgg16.onnx cat.png --layer conv5_1 --seeds 0-3                    # what the layer leaves open
  oneiro invert vgg16.onnx cat.png --layer conv4_1 --center 5                     # the central 5x5 of the map alone
  oneiro invert vgg16.onnx photos/ --layer conv1_1 --layer conv3_1 --plot errors.png --table errors.csv

A sheet has a row for each layer, below the pictures themselves. Printed for each layer: the relative error of the
features, ||F(x) - F0|| / ||F0||, and the PSNR of the picture, as mean and standard error over the pictures.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pictures, or folders of them
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// A layer; may be repeated, a row each (of one picture with one strength and seed, all in one row)
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// What the features count beside the regularizers (the paper's C: 1, 20, 100 or 300); several make a
    /// column each
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "C")]
    strength: Vec<f64>,
    /// Several seeds, for instance 0-3: a column each, and how far apart they end
    #[arg(long, value_name = "LIST", conflicts_with = "seed")]
    seeds: Option<String>,
    /// Only the central N positions of the map, along both axes
    #[arg(long, value_name = "N")]
    center: Option<usize>,
    /// Only these channels of the layer, for instance 0-127: one of two groups of filters
    #[arg(long, value_name = "A-B")]
    channels: Option<String>,
    /// Only the positions where this picture is white
    #[arg(long, value_name = "IMAGE")]
    feature_mask: Option<PathBuf>,
    /// At most so many pictures of a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: inversion.png]
    #[arg(long, short, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Also write the errors of all pictures and layers as a table
    #[arg(long, value_name = "FILE.csv")]
    table: Option<PathBuf>,
    /// Also plot the error of each layer
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

/// What one cell of the sheet is about.
struct Case {
    layer: String,
    image: String,
    strength: f64,
    seed: u64,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    need_layers(&args.layers, &args.model.model)?;
    let images = pictures(&args.images, args.limit)?;
    let seeds = args.seeds.as_deref().map(|s| number_list("--seeds", s)).transpose()?.unwrap_or_default();
    let settings =
        settings(context, &args.settings, &args.materials, DEFAULT_PRESET, &args.strength, &seeds)?;
    let paths = out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    if let Some(plot) = &args.plot {
        outputs::require_png(plot)?;
    }
    for path in [&args.table, &args.plot, &args.results.raw].into_iter().flatten() {
        files::check_writable(path)?;
    }
    let model = model::load(context, &args.model)?;
    let preset = &settings[0].preset;
    let (rows, cases) = rows(args, &model, &images, &settings)?;
    let columns = images.len() * settings.len();
    let measure = Measure::RelativeError;
    let plan = SheetPlan { columns, measure, rows, settings: settings.clone() }.flattened();
    let extras = args.materials.extras(&model, preset)?;
    let output = Output {
        paths,
        raw: args.results.raw.as_deref(),
        further: [
            placed("--table", args.table.as_ref()),
            placed("--plot", args.plot.as_ref()),
            args.settings.placed(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        recipes: args.settings.recipe_file(context).into_iter().collect(),
        options: Options { display: args.display.how, ..Options::default() },
        keep_size: args.settings.size_is_chosen(),
    };
    let (finished, mut files) = sheets::produce(context, &model, &plan, extras, &output)?;
    let photos = images
        .iter()
        .map(|path| {
            let photo = materials::start(&model, &finished_preset(preset, &finished), path)?;
            // Bands count as they are drawn.
            Ok((path.as_str(), references::drawn(&model, &photo)?.rgb))
        })
        .collect::<Result<Vec<_>>>()?;
    let results = results(&cases, &finished, &photos);
    if let Some(path) = &args.table {
        oneiro_media::write_atomic(path, table(&results).as_bytes())?;
        files.push(path.display().to_string());
    }
    if let Some(path) = &args.plot {
        let mut text = text_of_model(&model)?;
        push_setting(&mut text, &settings[0])?;
        text.push("images", serde_json::to_string(&references::hashed(&images, &model.places)?)?);
        text.push(PLOT, "relative errors of inversions, a line for each strength");
        let bytes = oneiro_media::encode_png(&plot(args, &model, &results)?, &text)?;
        oneiro_media::write_atomic(path, &bytes)?;
        files.push(path.display().to_string());
    }
    files.extend(args.settings.save(preset)?);
    if args.results.json {
        let units = results.iter().map(json_of).collect::<Result<Vec<Value>>>()?;
        sheets::print_json(context, &model, &units, &files, started)?;
    } else {
        for line in summary(args, &results) {
            context.print(&line)?;
        }
        context.print(&format!("written to {}", files.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The preset with the size that was used in the end.
fn finished_preset(preset: &oneiro::preset::Preset, finished: &[Finished]) -> oneiro::preset::Preset {
    let mut preset = preset.clone();
    if let Some(f) = finished.first() {
        preset.picture = Some([f.picture.height, f.picture.width]);
    }
    preset
}

/// A row of the pictures themselves, and one for each layer; and what each cell is about.
fn rows(
    args: &Args,
    model: &LoadedModel,
    images: &[String],
    settings: &[oneiro_jobs::job::render::Setting],
) -> Result<(Vec<Row>, Vec<Case>)> {
    let photo = |path: &String| Photo { path: path.clone(), caption: stem(path) };
    let mut rows =
        vec![Row { title: "original".into(), photos: images.iter().map(photo).collect(), cells: Vec::new() }];
    let mut cases = Vec::new();
    let files = Files::new(model, settings[0].preset.size)?;
    let start = args.materials.start(model, &settings[0].preset, None)?;
    for layer in &args.layers {
        let mut row = Row { title: layer.clone(), ..Row::default() };
        for image in images {
            for (setting, s) in settings.iter().enumerate() {
                let objective = objective(args, &files, layer, image)?;
                let shown = (images.len() > 1).then_some(image.as_str());
                let caption = inputs::caption(shown, s, args.strength.len() > 1, args.seeds.is_some());
                let job = Job { setting, start: start.clone(), ..Job::new(objective.to_string(), objective) };
                row.cells.push((caption, job));
                cases.push(Case {
                    layer: layer.clone(),
                    image: image.clone(),
                    strength: s.preset.weight,
                    seed: s.seed,
                });
            }
        }
        rows.push(row);
    }
    Ok((rows, cases))
}

/// inversion(layer, image) with the region that flags name.
fn objective(args: &Args, files: &Files<'_>, layer: &str, image: &str) -> Result<Objective> {
    let mut term = Term::new(layer, TermKind::Inversion(files.reference(image)?));
    term.region.center = args.center;
    if args.center == Some(0) {
        bail!("--center 0: at least one position is needed");
    }
    term.region.channels = args.channels.as_deref().map(channel_range).transpose()?;
    if let Some(mask) = &args.feature_mask {
        term.region.mask = Some(files.mask(&mask.to_string_lossy())?);
    }
    // Read again as text by whoever makes the picture again, so it has to be readable.
    let objective = Objective::from(term);
    inputs::readable(&objective)?;
    Ok(objective)
}

/// First and last channel, of `A-B` or a single one. Whether the layer has them, the term checks.
fn channel_range(text: &str) -> Result<(usize, usize)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => bail!("--channels {text}: one range A-B is needed, for instance 0-127"),
    }
}

/// A case with its outcome.
struct Outcome<'a> {
    case: &'a Case,
    finished: &'a Finished,
    relative_error: f64,
    psnr: f64,
}

fn results<'a>(cases: &'a [Case], finished: &'a [Finished], photos: &[(&str, Vec<f32>)]) -> Vec<Outcome<'a>> {
    cases
        .iter()
        .zip(finished)
        .map(|(case, finished)| {
            let photo = photos.iter().find(|(path, _)| *path == case.image);
            Outcome {
                case,
                finished,
                relative_error: relative_error(finished.report.value),
                psnr: photo.map_or(f64::NAN, |(_, photo)| psnr(&finished.picture, photo)),
            }
        })
        .collect()
}

fn json_of(outcome: &Outcome<'_>) -> Result<Value> {
    let mut value = serde_json::to_value(&outcome.finished.report)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("layer".into(), json!(outcome.case.layer));
        object.insert("image".into(), json!(outcome.case.image));
        object.insert("strength".into(), json!(outcome.case.strength));
        object.insert("relative_error".into(), json!(outcome.relative_error));
        object.insert("psnr".into(), json!(outcome.psnr));
    }
    Ok(value)
}

/// A line for each layer and strength.
fn summary(args: &Args, results: &[Outcome<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for layer in &args.layers {
        let of_layer = || results.iter().filter(|r| &r.case.layer == layer);
        let mut strengths: Vec<f64> = of_layer().map(|r| r.case.strength).collect();
        strengths.dedup();
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        for strength in strengths {
            let of = || of_layer().filter(|r| r.case.strength == strength);
            let errors: Vec<f64> = of().map(|r| r.relative_error).collect();
            let ratios: Vec<f64> = of().map(|r| r.psnr).collect();
            let (Some(error), Some(ratio)) = (Mean::of(&errors), Mean::of(&ratios)) else { continue };
            let mut line = format!("{layer}: relative error {error:.3}, PSNR {ratio:.1} dB");
            if args.strength.len() > 1 {
                line += &format!(", C = {strength}");
            }
            if let Some(spread) = mean_spread(of()) {
                line += &format!(", seeds {spread:.3} apart (root mean square, 0-1)");
            }
            lines.push(line);
        }
    }
    lines
}

/// Mean over the pictures of how far apart their seeds end.
fn mean_spread<'a>(results: impl Iterator<Item = &'a Outcome<'a>>) -> Option<Mean> {
    let mut by_image: Vec<(&str, Vec<&Finished>)> = Vec::new();
    for r in results {
        match by_image.iter_mut().find(|(image, _)| *image == r.case.image) {
            Some((_, list)) => list.push(r.finished),
            None => by_image.push((&r.case.image, vec![r.finished])),
        }
    }
    let spreads: Vec<f64> = by_image.iter().filter_map(|(_, list)| spread(list)).collect();
    Mean::of(&spreads)
}

fn table(results: &[Outcome<'_>]) -> String {
    let mut text = String::from("layer,image,strength,seed,relative_error,psnr\n");
    let field = |s: &str| match s.contains([',', '"', '\n']) {
        true => format!("\"{}\"", s.replace('"', "\"\"")),
        false => s.to_owned(),
    };
    for r in results {
        text += &format!(
            "{},{},{},{},{},{}\n",
            field(&r.case.layer),
            field(&r.case.image),
            r.case.strength,
            r.case.seed,
            r.relative_error,
            r.psnr
        );
    }
    text
}

/// How much higher than the highest error the plot is.
const HEADROOM: f64 = 1.1;

/// The relative error of each layer with its standard error, a line for each strength.
fn plot(args: &Args, model: &LoadedModel, results: &[Outcome<'_>]) -> Result<oneiro_media::Image> {
    let names: Vec<&str> = args.layers.iter().map(String::as_str).collect();
    let mut plot = Plot::new(PLOT_SIZE[1], PLOT_SIZE[0])
        .title(format!("{}: what inversion leaves", model.title))
        .y_label("relative error of the features")
        .x_names(&names);
    let mut strengths: Vec<f64> = results.iter().map(|r| r.case.strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let mut highest = f64::MIN_POSITIVE;
    for strength in strengths {
        let mut points = Vec::new();
        let mut errors = Vec::new();
        for (i, layer) in args.layers.iter().enumerate() {
            let of = results.iter().filter(|r| &r.case.layer == layer && r.case.strength == strength);
            let values: Vec<f64> = of.map(|r| r.relative_error).collect();
            if let Some(mean) = Mean::of(&values) {
                points.push((i as f64, mean.mean));
                errors.push(mean.standard_error);
                highest = highest.max(mean.mean + mean.standard_error.max(0.0));
            }
        }
        plot = plot.series(Series::line(format!("C = {strength}"), &points).error_bars(&errors));
    }
    // From 0 on, so that lengths compare as the errors do.
    Ok(plot.y_range(0.0, HEADROOM * highest).render()?)
}

/// Height and width of the plot.
const PLOT_SIZE: [usize; 2] = [500, 800];
