//! The report as a page: unhealthy filters with their pictures and examples, suspected classes, layers.

use oneiro_media::{Figure, Image, Page, PngText, Section};

use super::bias::ClassHealth;
use super::report::{HealthReport, LayerHealth, UnitHealth};
use super::units::PERHAPS_NOISE;
use super::verdict::Verdict;
use super::words::advice;
use crate::error::Result;
use crate::job::crops::Crops;
use crate::job::error::JobError;
use crate::job::figures::{footer, with_jpeg};
use crate::job::render::{RenderJob, Setting};
use crate::job::tiles::{below, crossed_out, squares};
use crate::job::{Job as _, Kept, Place, Run};
use crate::numbers::short;
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::LayerRecord;

/// Unhealthy filters of each verdict that are shown with pictures.
const SHOWN: usize = 24;
/// Suspicion from which a class is shown.
const SUSPECTED: f64 = 0.3;
/// Most classes that are shown.
const CLASSES: usize = 12;
/// Side of pictures and of mosaics of crops.
const SIDE: usize = 200;
/// Recipe of the pictures.
const RECIPE: &str = "oneiro";
const CROPS: usize = 9;

/// A unit that is shown.
struct Shown<'a> {
    layer: &'a LayerHealth,
    unit: &'a UnitHealth,
}

pub(super) fn page(
    run: &Run<'_>,
    report: &HealthReport,
    scan: Option<&ScanFile>,
    text: PngText,
) -> Result<Page> {
    let model = run.model()?;
    let mut sections = Vec::new();
    let suspected = suspected(report);
    if !report.classes.is_empty() {
        sections.push(classes(run, report, &suspected)?);
    }
    for verdict in Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Healthy) {
        if report.count(verdict) > 0 {
            sections.push(of_verdict(run, report, scan, verdict)?);
        }
    }
    sections.extend(perhaps(report));
    sections.push(layers(report));
    if !report.not_judged.is_empty() {
        let note = report.not_judged.join("\n\n");
        sections.push(Section { heading: "Not judged".to_owned(), note, figures: Vec::new() });
    }
    let title = format!("Health of {}", model.title);
    Ok(Page { title, intro: intro(report, &suspected), sections, footer: footer(model, RECIPE), text })
}

/// The classes that are shown, the most suspected first.
fn suspected(report: &HealthReport) -> Vec<&ClassHealth> {
    let mut classes: Vec<&ClassHealth> =
        report.classes.iter().filter(|class| class.suspicion >= SUSPECTED).collect();
    classes.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion).then(a.name.cmp(&b.name)));
    classes.truncate(CLASSES);
    classes
}

fn intro(report: &HealthReport, suspected: &[&ClassHealth]) -> String {
    let counted: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| report.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", report.count(verdict), verdict.name().replace('_', " ")))
        .collect();
    let units = report.units();
    let data = match report.images {
        0 => "synthetic pictures alone, as no images were given".to_owned(),
        images => format!("{images} images of {}", report.data),
    };
    let strongest = match suspected.first() {
        Some(class) => format!(
            "\n\nThe class \"{}\" seems to follow a cue that is not its object: {}.",
            class.name,
            class.cue()
        ),
        None if report.classes.is_empty() => String::new(),
        None => "\n\nNo class seems to follow a cue that is not its object.".to_owned(),
    };
    format!("{units} filters, judged by {data}: {}.{strongest}", counted.join(", "))
}

fn of_verdict(
    run: &Run<'_>,
    report: &HealthReport,
    scan: Option<&ScanFile>,
    verdict: Verdict,
) -> Result<Section> {
    let all: Vec<Shown<'_>> = report
        .layers
        .iter()
        .flat_map(|layer| layer.units.iter().map(move |unit| Shown { layer, unit }))
        .filter(|shown| shown.unit.verdict == verdict)
        .collect();
    let mut shown: Vec<&Shown<'_>> = all.iter().collect();
    shown.sort_by(|a, b| b.unit.confidence.total_cmp(&a.unit.confidence));
    shown.truncate(SHOWN);
    let units: Vec<String> =
        shown.iter().map(|shown| format!("\"{}\":{}", shown.layer.name, shown.unit.channel)).collect();
    // A picture that was made for a dead filter says nothing.
    let pictures: Vec<Option<Image>> = match verdict {
        Verdict::Dead => units.iter().map(|_| None).collect(),
        _ => pictures(run, &units)?.into_iter().map(Some).collect(),
    };
    let crops = scan.map(Crops::new).transpose()?;
    let mut figures = Vec::new();
    for (shown, picture) in shown.iter().zip(pictures) {
        let examples = match (scan, &crops) {
            (Some(scan), Some(crops)) => mosaic(scan, crops, shown)?,
            _ => None,
        };
        let both = match (picture, examples) {
            (Some(picture), Some(examples)) => below(&picture, &examples)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => {
                let mut nothing = Image::filled(SIDE, SIDE, [0.9; 3]);
                crossed_out(&mut nothing);
                nothing
            }
        };
        let of = shown.unit.of.map_or_else(String::new, |of| format!(" of {of}"));
        let caption = format!(
            "{}:{}{of}\n{:.0} % sure\n{}",
            shown.layer.name,
            shown.unit.channel,
            100.0 * shown.unit.confidence,
            shown.unit.why
        );
        let mut detail: Vec<(String, String)> = shown
            .unit
            .evidence
            .iter()
            .map(|(name, value)| {
                (name.replace('_', " "), value.as_f64().map_or_else(|| value.to_string(), short))
            })
            .collect();
        if !shown.unit.tags.is_empty() {
            detail.push(("tags".to_owned(), shown.unit.tags.join(", ")));
        }
        let figure = Figure { caption, detail, detail_title: "Numbers".to_owned(), ..Figure::default() };
        figures.push(with_jpeg(figure, &both)?);
    }
    if let Some((file, count)) = crops.as_ref().and_then(Crops::gone) {
        run.context.remark(ScanRemark::SourcesGone { count, file });
    }
    let mut note = advice(verdict).to_owned();
    note.push_str("\n\n");
    note.push_str(match scan {
        None if verdict == Verdict::Dead => "",
        Some(_) if verdict == Verdict::Dead => "The nine images that come nearest to exciting the filter.",
        Some(_) => {
            "Above, the picture that was made for the filter; below, the nine images that excite it most."
        }
        None => "The picture that was made for the filter.",
    });
    if all.len() > figures.len() {
        let rest: Vec<String> = all.iter().map(|s| format!("{}:{}", s.layer.name, s.unit.channel)).collect();
        note.push_str(&format!(
            "\n\nThe {} that are surest are shown. All: {}.",
            figures.len(),
            rest.join(", ")
        ));
    }
    let heading = match verdict {
        Verdict::Dead => "Dead",
        Verdict::AlwaysOn => "Always on",
        Verdict::Noise => "Chasing noise",
        _ => "Duplicates",
    };
    Ok(Section { heading: format!("{heading}: {}", all.len()), note, figures })
}

