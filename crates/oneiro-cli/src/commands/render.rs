//! The command `oneiro render`: optimises pictures for units or objectives.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use oneiro::objective::{AnyNames, Objective};
use oneiro::preset::Preset;
use oneiro_jobs::job::belief::Belief;
use oneiro_jobs::job::plates::PlatesJob;
use oneiro_jobs::job::render::display::Display;
use oneiro_jobs::job::render::report::UnitReport;
use oneiro_jobs::job::render::work::UnitRequest;
use oneiro_jobs::job::render::{RenderJob, Setting, largest_value};
use oneiro_jobs::job::scan::examples::{is_scan, largest_of};
use oneiro_jobs::job::{Place, Role};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::model::unit_list::UnitList;
use oneiro_jobs::numbers::short;
use oneiro_jobs::source::listing::pictures;
use oneiro_jobs::store::ScanFile;

use crate::args::display::DisplayArgs;
use crate::args::materials::MaterialArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::outputs;
use crate::results::{self, Results, print_json};

/// Show what units of a network look for, by optimising pictures for them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro render squeezenet1_1 --unit class:goldfish --out goldfish.png
  oneiro render model.onnx --unit layer3.0.conv2:17 --unit layer3.0.conv2:18 --out pictures/
  oneiro render model.onnx --unit \"conv4:5@center\" --size 160 --steps 256
  oneiro render squeezenet1_1 --unit class:goldfish --film goldfish.gif
  oneiro render squeezenet1_1 --unit fire8:268 --data photos.scan --out unit.png    # beside it its nine best crops
  oneiro render squeezenet1_1 --unit class-best:goldfish@fire8 --data photos.scan   # the unit that answers a class most
  oneiro render model.onnx --objective \"channel(conv4,5) - 0.5*channel(conv4,9)\" --out difference.png

