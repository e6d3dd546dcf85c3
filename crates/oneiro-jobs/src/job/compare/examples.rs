//! Images that excite one of two units, both, or one and not the other.

use std::collections::BTreeSet;

use oneiro::input::PictureInput;
use oneiro::layer_maps::Peak;

use super::board::{BoardRow, Tile};
use super::error::CompareError;
use super::images::Images;
use super::reader::Readers;
use super::report::{ShownImage, deviations};
use crate::error::Result;
use crate::job::Run;
use crate::job::crops::Crops;
use crate::job::units::plain_class;
use crate::numbers::short;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord};
use crate::task::Task;

/// Images in a list.
pub(super) const SHOWN: usize = 9;
/// Standard deviations above its mean from which on a unit counts as excited, where another one is not.
const FAR: f64 = 1.0;

/// A picture with what two units do for it.
pub(super) struct Measured {
    /// Its index among the images.
    pub at: usize,
    /// What A and B do.
    pub peaks: [Peak; 2],
}

/// Runs units on all pictures. Returns the index of each picture that could be read, with what the units do.
/// `also` is called after each picture.
///
/// # Errors
/// If a scan cannot be read, or no picture can.
pub(super) fn measure(
    run: &Run<'_>,
    readers: &mut [Readers],
    inputs: &[PictureInput],
    images: &Images<'_>,
    data: Option<&String>,
    also: &mut dyn FnMut(usize, &[Readers]),
) -> Result<Vec<(usize, Vec<Peak>)>> {
    let mut progress = Task::new(run.context, "comparing", images.len() as u64);
    let (mut measured, mut unread) = (Vec::new(), Vec::new());
    for at in 0..images.len() {
        run.context.check()?;
        progress.advance(1);
        let shown = inputs.iter().map(|input| images.display(at, input)).collect::<Result<Vec<_>>>()?;
        let Some(shown) = shown.into_iter().collect::<Option<Vec<_>>>() else {
            unread.push(at);
            continue;
        };
        let mut peaks = Vec::new();
        for (readers, picture) in readers.iter_mut().zip(&shown) {
            peaks.extend(run.context.compute(|| readers.run(picture))?);
        }
        also(at, readers);
        measured.push((at, peaks));
    }
    drop(progress);
    images.say(run, &unread);
    if measured.is_empty() {
        return Err(CompareError::NothingRead { data: data.cloned().unwrap_or_default() }.into());
    }
    Ok(measured)
}

/// The values of one of two units.
pub(super) fn values(measured: &[Measured], unit: usize, of: impl Fn(&Peak) -> f32) -> Vec<f32> {
    measured.iter().map(|measured| of(&measured.peaks[unit])).collect()
}

/// Images in the five lists of two units.
pub(super) struct Lists {
    /// Indices in the measured pictures: best of A, best of B, A and not B, B and not A, both.
    lists: [Vec<usize>; 5],
    /// The standard scores of A and of B for each picture.
    scores: [Vec<f64>; 2],
}

impl Lists {
    /// Chooses by standard scores: how many standard deviations over the first `even` pictures a unit's
    /// largest activation lies above its mean. An image excites one and not the other if the score of the one
    /// is above 1 and that of the other below 0, and both if both are above 0. The largest differences come
    /// first; for images that excite both the smaller of their scores counts.
    pub(super) fn new(measured: &[Measured], even: usize) -> Self {
        let scores = [0, 1].map(|unit| standard(&values(measured, unit, |peak| peak.largest), even));
        let best = |score: &dyn Fn(usize) -> f64, wanted: &dyn Fn(usize) -> bool| {
            let mut order: Vec<usize> = (0..measured.len()).filter(|&i| wanted(i)).collect();
            order.sort_by(|&i, &j| score(j).total_cmp(&score(i)).then(i.cmp(&j)));
            order.truncate(SHOWN);
            order
        };
        let of = |unit: usize| move |i: usize| scores_of(measured, unit, i);
        let [a, b] = &scores;
        let lists = [
            best(&of(0), &|i| of(0)(i).is_finite()),
            best(&of(1), &|i| of(1)(i).is_finite()),
            best(&|i| a[i] - b[i], &|i| a[i] > FAR && b[i] < 0.0),
            best(&|i| b[i] - a[i], &|i| b[i] > FAR && a[i] < 0.0),
            best(&|i| a[i].min(b[i]), &|i| a[i] > 0.0 && b[i] > 0.0),
        ];
        Self { lists, scores }
    }

