//! `oneiro accentuate`: a picture with more of what makes a unit fire, where it is.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{AnySources, Objective, Term, TermKind, Unit};

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs::{out_path, readable};
use crate::sheets::{self, Output};
use oneiro_jobs::files;
use oneiro_jobs::job::render::{Job, Options, Setting};
use oneiro_jobs::job::sheet::{Row, SheetPlan};
use oneiro_jobs::provenance::{Measure, Photo, UnitReport};
use oneiro_jobs::source::listing::pictures;
use oneiro_jobs::source::references::Files;
use oneiro_jobs::source::stem;

/// The recipe where none is chosen.
const DEFAULT_PRESET: &str = "accentuation";
/// The end of the sheet's name when it is not chosen.
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
    /// The layer whose features are to stay near those of the picture
    #[arg(long, value_name = "LAYER")]
    near: Option<String>,
    /// How much nearness counts, in units of the objective; several make a column each [default: 1 with
    /// --near]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "X", requires = "near")]
    strength: Vec<f64>,
    /// At most so many pictures of a folder
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the sheet goes [default: IMAGE.UNIT.accentuation.png]
    #[arg(long, short, value_name = "FILE.png")]
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
    let units = args.units.iter().map(|u| Ok(u.parse::<Unit>()?)).collect::<Result<Vec<_>>>()?;
    for text in &args.objectives {
        Objective::parse(text, &AnySources)?;
    }
    let mut preset = args.settings.preset_or(context, DEFAULT_PRESET)?;
    args.materials.adapt(context, &args.settings, &mut preset);
    let stems: Vec<String> = images.iter().map(|image| stem(image)).collect();
    let wishes = [&args.units[..], &args.objectives].concat();
    let paths = out_path(context, args.out.as_deref(), &files::named_after(&[&stems, &wishes], RESULT))?;
    args.results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let mut wanted = Vec::new();
    for (unit, text) in units.iter().zip(&args.units) {
        wanted.push((text.clone(), model.objective(unit)?));
    }
    for text in &args.objectives {
        let objective = model.expression(text, preset.size)?;
        wanted.push((objective.to_string(), objective));
    }
    let strengths = match (&args.near, &args.strength[..]) {
        (None, _) => vec![0.0],
        (Some(_), []) => vec![1.0],
        (Some(_), list) => list.to_vec(),
    };
    let files = Files::new(&model, preset.size)?;
    let mut rows = Vec::new();
    for image in &images {
        let start = args.materials.start(&model, &preset, Some(image))?;
        for (name, objective) in &wanted {
            let photo = Photo { path: image.clone(), caption: stem(image) };
            let mut row = Row { title: name.clone(), photos: vec![photo], cells: Vec::new() };
            for &strength in &strengths {
                let mut whole = objective.clone();
                let mut caption = name.clone();
                if let (Some(layer), true) = (&args.near, strength > 0.0) {
                    let near = Term::new(layer, TermKind::Inversion(files.reference(image)?));
                    whole = whole + strength * Objective::from(near);
                    caption = format!("near {layer}: {strength}");
                }
                readable(&whole)?;
                let mut unit = format!("{name} in {}", stem(image));
                if strengths.len() > 1 {
                    unit += &format!(", {caption}");
                }
                row.cells.push((caption, Job { start: start.clone(), ..Job::new(unit, whole) }));
            }
            rows.push(row);
        }
    }
    let columns = 1 + strengths.len();
    let extras = args.materials.extras(&model, &preset)?;
    let settings = vec![Setting { preset, seed: args.settings.seed }];
    let plan = SheetPlan { columns, measure: Measure::Value, rows, settings };
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
    args.results.print(context, &model, &finished, &files, started, UnitReport::line)
}
