//! The sections of suspected classes: what their cues do to pictures, and what the network names images.

use oneiro_media::{Figure, Filter, Image, Section, resize};

use super::SIDE;
use super::pictures::{Known, beliefs, made};
use crate::error::Result;
use crate::job::Run;
use crate::job::crops::Crops;
use crate::job::figures::with_jpeg;
use crate::job::health::bias::{Change, Changed, ClassHealth};
use crate::job::health::report::{ClassConfusion, HealthReport};
use crate::job::tiles::beside;
use crate::numbers::short;
use crate::prose::capitalized;
use crate::store::ScanFile;

const NONE: &str =
    "No class is suspected to follow a cue that is not its object: a colour, a mark, a border, a texture.";
const FEW: &str = "No class could be judged by its own images; see \"Not judged\".";
const ABOUT: &str = "A class is suspected as far as a cue alone calls it up in pictures of other classes, and as far as its own \
     pictures need the cue. Pairs are a picture as it is, and changed; below stands what the network names them. Of a clip, the \
     first, the middle and the last frame are shown. Shown are classes with a suspicion from .3; it is clear from .5, strong from .7.";
const MADE: &str =
    "The picture that was made for the class shows object and cue alike, so it tells less than the pairs.";

/// Most classes of which it is said what their images are named.
const CONFUSED: usize = 30;
/// Most wrong names of a class that are listed.
const NAMES: usize = 4;

/// A section about all classes, and one for each suspected class, given by its index.
///
/// # Errors
/// If pictures cannot be made, or the scan cannot be read.
pub(super) fn sections(
    run: &Run<'_>,
    report: &HealthReport,
    suspected: &[usize],
    changed: &[Vec<Changed>],
    scan: Option<&ScanFile>,
) -> Result<Vec<Section>> {
    let note = match suspected {
        [] if report.classes.iter().any(ClassHealth::is_judged) => NONE,
        [] => FEW,
        _ => ABOUT,
    };
    let heading = "Classes and cues".to_owned();
    let mut sections = vec![Section { heading, note: note.to_owned(), ..Section::default() }];
    let units: Vec<String> = suspected.iter().map(|class| format!("class:{class}")).collect();
    let pictures = made(run, &units)?;
    let known = units.iter().map(|unit| scan.map(|scan| known(scan, unit)).transpose());
    let known = known.map(|known| Ok(known?.flatten())).collect::<Result<Vec<_>>>()?;
    let crops = scan.map(Crops::new).transpose()?;
    let known_units = known.clone();
    let pictured: Vec<_> = known.into_iter().zip(pictures.iter().map(Option::as_ref)).collect();
    let beliefs = beliefs(run, scan, &pictured)?;
    for (at, ((&class, picture), belief)) in suspected.iter().zip(&pictures).zip(beliefs).enumerate() {
        let health = &report.classes[class];
        let pairs = changed.get(class).map_or(&[][..], Vec::as_slice);
        let mut figures = pairs.iter().map(pair).collect::<Result<Vec<_>>>()?;
        let detail = numbers(health);
        let detail_title = "Numbers".to_owned();
        if let Some((Some(known), crops)) = known_units.get(at).zip(crops.as_ref())
            && let Some(mean) = mean_of_best(known, crops)?
        {
            let caption =
                "mean of its best images\nwhat is at the same place in all of them stands out".to_owned();
            figures.push(with_jpeg(Figure { caption, ..Figure::default() }, &mean)?);
        }
        match picture.as_ref().map(|picture| picture.tile(SIDE)).transpose()? {
            Some(tile) => {
                let caption = [&["made for the class".to_owned()], &belief[..]].concat().join("\n");
                figures
                    .push(with_jpeg(Figure { caption, detail, detail_title, ..Figure::default() }, &tile)?);
            }
            None => {
                if let Some(first) = figures.first_mut() {
                    (first.detail, first.detail_title) = (detail, detail_title);
                }
            }
        }
        let about = if picture.is_some() { MADE } else { "" };
        sections.push(Section {
            heading: format!("{}: {}", health.name, health.cue()),
            note: format!("{}. {}\n\n{about}", capitalized(&health.strength()), health.effect()),
            figures,
            ..Section::default()
        });
    }
    sections.extend(confusions(&report.confusions));
    Ok(sections)
}

