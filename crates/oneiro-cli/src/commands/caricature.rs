//! `oneiro caricature`: a picture with more of what a layer sees in it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{Objective, Term, TermKind};

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs::{caption, need_layers, number_list, out_path, readable, settings};
use crate::sheets::{self, Output};
use oneiro_jobs::job::render::{Job, Options};
use oneiro_jobs::job::sheet::{Row, SheetPlan};
use oneiro_jobs::provenance::{Measure, Photo};
use oneiro_jobs::source::listing::pictures;
use oneiro_jobs::source::references::Files;
use oneiro_jobs::source::stem;

/// The recipe where none is chosen.
const DEFAULT_PRESET: &str = "mahendran16";
/// Where the sheet goes when not chosen.
const DEFAULT_OUT: &str = "caricature.png";
/// The largest power that a cosine may have.
const MAX_POWER: f64 = 20.0;

/// Exaggerate what a layer sees in a picture
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
    /// What the features count beside the regularizers; several make a column each
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "C")]
    strength: Vec<f64>,
    /// Several seeds, for instance 0-3: a column each
    #[arg(long, value_name = "LIST", conflicts_with = "seed")]
    seeds: Option<String>,
    /// Start from noise, not from the picture
    #[arg(long, conflicts_with = "from")]
    from_noise: bool,
    /// At most so many pictures of a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: caricature.png]
    #[arg(long, short, value_name = "FILE.png")]
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
    args.results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let preset = &settings[0].preset;
    let files = Files::new(&model, preset.size)?;
    let photo = |path: &String| Photo { path: path.clone(), caption: stem(path) };
    let mut rows =
        vec![Row { title: "original".into(), photos: images.iter().map(photo).collect(), cells: Vec::new() }];
    for layer in &args.layers {
        let mut row = Row { title: layer.clone(), ..Row::default() };
        for image in &images {
            let own = (!args.from_noise).then_some(image.as_str());
            let start = args.materials.start(&model, preset, own)?;
            let kind = TermKind::Caricature(files.reference(image)?, args.power);
            let objective = Objective::from(Term::new(layer, kind));
            readable(&objective)?;
            for (setting, s) in settings.iter().enumerate() {
                let shown = (images.len() > 1).then_some(image.as_str());
                let strengths = args.strength.len() > 1;
                let caption = caption(shown, s, strengths, args.seeds.is_some());
                let job = Job::new(objective.to_string(), objective.clone());
                row.cells.push((caption, Job { setting, start: start.clone(), ..job }));
            }
        }
        rows.push(row);
    }
    let columns = images.len() * settings.len();
    let extras = args.materials.extras(&model, preset)?;
    let plan = SheetPlan { columns, measure: Measure::Value, rows, settings }.flattened();
    let output = Output {
        paths,
        raw: args.results.raw.as_deref(),
        further: args.settings.placed().into_iter().collect(),
        recipes: args.settings.recipe_file(context).into_iter().collect(),
        options: Options { display: args.display.how, ..Options::default() },
        keep_size: args.settings.size_is_chosen(),
    };
    let (finished, mut files) = sheets::produce(context, &model, &plan, extras, &output)?;
    files.extend(args.settings.save(&plan.settings[0].preset)?);
    args.results.print(context, &model, &finished, &files, started, |r| {
        let mut line = r.line();
        if args.strength.len() > 1 {
            line += &format!(", C = {}", plan.settings[r.setting].preset.weight);
        }
        if args.seeds.is_some() {
            line += &format!(", seed {}", r.seed);
        }
        line
    })
}
