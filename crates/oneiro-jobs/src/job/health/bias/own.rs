//! A class's own images: whether it needs a cue.

use super::cue::Cue;
use super::examples::{Examples, Labelled};
use super::logits::{Logits, Scores};
use super::shown::Shown;
use super::{Change, Changed};
use crate::error::Result;

/// Images of a class below which nothing is said about it.
pub(super) const LEAST: usize = 5;
/// Images of a class that are looked at.
const MOST: usize = 24;
/// Pictures of other classes that show what taking a cue out does by itself.
const CONTROLS: usize = 24;

/// Diameter of the disc that covers the middle, as a share of the shorter side.
const MIDDLE: f64 = 0.7;

/// The images of a class.
pub(super) struct Own<'a> {
    class: usize,
    pictures: Vec<Shown>,
    /// Pictures of other classes, to take parts from.
    donors: Vec<&'a Shown>,
    right: f64,
    /// The share that is named rightly with the middle covered.
    covered: f64,
    controls: Vec<(&'a Shown, usize)>,
}

/// What a cue does to the images of its class: shares of them that are named rightly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Effect {
    /// As they are.
    pub right: f64,
    /// With the cue laid over them.
    pub with: f64,
    /// With the cue, or what stands at its place, taken out.
    pub without: f64,
    /// What taking it out costs images of other classes.
    pub cost: f64,
    /// How likely it is that an image of the class shows more of the cue than one of another class: 1 if all
    /// do, 0.5 if the class has nothing to do with it.
    pub shown: f64,
    /// Number of the class's images.
    pub images: usize,
    /// Whether taking the cue out puts its opposite in its place, as with motion. It then shows by itself
    /// whether the class needs the cue rather than any motion.
    pub is_turned: bool,
}

impl Effect {
    /// How much the class needs the cue, from 0 to 1: what laying it over adds, or what taking it out costs
    /// beyond its cost for other classes, less half a standard error. The cost counts as far as the class's
    /// images show the cue.
    pub(super) fn needed(&self) -> f64 {
        let lost = (self.right - self.without - self.cost.max(0.0)) * (2.0 * self.shown - 1.0).max(0.0);
        let turned = if self.is_turned { self.with - self.without } else { 0.0 };
        let needed = (self.with - self.right).max(lost).max(turned).clamp(0.0, 1.0);
        // Of few images, some are always named otherwise for no reason of the cue's.
        (needed - 0.5 * (needed * (1.0 - needed) / self.images.max(1) as f64).sqrt()).max(0.0)
    }
}

