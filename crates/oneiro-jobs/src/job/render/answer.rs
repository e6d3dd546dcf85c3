//! What the network names the inputs that were optimised for its classes.

use oneiro::card::InputKind;
use oneiro::input::PictureInput;
use oneiro::render::Picture;

use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::model::logits::LogitNetwork;

/// Runs the network on optimised inputs.
pub(crate) struct Answers<'a> {
    model: &'a LoadedModel,
    network: LogitNetwork<'a>,
}

impl<'a> Answers<'a> {
    /// `size` is the height and width of the pictures, if they are not the network's own.
    ///
    /// # Errors
    /// If the network names no classes.
    pub(crate) fn new(
        context: &'a Context,
        model: &'a LoadedModel,
        size: Option<[usize; 2]>,
    ) -> Result<Self> {
        Ok(Self { model, network: LogitNetwork::of_size(context, model, size)? })
    }

    /// The class with the largest logit for pictures rounded to 8 bits; `None` if an input is missing, or if
    /// a picture is of another size than the network's input.
    pub(crate) fn class(&mut self, pictures: &[Picture]) -> Option<usize> {
        let of = |input: &PictureInput| {
            let picture = pictures.iter().find(|picture| picture.input == input.name)?;
            let cards = &self.model.model.card.input;
            let bound = match picture.kind {
                InputKind::Flow => Some(cards.iter().find(|card| card.name == input.name)?.range),
                _ => None,
            };
            (picture.colors().len() == input.extent.channels * input.extent.positions())
                .then(|| rounded(picture.colors(), bound))
        };
        let values = self.network.inputs().iter().map(of).collect::<Option<Vec<_>>>()?;
        let logits = self.network.run(|_, input| &values[input]);
        (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)))
    }
}

/// Values in 256 steps: from 0 to 1, or of flow from −`bound` to `bound`.
fn rounded(values: &[f32], bound: Option<f32>) -> Vec<f32> {
    let low = bound.map_or(0.0, |bound| -bound);
    let extent = bound.map_or(1.0, |bound| 2.0 * bound);
    let step =
        |value: &f32| low + (((value - low) / extent).clamp(0.0, 1.0) * 255.0).round() / 255.0 * extent;
    values.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_8_bits_within_their_range() {
        assert_eq!(rounded(&[-0.2, 0.5, 1.3], None), [0.0, 128.0 / 255.0, 1.0]);
        let flow = rounded(&[-30.0, 0.0, 4.0], Some(20.0));
        assert_eq!(flow[0], -20.0);
        assert!(flow[1].abs() < 0.08 && (flow[2] - 4.0).abs() < 0.08, "{flow:?}");
    }
}