/// The nine best crops of a unit; `None` if the scan has none.
fn mosaic(scan: &ScanFile, crops: &Crops<'_>, shown: &Shown<'_>) -> Result<Option<Image>> {
    let names: Vec<String> =
        std::iter::once(&shown.layer.name).chain(&shown.layer.aliases).cloned().collect();
    let Some((layer, first)) = super::units::scanned(scan, &names) else { return Ok(None) };
    let unit = scan.unit(layer, first + shown.unit.channel)?;
    let parts = best_crops(&unit.best, layer, crops)?;
    if parts.is_empty() {
        return Ok(None);
    }
    let mut image = squares(&parts, SIDE)?;
    if shown.unit.verdict == Verdict::Dead {
        crossed_out(&mut image);
    }
    Ok(Some(image))
}

fn best_crops(
    examples: &[crate::store::read::ExampleRecord],
    layer: &LayerRecord,
    crops: &Crops<'_>,
) -> Result<Vec<Image>> {
    examples.iter().take(CROPS).map(|example| crops.crop(example, layer)).collect()
}

/// Pictures that are made for units, crossed out where nothing excites them.
fn pictures(run: &Run<'_>, units: &[String]) -> Result<Vec<Image>> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let mut kept = Kept::all();
    let report = RenderJob::new(&units, Setting::named(RECIPE, 0)?).run(run, &mut kept)?;
    let mut pictures = Vec::new();
    for (i, unit) in report.units.iter().enumerate() {
        let bytes = kept.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
        let mut picture = oneiro_media::decode_image(&bytes, &unit.unit)?;
        if unit.failure().is_some() {
            crossed_out(&mut picture);
        }
        let filter = oneiro_media::Filter::Triangle;
        pictures.push(oneiro_media::resize(&picture, SIDE, SIDE, filter)?);
    }
    Ok(pictures)
}

fn classes(run: &Run<'_>, report: &HealthReport, suspected: &[&ClassHealth]) -> Result<Section> {
    let units: Vec<String> = suspected
        .iter()
        .filter_map(|class| report.classes.iter().position(|other| other.name == class.name))
        .map(|class| format!("class:{class}"))
        .collect();
    let mut figures = Vec::new();
    for (class, picture) in suspected.iter().zip(pictures(run, &units)?) {
        let caption =
            format!("{}\nsuspicion {:.2}\n{}\n{}", class.name, class.suspicion, class.cue(), class.effect());
        let detail = class
            .evidence
            .iter()
            .map(|(name, value)| {
                let said = value.as_f64().map(short).or_else(|| value.as_str().map(str::to_owned));
                (name.replace('_', " "), said.unwrap_or_else(|| value.to_string()))
            })
            .collect();
        let figure = Figure { caption, detail, detail_title: "Numbers".to_owned(), ..Figure::default() };
        figures.push(with_jpeg(figure, &picture)?);
    }
    let note = match figures.is_empty() {
        true => "No class is suspected to follow a cue that is not its object: a colour, a mark, a border, a texture.".to_owned(),
        false => "A class is suspected as far as a cue alone calls it up in pictures of other classes, and as far as its own \
                  pictures need the cue. The pictures were made for the classes and may show object and cue alike: the shares tell them apart."
            .to_owned(),
    };
    Ok(Section { heading: "Classes and cues".to_owned(), note, figures })
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
    (!found.is_empty()).then(|| Section { heading, note, figures: Vec::new() })
}

/// A line for each layer.
fn layers(report: &HealthReport) -> Section {
    let line = |layer: &LayerHealth| {
        let sick: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Healthy && layer.count(*verdict) > 0)
            .map(|verdict| format!("{} {}", layer.count(verdict), verdict.name().replace('_', " ")))
            .collect();
        let sick = if sick.is_empty() { "all healthy".to_owned() } else { sick.join(", ") };
        let rank = layer
            .summary
            .effective_rank
            .map_or_else(String::new, |rank| format!("; as diverse as {} independent filters", short(rank)));
        format!("{}: {} filters, {sick}{rank}", layer.name, layer.units.len())
    };
    let lines: Vec<String> = report.layers.iter().map(line).collect();
    Section { heading: "Layers".to_owned(), note: lines.join("\n\n"), figures: Vec::new() }
}
