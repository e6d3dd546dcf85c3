//! The reports of comparisons as text.

use anyhow::Result;
use oneiro_jobs::job::compare::{
    CompareReport, Driver, FilterChange, FiltersReport, LayersReport, ModelsReport, ShownImage, UnitsReport,
    deviations, percent,
};
use oneiro_jobs::numbers::{short, signed};

use crate::context::Context;

/// Images of a list that are named.
const NAMED: usize = 3;

/// Prints a report with up to `listed` filters or pairs of units.
pub(super) fn report(context: &Context, report: &CompareReport, listed: usize) -> Result<()> {
    match report {
        CompareReport::Units(report) => units(context, report),
        CompareReport::Layers(report) => layers(context, report, listed),
        CompareReport::Unit(report) => models(context, report),
        CompareReport::Filters(report) => filters(context, report, listed),
    }
}

/// A number that may be undefined.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn units(context: &Context, report: &UnitsReport) -> Result<()> {
    context.print(&format!("A {}, B {}", report.a, report.b))?;
    context.print(
        "picture       A                     B                     (100 % is the unit's own picture, 0 % is noise)",
    )?;
    for picture in &report.pictures {
        let of = |value: Option<f64>, share: Option<f64>| {
            let share = share.map_or_else(String::new, |share| format!(" ({})", percent(share)));
            format!("{}{share}", value.map_or_else(|| "-".to_owned(), short))
        };
        let (a, b) = (of(picture.a, picture.share_a), of(picture.b, picture.share_b));
        let line = format!("  {:<10}  {a:<20}  {b:<20}  {}", picture.of, picture.missed.unwrap_or_default());
        context.print(line.trim_end())?;
    }
    report.words().iter().try_for_each(|words| context.print(words))?;
    let lists: [(&str, &[ShownImage]); 3] =
        [("A and not B", &report.a_not_b), ("B and not A", &report.b_not_a), ("both", &report.both)];
    for (name, list) in lists.into_iter().filter(|_| report.data.is_some()) {
        let image = |image: &ShownImage| {
            let (a, b) = (short(image.a), short(image.b));
            format!(
                "{} (A {a} at {}, B {b} at {})",
                image.file,
                deviations(image.score_a),
                deviations(image.score_b)
            )
        };
        let images: Vec<String> = list.iter().take(NAMED).map(image).collect();
        let images = if images.is_empty() { "no image".to_owned() } else { images.join(", ") };
        context.print(&format!("{name}: {images}"))?;
    }
    if !report.confusions.is_empty() {
        let lists: [(&str, &[Driver]); 3] = [
            (
                "drive A more than B (adds to the scores of A and of B, mean over A's best images)",
                &report.drive_a,
            ),
            (
                "drive B more than A (adds to the scores of A and of B, mean over B's best images)",
                &report.drive_b,
            ),
            ("drive both (adds to A's score on A's best images, to B's on B's)", &report.shared),
        ];
        for (name, list) in lists {
            let unit = |of: &Driver| format!("{} (A {}, B {})", of.unit, signed(of.a), signed(of.b));
            let units: Vec<String> = list.iter().take(NAMED).map(unit).collect();
            let units = if units.is_empty() { "no unit".to_owned() } else { units.join(", ") };
            context.print(&format!("{name}: {units}"))?;
        }
    }
    Ok(())
}

fn layers(context: &Context, report: &LayersReport, listed: usize) -> Result<()> {
    let [a, b] = report.channels;
    context.print(&format!("A {} ({a} channels), B {} ({b} channels)", report.a, report.b))?;
    report.words().iter().try_for_each(|words| context.print(words))?;
    context
        .print("for each channel of A the channel of B with the largest correlation, most similar first:")?;
    for of in report.matches.iter().take(listed) {
        context.print(&format!("  {:>4} - {:>4}  {:.3}", of.a, of.b, of.correlation))?;
    }
    if report.matches.len() > listed {
        context.print(&format!("  and {} more", report.matches.len() - listed))?;
    }
    Ok(())
}

fn models(context: &Context, report: &ModelsReport) -> Result<()> {
    context.print(&report.unit)?;
    let width = report.models.iter().map(|of| of.model.chars().count()).max().unwrap_or(0).max(7);
    context.print(&format!(
        "  {:<width$}  noise -> picture       weights  activations  (cosine and correlation with the first)",
        "network"
    ))?;
    for of in &report.models {
        let values = format!("{} -> {}", short(of.value_at_start), short(of.value));
        let activations = of.correlations.first().and_then(|of| of.pearson);
        let weights = of.weight_cosines.first().copied().flatten();
        context.print(&format!(
            "  {:<width$}  {values:<20}  {:>7}  {:>11}",
            of.model,
            number(weights),
            number(activations)
        ))?;
    }
    report.words().iter().try_for_each(|words| context.print(words))?;
    context.print("the value in each network (row) of the picture of each network (column):")?;
    for of in &report.models {
        let values: Vec<String> = of
            .values
            .iter()
            .map(|value| format!("{:>9}", value.map_or_else(|| "-".to_owned(), short)))
            .collect();
        context.print(&format!("  {:<width$}  {}", of.model, values.join("  ")))?;
    }
    Ok(())
}

fn filters(context: &Context, report: &FiltersReport, listed: usize) -> Result<()> {
    let layers: Vec<&str> = report.layers.iter().map(|of| &of.layer[..]).collect();
    context.print(&format!("{} in {}", layers.join(", "), report.models.join(", ")))?;
    report.words().iter().try_for_each(|words| context.print(words))?;
    let name = |filter: &FilterChange| format!("{}:{}", filter.layer, filter.channel);
    let shown = &report.filters[..listed.min(report.filters.len())];
    let width = shown.iter().map(|filter| name(filter).chars().count()).max().unwrap_or(0).max(6);
    context.print(&format!(
        "{:<width$}  change  cosine of weights, correlation of activations with the first network; moved most first:",
        "filter"
    ))?;
    for filter in shown {
        let later = filter.weight_cosines.iter().zip(&filter.correlations).skip(1);
        let later: Vec<String> = later
            .map(|(cosine, correlation)| format!("{}, {}", number(*cosine), number(*correlation)))
            .collect();
        let change = number(filter.change);
        context.print(&format!("{:<width$}  {change:>6}  {}", name(filter), later.join("; ")))?;
    }
    if report.filters.len() > shown.len() {
        context.print(&format!("and {} more", report.filters.len() - shown.len()))?;
    }
    Ok(())
}
