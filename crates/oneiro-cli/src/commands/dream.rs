//! `oneiro dream`: lets a network see more of what it sees in an image.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use oneiro::dream::{Goal, Guide, Start, Zoom};
use oneiro::objective::{AnySources, Objective, Unit};

use crate::args::model::{self, ModelArgs};
use crate::collisions::{self, Placed, placed};
use crate::context::Context;
use crate::outputs;
use oneiro_jobs::files;
use oneiro_jobs::job::dream::{self, Inputs, Materials, NOISE, Record, mask_of};
use oneiro_jobs::job::render::film::Format;
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::numbers::short;
use oneiro_jobs::source::references::SourceFile;
use oneiro_jobs::tensors::{RawTensor, write_tensors};

mod settings;

use settings::DreamArgs;

/// Let a network see more of what it sees: dream images
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro dream squeezenet1_1 photo.jpg --layer fire6
  oneiro dream model.onnx photo.jpg --layer conv4_3 --octaves 6 --steps 20 --mask sky.png
  oneiro dream squeezenet1_1 photo.jpg --layer fire7 --guide flowers.jpg
  oneiro dream squeezenet1_1 noise --layer fire8 --preset conveiro-laplacian --size 512x768
  oneiro dream squeezenet1_1 photo.jpg --layer fire6 --size 480 --zoom zoom.gif --frames 40

Steps are in units of 0-255. On an image every preset keeps its colours (--display clip) and its detail (--octave-start
detail); on noise the conveiro presets set the contrast and enlarge what was dreamt, as their source does. A preset may also be a .toml file with every setting, as `oneiro info` prints them.
`oneiro layers MODEL` lists the layers; the middle of a network gives textures and animals, early layers strokes.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The image to dream on, or noise
    #[arg(value_name = "IMAGE|noise")]
    image: PathBuf,
    /// A layer whose mean square is maximised; may be repeated
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// A unit to maximise, such as LAYER:CHANNEL or class:NAME; may be repeated
    #[arg(long = "unit", short = 'u', value_name = "UNIT")]
    units: Vec<String>,
    /// An expression to maximise, such as "layer(fire5) + 0.5*channel(fire8,3)"
    #[arg(long, allow_hyphen_values = true, value_name = "EXPR")]
    objective: Option<String>,
    /// What each layer, then each unit counts
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "W,W,…")]
    weights: Vec<f64>,
    /// Dream of the features that this image has at the layers
    #[arg(long, visible_alias = "control", value_name = "IMAGE")]
    guide: Option<PathBuf>,
    /// Dream only where this image is white
    #[arg(long, value_name = "IMAGE")]
    mask: Option<PathBuf>,
    #[command(flatten)]
    settings: DreamArgs,
    /// Seed of all random numbers
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    seed: u64,
    /// Also make a film, each frame of which dreams on an enlarged crop of the last: .png, .apng or .gif
    #[arg(long, value_name = "FILM")]
    zoom: Option<PathBuf>,
    /// Frames of the zoom [default: 30]
    #[arg(long, allow_negative_numbers = true, value_name = "N", requires = "zoom")]
    frames: Option<usize>,
    /// How much larger things are from frame to frame [default: 1.05]
    #[arg(long, allow_negative_numbers = true, value_name = "FACTOR", requires = "zoom")]
    zoom_factor: Option<f64>,
    /// Degrees that the picture turns anticlockwise from frame to frame [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "DEGREES", requires = "zoom")]
    rotate: Option<f64>,
    /// Where to write; with --zoom the last frame [default: NAME.dream.png in the current folder,
    /// NAME.zoom.png for a film]
    #[arg(long, short, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Also write the optimised image, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Frames of a zoom where nobody says how many, and how much each enlarges.
