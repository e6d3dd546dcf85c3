//! The section of suspected classes: what their cues do to pictures, and the classes' own pictures.

use oneiro_media::{Figure, Filter, Image, Section, resize};

use super::SIDE;
use super::pictures::{Known, Made, beliefs, made};
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
     pictures need the cue. Each row of a first figure is a picture of another class, as it is and with the cue, and what the \
     network names it. The second figure was made for the class and may show object and cue alike. Of a clip, the first, the \
     middle and the last frame are shown.";

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
        let said = format!("suspicion {:.2}\n{}\n{}", health.suspicion, health.cue(), health.effect());
        let number = |value: &serde_json::Value| {
            let said = value.as_f64().map(short).or_else(|| value.as_str().map(str::to_owned));
            said.unwrap_or_else(|| value.to_string())
        };
        let detail =
            health.evidence.iter().map(|(name, value)| (name.replace('_', " "), number(value))).collect();
        let mut caption = format!("{}\n{said}", health.name);
        let shown = changed.get(class).filter(|changed| !changed.is_empty());
        if let Some(changed) = shown {
            for Changed { names: [before, after], .. } in changed {
                caption.push_str(&format!("\n{before} → {after}"));
            }
            let figure = Figure { caption, detail, detail_title: "Numbers".to_owned(), ..Figure::default() };
            figures.push(with_jpeg(figure, &rows(changed)?)?);
            caption = format!("{}\nmade for the class", health.name);
        }
        if let Some(picture) = picture {
            belief.iter().for_each(|line| caption.push_str(&format!("\n{line}")));
            figures.push(with_jpeg(Figure { caption, ..Figure::default() }, &Made::tile(picture)?)?);
        } else if shown.is_none() {
            let nothing = Image::filled(SIDE, SIDE, [0.9; 3]);
            figures.push(with_jpeg(Figure { caption, ..Figure::default() }, &nothing)?);
        }
    }
    let note = if figures.is_empty() { NONE } else { ABOUT }.to_owned();
    Ok(Section { heading: "Classes and cues".to_owned(), note, figures })
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
