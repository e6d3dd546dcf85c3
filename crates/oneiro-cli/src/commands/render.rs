//! `oneiro render`: optimises pictures for units or objectives.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{AnySources, Objective, Unit};

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::settings::RenderArgs;
use crate::collisions::{self, placed};
use crate::context::Context;
use crate::outputs;
use oneiro_jobs::files;
use oneiro_jobs::job::render::display::{self, Display};
use oneiro_jobs::job::render::{Job, Options, Setting, largest_value, prepare, render_all, write_raw};
use oneiro_jobs::model::health::require_healthy;
use oneiro_jobs::numbers::short;
use oneiro_jobs::provenance::{UnitReport, png_text, source_names};
use oneiro_jobs::source::listing::pictures;

/// Show what units of a network look for, by optimising pictures for them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro render squeezenet1_1 --unit class:goldfish --out goldfish.png
  oneiro render model.onnx --unit layer3.0.conv2:17 --unit layer3.0.conv2:18 --out pictures/
  oneiro render model.onnx --unit \"conv4:5@center\" --size 160 --steps 256
  oneiro render squeezenet1_1 --unit class:goldfish --film goldfish.gif
  oneiro render model.onnx --objective \"channel(conv4,5) - 0.5*channel(conv4,9)\" --out difference.png