const FRAMES: usize = 30;
const ZOOM_FACTOR: f64 = 1.05;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let from_noise = args.image.as_os_str() == NOISE;
    let preset = args.settings.preset(from_noise)?;
    check_goal(args)?;
    let zoom = args.zoom.as_ref().map(|_| Zoom {
        frames: args.frames.unwrap_or(FRAMES),
        factor: args.zoom_factor.unwrap_or(ZOOM_FACTOR),
        rotate: args.rotate.unwrap_or(0.0),
    });
    zoom.map_or(Ok(()), |zoom| zoom.check())?;
    let film = args.zoom.as_deref().map(film_format).transpose()?;
    let paths = out_path(context, args)?;
    let out = &paths.files[0];
    paths.check_writable()?;
    for path in [&args.zoom, &args.raw].into_iter().flatten() {
        files::check_writable(path)?;
    }
    let read = |path: &PathBuf| dream::read(path);
    let image = (!from_noise).then(|| read(&args.image)).transpose()?;
    let mask = args.mask.as_ref().map(read).transpose()?;
    let guide = args.guide.as_ref().map(read).transpose()?;

    let model = model::load(context, &args.model)?;
    let made_from = (!from_noise).then_some(&args.image).into_iter().chain(&args.guide).chain(&args.mask);
    let made_from = made_from.map(PathBuf::as_path).chain(args.settings.recipe_file());
    let results = [
        placed("--out", Some(out)),
        placed("--zoom", args.zoom.as_ref()),
        placed("--raw", args.raw.as_ref()),
    ];
    let results: Vec<Placed<'_>> = results.into_iter().flatten().collect();
    collisions::check(context, Some(&model), made_from, results.iter().copied())?;
    let (goal, guide_file, guide_layers) = match guide {
        Some((file, image)) => {
            let layers: Vec<(String, f64)> =
                args.layers.iter().enumerate().map(|(i, l)| (l.clone(), weight(args, i))).collect();
            (Goal::Guide(Guide { layers: layers.clone(), image }), Some(file), layers)
        }
        None => (Goal::Objective(objective(args, &model)?), None, Vec::new()),
    };
    if let Goal::Objective(objective) = &goal
        && objective.terms().iter().any(|t| t.at_output())
    {
        check_classes(context, &model, objective)?;
    }
    let split = |file: Option<(SourceFile, oneiro::dream::Image)>| {
        file.map_or((None, None), |(f, i)| (Some(f), Some(i)))
    };
    let (image_file, image) = split(image);
    let (mask_file, mask) = split(mask);
    let record = Record {
        preset,
        unit: unit_name(args, &goal),
        objective: goal.to_string(),
        inputs: Inputs { image: image_file, guide: guide_file, guide_layers, mask: mask_file },
        zoom,
        seed: args.seed,
        is_film: false,
    };
    let materials = Materials {
        goal,
        start: image.map_or(Start::Noise, Start::Image),
        mask: mask.map(|image| mask_of(&image)),
    };
    let dreamt = match (&args.zoom, film) {
        (Some(path), Some(format)) => {
            let mut dreamt = None;
            oneiro_media::write_atomic_with(path, |file: &mut dyn Write| -> Result<()> {
                dreamt = Some(dream::run(context, &model, &record, materials, Some((format, file)))?);
                Ok(())
            })?;
            dreamt.context("the dream did not end")?
        }
        _ => dream::run(context, &model, &record, materials, None)?,
    };
    paths.create_folder()?;
    oneiro_media::write_png(out, &dreamt.picture, &record.text(&model, Some(&dreamt.report))?)?;
    if let Some(path) = &args.raw {
        let shape = vec![3, dreamt.raw.height, dreamt.raw.width];
        let tensor = RawTensor { name: format!("{}/0", dreamt.input), shape, data: dreamt.raw.rgb };
        let units = serde_json::to_string(&[&dreamt.report])?;
        write_tensors(path, &[tensor], HashMap::from([("units".to_owned(), units)]))?;
    }
    let r = &dreamt.report;
    if args.json {
        let written: Vec<String> = results.iter().map(|(_, path)| path.display().to_string()).collect();
        let seconds = started.elapsed().as_secs_f64();
        let mut object = serde_json::json!({ "units": [r], "files": written, "seconds": seconds });
        model.add_to(&mut object);
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        let mut line = format!(
            "{}: {} -> {} in {} steps, written to {}",
            r.unit,
            short(r.value_at_start),
            short(r.value),
            r.steps,
            out.display()
        );
        if let Some(film) = &args.zoom {
            line += &format!(", the film to {}", film.display());
        }
        context.print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Slips that are found before the model is read.
fn check_goal(args: &Args) -> Result<()> {
    let count = args.layers.len() + args.units.len();
    if count == 0 && args.objective.is_none() {
        bail!("nothing to dream of: give --layer (`oneiro layers MODEL` lists them), --unit or --objective");
    }
    if args.objective.is_some() && count > 0 {
        bail!(
            "--objective says all that is maximised: put layers and units into it, as layer(NAME) and channel(NAME,C)"
        );
    }
    if !args.weights.is_empty() && args.weights.len() != count {
        bail!("--weights has {} numbers for {count} layers and units; give one for each", args.weights.len());
    }
    if let Some(weight) = args.weights.iter().find(|w| !w.is_finite()) {
        bail!("--weights {weight}: a finite number is needed");
    }
    if args.guide.is_some() && (args.layers.is_empty() || !args.units.is_empty() || args.objective.is_some())
    {
        bail!("--guide is followed at layers: give --layer, and neither --unit nor --objective");
    }
    for unit in &args.units {
        unit.parse::<Unit>()?;
    }
    if let Some(text) = &args.objective {
        Objective::parse(text, &AnySources)?;
    }
    Ok(())
}

fn weight(args: &Args, index: usize) -> f64 {
    args.weights.get(index).copied().unwrap_or(1.0)
}

/// The sum of layers and units, each with its weight.
fn objective(args: &Args, model: &LoadedModel) -> Result<Objective> {
    if let Some(text) = &args.objective {
        return model.expression_of_classes(text, "a dream cannot compare with a picture; --guide does");
    }
    let layers = args.layers.iter().map(|layer| Ok(Objective::layer(layer.clone())));
    let units = args.units.iter().map(|unit| model.objective(&unit.parse()?));
    let weighted = |(i, term): (usize, Result<Objective>)| -> Result<Objective> {
        Ok(match weight(args, i) {
            1.0 => term?,
            weight => weight * term?,
        })
    };
    let terms = layers.chain(units).enumerate().map(weighted).collect::<Result<Vec<_>>>()?;
    terms.into_iter().reduce(|sum, term| sum + term).context("nothing to dream of")
}

/// Classes have names only where the labels are the network's.
fn check_classes(context: &Context, model: &LoadedModel, objective: &Objective) -> Result<()> {
    let shapes = model.model.input_shapes(1, None)?;
    let objectives = std::slice::from_ref(objective);
    let probe =
        context.compute(|| oneiro::probe::Probe::new(&model.model, objectives, &[], shapes, false))?;
    let classes = match objective.terms().into_iter().find(|term| term.at_output()) {
        Some(term) => {
            probe.shape_of(model.model.target_of(term)?).and_then(|s| s.first().copied()).unwrap_or(0)
        }
        None => 0,
    };
    model.say_output(context);
    Ok(model.check_labels(classes)?)
}

/// What was dreamt of as the person said it.
fn unit_name(args: &Args, goal: &Goal) -> String {
    match (&args.layers[..], &args.units[..], &args.guide) {
        ([one], [], None) | ([], [one], None) => one.clone(),
        _ => goal.to_string(),
    }
}

fn film_format(path: &Path) -> Result<Format> {
    if path.is_dir() {
        bail!("--zoom {}: that is a folder; name a file", path.display());
    }
    Format::of_name(path).with_context(|| {
        format!(
            "--zoom {}: films are animated PNG (.png, .apng) or GIF (.gif); use such a name",
            path.display()
        )
    })
}

/// Where the picture goes: the file given, else one named after the image.
fn out_path(context: &Context, args: &Args) -> Result<files::PicturePaths> {
    let stem = args.image.file_stem().map_or("picture".into(), |s| s.to_string_lossy());
    let name = format!("{stem}.{}", if args.zoom.is_some() { "zoom" } else { "dream" });
    match &args.out {
        Some(out) => outputs::picture_paths(context, Some(out), &[name]),
        None => Ok(outputs::default_path(context, &format!("{name}.png"))),
    }
}
