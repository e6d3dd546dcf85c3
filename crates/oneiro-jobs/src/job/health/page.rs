//! The report as a page: suspected classes with what their cues do, unhealthy filters with pictures and
//! examples, layers.

use oneiro_media::{Page, PngText, Section};

use super::bias::{CLEAR, Changed, ClassHealth};
use super::report::{HealthReport, LayerHealth, UnitHealth};
use super::units::PERHAPS_NOISE;
use super::verdict::Verdict;
use crate::error::Result;
use crate::job::Run;
use crate::job::belief::ABOUT;
use crate::job::figures::footer;
use crate::prose::capitalized;
use crate::store::ScanFile;

mod classes;
mod pictures;
mod units;

/// Suspicion from which a class is shown.
const SUSPECTED: f64 = 0.3;
/// Most classes that are shown.
const CLASSES: usize = 12;
/// Side of pictures and of mosaics of crops.
const SIDE: usize = 200;
/// Recipe of the pictures.
const RECIPE: &str = "oneiro";

pub(super) fn page(
    run: &Run<'_>,
    report: &HealthReport,
    changed: &[Vec<Changed>],
    scan: Option<&ScanFile>,
    text: PngText,
) -> Result<Page> {
    let model = run.model()?;
    let mut sections = Vec::new();
    let suspected = suspected(report);
    let of_classes: Vec<&ClassHealth> = suspected.iter().map(|class| &report.classes[*class]).collect();
    if !report.classes.is_empty() {
        sections.extend(classes::sections(run, report, &suspected, changed, scan)?);
    }
    for verdict in Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Healthy) {
        if report.count(verdict) > 0 {
            sections.push(units::section(run, report, scan, verdict)?);
        }
    }
    // The first section that needs it explains the lines about belief.
    let explains = sections.iter().position(|section| section.note.contains(ABOUT));
    for section in sections.iter_mut().skip(explains.map_or(0, |at| at + 1)) {
        section.note = section.note.replace(&format!("\n\n{ABOUT}"), "");
    }
    sections.extend(perhaps(report));
    sections.push(layers(report));
    if !report.not_judged.is_empty() {
        let sentence = |line: &String| if line.ends_with('.') { line.clone() } else { format!("{line}.") };
        let note = report.not_judged.iter().map(sentence).collect::<Vec<_>>().join("\n\n");
        sections.push(Section {
            heading: "Not judged".to_owned(),
            note,
            figures: Vec::new(),
            ..Section::default()
        });
    }
    let title = format!("Health of {}", model.title);
    Ok(Page {
        title,
        intro: intro(report, &of_classes, model.takes_clips()),
        sections,
        footer: footer(model, RECIPE),
        text,
    })
}

/// The indices of the classes that are shown, the most suspected first.
fn suspected(report: &HealthReport) -> Vec<usize> {
    let of = |class: &usize| &report.classes[*class];
    let mut classes: Vec<usize> =
        (0..report.classes.len()).filter(|class| of(class).suspicion >= SUSPECTED).collect();
    classes.sort_by(|a, b| {
        of(b).suspicion.total_cmp(&of(a).suspicion).then_with(|| of(a).name.cmp(&of(b).name))
    });
    classes.truncate(CLASSES);
    classes
}

