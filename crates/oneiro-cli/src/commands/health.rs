//! `oneiro health`: which filters are dead, always on, copies of others, or only chase noise.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use oneiro_jobs::files::{check_folder, create_folder};
use oneiro_jobs::job::health::fail_on::{Counted, FailOn};
use oneiro_jobs::job::health::table::{ModelHealth, judge_each, models_in};
use oneiro_jobs::job::health::{ClassHealth, HealthJob, HealthReport, Verdict};
use oneiro_jobs::job::parts::Parts;
use oneiro_jobs::job::{Job as _, Role};

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use crate::results::Results;
use crate::terminal::{CONDITION_HOLDS, complain};

/// Suspicion from which a class is listed.
const SUSPECTED: f64 = 0.3;
/// Unhealthy filters of a layer that are listed on the terminal.
const LISTED: usize = 12;

/// Judge the filters of a network: dead, always on, copies of others, or only chasing noise
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro health model.onnx photos/                    # a verdict on every filter, by what photos do to it
  oneiro health model.onnx photos.scan --html health.html
  oneiro health model.onnx                            # without data: by synthetic pictures; less is certain
  oneiro health model.onnx photos.scan --json > health.json
  oneiro health checkpoints/ photos/                  # a line for each model of a folder
  oneiro health model.onnx photos.scan --fail-on 'dead>5%' --fail-on 'suspicion>=0.5' --fail-on 'right<90%'

In place of MODEL, a folder of .onnx files gives a table with a line for each.
Verdicts: dead (never active), always_on (active everywhere, so no filter but a linear map), noise (answers pixel noise
rather than pictures), duplicate (equals another filter of its layer up to a factor), healthy. docs/health.md says how each
is found and how sure it is. Exit code 3 says that a condition of --fail-on holds.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A scan, or a folder or list of images
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// Layers whose filters are judged, separated by commas; classes are judged all the same, unless
    /// --filters-only is given [default: all convolutions, and dense layers in front of an activation
    /// function]
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Vec<String>,
    /// Judge filters alone, and not what classes follow; quicker
    #[arg(long)]
    filters_only: bool,
    /// The folder that the scan's images lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Also make a picture of every filter, and tag those that images excite more (not_visualizable); this
    /// takes as long as a sheet of all filters
    #[arg(long, requires = "data")]
    optimise: bool,
    /// Exit with 3 if this holds, such as 'dead>5%', 'noise>=3', 'suspicion>=0.5' (of any class) or
    /// 'right<90%' (images named rightly); may be given several times. Verdicts that are less than half sure,
    /// or 70 % for noise, do not count
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<FailOn>,
    /// Write the report as a page, with pictures of the unhealthy filters
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A folder for the page health.html, the numbers health.json, and the scan that is made of images. If it
    /// is interrupted, the same command goes on from there
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let mut job = HealthJob {
        data: args.data.as_ref().map(|data| data.display().to_string()),
        layers: args.layers.clone(),
        images: args.images.as_ref().map(|folder| folder.display().to_string()),
        optimise: args.optimise,
        filters_only: args.filters_only,
        labels: Vec::new(),
    };
    job.check()?;
    let folder = Path::new(&args.model.model);
    if folder.is_dir() {
        return table(context, args, &job, folder);
    }
    let model = model::load(context, &args.model)?;
    job.labels = model.labels.as_ref().map(|labels| labels.names.clone()).unwrap_or_default();
    let in_folder = |name: &str| args.out.as_ref().map(|folder| folder.join(name));
    let page = args.html.clone().or_else(|| in_folder("health.html"));
    let flag = if args.html.is_some() { "--html" } else { "--out" };
    if let Some(folder) = &args.out {
        if folder.is_file() {
            bail!("--out {}: this is a file; a folder is needed", folder.display());
        }
        check_folder(folder)?;
        create_folder(folder)?;
    }
    let mut results = Results::default().and(Role::Page, flag, page.as_ref()).and(
        Role::Table,
        "--out",
        in_folder("health.json").as_ref(),
    );
    results.check_writable()?;
    let parts = args.out.as_ref().map(|folder| Parts::new(folder.join("health.parts"), None));
    let run = oneiro_jobs::Run::new(&model, context).with_parts(parts.as_ref());
    let report = job.run(&run, &mut results)?;
    if let Some(parts) = &parts {
        parts.clear();
    }
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
    } else {
        print(context, &report)?;
    }
    if let Some(page) = &page {
        context.note(&format!("the page is {}", page.display()));
    }
    let mut code = ExitCode::SUCCESS;
    let counted = Counted::from(&report);
    for condition in &args.fail_on {
        if let Some(said) = condition.holds(&counted).map_err(|why| anyhow!("--fail-on {why}"))? {
            complain(&said);
            code = ExitCode::from(CONDITION_HOLDS);
        } else {
            context.note(&format!("passed: {condition} does not hold"));
        }
    }
    let guesses = report.units() - counted.sure.values().sum::<usize>();
    if !args.fail_on.is_empty() && guesses > 0 {
        context.note(&format!("verdicts on {guesses} filters are guesses and do not count"));
    }
    Ok(code)
}

