//! `oneiro attribute`: what of images, or of a clip, made a unit fire, as heat maps.

mod clips;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::attribution::{AttributionTarget, Baseline, Method, Settings, grad_cam};
use oneiro::objective::{AnyNames, Objective};

use crate::args::clips::FlowArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::size::parse_size;
use crate::context::Context;
use crate::inputs;
use crate::results::{self, Results, print_json};
use oneiro_jobs::job::Role;
use oneiro_jobs::job::attribution::{AttributionJob, AttributionSettings, ImageRequest, MapReport};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::model::unit_list::UnitList;
use oneiro_jobs::numbers::short;
use oneiro_jobs::source::framing::check_crop;

/// Where the sheet goes when not chosen.
const DEFAULT_OUT: &str = "attribution.png";
/// Stands for every method.
const ALL: &str = "all";

/// Show what of an image or clip made a unit fire, as heat maps by several methods
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro attribute squeezenet1_1 cat.jpg --out cat.png               # why the class that the network sees
  oneiro attribute squeezenet1_1 cat.jpg dog.jpg --unit class:tabby --overlay
  oneiro attribute squeezenet1_1 cat.jpg --unit class:tabby,tiger_cat --objective \"logit(tabby) - logit(tiger_cat)\"
  oneiro attribute model.onnx cat.jpg --unit \"conv4_3:5@7,9\" --method integrated-gradients --steps 200
  oneiro attribute model.onnx cat.jpg --method all --raw maps.safetensors --json
  oneiro attribute c3d.onnx clip.mp4 --out heat.webp             # a film; heat.png: a strip of its frames
  oneiro attribute twostream.onnx clip.mp4 --flow clip.npz --method integrated-gradients --out heat.mp4

