//! The command `oneiro accentuate`: changes a picture so that it excites a unit more, but stays close to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{AnyNames, Objective, Unit};
use oneiro_jobs::files;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::named_objective::NamedObjective;
use oneiro_jobs::job::preimage::AccentuationJob;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::render::report::UnitReport;
use oneiro_jobs::source::listing::pictures;
use oneiro_jobs::source::stem;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs::out_path;
use crate::results::{self, Results};

/// Name of the preset that is used if no flag chooses one.
const DEFAULT_PRESET: &str = "accentuation";
/// Part of the output file's default name: IMAGE.UNIT.accentuation.png.
const RESULT: &str = "accentuation";

/// Accentuate what in a picture makes a unit fire, staying near the picture
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro accentuate squeezenet1_1 cat.png --unit class:tabby --out cat-more.png
  oneiro accentuate squeezenet1_1 cat.png --unit class:tabby --near fire5 --strength 0,1,10,100
  oneiro accentuate squeezenet1_1 cat.png --objective \"-logit(tabby)\" --near fire5

Each --strength makes a column: how much the features of the layer --near are held at those of the picture
(Hamblin et al., \"Feature Accentuation\", 2024).")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pictures, or folders of them
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// A unit to accentuate; may be repeated, a row each
    #[arg(long = "unit", short = 'u', value_name = "UNIT")]
    units: Vec<String>,
    /// An expression to raise, instead of or beside units
    #[arg(long = "objective", allow_hyphen_values = true, value_name = "EXPR")]
    objectives: Vec<String>,
    /// The layer whose features stay near the picture's features
    #[arg(long, value_name = "LAYER")]
    near: Option<String>,
    /// Weight of the distance to the picture's features, in units of the objective; each value makes a column
    /// [default: 1 with --near]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "X", requires = "near")]
    strength: Vec<f64>,
    /// Largest number of pictures taken from a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: IMAGE.UNIT.accentuation.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.units.is_empty() && args.objectives.is_empty() {
        bail!("nothing to accentuate: give --unit (for instance --unit class:goldfish) or --objective");
    }
    if let Some(bad) = args.strength.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
        bail!("--strength {bad}: a number that is not negative is needed");
    }
    let images = pictures(&args.images, args.limit)?;
    for unit in &args.units {
        unit.parse::<Unit>()?;
    }
    for text in &args.objectives {
        Objective::parse(text, &AnyNames)?;
    }
    let mut preset = args.settings.preset_or(context, DEFAULT_PRESET)?;
    args.materials.adapt(context, &args.settings, &mut preset);
    let stems: Vec<String> = images.iter().map(|image| stem(image)).collect();
    let names = [&args.units[..], &args.objectives].concat();
    let paths = out_path(context, args.out.as_deref(), &files::named_after(&[&stems, &names], RESULT))?;
    let mut results = Results::pictures(paths)
        .and(Role::Raw, "--raw", args.results.raw.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    let strengths = match (&args.near, &args.strength[..]) {
        (None, _) => vec![0.0],
        (Some(_), []) => vec![1.0],
        (Some(_), list) => list.to_vec(),
    };
    let model = model::load(context, &args.model)?;
    let mut objectives: Vec<NamedObjective> = args.units.iter().cloned().map(NamedObjective::unit).collect();
    for text in &args.objectives {
        // The name of an expression is its canonical text.
        let objective = model.expression(text, preset.size)?;
        objectives
            .push(NamedObjective { unit: model.named(&objective), objective: Some(objective.to_string()) });
    }
    let settings = vec![Setting { preset: preset.clone(), seed: args.settings.seed }];
    let job = AccentuationJob {
        images,
        objectives,
        near: args.near.clone(),
        strengths,
        start: args.materials.from.as_ref().map(|path| path.to_string_lossy().into_owned()),
        rendering: args.materials.rendering(settings, args.settings.size_is_chosen(), args.display.how),
    };
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let files: Vec<String> = results.listed().into_iter().chain(args.settings.save(&preset)?).collect();
    args.results.print(context, &model, &report, &files, started, UnitReport::line)
}