An expression may name classes: --objective \"logit(goldfish) - 0.5*logit(tench)\".
A unit is LAYER:CHANNEL, LAYER:CHANNEL@Y,X (one position; @center), LAYER (the whole layer) or class:NAME. CHANNEL may be
a list such as 0-15 or 5,12, or all; NAME may be a list such as goldfish,zebra or 0-9, or all.
`oneiro layers MODEL` lists the layers.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A unit to visualize, or several: conv1:0-15, conv1:all, class:0-9; may be repeated. Of several, --out
    /// names the folder
    #[arg(long = "unit", short = 'u', value_name = "UNIT", value_parser = UnitList::parse)]
    units: Vec<UnitList>,
    /// An expression to maximise, instead of or beside units; may be repeated
    #[arg(long = "objective", allow_hyphen_values = true, value_name = "EXPR")]
    objectives: Vec<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    materials: MaterialArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// A scan, or a folder of images: the nine crops that excite a unit most stand beside its picture.
    /// Recipes that divide by a unit's largest activation (mahendran16, mahendran15) take it from there
    /// instead
    #[arg(long, value_name = "SCAN|FOLDER")]
    data: Vec<PathBuf>,
    /// The folder that the images of the scan lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Say below each picture whether it may be believed, by the images of --data: path and predictability
    /// (docs/belief.md). Takes some seconds a unit
    #[arg(long, requires = "data")]
    belief: bool,
    /// Number of pictures of each unit, from different noise; diversity() and alignment() couple them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    batch: u16,
    /// Where to write: a file for one picture (.png, .jpg or .webp), a folder for several, as PNG
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the optimised inputs, unclipped, as float32
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Also keep the optimisation as a film: .apng, .gif, .webp, .mp4 or .webm; a folder for several units
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
    if let Some(out) = args.out.as_deref().filter(|_| preset.alpha) {
        outputs::require_transparency(out)?;
    }
    for text in &args.objectives {
        // Syntax errors are reported before the model is read. Only the model knows class names, so any name
        // is accepted here.
        Objective::parse(text, &AnyNames)?;
    }
    let model = model::load(context, &args.model)?;
    let scan = scan_of(&args.data)?;
    let mut objectives = Vec::new();
    for list in &args.units {
        let list = scan.iter().try_fold(list.clone(), |list, scan| list.by_scan(context, scan))?;
        let units = list.resolve(context, &model, preset.size)?;
        objectives.extend(units.into_iter().map(|unit| (unit.unit, unit.objective)));
    }
    for text in &args.objectives {
        let objective = model.expression(text, preset.size)?;
        objectives.push((model.named(&objective), objective));
    }
    let start = args.materials.start(None)?;
    if let Some((_, objective)) = objectives.iter().find(|(_, o)| o.couples() && args.batch < 2) {
        bail!("{objective}: it compares the pictures of a batch with each other; give --batch 2 or more");
    }
    let has_plates = preset.unit_weight.is_none() && !args.data.is_empty();
    if args.images.is_some() && (scan.is_none() || !has_plates) {
        bail!("--images: images of a scan (--data) are read only to stand beside pictures");
    }
    if args.belief && !has_plates {
        bail!(
            "--belief: this recipe takes a unit's largest activation from --data, and shows no images of it"
        );
    }
    if has_plates {
        return plates(context, args, &model, &preset, &objectives);
    }
    let data = if scan.is_some() { Vec::new() } else { pictures(&args.data, None)? };
    if !data.is_empty() && objectives.len() > 1 {
        context
            .note("the photos are read again for each unit; of a scan (`oneiro scan`), they are read once");
    }
    let mut work = args.materials.work(args.settings.size_is_chosen(), args.display.how);
    work.robustness = args.robustness;
    for (unit, objective) in objectives {
        let mut preset = preset.clone();
        if !args.data.is_empty() {
            let largest = match &scan {
                Some(scan) => largest_of(scan, &model, &unit).context("--data")?,
                None => largest_value(context, &model, &objective, preset.size, &data)?,
            };
            if !(largest.is_finite() && largest > 0.0) {
                bail!(
                    "--data: the largest value of {unit} over the pictures is {largest}, which weighs nothing"
                );
            }
            context.note(&format!("the largest value of {unit} over the pictures is {}", short(largest)));
            preset.max_activation = largest;
        }
        let setting = Setting { preset, seed: args.settings.seed };
        let setting = work.settings.iter().position(|s| *s == setting).unwrap_or_else(|| {
            work.settings.push(setting);
            work.settings.len() - 1
        });
        for copy in 0..usize::from(args.batch) {
            let unit = if copy == 0 { unit.clone() } else { format!("{unit} #{copy}") };
            let objective = Some(objective.to_string());
            work.units.push(UnitRequest { unit, objective, start: start.clone(), copy, setting });
        }
    }
    let names: Vec<String> = work.units.iter().map(|u| u.unit.clone()).collect();
    let paths = outputs::picture_paths(context, args.out.as_deref(), &names)?;
    let films = args.film.as_ref().map(|film| outputs::film_paths(film, &names)).transpose()?;
    let format = films.as_ref().map(|(_, format)| *format);
    let mut results =
        Results::pictures(paths).and(Role::Raw, "--raw", args.raw.as_ref()).and_other(args.settings.placed());
    if let Some((films, _)) = films {
        results = results.and_films(films);
    }
    results.check_writable()?;
    let job = RenderJob { work, film: format };
    let recipe = args.settings.recipe_file(context);
    let made_from: Vec<&Path> = data.iter().map(Path::new).chain(recipe).collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let saved = args.settings.save(&preset)?;
    if args.json {
        let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
        print_json(context, &model, &report, &files, started)?;
    } else {
        for (i, unit) in report.units.iter().enumerate() {
            context.print(&line(unit, i, &results))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the scan that `--data` names, if it names a scan and not images.
fn scan_of(data: &[PathBuf]) -> Result<Option<ScanFile>> {
    match data {
        [one] if is_scan(one) => Ok(Some(ScanFile::open(one)?)),
        _ => Ok(None),
    }
}

/// Units with the images that excite them, a plate each.
fn plates(
    context: &Context,
    args: &Args,
    model: &LoadedModel,
    preset: &Preset,
    objectives: &[(String, Objective)],
) -> Result<ExitCode> {
    let started = Instant::now();
    let [data] = &args.data[..] else {
        bail!("--data: one scan or folder is needed, not {}", args.data.len())
    };
    if args.film.is_some() || args.batch > 1 {
        bail!("--data: with images beside it, a picture stands alone; leave --film and --batch out");
    }
    let names: Vec<String> = objectives.iter().map(|(unit, _)| unit.clone()).collect();
    let paths = outputs::picture_paths(context, args.out.as_deref(), &names)?;
    let mut results = Results::pictures(paths).and(Role::Raw, "--raw", args.raw.as_ref());
    results = results.and_other(args.settings.placed());
    results.check_writable()?;
    let start = args.materials.start(None)?;
    let mut work = args.materials.work(args.settings.size_is_chosen(), args.display.how);
    work.robustness = args.robustness;
    work.settings = vec![Setting { preset: preset.clone(), seed: args.settings.seed }];
    let request = |(unit, objective): &(String, Objective)| UnitRequest {
        objective: Some(objective.to_string()),
        start: start.clone(),
        ..UnitRequest::new(unit.clone())
    };
    work.units = objectives.iter().map(request).collect();
    let job = PlatesJob {
        work,
        data: data.display().to_string(),
        images: args.images.as_ref().map(|folder| folder.display().to_string()),
        belief: args.belief,
    };
    let recipe: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(model), &job, &mut results, &recipe, None)?;
    let saved = args.settings.save(preset)?;
    if args.json {
        let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
        print_json(context, model, &report, &files, started)?;
    } else {
        for (i, unit) in report.units.iter().enumerate() {
            context.print(&line(unit, i, &results))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Describes the result of a unit, and its file, in a line.
fn line(r: &UnitReport, index: usize, results: &Results) -> String {
    let at = |place| results.file(place).map_or(String::new(), |file| file.display().to_string());
    let mut line = format!(
        "{}: {} -> {} in {} {} ({}), written to {}",
        r.unit,
        short(r.value_at_start),
        short(r.value),
        r.steps,
        if r.steps == 1 { "step" } else { "steps" },
        r.stop,
        at(Place::picture(index))
    );
    if results.file(Place::film(index)).is_some() {
        line += &format!(", the film to {}", at(Place::film(index)));
    }
    for words in r.belief.iter().flat_map(Belief::lines) {
        line += &format!("; {words}");
    }
    if let Some(x) = &r.robustness {
        // Adding 0.0 turns a negative zero into zero, so that no minus sign is printed.
        let kept = |v: f64| format!("{:.0} %", (100.0 * v / r.value).round() + 0.0);
        line += &format!(
            "; keeps {} as JPEG-90, {} shifted, {} turned",
            kept(x.jpeg90),
            kept(x.shift4),
            kept(x.turn5)
        );
    }
    line
}
