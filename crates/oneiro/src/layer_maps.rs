//! Whole maps of layers for one picture after another.
//!
//! Interface: a [`LayerMaps`] is compiled for layers. Each run takes a picture; then [`LayerMaps::map`] gives
//! the map of a layer, (C, positions …) in any axis order of the network.

use oneiro_net::ValueId;
use oneiro_net::axes::FeatureMap;

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective_session::ObjectiveSession;

/// A network that is run up to some layers.
#[allow(missing_debug_implementations)]
pub struct LayerMaps {
    session: ObjectiveSession,
    input: PictureInput,
    maps: Vec<FeatureMap>,
    /// Index of each layer's captured value.
    captured: Vec<usize>,
}

/// The map of a layer for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMap {
    /// Channels, then the extents of the positions: none for a vector.
    pub shape: Vec<usize>,
    /// The activations, channel by channel.
    pub activations: Vec<f32>,
}

/// What a channel does anywhere in its map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// The largest activation; NaN if none is finite.
    pub largest: f32,
    /// Its position, counted row by row; the first of equal ones.
    pub place: usize,
    /// The mean over the positions.
    pub mean: f32,
}

impl LayerMaps {
    /// Compiles a model for these layers, at its own input size.
    ///
    /// # Errors
    /// If the network does not take single pictures, or the channel axis of a layer is unknown.
    pub fn new(model: &Model, layers: &[ValueId]) -> Result<Self> {
        let shapes = model.input_shapes(1, None)?;
        let input = PictureInput::only(model, &shapes)?;
        let maps = layers.iter().map(|layer| model.map_of(*layer, &shapes)).collect::<Result<Vec<_>>>()?;
        let mut values: Vec<ValueId> = Vec::new();
        let captured = layers.iter().map(|layer| match values.iter().position(|known| known == layer) {
            Some(at) => at,
            None => {
                values.push(*layer);
                values.len() - 1
            }
        });
        let captured = captured.collect();
        let session = ObjectiveSession::new(model, &[], &values, shapes, false)?;
        Ok(Self { session, input, maps, captured })
    }

    /// Returns the input that takes the picture.
    pub fn input(&self) -> &PictureInput {
        &self.input
    }

    /// Runs the network on a display image of the input's extent.
    ///
    /// # Errors
    /// If the image has another number of values.
    pub fn run(&mut self, picture: &[f32]) -> Result<()> {
        self.input.check(picture)?;
        self.input.feed(&mut self.session, 1, |_| picture);
        self.session.forward();
        Ok(())
    }

    /// Returns the shape of a layer's map: channels, then positions.
    pub fn shape(&self, layer: usize) -> &[usize] {
        self.maps[layer].shape().get(1..).unwrap_or_default()
    }

    /// Returns the map of a layer for the last picture.
    pub fn map(&self, layer: usize) -> LayerMap {
        let activations = self.maps[layer].gather(self.session.captured(self.captured[layer]).1);
        LayerMap { shape: self.shape(layer).to_vec(), activations }
    }
}

impl LayerMap {
    /// Returns the activations of a channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let positions = self.positions();
        &self.activations[channel * positions..][..positions]
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Returns at each position the inner product of the channels with a vector over them.
    ///
    /// # Panics
    /// If the vector has another length than there are channels.
    pub fn along(&self, direction: &[f32]) -> Vec<f32> {
        assert_eq!(direction.len(), self.shape[0], "a number for each channel");
        let mut sums = vec![0.0f64; self.positions()];
        for (channel, weight) in direction.iter().enumerate() {
            let plane = self.channel(channel);
            sums.iter_mut().zip(plane).for_each(|(sum, a)| *sum += f64::from(*weight) * f64::from(*a));
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// Returns for each channel its means over the cells of a grid of rows and columns that covers the map.
    /// Maps without height and width have one cell, and so does a grid that is larger than the map.
    pub fn cells(&self, grid: [usize; 2]) -> Vec<Vec<f32>> {
        let (extents, cells) = match self.shape[1..] {
            [height, width] if grid[0] <= height && grid[1] <= width => ([height, width], grid),
            _ => ([1, self.positions()], [1, 1]),
        };
        let [height, width] = extents;
        let covered = |i: usize, axis: usize| {
            i * extents[axis] / cells[axis]..((i + 1) * extents[axis]).div_ceil(cells[axis])
        };
        let mut all = Vec::with_capacity(self.shape[0]);
        for plane in self.activations.chunks_exact((height * width).max(1)) {
            let mut means = Vec::with_capacity(cells[0] * cells[1]);
            for y in 0..cells[0] {
                for x in 0..cells[1] {
                    let (rows, columns) = (covered(y, 0), covered(x, 1));
                    let count = rows.len() * columns.len();
                    let sum: f64 = rows
                        .map(|row| {
                            plane[row * width..][columns.clone()].iter().map(|a| f64::from(*a)).sum::<f64>()
                        })
                        .sum();
                    means.push((sum / count.max(1) as f64) as f32);
                }
            }
            all.push(means);
        }
        all
    }
}

impl Peak {
    /// Of a channel's activations.
    pub fn of(plane: &[f32]) -> Self {
        let (mut largest, mut place) = (f32::NAN, 0);
        for (i, value) in plane.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            if largest.is_nan() || *value > largest {
                (largest, place) = (*value, i);
            }
        }
        let sum: f64 = plane.iter().map(|a| f64::from(*a)).sum();
        Self { largest, place, mean: (sum / plane.len().max(1) as f64) as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::tests::network;

    #[test]
    fn maps_and_cells_of_a_network() {
        let model = network();
        let layers = ["relu", "hidden", "relu"].map(|name| model.resolve(name).unwrap());
        let mut maps = LayerMaps::new(&model, &layers).unwrap();
        let picture: Vec<f32> = (0..3 * 144).map(|i| (i % 17) as f32 / 17.0).collect();
        maps.run(&picture).unwrap();
        let relu = maps.map(0);
        assert_eq!((relu.shape.as_slice(), maps.map(1).shape.as_slice()), (&[4, 12, 12][..], &[6][..]));
        assert_eq!(maps.map(2), relu);
        assert!(maps.run(&picture[1..]).is_err());
        let whole = relu.cells([1, 1]);
        let peak = Peak::of(relu.channel(2));
        assert!((whole[2][0] - peak.mean).abs() < 1e-6);
        assert_eq!(relu.channel(2)[peak.place], peak.largest);
        let four = relu.cells([2, 2]);
        let mean = four[2].iter().sum::<f32>() / 4.0;
        assert!((mean - peak.mean).abs() < 1e-6, "{four:?}");
        assert_eq!(maps.map(1).cells([3, 3])[0], maps.map(1).channel(0));
        let mut direction = vec![0.0; 4];
        direction[2] = 2.0;
        let along = relu.along(&direction);
        assert!(along.iter().zip(relu.channel(2)).all(|(a, b)| *a == 2.0 * b));
    }

    #[test]
    fn a_peak_is_the_first_largest_number() {
        let peak = Peak::of(&[f32::NAN, -3.0, -1.0, -1.0]);
        assert_eq!((peak.largest, peak.place), (-1.0, 2));
        assert!(Peak::of(&[f32::NAN]).largest.is_nan());
    }
}
