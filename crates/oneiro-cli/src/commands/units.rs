//! `oneiro units`: what a scan knows of units.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use oneiro::preset::Preset;
use oneiro_jobs::job::contributions::ContributionsJob;
use oneiro_jobs::job::groups::GroupsJob;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::spectra::SpectraJob;
use oneiro_jobs::job::units::{UnitsJob, name_of, numbers, plain_class};
use oneiro_jobs::job::{Job as _, Kept, Role, Run};
use oneiro_jobs::numbers::short;
use oneiro_jobs::remark::{Remark, ScanRemark};
use oneiro_jobs::store::ScanFile;
use oneiro_jobs::store::read::{Breadth, ExampleRecord, LayerRecord, Named, Strength, UnitRecord};

use crate::context::Context;
use crate::inputs;
use crate::outputs;
use crate::results::{self, Results};

/// Examples that are printed of each list.
const PRINTED: usize = 5;
/// Classes that are printed of a unit.
const CLASSES: usize = 10;
/// Units of a table when not chosen.
const DEFAULT_ROWS: usize = 20;

/// Say what a scan knows of units: one unit with its images and classes, or the strongest of a layer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro units photos.scan                                  # the layers, the accuracy, what could not be read
  oneiro units photos.scan fire8:12                         # one unit: its images, its classes, its statistics
  oneiro units photos.scan fire8:12 --out unit.png          # as a picture; --html unit.html as a page
  oneiro units photos.scan class:tabby
  oneiro units photos.scan fire8:12 --drivers               # the units before that make it, the classes it speaks for
  oneiro units photos.scan --layer fire8 --groups --html groups.html
  oneiro units photos.scan --spectra --out spectra.png      # detail with depth
  oneiro units photos.scan class-best:goldfish@fire8        # the unit of a layer that answers a class most
  oneiro units photos.scan --layer fire8 --class goldfish   # the units of a layer that answer a class most
  oneiro units photos.scan --layer fire8 --sort selectivity --html fire8.html --top 64

A unit is LAYER:CHANNEL or class:NAME. A layer's name may be that of the convolution in front of its ReLU.")]
pub struct Args {
    /// A scan: the folder that `oneiro scan` made
    #[arg(value_name = "SCAN")]
    scan: PathBuf,
    /// A unit: LAYER:CHANNEL or class:NAME; several are drawn together
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
    /// The units of this layer, in order
    #[arg(long, short, value_name = "LAYER", conflicts_with = "units")]
    layer: Option<String>,
    /// Order units by their answer to this class of the scanned images
    #[arg(long, value_name = "CLASS", conflicts_with = "units")]
    class: Option<String>,
    /// What orders units: the largest activation, the mean, or how far a class stands out from the others
    #[arg(long, value_enum, default_value_t = Sort::Max, conflicts_with = "units")]
    sort: Sort,
    /// Units of a table at most; all with --json [default: 20]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Examples of each list in a picture or page
    #[arg(long, default_value_t = 9, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    examples: u8,
    /// Draw the units with the images that excite them
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a page that holds all pictures: one file for any browser
    #[arg(long, value_name = "FILE.html", value_parser = inputs::page_path)]
    html: Option<PathBuf>,
    /// Render a picture of each unit as well, by the default recipe, for --out and --html
    #[arg(long)]
    render: bool,
    /// Also say what drives the unit, and which classes it feeds
    #[arg(long, requires = "units")]
    drivers: bool,
    /// Group the units of --layer that answer the same positions, down to this mean correlation
    #[arg(long, value_name = "CORRELATION", num_args = 0..=1, default_missing_value = "0.3", requires = "layer", conflicts_with_all = ["class", "render"])]
    groups: Option<f64>,
    /// Plot how the detail of the images that excite units falls with depth, with --render that of the
    /// units' pictures as well
    #[arg(long, conflicts_with_all = ["units", "layer", "class", "html", "groups"])]
    spectra: bool,
    /// The network that was scanned, if it is not where it was
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// What orders units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest activation
    Max,
    /// The mean activation
    Mean,
    /// How far a class's mean exceeds that of the others
    Selectivity,
}

