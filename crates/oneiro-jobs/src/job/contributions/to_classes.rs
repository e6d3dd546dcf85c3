//! Contributions of the units before two classes to both, over the images that excite each class most.
//!
//! They are activations times gradients of a class's logit, summed over the positions. Where the layers up
//! to the logit are piecewise linear, they add up to the logit less what biases add.

use oneiro::objective::Objective;
use oneiro_net::ValueId;

use super::{Asked, means};
use crate::error::Result;
use crate::job::Run;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// Layers before the classes that have a channel for each class, at most.
const MOST_ALONE: usize = 4;

/// The mean contributions of a layer's channels to two classes, A and B.
pub(crate) struct ToClasses<'s> {
    pub layer: &'s LayerRecord,
    /// On the best images of A and of B: for A and for B, a number for each channel.
    pub on: [[Vec<f64>; 2]; 2],
}

/// Computes the contributions of the nearest layers of the scan before two classes, over up to `examples`
/// images each. What reaches a class through one of these layers counts as that layer's. Layers in which
/// the class's own channel alone makes the class, such as channels that are averaged, are passed.
///
/// # Errors
/// If the network is not the scan's, or an image is missing, or a class has none.
pub(crate) fn to_classes<'s>(
    run: &Run<'_>,
    scan: &'s ScanFile,
    classes: [&(UnitRecord, &LayerRecord); 2],
    examples: usize,
) -> Result<Vec<ToClasses<'s>>> {
    let model = run.model()?;
    scan.check_model(model)?;
    let asked =
        |(unit, layer): &(UnitRecord, &LayerRecord)| Asked::new(run, model, scan, (unit, layer), examples);
    let images = [asked(classes[0])?, asked(classes[1])?];
    let channels = classes.map(|(unit, _)| unit.channel);
    let layers: Vec<(ValueId, &LayerRecord)> = scan
        .layers()
        .iter()
        .filter_map(|layer| Some((model.model.resolve(&layer.name).ok()?, layer)))
        .collect();
    let mut from = images[0].read()?.0;
    let mut found = Vec::new();
    for _ in 0..=MOST_ALONE {
        let before = images[0].before(from, &layers);
        found = Vec::new();
        for (at, layer) in &before {
            let others: Vec<ValueId> =
                before.iter().map(|(value, _)| *value).filter(|value| value != at).collect();
            let mut on = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
            for (of, images) in on.iter_mut().zip(&images) {
                for (of, channel) in of.iter_mut().zip(channels) {
                    *of = means(&images.to_logit(channel, *at, &others)?);
                }
            }
            found.push(ToClasses { layer, on });
        }
        match (&found[..], &before[..]) {
            ([only], [(at, _)]) if only.is_alone(channels) => from = *at,
            _ => break,
        }
    }
    Ok(found)
}

impl ToClasses<'_> {
    /// Whether each class is made by the channel of its own number alone.
    fn is_alone(&self, channels: [usize; 2]) -> bool {
        let is_own = |of: &[f64], channel: usize| {
            of.iter().enumerate().all(|(i, value)| i == channel || *value == 0.0)
        };
        let is_made = |i: usize| self.on[i][i].get(channels[i]).is_some_and(|value| *value != 0.0);
        let own = self.on.iter().all(|[a, b]| is_own(a, channels[0]) && is_own(b, channels[1]));
        own && is_made(0) && is_made(1)
    }
}

impl Asked<'_> {
    /// Returns the contributions of a layer's channels to the logit of a class, for each example image.
    fn to_logit(&self, class: usize, at: ValueId, others: &[ValueId]) -> Result<Vec<Vec<f64>>> {
        let entries: Vec<(usize, Objective)> =
            (0..self.pictures.len()).map(|i| (i, Objective::logit(class))).collect();
        self.products(&self.without(others), at, &entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_of_averaged_classes_is_passed() {
        let layer = LayerRecord {
            number: 0,
            name: String::new(),
            aliases: Vec::new(),
            forms: Vec::new(),
            is_classes: false,
            channels: 3,
            map: Vec::new(),
            field: None,
        };
        let of = |on: [[[f64; 3]; 2]; 2]| {
            let on = on.map(|of| of.map(|of| of.to_vec()));
            ToClasses { layer: &layer, on }.is_alone([0, 2])
        };
        let (a, b, none) = ([0.5, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0; 3]);
        assert!(of([[a, b], [a, b]]));
        // The images of one class may do nothing for the other.
        assert!(of([[a, none], [none, b]]));
        assert!(!of([[[0.5, -0.1, 0.0], b], [a, b]]));
        assert!(!of([[a, b], [a, none]]));
    }
}
