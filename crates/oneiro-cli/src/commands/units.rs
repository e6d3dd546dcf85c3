//! The command `oneiro units`: prints or draws what a scan recorded about units.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use oneiro::preset::Preset;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::belief::Belief;
use oneiro_jobs::job::contributions::ContributionsReport;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::units::{UnitsJob, UnitsReport};
use oneiro_jobs::model::unit_list::UnitList;
use oneiro_jobs::remark::{Remark, ScanRemark};
use oneiro_jobs::store::ScanFile;
use oneiro_jobs::store::read::{LayerRecord, Named, Strength, UnitRecord};
use serde::Serialize;

use crate::context::Context;
use crate::inputs;
use crate::results::{self, Results};

mod answers;
mod printed;

use answers::{drivers, groups, spectra};
use printed::{describe, overview, table};

/// Default number of units in a printed table.
const DEFAULT_ROWS: usize = 20;
/// Default number of contributions listed for each unit.
const DEFAULT_CONTRIBUTIONS: usize = 10;

/// Say what a scan knows of units: one unit with its images and classes, or the strongest of a layer
#[derive(clap::Args, Clone)]
#[command(after_help = "\
Examples:
  oneiro units photos.scan                                  # the layers, the accuracy, what could not be read
  oneiro units photos.scan fire8:12                         # one unit: its images, its classes, its statistics
  oneiro units photos.scan fire8:12 --out unit.png          # as a picture; --html unit.html as a page
  oneiro units photos.scan fire8:0-9 --examples 5 --json    # ten units, five images in each list
  oneiro units photos.scan class:tabby
  oneiro units photos.scan fire8:12 --drivers               # the units before that make it, what it adds to classes
  oneiro units photos.scan fire8:12 --heat --out unit.png   # where in its best images it answers
  oneiro units photos.scan --layer fire8 --groups --html groups.html
  oneiro units photos.scan --spectra --out spectra.png      # detail with depth
  oneiro units photos.scan class-best:goldfish@fire8        # the unit of a layer that answers a class most
  oneiro units photos.scan --layer fire8 --class goldfish   # the units of a layer that answer a class most
  oneiro units photos.scan --layer fire8 --sort selectivity --html fire8.html --top 64

A unit is LAYER:CHANNEL or class:NAME; lists and ranges are several: fire8:0-9, fire8:5,12, class:tabby,lynx. A layer's name may be that of the convolution in front of its ReLU.")]
pub struct Args {
    /// A scan: the folder that `oneiro scan` made
    #[arg(value_name = "SCAN")]
    scan: PathBuf,
    /// A unit: LAYER:CHANNEL or class:NAME, or a list: fire8:0-9; several are drawn together
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
    /// List the units of this layer, in the order of --sort
    #[arg(long, short, value_name = "LAYER", conflicts_with = "units")]
    layer: Option<String>,
    /// Order units by their answer to this class of the scanned images
    #[arg(long, value_name = "CLASS", conflicts_with = "units")]
    class: Option<String>,
    /// What orders units: the largest activation, the mean, or how far a class stands out from the others.
    /// Where fewer are listed than there are (--top), those are listed that come first in this order
    #[arg(long, value_enum, default_value_t = Sort::Max, conflicts_with = "units")]
    sort: Sort,
    /// Units of a table at most, or all; all with --json [default: 20]
    #[arg(long, allow_negative_numbers = true, value_name = "N|all", value_parser = top)]
    top: Option<usize>,
    /// Images of each list in a picture or page, and with --json, where all are the default; best images of a
    /// unit that --drivers looks at [default: 9]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    examples: Option<u8>,
    /// Draw the units with the images that excite them
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a page that holds all pictures: one file for any browser
    #[arg(long, value_name = "FILE.html", value_parser = inputs::page_path)]
    html: Option<PathBuf>,
    /// Render a picture of each unit as well, by the default recipe, for --out and --html
    #[arg(long)]
    render: bool,
    /// With --render: say whether each picture may be believed, by path and predictability
    /// (docs/belief.md). Takes some seconds a unit
    #[arg(long, requires = "render", conflicts_with_all = ["groups", "spectra"])]
    belief: bool,
    /// Say what drives the unit, and what it adds to the scores of the classes that its best images
    /// (--examples) are named as, and of those with the largest mean scores; with --out
    /// or --html show these units, too
    #[arg(long)]
    drivers: bool,
    /// For --out and --html: lay the unit's map of activations over the images that excite it
    #[arg(long, conflicts_with_all = ["groups", "spectra"])]
    heat: bool,
    /// Group the units of --layer that answer the same positions, down to this mean correlation
    #[arg(long, value_name = "CORRELATION", num_args = 0..=1, default_missing_value = "0.3", conflicts_with_all = ["units", "class", "render"])]
    groups: Option<f64>,
    /// Plot how the detail of the images that excite units falls with depth, with --render that of the
    /// units' pictures as well
    #[arg(long, conflicts_with_all = ["units", "layer", "class", "html", "groups"])]
    spectra: bool,
    /// The folder that the scanned images lie in, if they have moved
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// The network that was scanned, if it is not where it was
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Images of a class below which its mean answer is hardly known.
const FEW_IMAGES: usize = 5;

/// Default number of images of each list in a picture.
const EXAMPLES: u8 = 9;

/// The quantity by which units are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest activation
    Max,
    /// The mean activation
    Mean,
    /// How far a class's mean exceeds that of the others
    Selectivity,
}

