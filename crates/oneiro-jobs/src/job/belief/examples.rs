//! How well examples predict what excites a unit, by the embedded network's sense of likeness.

use std::collections::BTreeSet;

use oneiro::belief::perceptual::{Features, LAYERS, Perception};
use oneiro::belief::predictability::{
    EXAMPLES, EXPLANATION, LEAST_PAIRS, evidence, explained, predictability,
};
use oneiro_media::{Filter, Image, resize};
use oneiro_zoo::embedded;

use super::{Pictured, Predictability};
use crate::context::Context;
use crate::error::Result;
use crate::job::crops::{Crops, crop_of};
use crate::model::ModelSpec;
use crate::numbers::rounded;
use crate::remark::ScanRemark;
use crate::store::read::{ExampleRecord, LayerRecord};

/// Images in each list of a scan that is made to judge pictures.
pub const WANTED_EXAMPLES: usize = EXAMPLES;
/// Height and width to which all crops are brought before they are compared.
const SIDE: usize = 64;

/// A picture with the positions of the unit's map, strongest first, and the map's extents.
type Shown<'a> = (&'a Image, &'a [usize], &'a [usize]);

/// Judges how well examples predict what excites units.
pub(super) struct Judge {
    perception: Perception,
}

impl Judge {
    /// `None` if the program has no embedded network, which a remark says.
    pub(super) fn new(context: &Context) -> Result<Option<Self>> {
        if !cfg!(feature = "embedded") {
            context.remark(ScanRemark::NoPerception);
            return Ok(None);
        }
        let model = ModelSpec::named(embedded::NAME).load(context)?;
        let perception = context.compute(|| Perception::new(&model.model, &LAYERS, [SIDE; 2]))?;
        Ok(Some(Self { perception }))
    }

    /// The shares of right pairs, from crops of a scan with `images` images. If there are too few examples,
    /// returns `None` and adds a remark.
    pub(super) fn predictability(
        &mut self,
        context: &Context,
        (crops, images): (&Crops<'_>, usize),
        of: &Pictured<'_>,
        shown: Option<Shown<'_>>,
    ) -> Result<Option<Predictability>> {
        let [best, worst] = apart(&of.unit.best, &of.unit.worst);
        let found = best.len();
        let needed = EXPLANATION + (1..).find(|n| n * n >= LEAST_PAIRS).unwrap_or(LEAST_PAIRS);
        if found < needed {
            let unit = format!("{}:{}", of.layer.name, of.unit.channel);
            let few_images = (images < 2 * needed).then_some(images);
            let short_lists = of.unit.best.len() < needed.min(images);
            context.remark(ScanRemark::FewExamples { unit, found, needed, few_images, short_lists });
            return Ok(None);
        }
        let mut features = |examples: &[ExampleRecord]| -> Result<Vec<Features>> {
            let one = |example: &ExampleRecord| self.features(context, crops.crop(example, of.layer)?);
            examples.iter().map(one).collect()
        };
        let (best, worst) = (features(best)?, features(worst)?);
        let picture = match shown {
            Some((picture, places, map)) => places_apart(places, map)
                .into_iter()
                .map(|place| self.features(context, seen_of(picture, place, map, of.layer)?))
                .collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        let is_explained = explained(found);
        let of_kind = |all: &'_ [Features], kind: bool| -> Vec<usize> {
            (0..all.len()).filter(|i| is_explained[*i] == kind).collect()
        };
        let (explanation, queries) = (of_kind(&best, true), of_kind(&best, false));
        let to = |query: &Features, side: &[Features]| -> Vec<f64> {
            explanation.iter().map(|i| query.similarity(&side[*i])).collect()
        };
        let scored = |of_query: &dyn Fn(&Features) -> f64| {
            let side =
                |all: &[Features]| -> Vec<f64> { queries.iter().map(|i| of_query(&all[*i])).collect() };
            predictability(&side(&best), &side(&worst))
        };
        let Some(natural) = scored(&|query| evidence(&to(query, &best), &to(query, &worst))) else {
            return Ok(None);
        };
        let by_picture = |query: &Features| -> f64 {
            evidence(&picture.iter().map(|one| query.similarity(one)).collect::<Vec<_>>(), &[])
        };
        let synthetic = if picture.is_empty() { None } else { scored(&by_picture) };
        let (natural, synthetic) = (rounded(natural.score), synthetic.map(|found| rounded(found.score)));
        Ok(Some(Predictability::new(natural, synthetic, queries.len())))
    }

    fn features(&mut self, context: &Context, crop: Image) -> Result<Features> {
        let crop = resize(&crop, SIDE, SIDE, Filter::Triangle)?;
        Ok(context.compute(|| self.perception.features(crop.colors()))?)
    }
}

/// The examples at the beginning of both lists, equally many, as far as no image stands in both. In scans of
/// few images the lists meet.
fn apart<'a>(best: &'a [ExampleRecord], worst: &'a [ExampleRecord]) -> [&'a [ExampleRecord]; 2] {
    let mut known = BTreeSet::new();
    let pairs = best.iter().zip(worst).take(EXAMPLES);
    let count =
        pairs.take_while(|(best, worst)| known.insert(best.image) && known.insert(worst.image)).count();
    [&best[..count], &worst[..count]]
}

/// What a position sees of a picture. The map is that of the picture, whose size may differ from the scan's.
fn seen_of(picture: &Image, place: usize, map: &[usize], layer: &LayerRecord) -> Result<Image> {
    let layer = LayerRecord { map: map.to_vec(), ..layer.clone() };
    crop_of(picture.clone(), &layer.position(place), &layer)
}

/// The strongest positions, at most as many as examples explain a unit. No two touch.
fn places_apart(places: &[usize], map: &[usize]) -> Vec<usize> {
    let width = map.last().copied().unwrap_or(1).max(1);
    let touch =
        |a: usize, b: usize| (a / width).abs_diff(b / width) <= 1 && (a % width).abs_diff(b % width) <= 1;
    let mut found: Vec<usize> = Vec::new();
    for &place in places {
        if found.len() == EXPLANATION {
            break;
        }
        if !found.iter().any(|known| touch(*known, place)) {
            found.push(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_a_picture_do_not_touch() {
        assert_eq!(places_apart(&[5, 6, 0, 15, 7], &[4, 4]), [5, 15, 7]);
        assert_eq!(places_apart(&[0], &[]), [0]);
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(places_apart(&all, &[10, 10]), [0, 2, 4, 6, 8, 20, 22, 24, 26]);
    }

    #[test]
    fn lists_end_where_they_meet() {
        let list = |images: &[u32]| -> Vec<ExampleRecord> {
            let example = |image: &u32| ExampleRecord {
                image: *image,
                file: String::new(),
                class: None,
                value: 0.0,
                before: 0.0,
                position: Vec::new(),
            };
            images.iter().map(example).collect()
        };
        for (best, worst, count) in [
            (vec![1, 2, 3], vec![4, 5, 6], 3),
            (vec![1, 2, 3], vec![5, 4, 3], 2),
            (vec![1, 2, 3], vec![3, 2, 1], 1),
            (vec![1, 2, 3, 4], vec![5, 1], 1),
            (vec![], vec![1], 0),
        ] {
            let (best, worst) = (list(&best), list(&worst));
            let [kept, others] = apart(&best, &worst);
            assert_eq!((kept, others), (&best[..count], &worst[..count]));
        }
    }
}
