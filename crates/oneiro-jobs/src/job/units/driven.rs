//! Draws the units that drive a unit and those that it feeds, each by its own best example crop.

use oneiro_media::{Cell, Figure, Filter, Image, Section, Sheet, resize};

use crate::error::Result;
use crate::job::contributions::{Contribution, ContributionsReport};
use crate::job::crops::Crops;
use crate::job::figures;
use crate::job::tiles::{below, crossed_out};
use crate::numbers::short;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// Side in pixels of a unit's picture.
const TILE: usize = 128;

/// A list of units that contribute to a unit, or to which it contributes.
struct List {
    heading: String,
    note: String,
    units: Vec<Share>,
}

/// A unit of the list with its contribution.
struct Share {
    name: String,
    value: f64,
    /// Index of the unit in [`Driven::units`]; `None` if the scan does not contain it.
    at: Option<usize>,
}

/// The units that drive a unit and those that it feeds, with what is drawn of each.
pub(super) struct Driven<'a> {
    unit: String,
    lists: Vec<List>,
    units: Vec<(UnitRecord, &'a LayerRecord)>,
    /// Rendered pictures of the units, if they were requested.
    pictures: Option<Vec<Image>>,
}

impl<'a> Driven<'a> {
    /// Takes at most `most` units of each list of the report. `render` returns pictures of units, if they
    /// were requested.
    pub(super) fn new(
        scan: &'a ScanFile,
        report: &ContributionsReport,
        most: usize,
        render: impl FnOnce(&[(UnitRecord, &LayerRecord)]) -> Result<Option<Vec<Image>>>,
    ) -> Result<Self> {
        let (lists, units) = (Vec::new(), Vec::new());
        let mut driven = Self { unit: report.unit.clone(), lists, units, pictures: None };
        for of in &report.drivers {
            let layer = Some(scan.layer(&of.layer)?.layer);
            let rest = if report.is_bias { "its bias" } else { "the rest" };
            let note = format!(
                "Weight times activation, the mean over the unit's best images. Of {} in all, {} contributes {}; {rest} is {}.",
                short(report.value),
                of.layer,
                short(of.total),
                short(report.rest),
            );
            for (word, list) in [("raised by", &of.raise), ("lowered by", &of.lower)] {
                let heading = format!("{word} {}", of.layer);
                driven.add(scan, layer, (heading, note.clone()), list.iter().take(most))?;
            }
        }
        let classes = scan.layers().iter().find(|layer| layer.is_classes);
        let note = "Activation times gradient of each class's score, the mean over the unit's best images.";
        driven.add(scan, classes, ("feeds".into(), note.into()), report.feeds.iter().take(most))?;
        if !driven.units.is_empty() {
            driven.pictures = render(&driven.units)?;
        }
        Ok(driven)
    }

    fn add<'c>(
        &mut self,
        scan: &ScanFile,
        layer: Option<&'a LayerRecord>,
        (heading, note): (String, String),
        contributions: impl Iterator<Item = &'c Contribution>,
    ) -> Result<()> {
        let mut units = Vec::new();
        for Contribution { unit, channel, value } in contributions {
            let at = match layer {
                Some(layer) => {
                    self.units.push((scan.unit(layer, *channel)?, layer));
                    Some(self.units.len() - 1)
                }
                None => None,
            };
            units.push(Share { name: unit.clone(), value: *value, at });
        }
        if !units.is_empty() {
            self.lists.push(List { heading, note, units });
        }
        Ok(())
    }

    /// Returns a unit's best example crop, below its rendered picture if there is one.
    fn drawn(&self, at: usize, crops: &Crops<'_>) -> Result<Image> {
        let (unit, layer) = &self.units[at];
        let mut crop = match unit.best.first() {
            Some(example) => crops.crop(example, layer)?,
            None => Image::filled(TILE, TILE, [1.0; 3]),
        };
        crop = tile(&crop)?;
        // A picture is crossed out if nothing activates the unit. Class logits are exempt, because they may
        // be negative.
        if unit.maximum.unwrap_or(0.0) <= 0.0 && !layer.is_classes {
            crossed_out(&mut crop);
        }
        match self.pictures.as_ref().and_then(|pictures| pictures.get(at)) {
            Some(picture) => below(&tile(picture)?, &crop),
            None => Ok(crop),
        }
    }

    /// Adds a row to a contact sheet for each list.
    pub(super) fn on_sheet(&self, mut sheet: Sheet, crops: &Crops<'_>, is_alone: bool) -> Result<Sheet> {
        for List { heading, units, .. } in &self.lists {
            sheet = sheet.row(self.heading(heading, is_alone));
            for unit in units {
                let drawn = unit.at.map(|at| self.drawn(at, crops)).transpose()?;
                let drawn = drawn.unwrap_or_else(|| Image::filled(TILE, 1, [1.0; 3]));
                sheet = sheet.cell(Cell::new(drawn).caption(&unit.name).caption(short(unit.value)));
            }
        }
        Ok(sheet)
    }

    /// Returns a section of an HTML page for each list.
    pub(super) fn sections(&self, crops: &Crops<'_>, is_alone: bool) -> Result<Vec<Section>> {
        let mut sections = Vec::new();
        for List { heading, note, units } in &self.lists {
            let mut figures = Vec::new();
            for unit in units {
                let caption = format!("{}\n{}", unit.name, short(unit.value));
                let figure = Figure { caption, ..Figure::default() };
                figures.push(match unit.at {
                    Some(at) => figures::with_jpeg(figure, &self.drawn(at, crops)?)?,
                    None => figures::with_jpeg(figure, &Image::filled(TILE, 1, [1.0; 3]))?,
                });
            }
            let heading = self.heading(heading, is_alone);
            sections.push(Section { heading, note: note.clone(), figures, ..Section::default() });
        }
        Ok(sections)
    }

    fn heading(&self, heading: &str, is_alone: bool) -> String {
        if is_alone { heading.to_owned() } else { format!("{}: {heading}", self.unit) }
    }
}

/// Resizes a picture to a square with side [`TILE`]. The pixels of a small picture stay visible as squares.
fn tile(picture: &Image) -> Result<Image> {
    let filter = if picture.height.max(picture.width) < TILE { Filter::Area } else { Filter::Triangle };
    Ok(resize(picture, TILE, TILE, filter)?)
}
