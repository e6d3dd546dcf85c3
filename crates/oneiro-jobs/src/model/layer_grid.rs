//! Chooses the units of a layer that a grid shows: the more of the input a unit sees, the fewer.

use oneiro_net::analysis::Layer;

use super::{Layers, LoadedModel};
use crate::error::Result;

/// Number of units shown of a layer whose units see the whole input.
const FEWEST: usize = 6;
/// Largest number of units shown of a layer.
const MOST: usize = 48;

impl LoadedModel {
    /// Returns the channels of a layer that a grid shows, evenly spread. Their number is inverse to the side
    /// of the receptive field, from 6 where a unit sees the whole input to 48. For a layer that the model
    /// does not list, it is 6.
    ///
    /// # Errors
    /// If there is no such layer, or if the model's layers are not known.
    pub fn channels_for_grid(&self, layer: &str) -> Result<Vec<usize>> {
        let layers = self.layers()?;
        let value = self.model.resolve(layer)?;
        let Some(found) = layers.layers.iter().find(|l| l.value == value) else {
            return Ok((0..FEWEST).collect());
        };
        let share = found.fields.iter().flat_map(|(input, field)| {
            let sides = layers.inputs[*input].iter().rev();
            field.extent.iter().rev().zip(sides).take(2).map(|(&seen, &side)| seen as f64 / side as f64)
        });
        Ok(spread(found.channels, wanted(share.fold(0.0, f64::max))))
    }
}

/// Number of units for a receptive field whose side is this share of the input's.
fn wanted(share: f64) -> usize {
    ((FEWEST as f64 / share.clamp(0.01, 1.0)).round() as usize).clamp(FEWEST, MOST)
}

/// Returns indices of `wanted` out of `count` items, evenly spaced from the first to the last; all if there
/// are fewer.
pub(crate) fn spread(count: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(|i| if wanted > 1 { i * (count - 1) / (wanted - 1) } else { 0 }).collect()
}

/// Says how much of the input a unit of the layer sees, and how many of its channels are shown.
pub(crate) fn note(layers: &Layers, layer: &Layer, shown_channels: usize) -> String {
    format!("{}{}", sees(layers, layer), shown(shown_channels, layer.channels, "channels"))
}

/// Says how much of the input a unit of the layer sees: pixels, and of clips frames; empty if unknown.
fn sees(layers: &Layers, layer: &Layer) -> String {
    let Some((input, field)) = layer.fields.first() else { return String::new() };
    // A field may reach beyond the input's edges.
    let sides = layers.inputs[*input].iter().rev().copied().chain(std::iter::repeat(usize::MAX));
    let mut extent: Vec<usize> =
        field.extent.iter().rev().zip(sides).map(|(&seen, side)| seen.min(side)).collect();
    extent.reverse();
    match &extent[..] {
        [] => String::new(),
        [frames, sides @ ..] if sides.len() == 2 => {
            format!("A unit sees {} pixels of {frames} frames. ", times(sides))
        }
        sides => format!("A unit sees {} pixels. ", times(sides)),
    }
}

fn times(sides: &[usize]) -> String {
    sides.iter().map(usize::to_string).collect::<Vec<_>>().join(" by ")
}

/// Says how many of all units are shown.
pub(crate) fn shown(units: usize, all: usize, what: &str) -> String {
    if units == all { format!("All {all} {what}.") } else { format!("{units} of {all} {what}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(100, 4), [0, 33, 66, 99]);
        assert_eq!(spread(3, 8), [0, 1, 2]);
        assert_eq!((spread(1, 4), spread(0, 4), spread(9, 1)), (vec![0], vec![], vec![0]));
    }

    #[test]
    fn fewer_units_are_shown_where_each_sees_more() {
        assert_eq!([0.0, 3.0 / 64.0, 0.25, 0.5, 1.0, 2.0].map(wanted), [48, 48, 24, 12, 6, 6]);
    }
}