METHOD is gradient, gradient-x-input, integrated-gradients, smoothgrad, smoothgrad-squared, vargrad, grad-cam, occlusion,
guided, deconv, or all. Without --method: gradient, smoothgrad, integrated-gradients, grad-cam, occlusion and guided.
All of them work on clips and flow; a network whose card has inputs of kind clip or flow takes a video, as `oneiro
classify` does, and the result is a film with a row for each input.
The maps are of the objective's value, in the image's units (0 black, 1 white). docs/attribution.md says what each can
and cannot say; none of them is proof.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Image files, a row each; for networks of clips: one video, animation or folder of frames
    #[arg(required = true, value_name = "IMAGE|CLIP")]
    images: Vec<PathBuf>,
    /// A unit to explain, or several: class:tabby,tiger_cat; may be repeated, each gets a row for each image
    /// [default: for each image the class that the network sees in it]
    #[arg(long = "unit", short, value_name = "UNIT", value_parser = UnitList::parse)]
    units: Vec<UnitList>,
    /// An expression to explain, instead of or beside units; may be repeated
    #[arg(long = "objective", allow_hyphen_values = true, value_name = "EXPR")]
    objectives: Vec<String>,
    /// A method; may be repeated
    #[arg(long = "method", short, value_delimiter = ',', value_name = "METHOD")]
    methods: Vec<String>,
    /// Points on the path of integrated gradients [default: 50]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = count())]
    steps: Option<u32>,
    /// Baseline of integrated gradients and gradient-x-input: black, mean, blur or noise [default: black]
    #[arg(long, value_name = "KIND")]
    baseline: Option<Baseline>,
    /// Noisy copies for smoothgrad and its kind [default: 50]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = count())]
    samples: Option<u32>,
    /// Deviation of their noise, as a share of the image's range [default: 0.15]
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE")]
    noise: Option<f64>,
    /// Size of the occluding window in pixels [default: an eighth of the image's side or a quarter of a
    /// clip's, as two halves that are rounded up: 30 of 227]
    #[arg(long, allow_negative_numbers = true, value_name = "N|HxW", value_parser = parse_size)]
    window: Option<[usize; 2]>,
    /// Frames, or flow fields, of the occluding window [default: a quarter of the clip's]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = count())]
    window_frames: Option<u32>,
    /// Pixels from one window to the next [default: half a window]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = count())]
    window_stride: Option<u32>,
    /// Of a clip: distance of its frames, and of its flow fields, in frames of the video [default: 1]. Of
    /// images: the same as --window-stride
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = count(), conflicts_with = "window_stride")]
    stride: Option<u32>,
    #[command(flatten)]
    flow: FlowArgs,
    /// Filling of the covering window: black, mean, blur or noise [default: mean]
    #[arg(long, value_name = "KIND")]
    fill: Option<Baseline>,
    /// Layer of grad-cam [default: the last map before the unit that has a gradient]
    #[arg(long, value_name = "LAYER")]
    cam_layer: Option<String>,
    /// Seed of all noise
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "N")]
    seed: u64,
    /// Size at which the network sees the image [default: the model's]
    #[arg(long, allow_negative_numbers = true, value_name = "N|HxW", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// Share of the scaled image's shorter side that the crop keeps, as for `oneiro classify`
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION", conflicts_with = "full")]
    crop: Option<f64>,
    /// Show the network the whole image, squeezed to its size
    #[arg(long)]
    full: bool,
    /// Draw the maps over the photo in grey; over clips they always are
    #[arg(long)]
    overlay: bool,
    /// Frames per second of a clip's film [default: 10]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    fps: Option<f64>,
    /// Where to write [default: attribution.png; of a clip attribution.apng]. Of a clip, .apng, .gif, .webp,
    /// .mp4 and .webm are films, .png and .jpg a strip of frames
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the maps and signed values as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Passes, samples and pixels: more than a million is a slip.
fn count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let methods = methods(&args.methods)?;
    // The network says whether --stride is that of windows or of frames.
    settings(args, args.window_stride, &methods)?;
    check_crop(args.crop)?;
    for text in &args.objectives {
        // Slips are found before the model is read, which alone knows its classes.
        Objective::parse(text, &AnyNames)?;
    }
    let video = args.images.iter().find(|path| inputs::is_clip(path));
    // Photos that can't be read, and places that can't be written, are found before the model is.
    let images = match video {
        Some(_) => None,
        None => Some(image_results(context, args)?),
    };
    let model = model::load(context, &args.model)?;
    if model.takes_clips() {
        return clips::run(context, args, &model, methods, started);
    }
    args.flow.refuse(&model)?;
    if let Some(path) = video {
        if path.is_dir() {
            oneiro_media::read_image(path)?;
        }
        bail!(
            "{}: {} takes images, and this is a clip; heat maps of clips are for networks whose card has an input of kind clip or flow",
            path.display(),
            model.source
        );
    }
    for (flag, given) in [("--window-frames", args.window_frames.is_some()), ("--fps", args.fps.is_some())] {
        if given {
            bail!("{flag} is for networks of clips or optical flow, and {} takes images", model.source);
        }
    }
    let settings = settings(args, args.window_stride.or(args.stride), &methods)?;
    let mut results = images.map_or_else(|| image_results(context, args), Ok)?;
    let asked = asked(context, &model, args)?;
    let target = |objective: &Objective| AttributionTarget::new(&model.model, objective, args.size);
    let methods = possible(context, args, &asked, methods, target)?;
    let recipe = AttributionSettings {
        title: model.title.clone(),
        methods,
        size: args.size,
        full: args.full,
        crop: args.crop,
        overlay: args.overlay,
        settings,
    };
    let request = |path: &PathBuf, asked: Option<&(String, Objective)>| ImageRequest {
        file: path.display().to_string(),
        unit: asked.map(|(unit, _)| unit.clone()),
        objective: asked.map(|(_, objective)| objective.to_string()),
        label: None,
    };
    let images = args.images.iter().flat_map(|path| match &asked[..] {
        [] => vec![request(path, None)],
        asked => asked.iter().map(|asked| request(path, Some(asked))).collect(),
    });
    let job = AttributionJob { recipe, images: images.collect() };
    let report = results::run(context, Some(&model), &job, &mut results, &[], None)?;
    if args.json {
        print_json(context, &model, &report, &results.listed(), started)?;
        return Ok(ExitCode::SUCCESS);
    }
    for report in &report.images {
        context.print(&format!("{}: {}, value {}", report.file, report.label, short(report.value)))?;
        report.maps.iter().try_for_each(|map| context.print(&line(map)))?;
    }
    context.print(&format!("written to {}", results.listed()[0]))?;
    Ok(ExitCode::SUCCESS)
}

/// What is printed of a map.
fn line(map: &MapReport) -> String {
    let gap = map.completeness_gap.map_or(String::new(), |g| format!(", gap {:.1} %", 100.0 * g));
    let layer = map.layer.as_ref().map_or(String::new(), |l| format!(", at {l}"));
    let [y, x] = map.centroid.map(|c| 100.0 * c);
    // A map without a sign has nothing against the unit.
    let share = match map.method.is_signed() {
        true => format!(", {:.0} % for it", 100.0 * map.positive_share),
        false => String::new(),
    };
    let (method, entropy) = (map.method.name(), map.entropy);
    format!("  {method:20} centre {x:.0} % right, {y:.0} % down, entropy {entropy:.2}{share}{gap}{layer}")
}

/// Where the sheet and the maps of images go. Images that cannot be read are an error.
fn image_results(context: &Context, args: &Args) -> Result<Results> {
    let paths = inputs::out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    let results = Results::pictures(paths).and(Role::Raw, "--raw", args.raw.as_ref());
    results.check_writable()?;
    for path in &args.images {
        oneiro_media::read_image(path)?;
    }
    Ok(results)
}

