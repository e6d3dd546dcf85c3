//! The section of a verdict: its filters with their pictures and examples.

use oneiro_media::{Figure, Image, Section};

use super::SIDE;
use super::pictures::{Known, Made, beliefs, made};
use crate::error::Result;
use crate::job::Run;
use crate::job::belief::ABOUT;
use crate::job::crops::Crops;
use crate::job::figures::with_jpeg;
use crate::job::health::report::{HealthReport, LayerHealth, UnitHealth};
use crate::job::health::units::scanned;
use crate::job::health::verdict::Verdict;
use crate::job::tiles::{below, beside, crossed_out, squares};
use crate::numbers::short;
use crate::remark::ScanRemark;
use crate::store::ScanFile;

/// Filters that are shown with pictures.
const SHOWN: usize = 24;
const CROPS: usize = 9;
/// Side of pictures of which two stand side by side, with a gap of four pixels.
const HALF: usize = (SIDE - 4) / 2;

/// A unit that is shown.
struct Shown<'a> {
    layer: &'a LayerHealth,
    unit: &'a UnitHealth,
}

/// The filters with a verdict.
///
/// # Errors
/// If pictures cannot be made, or the scan cannot be read.
pub(super) fn section(
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
    let pictures: Vec<Option<Made>> = match verdict {
        Verdict::Dead => units.iter().map(|_| None).collect(),
        _ => made(run, &units)?,
    };
    // A duplicate stands beside the filter that it equals.
    let partners: Vec<String> = shown
        .iter()
        .filter_map(|shown| Some(format!("\"{}\":{}", shown.layer.name, shown.unit.of?)))
        .collect();
    let mut partners = made(run, &partners)?.into_iter();
    let known = |shown: &&Shown<'_>| scan.map(|scan| known(scan, shown)).transpose();
    let known = shown.iter().map(known).map(|known| Ok(known?.flatten())).collect::<Result<Vec<_>>>()?;
    let pictured: Vec<_> = known.into_iter().zip(pictures.iter().map(Option::as_ref)).collect();
    let beliefs = beliefs(run, scan, &pictured)?;
    let believed = beliefs.iter().any(|lines| !lines.is_empty());
    let crops = scan.map(Crops::new).transpose()?;
    let mut figures = Vec::new();
    for ((shown, (known, made)), belief) in shown.iter().zip(&pictured).zip(beliefs) {
        let examples = match (known, &crops) {
            (Some(known), Some(crops)) => mosaic(known, crops)?,
            _ => None,
        };
        let picture = made.map(|made| made.tile(SIDE)).transpose()?;
        let partner = shown.unit.of.and_then(|_| partners.next().flatten());
        let picture = match (made, partner) {
            (Some(made), Some(partner)) => Some(beside(&made.tile(HALF)?, &partner.tile(HALF)?)?),
            _ => picture,
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
        let of = shown.unit.of.map_or_else(String::new, |of| format!(", a copy of {of}"));
        let mut caption = format!(
            "{}:{}{of}\n{:.0} % sure{}\n{}",
            shown.layer.name,
            shown.unit.channel,
            100.0 * shown.unit.confidence,
            if shown.unit.is_sure() { "" } else { ", a guess" },
            shown.unit.why
        );
        belief.iter().for_each(|line| caption.push_str(&format!("\n{line}")));
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
    let mut note = verdict.advice().to_owned();
    note.push_str("\n\n");
    note.push_str(match scan {
        None if verdict == Verdict::Dead => "",
        Some(_) if verdict == Verdict::Dead => "The nine images that come nearest to exciting the filter.",
        Some(_) if run.model()?.takes_clips() => "The nine clips that excite the filter most.",
        None if run.model()?.takes_clips() => "",
        Some(_) if verdict == Verdict::Duplicate => {
            "Above, the pictures that were made for the filter and for the one that it equals; below, the nine images that excite it most."
        }
        Some(_) => {
            "Above, the picture that was made for the filter; below, the nine images that excite it most."
        }
        None => "The picture that was made for the filter.",
    });
    if believed {
        note.push_str(&format!("\n\n{ABOUT}"));
    }
    if all.len() > figures.len() {
        note.push_str(&format!("\n\nThe {} that are surest are shown.", figures.len()));
    }
    let named: Vec<String> = all.iter().map(|s| format!("{}:{}", s.layer.name, s.unit.channel)).collect();
    note.push_str(&format!("\n\nAll: {}.", named.join(", ")));
    let heading = match verdict {
        Verdict::Dead => "Dead",
        Verdict::AlwaysOn => "Always on",
        Verdict::Noise => "Chasing noise",
        _ => "Duplicates",
    };
    Ok(Section { heading: format!("{heading}: {}", all.len()), note, figures, ..Section::default() })
}

/// What a scan knows of a unit, if it knows its layer.
fn known<'a>(scan: &'a ScanFile, shown: &Shown<'_>) -> Result<Option<Known<'a>>> {
    let names: Vec<String> =
        std::iter::once(&shown.layer.name).chain(&shown.layer.aliases).cloned().collect();
    let Some((layer, first)) = scanned(scan, &names) else { return Ok(None) };
    Ok(Some((scan.unit(layer, first + shown.unit.channel)?, layer)))
}

/// The nine best crops of a unit; `None` if the scan has none.
fn mosaic((unit, layer): &Known<'_>, crops: &Crops<'_>) -> Result<Option<Image>> {
    let crop = |example| crops.crop(example, layer);
    let parts = unit.best.iter().take(CROPS).map(crop).collect::<Result<Vec<Image>>>()?;
    if parts.is_empty() {
        return Ok(None);
    }
    Ok(Some(squares(&parts, SIDE)?))
}
