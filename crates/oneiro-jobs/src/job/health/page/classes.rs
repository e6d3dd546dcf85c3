//! The section of suspected classes: what their cues do to pictures, and the classes' own pictures.

use oneiro_media::{Figure, Filter, Image, Section, resize};

use super::SIDE;
use super::pictures::{Known, beliefs, made};
use crate::error::Result;
use crate::job::Run;
use crate::job::figures::with_jpeg;
use crate::job::health::bias::Changed;
use crate::job::health::report::HealthReport;
use crate::job::tiles::{below, beside};
use crate::numbers::short;
use crate::store::ScanFile;

const NONE: &str =
    "No class is suspected to follow a cue that is not its object: a colour, a mark, a border, a texture.";
const ABOUT: &str = "A class is suspected as far as a cue alone calls it up in pictures of other classes, and as far as its own \
     pictures need the cue. Each row is a picture of another class, on the left as it is, on the right with the cue; below stands \
     what the network names them. Of a clip, the first, the middle and the last frame are shown. The picture at the bottom was \
     made for the class: it shows object and cue alike, so it tells less than the rows.";

/// The suspected classes, given by their indices.
///
/// # Errors
/// If pictures cannot be made, or the scan cannot be read.
pub(super) fn section(
    run: &Run<'_>,
    report: &HealthReport,
    suspected: &[usize],
    changed: &[Vec<Changed>],
    scan: Option<&ScanFile>,
) -> Result<Section> {
    let units: Vec<String> = suspected.iter().map(|class| format!("class:{class}")).collect();
    let pictures = made(run, &units)?;
    let known = units.iter().map(|unit| scan.map(|scan| known(scan, unit)).transpose());
    let known = known.map(|known| Ok(known?.flatten())).collect::<Result<Vec<_>>>()?;
    let pictured: Vec<_> = known.into_iter().zip(pictures.iter().map(Option::as_ref)).collect();
    let beliefs = beliefs(run, scan, &pictured)?;
    let mut figures = Vec::new();
    for ((&class, picture), belief) in suspected.iter().zip(&pictures).zip(beliefs) {
        let health = &report.classes[class];
        let number = |value: &serde_json::Value| {
            let said = value.as_f64().map(short).or_else(|| value.as_str().map(str::to_owned));
            said.unwrap_or_else(|| value.to_string())
        };
        let detail =
            health.evidence.iter().map(|(name, value)| (name.replace('_', " "), number(value))).collect();
        let mut caption =
            format!("{}\n{}\n{}\n{}", health.name, health.strength(), health.cue(), health.effect());
        let changed = changed.get(class).map_or(&[][..], Vec::as_slice);
        for Changed { names: [before, after], .. } in changed {
            caption.push_str(&format!("\n{before} → {after}"));
        }
        let rows = if changed.is_empty() { None } else { Some(rows(changed)?) };
        let side = rows.as_ref().map_or(SIDE, |rows| rows.width);
        let made = picture.as_ref().map(|picture| picture.tile(side)).transpose()?;
        if made.is_some() {
            caption.push_str("\nat the bottom: made for the class");
            belief.iter().for_each(|line| caption.push_str(&format!("\n{line}")));
        }
        let all = match (rows, made) {
            (Some(rows), Some(made)) => below(&rows, &made)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Image::filled(SIDE, SIDE, [0.9; 3]),
        };
        let figure = Figure { caption, detail, detail_title: "Numbers".to_owned(), ..Figure::default() };
        figures.push(with_jpeg(figure, &all)?);
    }
    let note = if figures.is_empty() { NONE } else { ABOUT }.to_owned();
    Ok(Section { heading: "Classes and cues".to_owned(), note, figures, ..Section::default() })
}

/// What a scan knows of a class, if it has the classes.
fn known<'a>(scan: &'a ScanFile, unit: &str) -> Result<Option<Known<'a>>> {
    if !scan.layers().iter().any(|layer| layer.is_classes) {
        return Ok(None);
    }
    let (unit, named) = scan.unit_named(unit)?;
    Ok(Some((unit, named.layer)))
}

/// Pictures without and with the cue, a row each.
fn rows(changed: &[Changed]) -> Result<Image> {
    const HEIGHT: usize = 140;
    let mut all: Option<Image> = None;
    for Changed { pictures, .. } in changed {
        let tile = |picture: &Image| {
            // The pixels of small pictures stay squares.
            let filter = if picture.height < HEIGHT { Filter::Area } else { Filter::Triangle };
            resize(picture, HEIGHT, (HEIGHT * picture.width / picture.height).max(1), filter)
        };
        let row = beside(&tile(&pictures[0])?, &tile(&pictures[1])?)?;
        all = Some(match all {
            Some(above) => below(&above, &row)?,
            None => row,
        });
    }
    all.ok_or_else(|| crate::job::error::JobError::NotMade { what: "a picture" }.into())
}
