//! How alike two images look: the agreement of a network's features, place by place.
//!
//! Interface: a [`Perception`] is compiled for layers of a network and a size. It turns an image into
//! [`Features`], and [`Features::similarity`] compares two of them.
//!
//! This is LPIPS (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
//! CVPR 2018) with equal weights of all channels, its variant without a fit to people's judgements. At each
//! position of each layer, the vectors over the channels are brought to length 1. The squared distance of two
//! such vectors is 2 less twice their scalar product, so the mean product says the same as a similarity.

use oneiro_net::ValueId;
use oneiro_net::axes::FeatureMap;

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective_session::ObjectiveSession;

/// The last layers of SqueezeNet that LPIPS compares. LPIPS also compares `relu1`, `fire3` and `fire5`; with
/// them, fewer pairs of natural examples are told apart (`docs/belief.md`).
pub const LAYERS: [&str; 4] = ["fire6", "fire7", "fire8", "fire9"];

/// A network that turns images into features.
#[allow(missing_debug_implementations)]
pub struct Perception {
    session: ObjectiveSession,
    maps: Vec<FeatureMap>,
    input: PictureInput,
}

/// The features of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// For each layer, a vector of length 1 over the channels for each position, one after another; zeros
    /// where no channel responds.
    vectors: Vec<Vec<f32>>,
    /// For each layer, the number of positions.
    positions: Vec<usize>,
}

impl Perception {
    /// Compiles a model for images of this height and width.
    ///
    /// # Errors
    /// If a layer is unknown, or if the network takes no photographs or not this size.
    pub fn new(model: &Model, layers: &[&str], size: [usize; 2]) -> Result<Self> {
        let shapes = model.input_shapes(1, Some(size))?;
        let layers = layers.iter().map(|layer| model.resolve(layer)).collect::<Result<Vec<ValueId>>>()?;
        let maps = layers.iter().map(|layer| model.map_of(*layer, &shapes)).collect::<Result<_>>()?;
        let input = PictureInput::of_photographs(model, &shapes)?;
        let session = ObjectiveSession::new(model, &[], &layers, shapes, false)?;
        Ok(Self { session, maps, input })
    }

    /// Returns the features of an image, planar RGB in 0–1 of the size that was compiled for.
    ///
    /// # Errors
    /// If the image has another number of values.
    pub fn features(&mut self, image: &[f32]) -> Result<Features> {
        self.input.check(image)?;
        self.input.feed(&mut self.session, 1, |_| image);
        self.session.forward();
        let (mut vectors, mut positions) = (Vec::new(), Vec::new());
        for (layer, map) in self.maps.iter().enumerate() {
            let shape = map.shape();
            let places = shape[2..].iter().product();
            vectors.push(directions(&map.gather(self.session.captured(layer).1), shape[1]));
            positions.push(places);
        }
        Ok(Features { vectors, positions })
    }
}

impl Features {
    /// Returns how alike two images are, at most 1: the mean over the layers of the mean scalar product over
    /// the positions.
    ///
    /// # Panics
    /// If the features are not of one [`Perception`].
    pub fn similarity(&self, other: &Self) -> f64 {
        assert_eq!(self.positions, other.positions, "features of one network and size");
        let layers = self.vectors.iter().zip(&other.vectors).zip(&self.positions);
        let of_layer = |((a, b), positions): ((&Vec<f32>, &Vec<f32>), &usize)| {
            // Sums of a channel's length in f32, those of all positions in f64.
            let channels = (a.len() / positions.max(&1)).max(1);
            let products = a.chunks_exact(channels).zip(b.chunks_exact(channels));
            let sum: f64 =
                products.map(|(a, b)| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())).sum();
            sum / (*positions).max(1) as f64
        };
        layers.map(of_layer).sum::<f64>() / self.vectors.len().max(1) as f64
    }
}

/// Turns activations `[C, positions]` into a vector of length 1 over the channels for each position.
fn directions(activations: &[f32], channels: usize) -> Vec<f32> {
    let positions = activations.len() / channels.max(1);
    let mut vectors = vec![0.0; activations.len()];
    for (position, vector) in vectors.chunks_exact_mut(channels.max(1)).enumerate() {
        for (channel, value) in vector.iter_mut().enumerate() {
            *value = activations[channel * positions + position];
        }
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|v| *v /= length);
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use oneiro_zoo::embedded;

    use super::*;
    use crate::card::Card;

    #[test]
    fn vectors_have_length_one_wherever_a_channel_responds() {
        assert_eq!(directions(&[3.0, 0.0, 4.0, 0.0], 2), [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn similarity_is_the_mean_of_layers_and_positions() {
        let features = |first: [f32; 4], second: [f32; 2]| Features {
            vectors: vec![first.to_vec(), second.to_vec()],
            positions: vec![2, 1],
        };
        let a = features([1.0, 0.0, 0.0, 1.0], [1.0, 0.0]);
        let b = features([1.0, 0.0, 1.0, 0.0], [0.6, 0.8]);
        assert!((a.similarity(&b) - (0.5 + 0.6) / 2.0).abs() < 1e-6);
        assert_eq!(a.similarity(&a), 1.0);
    }

    #[test]
    fn an_image_is_most_like_itself_and_more_like_its_shifted_self_than_like_another_texture() {
        let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
        let model = Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap();
        let mut perception = Perception::new(&model, &LAYERS, [64; 2]).unwrap();
        let mut striped = |period: f32, phase: f32| {
            let pixel =
                |i: usize| 0.5 + 0.4 * (((i % 64) as f32 + phase) * std::f32::consts::TAU / period).sin();
            perception.features(&(0..3 * 64 * 64).map(pixel).collect::<Vec<f32>>()).unwrap()
        };
        let (own, moved, other) = (striped(16.0, 0.0), striped(16.0, 1.0), striped(5.0, 0.0));
        assert!((own.similarity(&own) - 1.0).abs() < 1e-5);
        let (near, far) = (own.similarity(&moved), own.similarity(&other));
        assert!(far < near - 0.02 && near < 0.999, "{near} {far}");
        assert!(perception.features(&[0.5; 12]).is_err());
    }
}
