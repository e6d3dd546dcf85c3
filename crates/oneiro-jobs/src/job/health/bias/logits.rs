//! The logits of pictures.

use oneiro::input::PictureInput;
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::Image;
use oneiro_net::ValueId;

use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;

/// A network that computes the logits of its classes for pictures.
pub(super) struct Logits<'a> {
    context: &'a Context,
    session: ObjectiveSession,
    input: PictureInput,
    batch: usize,
}

impl<'a> Logits<'a> {
    /// # Errors
    /// If the network names no classes or takes no photographs.
    pub(super) fn new(context: &'a Context, model: &LoadedModel) -> Result<Self> {
        let logits: ValueId = model.model.logits()?;
        let batch = match model.model.keeps_pictures_apart(&[logits], None) {
            true => 4 * context.threads(),
            false => 1,
        };
        let shapes = model.model.input_shapes(batch, None)?;
        let input = PictureInput::of_photographs(&model.model, &shapes)?;
        let objectives = vec![Objective::logit(0); batch];
        let session =
            context.compute(|| ObjectiveSession::new(&model.model, &objectives, &[logits], shapes, false))?;
        Ok(Self { context, session, input, batch })
    }

    /// Computes the scores of each picture.
    ///
    /// # Errors
    /// If the work is cancelled.
    pub(super) fn of(&mut self, pictures: &[Image]) -> Result<Vec<Scores>> {
        let mut found = Vec::new();
        for some in pictures.chunks(self.batch) {
            self.context.check()?;
            let (session, input, batch) = (&mut self.session, &self.input, self.batch);
            self.context.compute(|| {
                input.feed(session, batch, |entry| some[entry.min(some.len() - 1)].colors());
                session.forward();
            });
            let all = self.session.captured(0).1;
            let classes = all.len() / self.batch;
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