fn intro(report: &HealthReport, suspected: &[&ClassHealth], of_clips: bool) -> String {
    let counted: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| report.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", report.count(verdict), verdict.name().replace('_', " ")))
        .collect();
    let units = report.units();
    let data = match report.images {
        0 => "synthetic pictures alone, as no images were given".to_owned(),
        images => format!("{images} {} of {}", if of_clips { "clips" } else { "images" }, report.data),
    };
    let strongest = match suspected.first() {
        Some(_) => {
            let said =
                |class: &&&ClassHealth| format!("\"{}\": {} ({})", class.name, class.cue(), class.strength());
            let clear = suspected.iter().filter(|class| class.suspicion >= CLEAR).count().max(1);
            let all: Vec<String> = suspected.iter().take(clear).map(|class| said(&class)).collect();
            format!("\n\nClasses that seem to follow a cue that is not their object: {}.", all.join("; "))
        }
        None => {
            let judged = report.classes.iter().filter(|class| class.is_judged()).count();
            let but = "no class seems to follow a single cue that is not its object";
            match (judged, report.classes.len()) {
                (0, 0) => String::new(),
                (0, all) => {
                    format!("\n\nNone of the {all} classes could be judged; the end of the page says why.")
                }
                (judged, all) if judged == all => format!("\n\nOf {all} classes, {but}."),
                (judged, all) => {
                    format!("\n\nOf the {judged} classes that could be judged, of {all}, {but}.")
                }
            }
        }
    };
    let right = report.accuracy.map_or_else(String::new, |of| {
        let share = 100.0 * of.right as f64 / of.known.max(1) as f64;
        format!(" The network names {} of {} rightly ({share:.1} %).", of.right, of.known)
    });
    let right = match report.without_color {
        Some(without) => format!("{right} {}.", capitalized(&without.words())),
        None => right,
    };
    format!("{units} filters, judged by {data}: {}.{right}{strongest}", counted.join(", "))
}

/// The filters that are close to a verdict of noise, in words.
fn perhaps(report: &HealthReport) -> Option<Section> {
    let of_layer = |layer: &LayerHealth| -> Vec<String> {
        let units = layer.units.iter().filter(|unit| unit.tags.iter().any(|tag| tag == PERHAPS_NOISE));
        units
            .map(|unit| {
                let score = unit.evidence.get("noise_score").and_then(serde_json::Value::as_f64);
                format!("{}:{} ({:.2})", layer.name, unit.channel, score.unwrap_or(0.0))
            })
            .collect()
    };
    let found: Vec<String> = report.layers.iter().flat_map(of_layer).collect();
    let note = format!(
        "These filters count as healthy, but their noise score is close to one half: {}.",
        found.join(", ")
    );
    let heading = format!("Perhaps chasing noise: {}", found.len());
    (!found.is_empty()).then(|| Section { heading, note, figures: Vec::new(), ..Section::default() })
}

const ABOUT_DIVERSITY: &str = "Filters of a layer that answer alike tell less than independent ones. The diversity is the number of \
     independent filters that would vary as much; a low share of all means that the layer is larger than its task, or that \
     filters collapsed. Channels with a verdict are listed; guesses stand in square brackets.";

/// The channels of a layer with a verdict: of a duplicate with the one that it equals, guesses in brackets.
fn channels(layer: &LayerHealth, verdict: Verdict) -> String {
    /// Channels that are listed.
    const LISTED: usize = 40;
    let units: Vec<&UnitHealth> = layer.units.iter().filter(|unit| unit.verdict == verdict).collect();
    let said = |unit: &&UnitHealth| {
        let of = unit.of.map_or_else(String::new, |of| format!(" (as {of})"));
        if unit.is_sure() { format!("{}{of}", unit.channel) } else { format!("[{}{of}]", unit.channel) }
    };
    let mut listed: Vec<String> = units.iter().take(LISTED).map(said).collect();
    if units.len() > LISTED {
        listed.push(format!("and {} more", units.len() - LISTED));
    }
    listed.join(", ")
}

/// A line for each layer.
fn layers(report: &HealthReport) -> Section {
    let line = |layer: &LayerHealth| {
        let sick: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Healthy && layer.count(*verdict) > 0)
            .map(|verdict| format!("{} {}", verdict.name().replace('_', " "), channels(layer, verdict)))
            .collect();
        let sick = if sick.is_empty() { "all healthy".to_owned() } else { sick.join("; ") };
        let rank = layer.summary.effective_rank.map_or_else(String::new, |rank| {
            let share = 100.0 * rank / layer.units.len().max(1) as f64;
            format!("; as diverse as {rank:.1} independent filters ({share:.0} %)")
        });
        format!("{} ({} filters): {sick}{rank}", layer.name, layer.units.len())
    };
    let lines: Vec<String> = report.layers.iter().map(line).collect();
    let note = format!("{ABOUT_DIVERSITY}\n\n{}", lines.join("\n\n"));
    Section { heading: "Layers".to_owned(), note, figures: Vec::new(), ..Section::default() }
}