/// A line for each model of a folder.
fn table(context: &Context, args: &Args, job: &HealthJob, folder: &Path) -> Result<ExitCode> {
    let flags = [("--html", args.html.is_some()), ("--out", args.out.is_some())];
    if let Some((flag, _)) = flags.into_iter().find(|(_, given)| *given) {
        bail!("{flag} is for one model, and {} is a folder of models", folder.display());
    }
    let rows = judge_each(context, &args.model.spec(), &models_in(folder)?, job)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&rows)?)?;
    } else {
        let name = |row: &ModelHealth| {
            Path::new(&row.model).file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        let width = rows.iter().map(|row| name(row).len()).max().unwrap_or(0).max("model".len());
        let heads = ["dead", "always on", "noise", "duplicate", "diversity", "right"];
        let heads: Vec<String> = heads.iter().map(|head| format!("{head:>9}")).collect();
        context.print(&format!("{:width$}  filters  {}  most suspected class", "model", heads.join("  ")))?;
        for row in &rows {
            if let Some(why) = &row.failed {
                context.print(&format!("{:width$}  not judged: {why}", name(row)))?;
                continue;
            }
            let percent = |share: f64| format!("{:>7.1} %", 100.0 * share);
            let mut cells: Vec<String> =
                Verdict::ALL[..4].iter().map(|verdict| percent(row.sure_share(*verdict))).collect();
            cells.push(row.diversity.map_or_else(|| format!("{:>9}", "?"), percent));
            let right = row.accuracy.map(|of| of.right as f64 / of.known as f64);
            cells.push(right.map_or_else(|| format!("{:>9}", "?"), percent));
            let chance =
                if row.is_near_chance { "; names hardly more than by chance, so it says little" } else { "" };
            let nothing = if row.classes_judged > 0 { "none" } else { "not judged" };
            let class = row.most_suspected.as_ref().map_or_else(
                || nothing.to_owned(),
                |class| format!("{} ({:.2}): {}", class.name, class.suspicion, class.cue()),
            );
            context.print(&format!(
                "{:width$}  {:>7}  {}  {class}{chance}",
                name(row),
                row.filters,
                cells.join("  ")
            ))?;
        }
    }
    let mut has_condition = false;
    for row in rows.iter().filter(|row| row.failed.is_none()) {
        for condition in &args.fail_on {
            let said = condition.holds(&Counted::from(row));
            if let Some(said) = said.map_err(|why| anyhow!("--fail-on {why} ({})", row.model))? {
                complain(&format!("{}: {said}", row.model));
                has_condition = true;
            }
        }
    }
    // A model that could not be judged is a failure, although the others have their lines.
    let failed = rows.iter().any(|row| row.failed.is_some());
    Ok(match (failed, has_condition) {
        (true, _) => ExitCode::FAILURE,
        (_, true) => ExitCode::from(CONDITION_HOLDS),
        _ => ExitCode::SUCCESS,
    })
}

fn print(context: &Context, report: &HealthReport) -> Result<()> {
    let width = report.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in &report.layers {
        let sick: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Healthy && layer.count(*verdict) > 0)
            .map(|verdict| format!("{} {}", layer.count(verdict), verdict.name()))
            .collect();
        let said = if sick.is_empty() { "all healthy".to_owned() } else { sick.join(", ") };
        let rank = layer
            .summary
            .effective_rank
            .map_or_else(String::new, |rank| format!("; as diverse as {rank:.1} independent ones"));
        context.print(&format!("{:width$}  {} filters: {said}{rank}", layer.name, layer.units.len()))?;
        let unhealthy = layer.units.iter().filter(|unit| unit.verdict != Verdict::Healthy);
        for unit in unhealthy.clone().take(LISTED) {
            let of = unit.of.map_or_else(String::new, |of| format!(" of {of}"));
            let (sure, name) = (100.0 * unit.confidence, unit.verdict.name());
            let guess = if unit.is_sure() { "" } else { ", a guess" };
            context.print(&format!(
                "    {:>4}  {name}{of}, {sure:.0} % sure{guess}: {}",
                unit.channel, unit.why
            ))?;
        }
        if unhealthy.clone().count() > LISTED {
            context.print(&format!("    and {} more", unhealthy.count() - LISTED))?;
        }
    }
    let mut classes: Vec<_> = report.classes.iter().filter(|class| class.suspicion >= SUSPECTED).collect();
    classes.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion));
    for class in classes.iter().take(LISTED) {
        let ClassHealth { name, .. } = class;
        context.print(&format!(
            "class {name} ({}): {}. {}",
            class.strength(),
            class.cue(),
            class.effect()
        ))?;
    }
    if let Some(without) = report.without_color {
        context.print(&without.words())?;
    }
    let judged = report.classes.iter().filter(|class| class.is_judged()).count();
    if classes.is_empty() && judged > 0 {
        let of = match judged == report.classes.len() {
            true => "no class".to_owned(),
            false => format!("none of the {judged} classes that could be judged"),
        };
        context.print(&format!("{of} is suspected to follow a cue that is not its object"))?;
    }
    for line in &report.not_judged {
        context.print(&format!("not judged: {line}"))?;
    }
    for verdict in Verdict::ALL {
        if verdict != Verdict::Healthy && report.count(verdict) > 0 {
            context.print(&format!("what to do: {}", verdict.advice()))?;
        }
    }
    Ok(())
}