/// The methods without Grad-CAM where it has nothing to look at, unless somebody named it or its layer.
fn possible<'m>(
    context: &Context,
    args: &Args,
    asked: &[(String, Objective)],
    mut methods: Vec<Method>,
    target: impl Fn(&Objective) -> oneiro::Result<AttributionTarget<'m>> + Sync,
) -> Result<Vec<Method>> {
    let named = args.methods.iter().any(|m| m == Method::GradCam.name());
    if args.cam_layer.is_some() || named || !methods.contains(&Method::GradCam) {
        return Ok(methods);
    }
    let predicted = [(String::new(), Objective::logit(0))];
    for (_, objective) in if asked.is_empty() { &predicted } else { asked } {
        let target = context.compute(|| target(objective))?;
        if let Err(why) = grad_cam::check_default(&target) {
            context.note(&format!("left out: {why}"));
            methods.retain(|&m| m != Method::GradCam);
            break;
        }
    }
    Ok(methods)
}

/// The methods named, each once.
fn methods(names: &[String]) -> Result<Vec<Method>> {
    if names.is_empty() {
        return Ok(Method::USUAL.to_vec());
    }
    let mut methods = Vec::new();
    for name in names {
        let named = if name == ALL { Method::ALL.to_vec() } else { vec![name.trim().parse::<Method>()?] };
        named.into_iter().for_each(|m| {
            if !methods.contains(&m) {
                methods.push(m)
            }
        });
    }
    Ok(methods)
}

/// The settings; a flag that no chosen method reads is an error.
fn settings(args: &Args, window_stride: Option<u32>, methods: &[Method]) -> Result<Settings> {
    use Method::{
        GradCam, GradientXInput, IntegratedGradients, Occlusion, SmoothGrad, SmoothGradSquared, VarGrad,
    };
    const NOISY: &[Method] = &[SmoothGrad, SmoothGradSquared, VarGrad];
    let flags: [(&str, bool, &[Method]); 9] = [
        ("--steps", args.steps.is_some(), &[IntegratedGradients]),
        ("--baseline", args.baseline.is_some(), &[IntegratedGradients, GradientXInput]),
        ("--samples", args.samples.is_some(), NOISY),
        ("--noise", args.noise.is_some(), NOISY),
        ("--window", args.window.is_some(), &[Occlusion]),
        ("--window-frames", args.window_frames.is_some(), &[Occlusion]),
        (
            if args.stride.is_some() { "--stride" } else { "--window-stride" },
            window_stride.is_some(),
            &[Occlusion],
        ),
        ("--fill", args.fill.is_some(), &[Occlusion]),
        ("--cam-layer", args.cam_layer.is_some(), &[GradCam]),
    ];
    for (flag, given, readers) in flags {
        if given && !readers.iter().any(|m| methods.contains(m)) {
            let names: Vec<&str> = readers.iter().map(|m| m.name()).collect();
            bail!("{flag} is for --method {}, which was not chosen", names.join(" or "));
        }
    }
    let usual = Settings::default();
    let number = |n: Option<u32>, usual: usize| n.map_or(usual, |n| n as usize);
    let settings = Settings {
        steps: number(args.steps, usual.steps),
        baseline: args.baseline.unwrap_or(usual.baseline),
        samples: number(args.samples, usual.samples),
        noise: args.noise.unwrap_or(usual.noise),
        window: args.window,
        window_frames: args.window_frames.map(|n| n as usize),
        stride: window_stride.map(|n| n as usize),
        fill: args.fill.unwrap_or(usual.fill),
        cam_layer: args.cam_layer.clone(),
        seed: args.seed,
    };
    settings.check_for(methods)?;
    Ok(settings)
}

/// The objectives that are attributed, with their names: the units, then the expressions. None are given for
/// the class that the network predicts.
fn asked(context: &Context, model: &LoadedModel, args: &Args) -> Result<Vec<(String, Objective)>> {
    let mut asked = Vec::new();
    for list in &args.units {
        let units = list.resolve(context, model, args.size)?;
        asked.extend(units.into_iter().map(|unit| (unit.unit, unit.objective)));
    }
    for text in &args.objectives {
        let objective = model
            .expression_of_classes(text, "an attribution is of what the network does with the image alone")?;
        objective.require_network_alone("an attribution")?;
        asked.push((text.trim().to_owned(), objective));
    }
    if let (true, Err(error)) = (asked.is_empty(), model.model.logits()) {
        bail!("{error}; say what to look for with --unit LAYER:CHANNEL or --objective");
    }
    Ok(asked)
}
