//! The command `oneiro invert`: reconstructs pictures from a layer's features of a given picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::job::Role;
use oneiro_jobs::job::preimage::{Captions, InversionJob};
use oneiro_jobs::source::listing::pictures;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs::{need_layers, number_list, out_path, settings};
use crate::outputs;
use crate::results::{self, Results, print_json};

/// Name of the preset that is used if no flag chooses one.
const DEFAULT_PRESET: &str = "mahendran16";
/// Name of the sheet's file if no flag chooses one.
const DEFAULT_OUT: &str = "inversion.png";

/// Reconstruct pictures from a layer's features: details missing from the reconstruction are not in the
/// features
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
    /// Weight of the features relative to the regularizers (the paper's C: 1, 20, 100 or 300); each value
    /// makes a column
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "C")]
    strength: Vec<f64>,
    /// Several seeds, for instance 0-3: a column each; also prints how much their results differ
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
    /// Largest number of pictures taken from a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: inversion.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the errors of all pictures and layers as a table
    #[arg(long, value_name = "FILE.csv")]
    table: Option<PathBuf>,
    /// Also plot the error of each layer
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
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
        outputs::require_picture("--plot", plot)?;
    }
    let mut results = Results::pictures(paths)
        .and(Role::Raw, "--raw", args.results.raw.as_ref())
        .and(Role::Table, "--table", args.table.as_ref())
        .and(Role::Plot, "--plot", args.plot.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    if args.center == Some(0) {
        bail!("--center 0: at least one position is needed");
    }
    let preset = settings[0].preset.clone();
    let job = InversionJob {
        images,
        layers: args.layers.clone(),
        center: args.center,
        channels: args.channels.as_deref().map(channel_range).transpose()?,
        feature_mask: args.feature_mask.as_ref().map(|mask| mask.to_string_lossy().into_owned()),
        start: args.materials.start(None)?,
        rendering: args.materials.rendering(settings, args.settings.size_is_chosen(), args.display.how),
        captions: Captions { strengths: args.strength.len() > 1, seeds: args.seeds.is_some() },
    };
    let model = model::load(context, &args.model)?;
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let files: Vec<String> = results.listed().into_iter().chain(args.settings.save(&preset)?).collect();
    if args.results.json {
        print_json(context, &model, &report, &files, started)?;
    } else {
        report.summary.iter().try_for_each(|line| context.print(line))?;
        context.print(&format!("written to {}", files.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the first and last channel from `A-B` or a single number. The objective later checks that the layer
/// has them.
fn channel_range(text: &str) -> Result<(usize, usize)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => bail!("--channels {text}: one range A-B is needed, for instance 0-127"),
    }
}
