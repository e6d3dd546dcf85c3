//! `oneiro video`: clips, flow and images that units of video networks look for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{AnyNames, Objective};
use oneiro::preset::Preset;
use oneiro_jobs::Error;
use oneiro_jobs::files::unique_files;
use oneiro_jobs::job::film_kind::FilmKind;
use oneiro_jobs::job::parts::{Parts, Shard};
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::render::display::Display;
use oneiro_jobs::job::render::report::UnitReport;
use oneiro_jobs::job::render::work::UnitRequest;
use oneiro_jobs::job::scan::examples::is_scan;
use oneiro_jobs::job::video::look::FlowLook;
use oneiro_jobs::job::video::{FRAME_RATE, UnitInput, VideoJob, inputs_of};
use oneiro_jobs::job::{Place, Role};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::model::unit_list::{Numbers, UnitList};
use oneiro_jobs::numbers::short;
use oneiro_jobs::store::ScanFile;
use oneiro_media::{FilmFormat, FrameRate};

use crate::args::materials::MaterialArgs;
use crate::args::model::ModelArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::outputs::{default_path, is_folder};
use crate::results::{self, Results, print_json};

/// The recipe where none is chosen.
const DEFAULT_PRESET: &str = "video";

/// Show what units of a video network look for, in appearance and in motion
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro video twostream.onnx --unit class:billiards --out billiards/         # an image and a film of flow
  oneiro video twostream.onnx --unit conv5_fusion:7 --gamma 0,1,5,10 --out unit7/ --html unit7.html
  oneiro video r3d18.onnx --unit layer3:0-8 --isotropic 1,2.5,5,10 --out clips/
  oneiro video c3d.onnx --class all --out classes/ --format mp4
  oneiro video c3d.onnx --layer conv2 --layer conv4 --out grids/ --html grids.html     # fewer units, the more they see
  oneiro video twostream.onnx --unit conv5_fusion:7 --preset feichtenhofer20 --set max_activation=21 --out paper/
  oneiro video twostream.onnx --unit class-best:billiards@conv5_fusion --data clips.scan --out best/ --html best.html