    /// What each list is called, and what is in it.
    fn headings() -> [[&'static str; 2]; 5] {
        [
            ["A largest", "The images with the largest activation of A."],
            ["B largest", "The images with the largest activation of B."],
            [
                "A and not B",
                "A lies more than one standard deviation above its mean over the images, and B below its mean.",
            ],
            [
                "B and not A",
                "B lies more than one standard deviation above its mean over the images, and A below its mean.",
            ],
            ["both", "A and B lie above their means over the images."],
        ]
    }
}

fn scores_of(measured: &[Measured], unit: usize, i: usize) -> f64 {
    f64::from(measured[i].peaks[unit].largest)
}

/// Values as standard deviations above their mean, both of the first `even` values; 0 for values that are not
/// finite, and where these do not vary.
fn standard(values: &[f32], even: usize) -> Vec<f64> {
    let finite: Vec<f64> =
        values.iter().take(even).filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
    let n = finite.len().max(1) as f64;
    let mean = finite.iter().sum::<f64>() / n;
    let deviation = (finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let score = |v: &f32| match v.is_finite() && deviation > 0.0 {
        true => (f64::from(*v) - mean) / deviation,
        false => 0.0,
    };
    values.iter().map(score).collect()
}

/// The images of a scan with two units' values, drawn.
pub(super) struct Shown<'a> {
    pub scan: &'a ScanFile,
    pub crops: &'a Crops<'a>,
    /// Indices and files of all images that were run.
    pub seen: &'a [(u32, String)],
    /// The layers of A and B.
    pub layers: [&'a LayerRecord; 2],
}

impl Shown<'_> {
    /// All lists as rows, with their reports.
    ///
    /// # Errors
    /// If the scan cannot be read.
    pub(super) fn rows(
        &self,
        measured: &[Measured],
        lists: &Lists,
    ) -> Result<(Vec<BoardRow>, [Vec<ShownImage>; 5])> {
        let (mut rows, mut reports) = (Vec::new(), [const { Vec::new() }; 5]);
        for (i, list) in lists.lists.iter().enumerate() {
            // What A sees is drawn where A is the one that is excited; for both the whole image.
            let unit = [Some(0), Some(1), Some(0), Some(1), None][i];
            let mut tiles = Vec::new();
            for &at in list {
                let (tile, report) = self.tile(measured, lists, (at, unit), false)?;
                tiles.push(tile);
                reports[i].push(report);
            }
            let [heading, note] = Lists::headings()[i];
            let (heading, note) = match tiles.len() {
                0 => (heading.to_owned(), format!("{note} There is no such image.")),
                SHOWN.. => (heading.to_owned(), note.to_owned()),
                count => {
                    let images = if count == 1 { "image" } else { "images" };
                    (
                        format!("{heading} ({count} {images})"),
                        format!("{note} There are no more such images."),
                    )
                }
            };
            rows.push(BoardRow::new(heading, note, tiles));
        }
        Ok((rows, reports))
    }

    /// Returns the tile of an image: all of it, or the crop that a unit sees at its largest position. Its
    /// caption has the image's class, or its file if it is `by_file`.
    fn tile(
        &self,
        measured: &[Measured],
        lists: &Lists,
        (at, unit): (usize, Option<usize>),
        by_file: bool,
    ) -> Result<(Tile, ShownImage)> {
        let (measured, scores) = (&measured[at], [0, 1].map(|unit: usize| lists.scores[unit][at]));
        let (image, file) = &self.seen[measured.at];
        let class = self.scan.image(*image)?.class;
        let [a, b] = measured.peaks.map(|peak| f64::from(peak.largest));
        let picture = match unit {
            Some(unit) => {
                let (layer, peak) = (self.layers[unit], measured.peaks[unit]);
                let (value, position) = (f64::from(peak.largest), layer.position(peak.place));
                let (image, file) = (*image, file.clone());
                let example =
                    ExampleRecord { image, file, class: class.clone(), value, before: value, position };
                self.crops.crop(&example, layer)?
            }
            None => self.crops.picture(*image, file)?,
        };
        let name = match class.as_deref().filter(|_| !by_file) {
            Some(class) => plain_class(class),
            None => file.rsplit('/').next().unwrap_or(file).to_owned(),
        };
        let [score_a, score_b] = scores;
        let lines = vec![
            name,
            format!("A {} ({})", short(a), deviations(score_a)),
            format!("B {} ({})", short(b), deviations(score_b)),
        ];
        let report = ShownImage { file: file.clone(), class, a, b, score_a, score_b };
        Ok((Tile::image(picture, lines)?, report))
    }

    /// Images of a scan that were run, with the values of both units. Those that could not be read are left
    /// out.
    ///
    /// # Errors
    /// If the scan cannot be read.
    pub(super) fn named(
        &self,
        measured: &[Measured],
        lists: &Lists,
        images: &[(u32, String)],
    ) -> Result<(Vec<Tile>, Vec<ShownImage>)> {
        let (mut tiles, mut reports) = (Vec::new(), Vec::new());
        for (image, _) in images.iter().take(SHOWN) {
            let at = measured.iter().position(|measured| self.seen[measured.at].0 == *image);
            if let Some(at) = at {
                let (tile, report) = self.tile(measured, lists, (at, None), true)?;
                tiles.push(tile);
                reports.push(report);
            }
        }
        Ok((tiles, reports))
    }
}

/// The images of lists that are not among those that were chosen.
pub(super) fn further<'e>(
    seen: &[(u32, String)],
    lists: impl Iterator<Item = (u32, &'e str)>,
) -> Vec<(u32, String)> {
    let mut known: BTreeSet<u32> = seen.iter().map(|(image, _)| *image).collect();
    let mut found = Vec::new();
    for (image, file) in lists {
        if known.insert(image) {
            found.push((image, file.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(values: &[[f32; 2]]) -> Vec<Measured> {
        let peak = |value: f32| Peak { largest: value, place: 0, mean: value };
        values.iter().enumerate().map(|(at, [a, b])| Measured { at, peaks: [peak(*a), peak(*b)] }).collect()
    }

    #[test]
    fn images_are_chosen_by_both_units() {
        // Of B the numbers are a hundred times as large: scores have no scale.
        let all = measured(&[[5.0, 0.0], [0.0, 500.0], [4.0, 400.0], [0.0, 0.0], [f32::NAN, 0.0]]);
        let Lists { lists, .. } = Lists::new(&all, 5);
        assert_eq!(lists[0][..2], [0, 2]);
        assert_eq!(lists[1][..2], [1, 2]);
        assert_eq!([&lists[2][..], &lists[3], &lists[4]], [&[0][..], &[1], &[2]]);
    }

    #[test]
    fn an_image_excites_one_unit_alone_only_if_it_does_not_excite_the_other() {
        // Where both units are alike, no image excites one alone; nor where the one is hardly above its mean.
        let alike = measured(&[[5.0, 4.0], [4.0, 5.0], [0.0, 0.0], [1.0, 1.0]]);
        let Lists { lists, scores } = Lists::new(&alike, 4);
        assert_eq!([&lists[2][..], &lists[3], &lists[4]], [&[][..], &[], &[0, 1]]);
        assert!((scores[0][0] - 2.5 / 4.25f64.sqrt()).abs() < 1e-9, "{scores:?}");
        let weak = measured(&[[2.0, 0.0], [1.0, 9.0], [3.0, 9.0], [0.0, 9.0]]);
        assert_eq!(Lists::new(&weak, 4).lists[2], [] as [usize; 0]);
    }

    #[test]
    fn scores_are_of_the_images_that_are_spread_evenly() {
        let found = standard(&[0.0, 2.0, 9.0], 2);
        assert_eq!(found, [-1.0, 1.0, 8.0]);
    }

    #[test]
    fn units_that_never_vary_excite_nothing() {
        let Lists { lists, .. } = Lists::new(&measured(&[[0.0, 1.0], [0.0, 3.0]]), 2);
        assert_eq!([&lists[2][..], &lists[3], &lists[4]], [&[] as &[usize]; 3]);
    }
}
