//! Two units as a scan knows them: their images, what is confused, and what drives both.

use super::board::{BoardRow, Tile};
use super::examples::{Lists, Measured, SHOWN, Shown, further};
use super::images::Images;
use super::report::{Agreement, Confusion, Shared};
use super::request::ComparedUnit;
use crate::error::Result;
use crate::job::Run;
use crate::job::contributions::{Contribution, ContributionsReport, Drivers, contributions};
use crate::job::crops::Crops;
use crate::job::tiles::crossed_out;
use crate::numbers::short;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// Best images over which contributions to classes are averaged.
const EXAMPLES: usize = 9;
/// Share of its layer's largest contribution to a class that a unit has to reach in order to drive the class.
const MATTERS: f64 = 0.1;
/// Units that drive both classes and are listed.
const SHARED: usize = 9;
/// Layers before a class that have a channel for each class, at most.
const MOST_ALONE: usize = 4;

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
    units: [(UnitRecord, &'a LayerRecord); 2],
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
    ) -> Result<(Vec<BoardRow>, Vec<Confusion>)> {
        let (mut rows, mut reports) = (Vec::new(), Vec::new());
        for Confused { own, found, all } in confused {
            let [letter, named] = [["A", "B"], ["B", "A"]][own];
            let (class, other) = (units[own].unit.clone(), units[1 - own].unit.clone());
            let scores = if found.is_empty() { "" } else { " Below each stand the scores (logits) of both." };
            let note = format!("{} of {all} images of {class} are named {other}.{scores}", found.len());
            let heading = format!("{letter} named {named}: {} of {all}", found.len());
            let (tiles, examples) = drawn.named(measured, lists, &found)?;
            rows.push(BoardRow::new(heading, note, tiles));
            reports.push(Confusion { class, named: other, count: found.len(), images: all, examples });
        }
        Ok((rows, reports))
    }

    /// What drives a unit. Behind a channel that alone makes the unit, such as one that is averaged to a
    /// class, what drives this channel.
    fn drivers(
        &self,
        run: &Run<'_>,
        (unit, layer): &(UnitRecord, &LayerRecord),
    ) -> Result<ContributionsReport> {
        let mut found = contributions(run, self.scan, (unit, layer), [EXAMPLES, usize::MAX])?;
        for _ in 0..MOST_ALONE {
            let alone = match &found.drivers[..] {
                [Drivers { layer, raise, lower, .. }] => match (&raise[..], &lower[..]) {
                    ([one], []) if one.channel == unit.channel => layer,
                    _ => break,
                },
                _ => break,
            };
            let layer = self.scan.layer(alone)?.layer;
            let own = self.scan.unit(layer, unit.channel)?;
            found = contributions(run, self.scan, (&own, layer), [EXAMPLES, usize::MAX])?;
        }
        Ok(found)
    }

    /// The units before two classes that raise both.
    pub(super) fn shared(&self, run: &Run<'_>, crops: &Crops<'_>) -> Result<(BoardRow, Vec<Shared>)> {
        let (a, b) = (self.drivers(run, &self.units[0])?, self.drivers(run, &self.units[1])?);
        let mut found: Vec<(Shared, &LayerRecord, usize)> = Vec::new();
        for of_a in &a.drivers {
            let Some(of_b) = b.drivers.iter().find(|of_b| of_b.layer == of_a.layer) else { continue };
            let layer = self.scan.layer(&of_a.layer)?.layer;
            for own in mattering(&of_a.raise) {
                let other = mattering(&of_b.raise).find(|other| other.channel == own.channel);
                found.extend(other.map(|other| {
                    let shared = Shared { unit: own.unit.clone(), a: own.value, b: other.value };
                    (shared, layer, own.channel)
                }));
            }
        }
        let smaller = |(shared, ..): &(Shared, &LayerRecord, usize)| shared.a.min(shared.b);
        found.sort_by(|a, b| smaller(b).total_cmp(&smaller(a)));
        found.truncate(SHARED);
        let mut tiles = Vec::new();
        for (shared, layer, channel) in &found {
            let unit = self.scan.unit(layer, *channel)?;
            let Some(best) = unit.best.first() else { continue };
            let mut crop = crops.crop(best, layer)?;
            if unit.maximum.unwrap_or(0.0) <= 0.0 {
                crossed_out(&mut crop);
            }
            let lines = vec![
                shared.unit.clone(),
                format!("to A {}", short(shared.a)),
                format!("to B {}", short(shared.b)),
            ];
            tiles.push(Tile::image(crop, lines)?);
        }
        let none = if found.is_empty() { " There is no such unit." } else { "" };
        let note = format!(
            "Units of the layers before the classes that raise both, by the smaller of their contributions: weight times \
             activation, the mean over each class's best images. To each class they contribute at least a tenth of what the \
             unit does that contributes most. Each is drawn by its own best image.{none}"
        );
        let row = BoardRow::new("drive both", note, tiles);
        Ok((row, found.into_iter().map(|(shared, ..)| shared).collect()))
    }
}

/// The contributions of a layer that matter beside its largest, which is the first.
fn mattering(raise: &[Contribution]) -> impl Iterator<Item = &Contribution> {
    let least = MATTERS * raise.first().map_or(0.0, |largest| largest.value);
    raise.iter().take_while(move |contribution| contribution.value >= least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_contributions_do_not_matter() {
        let of = |value: f64| Contribution { unit: String::new(), channel: 0, value };
        let raise = [of(0.5), of(0.101), of(0.002_657)];
        assert_eq!(mattering(&raise).count(), 2);
        assert_eq!(mattering(&[]).count(), 0);
    }
}
