//! Two units as a scan knows them: their images, and what is confused.

use super::board::BoardRow;
use super::examples::{Lists, Measured, SHOWN, Shown, further};
use super::images::Images;
use super::report::{Agreement, Confusion, MeanProbabilities};
use super::request::ComparedUnit;
use crate::error::Result;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// Images of one of two classes that are named as the other.
pub(super) struct Confused {
    /// Which of both classes they are of.
    own: usize,
    /// Their indices and files, the surest first.
    found: Vec<(u32, String)>,
    /// Number of all images of the class.
    all: usize,
}

/// Two units as a scan knows them.
pub(super) struct InScan<'a> {
    pub scan: &'a ScanFile,
    pub units: [(UnitRecord, &'a LayerRecord); 2],
    /// Number of images that are spread evenly over the scan.
    pub even: usize,
}

impl<'a> InScan<'a> {
    pub(super) fn new(scan: &'a ScanFile, names: [&str; 2]) -> Result<Self> {
        let unit = |name: &str| scan.unit_named(name).map(|(unit, named)| (unit, named.layer));
        let units = [unit(names[0])?, unit(names[1])?];
        let even = Images::of_scan(scan)?.len();
        Ok(Self { scan, units, even })
    }

    pub(super) fn layers(&self) -> [&'a LayerRecord; 2] {
        [self.units[0].1, self.units[1].1]
    }

    /// Images spread evenly over the scan, and behind them those that excite the units most, and those that
    /// are confused and shown.
    pub(super) fn images(&self, confused: &[Confused]) -> Result<Images<'a>> {
        let mut images = Images::of_scan(self.scan)?;
        if let Images::Scan { seen, .. } = &mut images {
            let best = self.units.iter().flat_map(|(unit, _)| &unit.best);
            let best = best.map(|example| (example.image, &example.file[..]));
            let confused = confused.iter().flat_map(|of| of.found.iter().take(SHOWN));
            let confused = confused.map(|(image, file)| (*image, &file[..]));
            let further = further(seen, best.chain(confused));
            seen.extend(further);
        }
        Ok(images)
    }

    /// Correlations of activations at equal positions of equal images, if the units are of one layer.
    pub(super) fn positions(&self) -> Result<Option<Agreement>> {
        let [(a, of_a), (b, of_b)] = &self.units;
        if of_a.number != of_b.number || !of_a.has_positions() {
            return Ok(None);
        }
        let (a, b) = (self.scan.samples(a.number)?, self.scan.samples(b.number)?);
        Ok((!a.is_empty() && a.len() == b.len()).then(|| Agreement::of(&a, &b)))
    }

    /// The classes of the images that are one of the network's classes.
    pub(super) fn folders(&self, class: usize) -> Result<Vec<String>> {
        let classes = self.scan.classes()?.iter().filter(|known| known.label == Some(class));
        Ok(classes.map(|known| known.name.clone()).collect())
    }

    /// Images of each class that are named as the other, as far as there are images of the class.
    pub(super) fn confused(&self, units: &[ComparedUnit; 2], classes: [usize; 2]) -> Result<Vec<Confused>> {
        let mut confused = Vec::new();
        for (own, other) in [(0, 1), (1, 0)] {
            let (mut found, mut all) = (Vec::new(), 0);
            for folder in &units[own].folders {
                found.extend(self.scan.images_named(folder, classes[other])?);
                all += self.scan.class(folder)?.1.images;
            }
            if !units[own].folders.is_empty() {
                confused.push(Confused { own, found, all });
            }
        }
        Ok(confused)
    }

    /// Confused images as rows, with their reports.
    pub(super) fn confusions(
        confused: Vec<Confused>,
        drawn: &Shown<'_>,
        (measured, lists): (&[Measured], &Lists),
        units: &[ComparedUnit; 2],
        probabilities: [Option<MeanProbabilities>; 2],
    ) -> Result<(Vec<BoardRow>, Vec<Confusion>)> {
        let (mut rows, mut reports) = (Vec::new(), Vec::new());
        for Confused { own, found, all } in confused {
            let [letter, named] = [["A", "B"], ["B", "A"]][own];
            let (class, other) = (units[own].unit.clone(), units[1 - own].unit.clone());
            let scores = if found.is_empty() { "" } else { " Below each stand the scores (logits) of both." };
            let probabilities = probabilities[own];
            let nearly =
                probabilities.map_or_else(String::new, |of| format!(" {}", of.words([letter, named])));
            let note =
                format!("{} of {all} images of {class} are named {other}.{nearly}{scores}", found.len());
            let heading = format!("{letter} named {named}: {} of {all}", found.len());
            let (tiles, examples) = drawn.named(measured, lists, &found)?;
            rows.push(BoardRow::new(heading, note, tiles));
            let (named, count) = (other, found.len());
            reports.push(Confusion { class, named, count, images: all, probabilities, examples });
        }
        Ok((rows, reports))
    }
}