/// Parses a number of units, or `all`.
fn top(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ if text == "all" => Ok(usize::MAX),
        _ => Err("a number from 1 on, or all, is needed".to_owned()),
    }
}

impl Args {
    /// Returns the folder of the scanned images, if `--images` names one because they have moved.
    fn images(&self) -> Option<String> {
        self.images.as_ref().map(|folder| folder.display().to_string())
    }

    /// Returns how many images of each list are drawn.
    fn examples(&self) -> usize {
        usize::from(self.examples.unwrap_or(EXAMPLES))
    }

    /// Returns how many units are listed among a unit's drivers.
    fn contributions(&self) -> usize {
        self.top.unwrap_or(DEFAULT_CONTRIBUTIONS)
    }
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
    check(args)?;
    let scan = ScanFile::open(&args.scan)?;
    let units: Result<Vec<Vec<String>>, _> =
        args.units.iter().map(|text| UnitList::in_scan(text, &scan)).collect();
    let args = &Args { units: units?.concat(), ..args.clone() };
    if let Some(correlation) = args.groups {
        return groups(context, args, &scan, correlation);
    }
    if args.spectra {
        return spectra(context, args, &scan);
    }
    let chosen = chosen(context, args, &scan)?;
    let draws = args.out.is_some() || args.html.is_some();
    for (flag, given) in [("--render", args.render), ("--heat", args.heat)] {
        if given && !draws {
            bail!("{flag}: give --out or --html for the pictures to go into");
        }
    }
    let drawn = if draws { Some(draw(context, args, &scan, &chosen)?) } else { None };
    let (drawn, beliefs) = match drawn {
        Some(report) => (Some(report.contributions), report.beliefs),
        None => (None, Vec::new()),
    };
    let contributions = match drawn {
        _ if !args.drivers => Vec::new(),
        Some(contributions) => contributions,
        None => drivers(context, args, &scan)?,
    };
    if args.json {
        return print_as_json(context, args, &scan, &chosen, (&contributions, &beliefs));
    }
    match (&chosen[..], args.units.is_empty()) {
        (_, true) if args.layer.is_none() && args.class.is_none() => overview(context, &scan)?,
        (chosen, true) => table(context, args, &scan, chosen)?,
        (chosen, false) => {
            for (i, chosen) in chosen.iter().enumerate() {
                describe(context, &scan, chosen)?;
                beliefs
                    .get(i)
                    .map_or(Ok(()), |of| of.lines().iter().try_for_each(|line| context.print(line)))?;
                contributions.get(i).map_or(Ok(()), |of| printed::drivers(context, of))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_as_json(
    context: &Context,
    args: &Args,
    scan: &ScanFile,
    chosen: &[Chosen<'_>],
    (contributions, beliefs): (&[ContributionsReport], &[Belief]),
) -> Result<ExitCode> {
    if args.drivers {
        context.print(&serde_json::to_string_pretty(contributions)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.units.is_empty() && args.layer.is_none() && args.class.is_none() {
        return printed::overview_json(context, scan);
    }
    let of = |(i, chosen): (usize, &'_ Chosen<'_>)| {
        let mut unit = chosen.unit.clone();
        if let Some(examples) = args.examples {
            let lists = [&mut unit.best, &mut unit.worst, &mut unit.best_by_mean];
            lists.into_iter().for_each(|list| list.truncate(usize::from(examples)));
        }
        WithBelief { unit, belief: beliefs.get(i).cloned() }
    };
    let units: Vec<WithBelief> = chosen.iter().enumerate().map(of).collect();
    context.print(&serde_json::to_string_pretty(&units)?)?;
    Ok(ExitCode::SUCCESS)
}

/// A unit, and whether its picture may be believed if that was asked.
#[derive(Serialize)]
struct WithBelief {
    #[serde(flatten)]
    unit: UnitRecord,
    #[serde(flatten)]
    belief: Option<Belief>,
}

/// Refuses flags that would have no effect.
fn check(args: &Args) -> Result<()> {
    let ranks = args.layer.is_some() || args.class.is_some();
    if args.belief && args.drivers && args.json {
        bail!("--belief: with --drivers, --json prints the drivers alone; leave one of the three out");
    }
    if args.drivers && args.units.is_empty() {
        bail!("--drivers: give the units, for instance fire8:12");
    }
    if args.groups.is_some() && args.layer.is_none() {
        bail!("--groups: give the --layer whose units are grouped");
    }
    if args.groups.is_some() && (args.top.is_some() || args.sort != Sort::Max) {
        bail!("--groups: all units of the layer are grouped; leave --top and --sort out");
    }
    if args.sort != Sort::Max && !ranks {
        bail!("--sort: give --layer or --class for units to be ordered");
    }
    if args.top.is_some() && !ranks && !args.drivers && !args.spectra {
        match args.units.is_empty() {
            true => bail!("--top: give --layer or --class for units to be listed"),
            false => {
                bail!("--top: it counts units of --layer or --class; --examples counts the images of a unit")
            }
        }
    }
    if args.model.is_some() && !args.render && !args.drivers && !args.heat {
        bail!("--model: the network is needed for --render, --drivers and --heat only");
    }
    let reads_images = args.out.is_some() || args.html.is_some() || args.drivers || args.spectra;
    if args.images.is_some() && !reads_images {
        bail!("--images: images are read for --out, --html, --drivers and --spectra only");
    }
    Ok(())
}

/// A unit to print or draw, with the value by which units are ordered.
struct Chosen<'a> {
    unit: UnitRecord,
    layer: &'a LayerRecord,
    value: Option<f64>,
}

fn chosen<'a>(context: &Context, args: &Args, scan: &'a ScanFile) -> Result<Vec<Chosen<'a>>> {
    let (mut chosen, mut said) = (Vec::new(), Vec::new());
    for text in &args.units {
        let (unit, named) = scan.unit_named(text)?;
        let name = text.rsplit_once(':').map_or(&text[..], |(name, _)| name);
        if !said.contains(&name) {
            say_form(context, name, &named);
            said.push(name);
        }
        chosen.push(Chosen { unit, layer: named.layer, value: None });
    }
    if !args.units.is_empty() || args.layer.is_none() && args.class.is_none() {
        return Ok(chosen);
    }
    let most = scan.classes()?.iter().map(|class| class.images).max().unwrap_or(0);
    if args.sort == Sort::Selectivity && (1..FEW_IMAGES).contains(&most) {
        context.note(&format!(
            "the scan has at most {most} images of a class: selectivity says little with fewer than {FEW_IMAGES}"
        ));
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
    // If several layers are listed, each shows only its strongest unit; a single layer shows several units.
    let wanted = match (&args.layer, args.top) {
        (None, None) => 1,
        (_, Some(top)) => top,
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

fn say_form(context: &Context, name: &str, named: &Named<'_>) {
    if named.form.is_some() {
        let (name, layer) = (name.to_owned(), named.layer.name.clone());
        context.note(&Remark::from(ScanRemark::LastForm { name, layer }).to_string());
    }
}

/// Draws the chosen units as a picture or a page.
fn draw(context: &Context, args: &Args, scan: &ScanFile, chosen: &[Chosen<'_>]) -> Result<UnitsReport> {
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
        examples: args.examples(),
        setting: args.render.then(|| Setting { preset: Preset::default(), seed: 0 }),
        drivers: args.drivers.then(|| args.contributions()),
        heat: args.heat,
        belief: args.belief,
        images: args.images(),
    };
    let needs_model = args.render || args.drivers || args.heat;
    let model = needs_model.then(|| scan.model(context, args.model.as_deref())).transpose()?;
    let report = results::run(context, model.as_ref(), &job, &mut results, &[scan.path()], None)?;
    if !args.json {
        for file in results.listed() {
            context.print(&format!("written to {file}"))?;
        }
    }
    Ok(report)
}
