//! The logits of pictures and clips.

use oneiro::input::PictureInput;

use super::shown::Shown;
use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::model::logits::LogitNetwork;

/// A network that computes the logits of its classes for what it is shown.
pub(super) struct Logits<'a> {
    context: &'a Context,
    network: LogitNetwork<'a>,
}

impl<'a> Logits<'a> {
    /// # Errors
    /// If the network names no classes, or takes neither photographs nor clips.
    pub(super) fn new(context: &'a Context, model: &LoadedModel) -> Result<Self> {
        let batch = match model.model.keeps_pictures_apart(&[model.model.logits()?], None) {
            true if model.takes_clips() => context.threads(),
            true => 4 * context.threads(),
            false => 1,
        };
        Ok(Self { context, network: LogitNetwork::new(context, model, batch)? })
    }

    /// The inputs that are shown something.
    pub(super) fn inputs(&self) -> &[PictureInput] {
        self.network.inputs()
    }

    /// Computes the scores of each picture or clip.
    ///
    /// # Errors
    /// If the work is cancelled.
    pub(super) fn of(&mut self, pictures: &[Shown]) -> Result<Vec<Scores>> {
        let mut found = Vec::new();
        for some in pictures.chunks(self.network.batch()) {
            self.context.check()?;
            let classes = self.network.classes();
            let shown = |entry: usize| &some[entry.min(some.len() - 1)];
            let all = self.network.run(|entry, input| shown(entry).inputs[input].1.colors());
            found.extend(all.chunks_exact(classes).take(some.len()).map(|l| Scores::new(l.to_vec())));
        }
        Ok(found)
    }
}

/// The logits of one picture, with the largest found once: networks have many classes, and many are asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scores {
    logits: Vec<f32>,
    first: usize,
    second: f32,
}

impl Scores {
    fn new(logits: Vec<f32>) -> Self {
        let by_logit = |a: &usize, b: &usize| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a));
        let first = (0..logits.len()).max_by(by_logit).unwrap_or(0);
        let others = (0..logits.len()).filter(|other| *other != first);
        let second = others.map(|other| logits[other]).fold(f32::NEG_INFINITY, f32::max);
        Self { logits, first, second }
    }

    /// The class with the largest logit.
    pub(super) fn named(&self) -> usize {
        self.first
    }

    /// By how much the logit of a class exceeds that of every other.
    pub(super) fn margin(&self, class: usize) -> f64 {
        let other = if class == self.first { self.second } else { self.logits[self.first] };
        f64::from(self.logits[class] - other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_to_the_strongest_other_class() {
        let scores = Scores::new(vec![1.0, 4.0, 2.5]);
        assert_eq!(scores.named(), 1);
        assert_eq!([0, 1, 2].map(|class| scores.margin(class)), [-3.0, 1.5, -1.5]);
    }
}
