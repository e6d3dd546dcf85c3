//! `oneiro dream`: DeepDream, which strengthens the features that a network detects in an image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use oneiro::dream::Zoom;
use oneiro::objective::{AnyNames, Objective, Unit};

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use crate::inputs;
use crate::outputs;
use crate::results::{self, Results, print_json};
use oneiro_jobs::files;
use oneiro_jobs::job::dream::{DreamJob, NOISE, expression};
use oneiro_jobs::job::film_kind::{ENDINGS, FilmKind};
use oneiro_jobs::job::{Place, Role};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::numbers::short;
use oneiro_media::FrameRate;

mod settings;
mod video;

use settings::DreamArgs;

/// Let a network see more of what it sees: dream images
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro dream squeezenet1_1 photo.jpg --layer fire6
  oneiro dream model.onnx photo.jpg --layer conv4_3 --octaves 6 --steps 20 --mask sky.png
  oneiro dream squeezenet1_1 photo.jpg --layer fire7 --guide flowers.jpg
  oneiro dream squeezenet1_1 noise --layer fire8 --preset conveiro-laplacian --size 512x768
  oneiro dream squeezenet1_1 photo.jpg --layer fire6 --size 480 --zoom zoom.mp4 --frames 40
  oneiro dream squeezenet1_1 clip.mp4 --layer fire6 --size 320 --out dream.mp4   # each frame, carried along the motion
  oneiro dream c3d.onnx clip.mp4 --layer conv3 --out dream.webp                  # a network of clips

