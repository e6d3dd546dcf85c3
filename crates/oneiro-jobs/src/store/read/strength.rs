//! Determines which units respond to which classes, and to how many classes a unit responds.

use rusqlite::Row;
use serde::Serialize;

use super::{ClassRecord, LayerRecord, ScanFile, UnitRecord};
use crate::error::Result;

/// Classes with fewer images than this are ignored, because their mean says little.
pub(super) const ENOUGH_IMAGES: usize = 5;
/// A unit responds to a class if the class's mean is at least this share of the largest class mean.
const ANSWERED: f64 = 0.5;

/// The quantity by which a layer's units are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strength {
    /// The unit's largest activation.
    #[default]
    Maximum,
    /// The unit's mean activation.
    Mean,
    /// How much the unit's mean over the class exceeds its mean over the other classes.
    Selectivity,
}

/// To how many classes a unit responds. A unit responds to a class if the class's mean is at least half of
/// the largest class mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answers")]
pub enum Breadth {
    /// There are fewer than two classes with at least five images.
    Unknown,
    /// The unit responds to no class: no mean is above zero.
    Nothing,
    /// The unit responds to one class.
    One {
        /// Name of the class.
        class: String,
    },
    /// The unit responds to several classes, but at most half of all.
    Several {
        /// Names of the classes, strongest response first.
        classes: Vec<String>,
    },
    /// The unit responds to more than half of all classes.
    Most,
}

impl ScanFile {
    /// Returns channels and values of a layer's units, ordered by their response to a class, or to all images
    /// if `class` is `None`. The largest is first. Units without a value are left out.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn strongest(
        &self,
        layer: &LayerRecord,
        class: Option<usize>,
        by: Strength,
    ) -> Result<Vec<(usize, f64)>> {
        let mut found: Vec<(usize, f64)> = match (class, by) {
            (None, Strength::Maximum | Strength::Mean) => {
                let value = |unit: UnitRecord| {
                    let value = if by == Strength::Mean { unit.mean } else { unit.maximum };
                    value.map(|value| (unit.channel, value))
                };
                self.units(layer)?.into_iter().filter_map(value).collect()
            }
            _ => {
                let counts: Vec<usize> = self.classes()?.iter().map(|class| class.images).collect();
                let value = |(channel, of): (usize, [Vec<f32>; 2])| {
                    let [means, maxima] = of;
                    let value = match (class, by) {
                        (Some(class), Strength::Maximum) => f64::from(*maxima.get(class)?),
                        (Some(class), Strength::Mean) => f64::from(*means.get(class)?),
                        (Some(class), Strength::Selectivity) => {
                            *selectivities(&means, &counts).get(class)?.as_ref()?
                        }
                        (None, _) => selectivities(&means, &counts).into_iter().flatten().reduce(f64::max)?,
                    };
                    value.is_finite().then_some((channel, value))
                };
                self.class_numbers(layer)?.into_iter().filter_map(value).collect()
            }
        };
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(found)
    }

    /// Returns, for every channel of a layer, the mean and the maximum for each class.
    pub(super) fn class_numbers(&self, layer: &LayerRecord) -> Result<Vec<(usize, [Vec<f32>; 2])>> {
        let sql = "SELECT u.channel, r.mean, r.maximum FROM units u JOIN responses r USING (unit) WHERE u.layer = ? ORDER BY u.channel";
        let read = |row: &Row<'_>| {
            let numbers = |column: usize| row.get::<_, Vec<u8>>(column).map(|blob| super::numbers(&blob));
            Ok((row.get::<_, i64>(0)? as usize, [numbers(1)?, numbers(2)?]))
        };
        self.all(sql, [layer.number as i64], read)
    }

    /// Returns the class for which a unit is most selective, and the selectivity: the difference between the
    /// class's mean and the others' mean, as a share of both magnitudes. Returns `None` without classes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn selectivity(&self, unit: &UnitRecord) -> Result<Option<(String, f64)>> {
        let counts: Vec<usize> = self.classes()?.iter().map(|class| class.images).collect();
        let means: Vec<f32> = unit.classes.iter().map(|class| class.mean.unwrap_or(f32::NAN)).collect();
        let known = selectivities(&means, &counts).into_iter().zip(&unit.classes);
        let known = known.filter_map(|(value, class)| Some((class.name.clone(), value?)));
        // If several classes are equally selective, the first one is returned.
        Ok(known.reduce(|best, other| if other.1 > best.1 { other } else { best }))
    }

    /// Returns to how many classes a unit responds, and to which.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn breadth(&self, responses: &[ClassRecord]) -> Result<Breadth> {
        let counts: Vec<usize> = self.classes()?.iter().map(|class| class.images).collect();
        Ok(breadth(responses, &counts))
    }

    /// Returns to how many classes a unit responds, from its mean for each class.
    pub(super) fn breadth_of(&self, means: &[f32]) -> Result<Breadth> {
        let record = |(class, mean): (&super::DataClass, &f32)| ClassRecord {
            name: class.name.clone(),
            mean: mean.is_finite().then_some(*mean),
            maximum: None,
            best: None,
        };
        let responses: Vec<ClassRecord> = self.classes()?.iter().zip(means).map(record).collect();
        self.breadth(&responses)
    }
}