An expression may name classes: --objective \"logit(goldfish) - 0.5*logit(tench)\".
A unit is LAYER:CHANNEL, LAYER:CHANNEL@Y,X (one position; @center), LAYER (the whole layer) or class:NAME.
`oneiro layers MODEL` lists the layers.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A unit to visualize; may be repeated
    #[arg(long = "unit", short = 'u', value_name = "UNIT")]
    units: Vec<String>,
    /// An expression to maximise, instead of or beside units; may be repeated
    #[arg(long = "objective", allow_hyphen_values = true, value_name = "EXPR")]
    objectives: Vec<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Pictures whose largest activation of each unit weighs the unit in recipes that divide by it
    /// (mahendran16, mahendran15)
    #[arg(long, value_name = "FOLDER")]
    data: Vec<PathBuf>,
    /// So many pictures of each unit, from different noise; diversity() and alignment() join them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    batch: u16,
    /// Where to write: a .png file for one picture, a folder for several
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Also keep the optimisation as a film: .png or .apng (animated PNG) or .gif; a folder for several units
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    /// Also measure what of the objective survives JPEG, a shift and a turn
    #[arg(long)]
    robustness: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.units.is_empty() && args.objectives.is_empty() {
        bail!("nothing to render: give --unit (for instance --unit class:goldfish) or --objective");
    }
    if let (Some(film), Display::AutoShared) = (&args.film, args.display.how) {
        bail!(
            "--film {}: what all pictures have in common is known only at the end; use --display auto, or LOW..HIGH",
            film.display()
        );
    }
    let mut preset = args.settings.preset(context)?;
    args.materials.adapt(context, &args.settings, &mut preset);
    let units = args.units.iter().map(|u| Ok(u.parse::<Unit>()?)).collect::<Result<Vec<_>>>()?;
    for text in &args.objectives {
        // Slips are found before the model is read, which alone knows its classes.
        Objective::parse(text, &AnySources)?;
    }
    let model = model::load(context, &args.model)?;
    let mut objectives = Vec::new();
    for (unit, text) in units.iter().zip(&args.units) {
        objectives.push((text.clone(), model.objective(unit)?));
    }
    for text in &args.objectives {
        let objective = model.expression(text, preset.size)?;
        objectives.push((objective.to_string(), objective));
    }
    let units: Vec<(&str, &Objective)> = objectives.iter().map(|(name, o)| (name.as_str(), o)).collect();
    require_healthy(context, &model, &units, preset.size)?;
    let start = args.materials.start(&model, &preset, None)?;
    let pictures = pictures(&args.data, None)?;
    if preset.unit_weight.is_none() && !pictures.is_empty() {
        bail!("--data: the recipe {} has no use for activations; mahendran16 has", preset.name);
    }
    let mut settings = Vec::new();
    let mut jobs = Vec::new();
    for (unit, objective) in objectives {
        let mut preset = preset.clone();
        if !pictures.is_empty() {
            let largest = largest_value(context, &model, &objective, preset.size, &pictures)?;
            if !(largest.is_finite() && largest > 0.0) {
                bail!(
                    "--data: the largest value of {unit} over the pictures is {largest}, which weighs nothing"
                );
            }
            context.note(&format!("the largest value of {unit} over the pictures is {}", short(largest)));
            preset.max_activation = largest;
        }
        let setting = Setting { preset, seed: args.settings.seed };
        let setting = settings.iter().position(|s| *s == setting).unwrap_or_else(|| {
            settings.push(setting);
            settings.len() - 1
        });
        if objective.couples() && args.batch < 2 {
            bail!("{objective}: it compares the pictures of a batch with each other; give --batch 2 or more");
        }
        for n in 0..args.batch {
            let unit = if n == 0 { unit.clone() } else { format!("{unit} #{n}") };
            let copy = usize::from(n);
            jobs.push(Job { start: start.clone(), copy, setting, ..Job::new(unit, objective.clone()) });
        }
    }
    let names: Vec<String> = jobs.iter().map(|j| j.unit.clone()).collect();
    let paths = outputs::picture_paths(context, args.out.as_deref(), &names)?;
    let films = args.film.as_ref().map(|film| outputs::film_paths(film, &names)).transpose()?;
    paths.check_writable()?;
    films.as_ref().map_or(Ok(()), |(films, _)| films.check_writable())?;
    args.raw.as_deref().map_or(Ok(()), files::check_writable)?;
    let extras = args.materials.extras(&model, &preset)?;
    let work = prepare(context, &model, settings, jobs, extras, args.settings.size_is_chosen())?;
    let sources = source_names(&work, &work.jobs.iter().collect::<Vec<_>>());
    let made_from = sources.iter().chain(&pictures).map(Path::new).chain(args.settings.recipe_file(context));
    let drawn = paths.files.iter().map(|file| ("--out", file.as_path()));
    let filmed = films.iter().flat_map(|(films, _)| &films.files).map(|file| ("--film", file.as_path()));
    let results = drawn.chain(filmed).chain(placed("--raw", args.raw.as_ref())).chain(args.settings.placed());
    collisions::check(context, Some(&model), made_from, results)?;
    let format = films.as_ref().map(|(_, format)| *format);
    let options = Options { robustness: args.robustness, film: format, display: args.display.how };
    let mut finished = render_all(context, &work, &options)?;
    display::pin_shared(&mut finished);
    paths.create_folder()?;
    for (i, (result, path)) in finished.iter().zip(&paths.files).enumerate() {
        oneiro_media::write_atomic(path, &result.encode(&png_text(&work, i, &result.report)?)?)?;
    }
    let films = films.map(|(films, _)| films);
    if let Some(films) = &films {
        films.create_folder()?;
        for (result, path) in finished.iter().zip(&films.files) {
            oneiro_media::write_atomic(path, result.film.as_deref().unwrap_or_default())?;
        }
    }
    if let Some(path) = &args.raw {
        write_raw(path, &finished)?;
    }
    let saved = args.settings.save(&preset)?;
    if args.json {
        let mut files: Vec<String> = paths.files.iter().map(|p| p.display().to_string()).collect();
        let films = films.iter().flat_map(|f| &f.files);
        files.extend(films.chain(&args.raw).map(|p| p.display().to_string()));
        files.extend(saved);
        let units: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
        let seconds = started.elapsed().as_secs_f64();
        let mut object = serde_json::json!({ "units": units, "files": files, "seconds": seconds });
        model.add_to(&mut object);
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        for (i, (result, path)) in finished.iter().zip(&paths.files).enumerate() {
            let r = &result.report;
            let mut line = format!(
                "{}: {} -> {} in {} {} ({}), written to {}",
                r.unit,
                short(r.value_at_start),
                short(r.value),
                r.steps,
                if r.steps == 1 { "step" } else { "steps" },
                r.stop,
                path.display()
            );
            if let Some(film) = films.as_ref().and_then(|f| f.files.get(i)) {
                line += &format!(", the film to {}", film.display());
            }
            if let Some(x) = &r.robustness {
                let kept = |v: f64| format!("{:.0} %", 100.0 * v / r.value);
                line += &format!(
                    "; keeps {} as JPEG-90, {} shifted, {} turned",
                    kept(x.jpeg90),
                    kept(x.shift4),
                    kept(x.turn5)
                );
            }
            context.print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
