//! Prints the content of a scan: its layers, a table of units, or one unit.

use std::process::ExitCode;

use anyhow::Result;
use oneiro_jobs::job::contributions::ContributionsReport;
use oneiro_jobs::job::units::{lists, numbers, plain_class, selectivity};
use oneiro_jobs::numbers::short;
use oneiro_jobs::store::ScanFile;
use oneiro_jobs::store::read::{Breadth, ExampleRecord, LayerRecord};

use super::{Args, Chosen, Sort};
use crate::context::Context;

/// Number of example images printed of each list.
const PRINTED: usize = 5;
/// Number of classes printed for a unit.
const CLASSES: usize = 10;

/// Prints an overview of a scan: its images, classes and layers.
pub(super) fn overview(context: &Context, scan: &ScanFile) -> Result<()> {
    let meta = |key: &str| scan.meta(key).unwrap_or_default();
    let (seen, all) = (scan.image_count()?, meta("images"));
    context.print(&format!("{}: {seen} of {all} images of {}", meta("model-title"), meta("data")))?;
    let classes = scan.classes()?;
    let (known, right) = scan.accuracy()?;
    if known > 0 {
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

/// Prints the overview of a scan as JSON.
pub(super) fn overview_json(context: &Context, scan: &ScanFile) -> Result<ExitCode> {
    let (known, right) = scan.accuracy()?;
    let layer = |layer: &LayerRecord| {
        serde_json::json!({
            "name": layer.name, "aliases": layer.aliases, "channels": layer.channels, "map": layer.map,
            "classes": layer.is_classes,
        })
    };
    let layers: Vec<serde_json::Value> = scan.layers().iter().map(layer).collect();
    let classes: Vec<&str> = scan.classes()?.iter().map(|class| class.name.as_str()).collect();
    let overview = serde_json::json!({
        "model": scan.meta("model"), "data": scan.meta("data"), "images": scan.image_count()?,
        "accuracy": { "known": known, "right": right }, "classes": classes, "problems": scan.problems()?,
        "ranked_by": scan.ranked_by(), "layers": layers,
    });
    context.print(&serde_json::to_string_pretty(&overview)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a table of units, one line for each.
pub(super) fn table(context: &Context, args: &Args, scan: &ScanFile, chosen: &[Chosen<'_>]) -> Result<()> {
    let by = match (&args.class, args.sort) {
        (Some(class), Sort::Max) => format!("largest activation for {}", scan.class(class)?.1.name),
        (Some(class), Sort::Mean) => format!("mean for {}", scan.class(class)?.1.name),
        (Some(class), Sort::Selectivity) => format!("selectivity for {}", scan.class(class)?.1.name),
        (None, Sort::Max) => "largest activation".to_owned(),
        (None, Sort::Mean) => "mean".to_owned(),
        (None, Sort::Selectivity) => "selectivity; the class it is for".to_owned(),
    };
    let names_class = args.class.is_none() && args.sort == Sort::Selectivity;
    let names: Vec<String> =
        chosen.iter().map(|c| scan.name_of(&c.unit, c.layer)).collect::<Result<_, _>>()?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    context.print(&format!("{:<width$}  {:>9}  {:>9}  active  {by}; best image", "unit", "value", "mean"))?;
    for (chosen, name) in chosen.iter().zip(names) {
        let value = chosen.value.map_or_else(String::new, short);
        let mean = chosen.unit.mean.map_or_else(String::new, short);
        let active = chosen.unit.fraction_active.map_or(0.0, |share| 100.0 * share);
        // The share of active positions says nothing about logits, whose sign has no meaning.
        let active = if chosen.layer.is_classes { "      ".into() } else { format!("{active:4.0} %") };
        let best = chosen.unit.best.first().map_or("", |example| example.file.as_str());
        let class = match scan.selectivity(&chosen.unit)? {
            Some((class, _)) if names_class => format!("{}; ", plain_class(&class)),
            _ => String::new(),
        };
        context.print(&format!("{name:<width$}  {value:>9}  {mean:>9}  {active}  {class}{best}"))?;
    }
    Ok(())
}

/// Prints a unit: its statistics, classes and example images.
pub(super) fn describe(
    context: &Context,
    scan: &ScanFile,
    Chosen { unit, layer, .. }: &Chosen<'_>,
) -> Result<()> {
    context.print(&format!("{}: {}", scan.name_of(unit, layer)?, numbers(unit, layer)))?;
    for (heading, list) in lists(scan, unit, layer, PRINTED) {
        context.print(&heading)?;
        list.into_iter().try_for_each(|example| context.print(&line(example)))?;
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
        Breadth::One { class } => context.print(&format!("answers one class: {}", plain_class(&class)))?,
        Breadth::Several { classes } => {
            let classes: Vec<String> = classes.iter().map(|class| plain_class(class)).collect();
            context.print(&format!("answers several classes: {}", classes.join(", ")))?
        }
        Breadth::Most => context.print("answers most classes alike")?,
        Breadth::Nothing => context.print("answers no class: its means are not above zero")?,
        _ => {}
    }
    if let Some(words) = selectivity(scan, unit)? {
        context.print(&format!("selectivity {words}"))?;
    }
    let correlated = scan.correlated(unit.number)?;
    if !correlated.is_empty() {
        let said: Vec<String> =
            correlated.iter().map(|(channel, r)| format!("{}:{channel} ({r:+.2})", layer.name)).collect();
        context.print(&format!("correlated with {}", said.join(", ")))?;
    }
    Ok(())
}

/// Prints which units drive a unit, and which classes it feeds.
pub(super) fn drivers(context: &Context, report: &ContributionsReport) -> Result<()> {
    let images = report.examples.len();
    context.print(&format!(
        "driven to {}{}, the mean over its {images} best images",
        short(report.value),
        if report.is_before { " in front of its activation function" } else { "" }
    ))?;
    if report.drivers.is_empty() {
        context.print("  the scan has no layer that it depends on")?;
    }
    for layer in &report.drivers {
        context.print(&format!("  {} contributes {}", layer.layer, short(layer.total)))?;
        for (word, list) in [("raised by", &layer.raise), ("lowered by", &layer.lower)] {
            let said: Vec<String> = list.iter().map(|c| format!("{} {}", c.unit, short(c.value))).collect();
            if !said.is_empty() {
                context.print(&format!("    {word}: {}", said.join(", ")))?;
            }
        }
    }
    if report.is_bias {
        context.print(&format!("  its bias contributes {}", short(report.rest)))?;
    } else if !report.drivers.is_empty() {
        let rest = short(report.rest);
        context.print(&format!(
            "  the rest is {rest}: its bias, and what is not to first order of these layers"
        ))?;
    }
    for feeds in &report.feeds {
        context.print(&format!("feeds {} with {}", feeds.unit, short(feeds.value)))?;
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