impl<'a> Own<'a> {
    /// The images of a class, `None` if there are too few.
    ///
    /// # Errors
    /// If the scan or the network cannot be read.
    pub(super) fn of(
        examples: &Examples<'_>,
        logits: &mut Logits<'_>,
        class: usize,
        labelled: &[&'a Labelled],
    ) -> Result<Option<Self>> {
        if examples.count(class) < LEAST {
            return Ok(None);
        }
        let images = examples.some(MOST, Some(class))?;
        let others: Vec<&Labelled> =
            labelled.iter().copied().filter(|one| one.class != Some(class)).collect();
        if images.len() < LEAST || others.is_empty() {
            return Ok(None);
        }
        let pictures: Vec<Shown> = images.into_iter().map(|one| one.shown).collect();
        let right = share_named(&logits.of(&pictures)?, |_| class);
        let covered: Vec<Shown> = pictures.iter().map(|shown| shown.without_middle(MIDDLE)).collect();
        let covered = share_named(&logits.of(&covered)?, |_| class);
        let controls =
            (0..others.len().min(CONTROLS)).map(|i| others[i * others.len() / others.len().min(CONTROLS)]);
        let controls = controls.filter_map(|one| Some((&one.shown, one.class?))).collect();
        let donors = others.iter().map(|one| &one.shown).collect();
        Ok(Some(Self { class, pictures, donors, right, covered, controls }))
    }

    /// The share of the images that is named rightly although their middle is covered: a class that follows
    /// its object loses most of them.
    pub(super) fn right_with_middle_covered(&self) -> f64 {
        self.covered
    }

    /// The images with a cue laid over them.
    fn with(&self, cue: &Cue) -> Vec<Shown> {
        self.pictures.iter().map(|shown| shown.laid_over(cue)).collect()
    }

    /// The images with a cue taken out.
    fn without(&self, cue: &Cue) -> Vec<Shown> {
        let all = self.pictures.iter().enumerate();
        all.map(|(i, shown)| shown.taken_out(cue, self.donor(i))).collect()
    }

    /// The picture that image number `i` gets its parts from: each time another one.
    fn donor(&self, i: usize) -> &Shown {
        self.donors[(i * 7 + 3) % self.donors.len()]
    }

    /// What a cue does to them.
    ///
    /// # Errors
    /// If the work is cancelled.
    pub(super) fn effect(&self, logits: &mut Logits<'_>, cue: &Cue) -> Result<Effect> {
        let with = share_named(&logits.of(&self.with(cue))?, |_| self.class);
        let without = share_named(&logits.of(&self.without(cue))?, |_| self.class);
        let plain: Vec<Shown> = self.controls.iter().map(|(shown, _)| (*shown).clone()).collect();
        let altered: Vec<Shown> = self
            .controls
            .iter()
            .enumerate()
            .map(|(i, (shown, _))| shown.taken_out(cue, self.donor(i + 1)))
            .collect();
        let class = |i: usize| self.controls[i].1;
        let cost = share_named(&logits.of(&plain)?, class) - share_named(&logits.of(&altered)?, class);
        let shown = self.shown(cue);
        let is_turned = matches!(cue, Cue::Motion(_));
        Ok(Effect { right: self.right, with, without, cost, shown, images: self.pictures.len(), is_turned })
    }

    /// The first of the class's images that a cue brings over to it, or that taking the cue out brings over
    /// to another class: whichever happens more often.
    ///
    /// # Errors
    /// If the network cannot be run.
    pub(super) fn changed(
        &self,
        logits: &mut Logits<'_>,
        cue: &Cue,
        names: &[String],
        most: usize,
    ) -> Result<Vec<Changed>> {
        let (laid, out) = (self.with(cue), self.without(cue));
        let mut named = |pictures: &[Shown]| -> Result<Vec<usize>> {
            Ok(logits.of(pictures)?.iter().map(Scores::named).collect())
        };
        let (before, with, without) = (named(&self.pictures)?, named(&laid)?, named(&out)?);
        let all = 0..self.pictures.len();
        let won: Vec<usize> =
            all.clone().filter(|i| before[*i] != self.class && with[*i] == self.class).collect();
        let lost: Vec<usize> =
            all.filter(|i| before[*i] == self.class && without[*i] != self.class).collect();
        let (by, which, pictures, after) = match won.len() > lost.len() {
            true => (Change::LaidOverOwn, won, laid, with),
            false => (Change::TakenOut, lost, out, without),
        };
        let mut found = Vec::new();
        for i in which.into_iter().take(most) {
            let (Some(plain), Some(changed)) = (self.pictures[i].strip()?, pictures[i].strip()?) else {
                break;
            };
            let names = [before[i], after[i]].map(|class| names[class].clone());
            found.push(Changed { pictures: [plain, changed], names, by });
        }
        Ok(found)
    }

    /// How likely it is that an image of the class shows more of a cue than one of another class.
    pub(super) fn shown(&self, cue: &Cue) -> f64 {
        let own: Vec<f64> = self.pictures.iter().map(|shown| shown.measured(cue)).collect();
        let others: Vec<f64> = self.controls.iter().map(|(shown, _)| shown.measured(cue)).collect();
        exceeds(&own, &others)
    }
}

/// The share of pictures that are named as what they should be.
fn share_named(scores: &[Scores], class: impl Fn(usize) -> usize) -> f64 {
    let right = scores.iter().enumerate().filter(|(i, scores)| scores.named() == class(*i)).count();
    right as f64 / scores.len().max(1) as f64
}

/// The share of pairs in which the first number is the larger one; equal ones count half.
fn exceeds(first: &[f64], second: &[f64]) -> f64 {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
    let sum: f64 = pairs
        .map(|(a, b)| match a.partial_cmp(b) {
            Some(std::cmp::Ordering::Greater) => 1.0,
            Some(std::cmp::Ordering::Equal) => 0.5,
            _ => 0.0,
        })
        .sum();
    sum / (first.len() * second.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_gained_by_it_or_lost_without() {
        let effect = Effect {
            right: 0.1,
            with: 0.9,
            without: 0.1,
            cost: 0.0,
            shown: 0.5,
            images: 10,
            is_turned: false,
        };
        assert!((effect.needed() - (0.8 - 0.004f64.sqrt())).abs() < 1e-9);
        let lost = Effect {
            right: 1.0,
            with: 1.0,
            without: 0.1,
            cost: 0.2,
            shown: 1.0,
            images: 10,
            is_turned: false,
        };
        assert!((lost.needed() - (0.7 - 0.00525f64.sqrt())).abs() < 1e-9);
        // Pictures that show the cue no more than others lose something else.
        assert_eq!(Effect { shown: 0.5, ..lost }.needed(), 0.0);
        let turned = Effect { right: 0.7, with: 1.0, without: 0.1, is_turned: true, ..effect };
        assert!((turned.needed() - (0.9 - 0.00225f64.sqrt())).abs() < 1e-9);
        assert_eq!(exceeds(&[1.0, 2.0], &[1.0, 0.0]), 0.875);
    }
}
