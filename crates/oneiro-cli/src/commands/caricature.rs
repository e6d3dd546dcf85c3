//! The command `oneiro caricature`: exaggerates the features that a layer detects in a picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::job::Role;
use oneiro_jobs::job::preimage::{Captions, CaricatureJob};
use oneiro_jobs::source::listing::pictures;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs::{need_layers, number_list, out_path, settings};
use crate::results::{self, Results};

/// Name of the preset that is used if no flag chooses one.
const DEFAULT_PRESET: &str = "mahendran16";
/// Name of the sheet's file if no flag chooses one.
const DEFAULT_OUT: &str = "caricature.png";
/// The largest power of the cosine that `--power` accepts.
const MAX_POWER: f64 = 20.0;

/// Exaggerate the features that a layer sees in a picture
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro caricature squeezenet1_1 cat.png --layer fire5 --layer fire9 --out cat-caricature.png
  oneiro caricature vgg16.onnx cat.png --layer conv5_3 --strength 1,20,100,300
  oneiro caricature squeezenet1_1 cat.png --layer fire9 --preset lucid --power 2 --from-noise

It starts from the picture and maximises <F(x), relu F0> / ||relu F0||^2, which is 1 for the picture itself
(Mahendran & Vedaldi, IJCV 2016). With --power P each position counts by max(.1, cos)^P, as in Lucid.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pictures, or folders of them
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// A layer; may be repeated, a row each (of one picture with one strength and seed, all in one row)
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// Power of the cosine between a position's activations and the picture's
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, value_name = "P")]
    power: f64,
    /// Weight of the features relative to the regularizers; each value makes a column
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "C")]
    strength: Vec<f64>,
    /// Several seeds, for instance 0-3: a column each
    #[arg(long, value_name = "LIST", conflicts_with = "seed")]
    seeds: Option<String>,
    /// Start from noise, not from the picture
    #[arg(long, conflicts_with = "from")]
    from_noise: bool,
    /// Largest number of pictures taken from a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: caricature.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    need_layers(&args.layers, &args.model.model)?;
    if !(0.0..=MAX_POWER).contains(&args.power) {
        bail!("--power {}: a number from 0 to {MAX_POWER} is needed", args.power);
    }
    let images = pictures(&args.images, args.limit)?;
    let seeds = args.seeds.as_deref().map(|s| number_list("--seeds", s)).transpose()?.unwrap_or_default();
    let settings =
        settings(context, &args.settings, &args.materials, DEFAULT_PRESET, &args.strength, &seeds)?;
    let paths = out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    let mut results = Results::pictures(paths)
        .and(Role::Raw, "--raw", args.results.raw.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    // A mask needs a start picture. That is the first photo, unless the optimisation starts from noise.
    let own = (!args.from_noise).then(|| images.first().map(String::as_str)).flatten();
    args.materials.start(own)?;
    let job = CaricatureJob {
        images,
        layers: args.layers.clone(),
        power: args.power,
        start: args.materials.from.as_ref().map(|path| path.to_string_lossy().into_owned()),
        from_noise: args.from_noise,
        rendering: args.materials.rendering(settings, args.settings.size_is_chosen(), args.display.how),
        captions: Captions { strengths: args.strength.len() > 1, seeds: args.seeds.is_some() },
    };
    let model = model::load(context, &args.model)?;
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let settings = &job.rendering.work.settings;
    let files: Vec<String> =
        results.listed().into_iter().chain(args.settings.save(&settings[0].preset)?).collect();
    args.results.print(context, &model, &report, &files, started, |r| {
        let mut line = r.line();
        if args.strength.len() > 1 {
            line += &format!(", C = {}", settings[r.setting].preset.weight);
        }
        if args.seeds.is_some() {
            line += &format!(", seed {}", r.seed);
        }
        line
    })
}