impl Sort {
    fn strength(self) -> Strength {
        match self {
            Self::Max => Strength::Maximum,
            Self::Mean => Strength::Mean,
            Self::Selectivity => Strength::Selectivity,
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let scan = ScanFile::open(&args.scan)?;
    if let Some(correlation) = args.groups {
        return groups(context, args, &scan, correlation);
    }
    if args.spectra {
        return spectra(context, args, &scan);
    }
    let chosen = chosen(context, args, &scan)?;
    if args.out.is_some() || args.html.is_some() {
        draw(context, args, &scan, &chosen)?;
    }
    if args.render && args.out.is_none() && args.html.is_none() && !args.spectra {
        bail!("--render: give --out or --html for the pictures to go into");
    }
    if args.drivers {
        return drivers(context, args, &scan);
    }
    if args.json {
        let units: Vec<&UnitRecord> = chosen.iter().map(|chosen| &chosen.unit).collect();
        context.print(&serde_json::to_string_pretty(&units)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    match (&chosen[..], args.units.is_empty()) {
        (_, true) if args.layer.is_none() && args.class.is_none() => overview(context, &scan)?,
        (chosen, true) => table(context, args, &scan, chosen)?,
        (chosen, false) => chosen.iter().try_for_each(|chosen| describe(context, &scan, chosen))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A unit that was asked for, with the value that orders it.
struct Chosen<'a> {
    unit: UnitRecord,
    layer: &'a LayerRecord,
    value: Option<f64>,
}

fn chosen<'a>(context: &Context, args: &Args, scan: &'a ScanFile) -> Result<Vec<Chosen<'a>>> {
    let mut chosen = Vec::new();
    for text in &args.units {
        let (unit, named) = scan.unit_named(text)?;
        say_form(context, text, &named);
        chosen.push(Chosen { unit, layer: named.layer, value: None });
    }
    if !args.units.is_empty() || args.layer.is_none() && args.class.is_none() {
        return Ok(chosen);
    }
    let class = args.class.as_deref().map(|class| scan.class(class)).transpose()?.map(|(class, _)| class);
    let layers: Vec<&LayerRecord> = match &args.layer {
        Some(layer) => {
            let named = scan.layer(layer)?;
            say_form(context, layer, &named);
            vec![named.layer]
        }
        None => scan.layers().iter().collect(),
    };
    // Of many layers the one strongest unit of each; of one, as many as are wanted.
    let wanted = match (&args.layer, args.top) {
        (None, None) => 1,
        (_, Some(top)) => usize::from(top),
        (Some(_), None) if args.json => usize::MAX,
        (Some(_), None) => DEFAULT_ROWS,
    };
    let in_order = args.class.is_none() && args.json && args.sort == Sort::Max && args.top.is_none();
    for layer in layers {
        let mut order = scan.strongest(layer, class, args.sort.strength())?;
        order.truncate(wanted);
        if in_order {
            order = (0..layer.channels).map(|channel| (channel, f64::NAN)).collect();
        }
        for (channel, value) in order {
            chosen.push(Chosen { unit: scan.unit(layer, channel)?, layer, value: Some(value) });
        }
    }
    if chosen.is_empty() {
        bail!("no unit has a value for that: the scan has no images with classes");
    }
    Ok(chosen)
}

/// The spectra of layers.
fn spectra(context: &Context, args: &Args, scan: &ScanFile) -> Result<ExitCode> {
    /// Units of each layer when not chosen.
    const UNITS: usize = 16;
    let mut results = Results::default().and(Role::Plot, "--out", args.out.as_ref());
    if let Some(out) = &args.out {
        outputs::require_picture("--out", out)?;
    }
    results.check_writable()?;
    let job = SpectraJob {
        scan: args.scan.display().to_string(),
        units: args.top.map_or(UNITS, usize::from),
        examples: usize::from(args.examples),
        setting: args.render.then(|| Setting { preset: Preset::default(), seed: 0 }),
    };
    let model = args.render.then(|| scan.model(context, args.model.as_deref())).transpose()?;
    let report = results::run(context, model.as_ref(), &job, &mut results, &[scan.path()], None)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    context.print(
        "mean frequency in cycles per pixel, of images that excite units and of pictures made for them",
    )?;
    let width = report.iter().map(|of| of.layer.chars().count()).max().unwrap_or(0);
    for of in &report {
        let pictures = of.pictures_mean.map_or_else(String::new, |mean| format!("  {mean:.3}"));
        context.print(&format!("  {:<width$}  {:.3}{pictures}", of.layer, of.crops_mean))?;
    }
    for file in results.listed() {
        context.print(&format!("written to {file}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Groups of a layer's units.
fn groups(context: &Context, args: &Args, scan: &ScanFile, correlation: f64) -> Result<ExitCode> {
    /// Groups that are printed.
    const PRINTED: usize = 20;
    let mut results = Results::default();
    if let Some(out) = &args.out {
        results = Results::pictures(inputs::out_path(context, Some(out), "groups.png")?);
    }
    results = results.and(Role::Page, "--html", args.html.as_ref());
    results.check_writable()?;
    let layer = args.layer.clone().unwrap_or_default();
    let job = GroupsJob { scan: args.scan.display().to_string(), layer, correlation };
    let report = results::run(context, None, &job, &mut results, &[scan.path()], None)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (i, group) in report.groups.iter().take(PRINTED).enumerate() {
        let channels: Vec<String> = group.channels.iter().map(usize::to_string).collect();
        let classes: Vec<&str> = group.classes.iter().map(|(name, _)| plain_class(name)).collect();
        context.print(&format!(
            "group {}: {} units, mean correlation {:.2}: {}",
            i + 1,
            channels.len(),
            group.correlation,
            channels.join(", ")
        ))?;
        context.print(&format!("  answers {}", classes.join(", ")))?;
    }
    if report.groups.len() > PRINTED {
        context.print(&format!("and {} more groups", report.groups.len() - PRINTED))?;
    }
    context.print(&format!("{} units in no group, {} constant", report.alone, report.constant))?;
    for file in results.listed() {
        context.print(&format!("written to {file}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What drives units, and what they feed.
fn drivers(context: &Context, args: &Args, scan: &ScanFile) -> Result<ExitCode> {
    let model = scan.model(context, args.model.as_deref())?;
    let mut reports = Vec::new();
    for unit in &args.units {
        let job = ContributionsJob {
            scan: args.scan.display().to_string(),
            unit: unit.clone(),
            examples: usize::from(args.examples),
            top: args.top.map_or(CLASSES, usize::from),
        };
        reports.push(job.run(&Run::new(&model, context), &mut Kept::default())?);
    }
    if args.json {
        context.print(&serde_json::to_string_pretty(&reports)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for report in &reports {
        let images = report.examples.len();
        context.print(&format!(
            "{}: {} in front of its activation function, the mean over its {images} best images",
            report.unit,
            short(report.value)
        ))?;
        for layer in &report.drivers {
            context.print(&format!("{} contributes {}", layer.layer, short(layer.total)))?;
            for (word, list) in [("raise it", &layer.raise), ("lower it", &layer.lower)] {
                let said: Vec<String> =
                    list.iter().map(|c| format!("{} {}", c.unit, short(c.value))).collect();
                context.print(&format!("  {word}: {}", said.join(", ")))?;
            }
        }
        for feeds in &report.feeds {
            context.print(&format!("feeds {} with {}", feeds.unit, short(feeds.value)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say_form(context: &Context, name: &str, named: &Named<'_>) {
    if named.form.is_some() {
        let (name, layer) = (name.to_owned(), named.layer.name.clone());
        context.note(&Remark::from(ScanRemark::LastForm { name, layer }).to_string());
    }
}

fn draw(context: &Context, args: &Args, scan: &ScanFile, chosen: &[Chosen<'_>]) -> Result<()> {
    if chosen.is_empty() {
        bail!("nothing to draw: give a unit, --layer or --class");
    }
    let mut results = Results::default();
    if let Some(out) = &args.out {
        results = Results::pictures(inputs::out_path(context, Some(out), "units.png")?);
    }
    results = results.and(Role::Page, "--html", args.html.as_ref());
    results.check_writable()?;
    let units = chosen.iter().map(|chosen| format!("\"{}\":{}", chosen.layer.name, chosen.unit.channel));
    let job = UnitsJob {
        scan: args.scan.display().to_string(),
        units: units.collect(),
        examples: usize::from(args.examples),
        setting: args.render.then(|| Setting { preset: Preset::default(), seed: 0 }),
    };
    let model = args.render.then(|| scan.model(context, args.model.as_deref())).transpose()?;
    results::run(context, model.as_ref(), &job, &mut results, &[scan.path()], None)?;
    if !args.json {
        for file in results.listed() {
            context.print(&format!("written to {file}"))?;
        }
    }
    Ok(())
}

/// The scan as a whole.
fn overview(context: &Context, scan: &ScanFile) -> Result<()> {
    let meta = |key: &str| scan.meta(key).unwrap_or_default();
    let (seen, all) = (scan.image_count()?, meta("images"));
    context.print(&format!("{}: {seen} of {all} images of {}", meta("model-title"), meta("data")))?;
    let classes = scan.classes()?;
    let known: usize = classes.iter().filter(|c| c.label.is_some()).map(|c| c.images).sum();
    if known > 0 {
        let right: usize = classes.iter().map(|class| class.right).sum();
        let share = 100.0 * right as f64 / known as f64;
        context.print(&format!(
            "{} classes; right at first: {right} of {known} ({share:.1} %)",
            classes.len()
        ))?;
    }
    for (kind, count) in scan.problems()? {
        context.print(&format!("problems: {count} {kind}"))?;
    }
    let width = scan.layers().iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0);
    for layer in scan.layers() {
        let map: Vec<String> = layer.map.iter().map(usize::to_string).collect();
        let map = if map.is_empty() { String::new() } else { format!(" of {}", map.join("x")) };
        let what = if layer.is_classes { "classes" } else { "units" };
        context.print(&format!("  {:<width$}  {:5} {what}{map}", layer.name, layer.channels))?;
    }
    Ok(())
}

/// Units in order, a line each.
fn table(context: &Context, args: &Args, scan: &ScanFile, chosen: &[Chosen<'_>]) -> Result<()> {
    let by = match (&args.class, args.sort) {
        (Some(class), Sort::Max) => format!("largest activation for {}", scan.class(class)?.1.name),
        (Some(class), Sort::Mean) => format!("mean for {}", scan.class(class)?.1.name),
        (Some(class), Sort::Selectivity) => format!("selectivity for {}", scan.class(class)?.1.name),
        (None, Sort::Max) => "largest activation".to_owned(),
        (None, Sort::Mean) => "mean".to_owned(),
        (None, Sort::Selectivity) => "selectivity for its best class".to_owned(),
    };
    let names: Vec<String> =
        chosen.iter().map(|c| name_of(scan, &c.unit, c.layer)).collect::<Result<_, _>>()?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    context.print(&format!("{:<width$}  {:>9}  {:>9}  active  {by}; best image", "unit", "value", "mean"))?;
    for (chosen, name) in chosen.iter().zip(names) {
        let value = chosen.value.map_or_else(String::new, short);
        let mean = chosen.unit.mean.map_or_else(String::new, short);
        let active = chosen.unit.fraction_active.map_or(0.0, |share| 100.0 * share);
        let best = chosen.unit.best.first().map_or("", |example| example.file.as_str());
        context.print(&format!("{name:<width$}  {value:>9}  {mean:>9}  {active:4.0} %  {best}"))?;
    }
    Ok(())
}

/// One unit.
fn describe(context: &Context, scan: &ScanFile, Chosen { unit, layer, .. }: &Chosen<'_>) -> Result<()> {
    context.print(&format!("{}: {}", name_of(scan, unit, layer)?, numbers(unit)))?;
    let by = scan.ranked_by();
    for (heading, list) in [
        (format!("largest {by}"), &unit.best),
        ("largest mean".to_owned(), &unit.best_by_mean),
        (format!("smallest {by}"), &unit.worst),
    ] {
        context.print(&heading)?;
        list.iter().take(PRINTED).try_for_each(|example| context.print(&line(example)))?;
    }
    let mut classes: Vec<_> = unit.classes.iter().filter(|class| class.maximum.is_some()).collect();
    classes.sort_by(|a, b| b.maximum.unwrap_or(0.0).total_cmp(&a.maximum.unwrap_or(0.0)));
    if classes.len() > 1 {
        context.print("classes, by the largest activation in their images")?;
        for class in classes.iter().take(CLASSES) {
            let number = |value: Option<f32>| value.map_or_else(String::new, |value| short(f64::from(value)));
            let name = plain_class(&class.name);
            context.print(&format!(
                "  {:>9}  mean {:>9}  {name}",
                number(class.maximum),
                number(class.mean)
            ))?;
        }
    }
    match scan.breadth(&unit.classes)? {
        Breadth::One { class } => context.print(&format!("answers one class: {class}"))?,
        Breadth::Several { classes } => {
            context.print(&format!("answers several classes: {}", classes.join(", ")))?
        }
        Breadth::Most => context.print("answers most classes alike")?,
        Breadth::Nothing => context.print("answers no class: its means are not above zero")?,
        _ => {}
    }
    let correlated = scan.correlated(unit.number)?;
    if !correlated.is_empty() {
        let said: Vec<String> =
            correlated.iter().map(|(channel, r)| format!("{}:{channel} ({r:+.2})", layer.name)).collect();
        context.print(&format!("correlated with {}", said.join(", ")))?;
    }
    Ok(())
}

fn line(example: &ExampleRecord) -> String {
    let position: Vec<String> = example.position.iter().map(usize::to_string).collect();
    let at = if position.is_empty() { String::new() } else { format!("  at {}", position.join(",")) };
    let before = match example.value == 0.0 && example.before != 0.0 {
        true => format!(" ({} before its ReLU)", short(example.before)),
        false => String::new(),
    };
    format!("  {:>9}{before}  {}{at}", short(example.value), example.file)
}