All inputs that a unit depends on are optimised together. Each is written by itself: images as PNG, clips and flow as
films. Where several values of gamma and kappa are given, every unit is rendered for every pair of them.
The model card says what inputs take: kind = \"image\", \"clip\" (N,C,T,H,W) or \"flow\" (N,2T,H,W: u0,v0,u1,v1,…).")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A unit to visualize, or several: conv1:0-15, conv1:all, class:0-9; may be repeated
    #[arg(long = "unit", short = 'u', value_name = "UNIT", value_parser = UnitList::parse)]
    units: Vec<UnitList>,
    /// A layer, as a grid of its units on the page of --html; may be repeated
    #[arg(long = "layer", short = 'l', value_name = "LAYER")]
    layers: Vec<String>,
    /// Channels of every --layer: 0-15, 5,12,40, or all [default: from 6 where units see the whole input to
    /// 48 where they see little, evenly spread]
    #[arg(long = "units", allow_hyphen_values = true, value_name = "LIST", value_parser = Numbers::parse, requires = "layers")]
    channels: Option<Numbers>,
    /// Classes: names or numbers, lists and ranges, or all
    #[arg(long = "class", value_name = "CLASSES")]
    classes: Vec<String>,
    /// An expression to maximise, instead of or beside units; may be repeated
    #[arg(long = "objective", allow_hyphen_values = true, value_name = "EXPR")]
    objectives: Vec<String>,
    /// What changes between frames cost. Clips: 0 leaves motion free, 1 is fast, 5 slow, 10 slowest; flow
    /// gets steadier. A list renders each [default: the recipe's]
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "N,N,…")]
    gamma: Vec<f64>,
    /// What differences within a frame cost; a list renders each [default: the recipe's, 1]
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "N,N,…")]
    kappa: Vec<f64>,
    /// Sets gamma and kappa to the same value; a list renders each
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "N,N,…", conflicts_with_all = ["gamma", "kappa"])]
    isotropic: Vec<f64>,
    /// Frames of a clip, for networks that take clips of any length [default: the card's]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..=4096))]
    frames: Option<u32>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    /// Where to write: a folder; or a name such as unit7.gif, of which every result gets one of its own
    /// (unit7-rgb.png, unit7-flow.gif)
    #[arg(long, short, value_name = "FOLDER|FILE")]
    out: Option<PathBuf>,
    /// The format of films in a folder; mp4 and webm need the program ffmpeg [default: apng]
    #[arg(long, value_name = "FORMAT", value_parser = ["apng", "gif", "webp", "mp4", "webm"])]
    format: Option<String>,
    /// Frames per second of films
    #[arg(long, value_name = "N", default_value_t = FRAME_RATE)]
    fps: f64,
    /// Pixels of a film for each pixel of a clip [default: as many as make some 256 pixels]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    enlarge: Option<u8>,
    /// How flow is drawn: horizontal, vertical and magnitude as red, green and blue, each scaled by itself
    /// (channels) or both components alike (joint); the Middlebury colour wheel; arrows over the image
    #[arg(long, value_name = "LOOK", default_value = "channels", value_parser = FlowLook::NAMES)]
    flow_colors: String,
    /// A scan of clips, or a folder of clips that is scanned for the units: tells recipes their largest
    /// activations, and shows on the page which clips excite them
    #[arg(long, value_name = "SCAN|FOLDER")]
    data: Option<PathBuf>,
    /// The folder that the clips of the scan lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Also write a page on which all clips play side by side
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32; flow in pixels per frame
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Make only these units, the I-th of N parts, and keep them for a run that has all; several machines
    /// share the work
    #[arg(long, value_name = "I/N", conflicts_with_all = ["raw", "html", "json"])]
    shard: Option<Shard>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.units.is_empty()
        && args.layers.is_empty()
        && args.objectives.is_empty()
        && args.classes.is_empty()
    {
        bail!(
            "nothing to render: give --unit (for instance --unit class:0), --layer, --class or --objective"
        );
    }
    FrameRate::new(args.fps)?;
    let mut preset = args.settings.preset_or(context, DEFAULT_PRESET)?;
    args.settings.override_inputs(&mut preset)?;
    args.materials.adapt_inputs(context, &args.settings, &mut preset)?;
    for text in &args.objectives {
        Objective::parse(text, &AnyNames)?;
    }
    let mut spec = args.model.spec();
    spec.frames = args.frames.map(|frames| frames as usize);
    let model = oneiro_jobs::model::load(context, &spec)?;
    let mut objectives = Vec::new();
    let mut lists = args.units.clone();
    for layer in &args.layers {
        let channels = match &args.channels {
            Some(channels) => channels.clone(),
            None => Numbers::Of(model.channels_for_grid(layer)?),
        };
        lists.push(UnitList::Channels { layer: layer.clone(), channels, position: String::new() });
    }
    for classes in &args.classes {
        lists.push(UnitList::parse_classes(classes)?);
    }
    let scan =
        args.data.as_ref().filter(|data| is_scan(data)).map(|data| ScanFile::open(data)).transpose()?;
    for list in &lists {
        let list = scan.iter().try_fold(list.clone(), |list, scan| list.by_scan(context, scan))?;
        let units = list.resolve(context, &model, preset.size)?;
        objectives.extend(units.into_iter().map(|unit| (unit.unit, unit.objective)));
    }
    for text in &args.objectives {
        let objective = model.expression(text, preset.size)?;
        objectives.push((model.named(&objective), objective));
    }
    let variants = variants(args);
    let mut work = args.materials.work(args.settings.size_is_chosen(), Display::default());
    for &[kappa, gamma] in &variants {
        let mut preset = preset.clone();
        preset.set_variation(kappa, gamma);
        preset.check()?;
        work.settings.push(Setting { preset, seed: args.settings.seed });
    }
    if (variants.len() > 1 || variants[0] != [None; 2]) && !has_regularizer(&preset) {
        bail!(
            "--gamma and --kappa: the recipe {} has no regularizer; choose video or feichtenhofer20",
            preset.name
        );
    }
    let mut results = Results::default();
    let format = film_format(args)?;
    let mut names = Vec::new();
    let mut places = Vec::new();
    for (unit, objective) in &objectives {
        let inputs = inputs_of(&model, objective)?;
        for (setting, variant) in variants.iter().enumerate() {
            let index = work.units.len();
            let request = UnitRequest {
                objective: Some(objective.to_string()),
                setting,
                ..UnitRequest::new(unit.clone())
            };
            work.units.push(request);
            for input in &inputs {
                names.push(name_of(unit, input, *variant));
                places.push((input.place(index, model.model.card.input.len()), input.clone()));
            }
        }
    }
    place(context, args, format, &names, &places, &mut results)?;
    let mut results = results
        .and(Role::Raw, "--raw", args.raw.as_ref())
        .and(Role::Page, "--html", args.html.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    let job = VideoJob {
        work,
        format: FilmKind::of(format).unwrap_or_default(),
        rate: args.fps,
        enlarge: args.enlarge.map(usize::from),
        flow: FlowLook::named(&args.flow_colors).unwrap_or_default(),
        data: args.data.as_ref().map(|data| data.display().to_string()),
        images: args.images.as_ref().map(|folder| folder.display().to_string()),
    };
    let recipe: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let parts = Parts::new(parts_folder(&results), args.shard);
    results::check(context, Some(&model), &job, &results, &recipe)?;
    let report = match results::run_checked(context, Some(&model), &job, &mut results, Some(&parts)) {
        Err(Error::Unfinished(unfinished)) => {
            context.print(&format!("{unfinished}; films are written by the run that finds all of them"))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error @ Error::Cancelled(_)) if parts.folder().is_dir() => {
            results::say_kept(context, &parts);
            return Err(error.into());
        }
        outcome => outcome?,
    };
    parts.clear();
    let saved = args.settings.save(&preset)?;
    if args.json {
        let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
        print_json(context, &model, &report, &files, started)?;
    } else {
        for (i, unit) in report.units.iter().enumerate() {
            context.print(&line(unit, i, &model, &results))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where finished units are kept until all are done: beside the first result.
fn parts_folder(results: &Results) -> PathBuf {
    let mut name = results.listed().first().map_or_else(|| "video".into(), std::ffi::OsString::from);
    name.push(".parts");
    name.into()
}

/// κ and γ of every variant; `None` leaves the recipe's.
fn variants(args: &Args) -> Vec<[Option<f64>; 2]> {
    if !args.isotropic.is_empty() {
        return args.isotropic.iter().map(|&value| [Some(value); 2]).collect();
    }
    let list = |values: &[f64]| match values {
        [] => vec![None],
        values => values.iter().copied().map(Some).collect(),
    };
    let gammas = list(&args.gamma);
    list(&args.kappa).into_iter().flat_map(|kappa| gammas.iter().map(move |&gamma| [kappa, gamma])).collect()
}

fn has_regularizer(preset: &Preset) -> bool {
    preset.regularizer.is_some() || preset.inputs.values().any(|input| input.regularizer.is_some())
}

/// The format of films, by the ending of `--out` or by `--format`.
fn film_format(args: &Args) -> Result<FilmFormat> {
    let named = args.format.as_deref().and_then(|name| FilmFormat::of_name(format!("film.{name}")));
    let of_out = args.out.as_deref().filter(|out| !is_folder(out) && out.extension().is_some());
    let Some(out) = of_out else { return Ok(named.unwrap_or(FilmFormat::Apng)) };
    let Some(format) = FilmFormat::of_name(out) else {
        bail!(
            "--out {}: films are .apng, .png, .gif, .webp, .mp4 or .webm; use such a name, or a folder",
            out.display()
        );
    };
    match named.filter(|named| *named != format) {
        Some(named) => bail!(
            "--out {} is no {}; leave one of --out's ending and --format out",
            out.display(),
            named.name()
        ),
        None => Ok(format),
    }
}

/// A result's name: its unit, its input, and what of κ and γ was given.
fn name_of(unit: &str, input: &UnitInput, [kappa, gamma]: [Option<f64>; 2]) -> String {
    let of =
        |letter: &str, value: Option<f64>| value.map_or(String::new(), |value| format!("-{letter}{value}"));
    format!("{unit}-{}{}{}", input.name, of("k", kappa), of("g", gamma))
}

/// Says where every result goes.
fn place(
    context: &Context,
    args: &Args,
    format: FilmFormat,
    names: &[String],
    places: &[(Place, UnitInput)],
    results: &mut Results,
) -> Result<()> {
    let ending = |place: &Place| if place.role == Role::Picture { "png" } else { format.extension() };
    let file = args.out.as_deref().filter(|out| !is_folder(out) && out.extension().is_some());
    if let (Some(file), [(place, _)]) = (file, places) {
        results.add(*place, "--out", file.to_owned(), None);
        return Ok(());
    }
    let (folder, prefix) = match (file, args.out.as_deref()) {
        (Some(file), _) => {
            let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).map(Path::to_owned);
            (folder, format!("{stem}-"))
        }
        (None, Some(folder)) => (Some(folder.to_owned()), String::new()),
        (None, None) => (default_path(context, "video").folder, String::new()),
    };
    // With one unit, the file's name stands for it.
    let one = names.first().and_then(|name| {
        places.first().map(|(_, input)| name.split(&format!("-{}", input.name)).next().unwrap_or(name))
    });
    let shared =
        one.filter(|unit| file.is_some() && names.iter().all(|name| name.starts_with(&format!("{unit}-"))));
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("{prefix}{}", shared.map_or(name.as_str(), |unit| &name[unit.len() + 1..])))
        .collect();
    let mut by_ending: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (place, _)) in places.iter().enumerate() {
        by_ending.entry(ending(place)).or_default().push(at);
    }
    for (ending, members) in by_ending {
        let own: Vec<String> = members.iter().map(|&at| names[at].clone()).collect();
        for (&at, name) in members.iter().zip(unique_files(&own, ending)) {
            let path = folder.as_ref().map_or(name.clone(), |folder| folder.join(&name));
            results.add(places[at].0, "--out", path, folder.clone());
        }
    }
    Ok(())
}

/// The result of a unit, and its files.
fn line(report: &UnitReport, index: usize, model: &LoadedModel, results: &Results) -> String {
    let inputs = model.model.card.input.len();
    let mut line = report.unit.clone();
    if let (Some(kappa), Some(gamma)) = (report.kappa, report.gamma) {
        line += &format!(" (kappa {kappa}, gamma {gamma})");
    }
    line += &format!(
        ": {} -> {} in {} steps ({})",
        short(report.value_at_start),
        short(report.value),
        report.steps,
        report.stop
    );
    if let Some(named) = &report.named {
        line += &format!(", named {named}");
    }
    let files: Vec<String> = (0..inputs)
        .flat_map(|input| {
            [Role::Picture, Role::Film].map(|role| Place { role, index: index * inputs + input })
        })
        .filter_map(|place| results.file(place).map(|file| file.display().to_string()))
        .collect();
    if files.is_empty() { line } else { format!("{line}, written to {}", files.join(" and ")) }
}