/// Returns for each class how much its mean exceeds the mean of the other classes, as a share of the sum of
/// both magnitudes (Morcos et al. 2018, "On the importance of single directions for generalization",
/// section 2.3). The value is 1 if the others' mean is zero or negative, and 0 if all classes are alike. It
/// is `None` if it is undefined.
pub(super) fn selectivities(means: &[f32], counts: &[usize]) -> Vec<Option<f64>> {
    let counts_in = |class: usize| counts[class] > 0 && means[class].is_finite();
    let known: Vec<f64> =
        (0..means.len()).filter(|class| counts_in(*class)).map(|class| f64::from(means[class])).collect();
    let (sum, count) = (known.iter().sum::<f64>(), known.len());
    let of = |class: usize| {
        let own = f64::from(means[class]);
        let rest = (sum - own) / (count.checked_sub(1).filter(|others| *others > 0)? as f64);
        let whole = own.abs() + rest.abs();
        (counts_in(class) && whole > 0.0).then(|| (own - rest) / whole)
    };
    (0..means.len()).map(of).collect()
}

fn breadth(responses: &[ClassRecord], counts: &[usize]) -> Breadth {
    let known = responses.iter().zip(counts).filter(|(_, images)| **images >= ENOUGH_IMAGES);
    let mut known: Vec<(&String, f64)> =
        known.filter_map(|(class, _)| Some((&class.name, f64::from(class.mean?)))).collect();
    if known.len() < 2 {
        return Breadth::Unknown;
    }
    known.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let (strongest, all) = (known[0].1, known.len());
    if strongest <= 0.0 {
        return Breadth::Nothing;
    }
    let answered: Vec<String> = known
        .iter()
        .take_while(|(_, mean)| *mean >= ANSWERED * strongest)
        .map(|(name, _)| (*name).clone())
        .collect();
    match answered.len() {
        1 => Breadth::One { class: answered.into_iter().next().unwrap_or_default() },
        some if 2 * some <= all => Breadth::Several { classes: answered },
        _ => Breadth::Most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(means: &[f32]) -> Vec<ClassRecord> {
        let record = |(i, mean): (usize, &f32)| ClassRecord {
            name: ["a", "b", "c", "d"][i].into(),
            mean: Some(*mean),
            maximum: Some(*mean),
            best: None,
        };
        means.iter().enumerate().map(record).collect()
    }

    #[test]
    fn a_unit_answers_the_classes_near_its_strongest() {
        let of = |means: &[f32]| breadth(&classes(means), &[9; 4]);
        assert_eq!(of(&[0.1, 0.2, 4.0, 0.0]), Breadth::One { class: "c".into() });
        assert_eq!(of(&[3.0, 0.2, 4.0, -1.0]), Breadth::Several { classes: vec!["c".into(), "a".into()] });
        assert_eq!(of(&[3.0, 2.2, 4.0, 0.0]), Breadth::Most);
        assert_eq!(of(&[-3.0, -2.0, 0.0, -1.0]), Breadth::Nothing);
        // Classes with too few images are ignored.
        assert_eq!(breadth(&classes(&[1.0, 0.0]), &[9, 4]), Breadth::Unknown);
    }

    #[test]
    fn selectivity_compares_with_the_mean_of_the_others() {
        let found = selectivities(&[3.0, 1.0, 0.0, f32::NAN], &[1, 1, 1, 0]);
        assert_eq!(found, [Some(2.5 / 3.5), Some(-0.5 / 2.5), Some(-1.0), None]);
        assert_eq!(selectivities(&[0.0, 0.0], &[1, 1]), [None, None]);
        assert_eq!(selectivities(&[1.0], &[1]), [None]);
    }
}