Steps are in units of 0-255. On an image every preset keeps its colours (--display clip) and its detail (--octave-start
detail); on noise the conveiro presets set the contrast and enlarge what was dreamt, as their source does. A
preset may also be a .toml file with every setting, as --save-preset writes it, or a dream that oneiro made.
`oneiro layers MODEL` lists the layers; the middle of a network gives textures and animals, early layers strokes.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The image or video to dream on, or noise
    #[arg(value_name = "IMAGE|CLIP|noise")]
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
    /// Weights of the layers, followed by the weights of the units
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
    /// Also make a film, each frame of which dreams on an enlarged crop of the last: .apng, .gif,
    /// .webp, .mp4 or .webm; the last two need the program ffmpeg
    #[arg(long, value_name = "FILM")]
    zoom: Option<PathBuf>,
    /// Refused with a word, since `oneiro render` has it
    #[arg(long, hide = true, value_name = "FILM")]
    film: Option<PathBuf>,
    /// Frames of the zoom [default: 30]; of a video, how many of its first frames to dream on [default: all]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    frames: Option<usize>,
    /// Magnification from frame to frame [default: 1.05]
    #[arg(long, allow_negative_numbers = true, value_name = "FACTOR", requires = "zoom")]
    zoom_factor: Option<f64>,
    /// Degrees that the picture turns anticlockwise from frame to frame [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "DEGREES", requires = "zoom")]
    rotate: Option<f64>,
    /// Of a video: share of the last frame's dream, moved with the video, in the start of the next; 0 dreams
    /// on each frame by itself [default: 0.5]
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", conflicts_with = "zoom")]
    blend: Option<f64>,
    /// Frames per second of a zoom [default: 10], or of a dreamt video [default: those of the video, or 10]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    fps: Option<f64>,
    /// Where to write; with --zoom the last frame [default: NAME.dream.png in the current folder,
    /// NAME.zoom.png for a film, NAME.dream.apng for a video]. A video becomes a film: .apng, .gif, .webp,
    /// .mp4 or .webm
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the optimised image, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Default number of frames of a zoom, and default magnification of each.
const FRAMES: usize = 30;
const ZOOM_FACTOR: f64 = 1.05;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let from_noise = args.image.as_os_str() == NOISE;
    if let Some(film) = &args.film {
        bail!(
            "--film {}: a dream on a picture has no film of its steps; --zoom FILM makes one that zooms into it, and a dream on a video \
             is a film itself (--out FILM)",
            film.display()
        );
    }
    let preset = args.settings.preset(from_noise)?;
    check_goal(args)?;
    let zoom = args.zoom.as_ref().map(|_| Zoom {
        frames: args.frames.unwrap_or(FRAMES),
        factor: args.zoom_factor.unwrap_or(ZOOM_FACTOR),
        rotate: args.rotate.unwrap_or(0.0),
    });
    zoom.map_or(Ok(()), |zoom| zoom.check())?;
    args.fps.map_or(Ok(()), |rate| FrameRate::new(rate).map(|_| ()))?;
    let of_clip = !from_noise && inputs::is_clip(&args.image);
    let early = if of_clip { None } else { Some(picture_results(context, args)?) };
    let model = model::load(context, &args.model)?;
    let is_video = of_clip || model.takes_clips();
    let (results, film) = match early.filter(|_| !is_video) {
        Some(early) => early,
        None => video::results(context, args, model.takes_clips())?,
    };
    let mut results = results.and_other(args.settings.placed());
    if !is_video {
        video::refuse(args)?;
    }
    let path = |path: &PathBuf| path.display().to_string();
    let mut job = DreamJob {
        preset,
        unit: String::new(),
        objective: None,
        image: (!from_noise).then(|| path(&args.image)),
        guide: args.guide.as_ref().map(path),
        guide_layers: Vec::new(),
        mask: args.mask.as_ref().map(path),
        zoom,
        rate: args.fps.filter(|_| zoom.is_some()),
        film,
        video: is_video.then(|| video::settings(args)),
        seed: args.seed,
    };
    match &args.guide {
        Some(_) => {
            let weighted = args.layers.iter().enumerate();
            job.guide_layers = weighted.map(|(i, layer)| (layer.clone(), weight(args, i))).collect();
        }
        None => job.objective = Some(objective(args, &model)?.to_string()),
    }
    job.unit = match (&args.layers[..], &args.units[..], &args.guide) {
        ([one], [], None) | ([], [one], None) => one.clone(),
        _ => job.goal_name(),
    };
    let made_from: Vec<&Path> = args.settings.recipe_file().into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let saved = args.settings.save(&job.preset)?;
    if args.json {
        let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
        print_json(context, &model, &report, &files, started)?;
        return Ok(ExitCode::SUCCESS);
    }
    for r in &report.units {
        let at = |place| results.file(place).map_or(String::new(), |file| file.display().to_string());
        let place = if is_video { Place::film(0) } else { Place::picture(0) };
        let mut line = format!(
            "{}: {} -> {} in {} steps, written to {}",
            r.unit,
            short(r.value_at_start),
            short(r.value),
            r.steps,
            at(place)
        );
        if let Some(film) = &args.zoom {
            line += &format!(", the film to {}", film.display());
        }
        context.print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the picture and the film of its zoom go.
fn picture_results(context: &Context, args: &Args) -> Result<(Results, Option<FilmKind>)> {
    let film = args.zoom.as_deref().map(film_format).transpose()?;
    let results = Results::pictures(out_path(context, args)?)
        .and(Role::Film, "--zoom", args.zoom.as_ref())
        .and(Role::Raw, "--raw", args.raw.as_ref());
    results.check_writable()?;
    Ok((results, film))
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
        Objective::parse(text, &AnyNames)?;
    }
    Ok(())
}

fn weight(args: &Args, index: usize) -> f64 {
    args.weights.get(index).copied().unwrap_or(1.0)
}

/// The sum of layers and units, each with its weight.
fn objective(args: &Args, model: &LoadedModel) -> Result<Objective> {
    if let Some(text) = &args.objective {
        return Ok(expression(model, text)?);
    }
    let layers = args.layers.iter().map(|layer| Ok(Objective::layer(layer.clone())));
    let units = args.units.iter().map(|unit| model.objective(&unit.parse()?));
    let weighted = |(i, term): (usize, oneiro_jobs::Result<Objective>)| -> Result<Objective> {
        Ok(match weight(args, i) {
            1.0 => term?,
            weight => weight * term?,
        })
    };
    let terms = layers.chain(units).enumerate().map(weighted).collect::<Result<Vec<_>>>()?;
    terms.into_iter().reduce(|sum, term| sum + term).context("nothing to dream of")
}

fn film_format(path: &Path) -> Result<FilmKind> {
    if path.is_dir() {
        bail!("--zoom {}: that is a folder; name a file", path.display());
    }
    FilmKind::of_name(path)
        .with_context(|| format!("--zoom {}: films are {ENDINGS}; use such a name", path.display()))
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