/// The mean of the images with a class's largest scores; `None` if there are fewer than two.
fn mean_of_best((unit, layer): &Known<'_>, crops: &Crops<'_>) -> Result<Option<Image>> {
    /// Images whose mean is taken.
    const BEST: usize = 16;
    let best = unit.best.iter().take(BEST).map(|example| {
        let picture = crops.crop(example, layer)?;
        Ok(resize(&picture, SIDE, SIDE, Filter::Triangle)?)
    });
    let best = best.collect::<Result<Vec<Image>>>()?;
    let [first, others @ ..] = &best[..] else { return Ok(None) };
    if others.is_empty() {
        return Ok(None);
    }
    let mut mean = first.clone();
    for other in others {
        mean.data.iter_mut().zip(&other.data).for_each(|(sum, value)| *sum += value);
    }
    mean.data.iter_mut().for_each(|sum| *sum /= best.len() as f32);
    Ok(Some(mean))
}

/// A picture as it is and changed, side by side.
fn pair(Changed { pictures, names: [before, after], by }: &Changed) -> Result<Figure> {
    const HEIGHT: usize = 140;
    let tile = |picture: &Image| {
        // The pixels of small pictures stay squares.
        let filter = if picture.height < HEIGHT { Filter::Area } else { Filter::Triangle };
        resize(picture, HEIGHT, (HEIGHT * picture.width / picture.height).max(1), filter)
    };
    let what = match by {
        Change::Laid => "another class; cue added",
        Change::LaidOverOwn => "of the class; cue added",
        Change::TakenOut => "of the class; cue taken out",
    };
    let figure = Figure { caption: format!("{before} → {after}\n{what}"), ..Figure::default() };
    with_jpeg(figure, &beside(&tile(&pictures[0])?, &tile(&pictures[1])?)?)
}

fn numbers(health: &ClassHealth) -> Vec<(String, String)> {
    let number = |value: &serde_json::Value| {
        let said = value.as_f64().map(short).or_else(|| value.as_str().map(str::to_owned));
        said.unwrap_or_else(|| value.to_string())
    };
    health.evidence.iter().map(|(name, value)| (name.replace('_', " "), number(value))).collect()
}

/// What the images of each class are named, a line each; the classes that are named rightly least first.
fn confusions(all: &[ClassConfusion]) -> Option<Section> {
    let share = |of: &ClassConfusion| of.right as f64 / of.images.max(1) as f64;
    let mut wrong: Vec<&ClassConfusion> = all.iter().filter(|of| !of.named.is_empty()).collect();
    wrong.sort_by(|a, b| share(a).total_cmp(&share(b)));
    let line = |of: &&ClassConfusion| {
        let mut others: Vec<String> =
            of.named.iter().take(NAMES).map(|(name, images)| format!("{name} {images}")).collect();
        if of.named.len() > NAMES {
            others.push("…".to_owned());
        }
        format!("{}: {} of {}; the others: {}", of.class, of.right, of.images, others.join(", "))
    };
    let mut lines: Vec<String> = wrong.iter().take(CONFUSED).map(line).collect();
    if wrong.len() > lines.len() {
        lines.push(format!("and {} more classes", wrong.len() - lines.len()));
    }
    let rightly = all.len() - wrong.len();
    if rightly > 0 && !wrong.is_empty() {
        lines.push(format!("all images of the other classes: {rightly}"));
    }
    let note = lines.join("\n");
    let heading = "Images that are named rightly, by class".to_owned();
    (!wrong.is_empty()).then(|| Section { heading, note, ..Section::default() })
}

/// What a scan knows of a class, if it has the classes.
fn known<'a>(scan: &'a ScanFile, unit: &str) -> Result<Option<Known<'a>>> {
    if !scan.layers().iter().any(|layer| layer.is_classes) {
        return Ok(None);
    }
    let (unit, named) = scan.unit_named(unit)?;
    Ok(Some((unit, named.layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_is_named_worst_is_first() {
        let of = |class: &str, right: usize, named: &[(&str, usize)]| ClassConfusion {
            class: class.into(),
            images: 100,
            right,
            named: named.iter().map(|(name, images)| ((*name).to_owned(), *images)).collect(),
        };
        let all = [
            of("circle", 96, &[("cross", 4)]),
            of("square", 100, &[]),
            of("triangle", 1, &[("circle", 57), ("square", 31), ("cross", 11)]),
        ];
        let note = confusions(&all).unwrap().note;
        assert_eq!(
            note,
            "triangle: 1 of 100; the others: circle 57, square 31, cross 11\n\
             circle: 96 of 100; the others: cross 4\nall images of the other classes: 1"
        );
        assert_eq!(confusions(&all[1..2]), None);
    }
}
