//! The last stage of most parametrizations: from decorrelated coordinates to an image.

use super::{ParamSources, Squash};
use crate::color::{Decorrelate, IMAGENET_COLOR_MEAN, Mixing};
use crate::error::Result;
use crate::statistics::StatisticsError;

/// image = squash(M·t + mean), for planes `[C, H, W]`.
#[derive(Debug, Clone)]
pub(crate) struct Colors {
    mixing: Mixing,
    /// The mean that is added to each channel after mixing.
    mean: Vec<f32>,
    squash: Squash,
}

impl Colors {
    /// Creates the colours that the options of a parametrization name. Without sigmoid, the mean colour of
    /// the same source is added. It is that of `sources` for [`Decorrelate::Data`], else ImageNet's for RGB
    /// and 0 for other channels.
    ///
    /// # Errors
    ///
    /// If the required statistics are missing or have another number of channels.
    pub fn new(
        channels: usize,
        decorrelate: Decorrelate,
        squash: Squash,
        sources: &ParamSources,
    ) -> Result<Colors> {
        if decorrelate == Decorrelate::Data {
            let Some(statistics) = &sources.statistics else {
                return Err(StatisticsError::Missing.into());
            };
            statistics.require_channels(channels)?;
            let mean = statistics.mean().iter().map(|m| *m as f32).collect();
            return Ok(Colors::with_mixing(statistics.mixing().clone(), mean, squash));
        }
        let mixing = match decorrelate {
            Decorrelate::Imagenet => Mixing::for_channels(channels),
            Decorrelate::None | Decorrelate::Data => Mixing::identity(channels),
        };
        Ok(Colors::of_photographs(mixing, squash))
    }

    /// Creates colours with this matrix. ImageNet's mean colour is used if a mean is needed and there are
    /// three channels.
    pub fn of_photographs(mixing: Mixing, squash: Squash) -> Colors {
        let mean = match mixing.channels() {
            3 => IMAGENET_COLOR_MEAN.to_vec(),
            channels => vec![0.0; channels],
        };
        Colors::with_mixing(mixing, mean, squash)
    }

    /// Creates colours with this matrix and mean. The mean is used only without sigmoid.
    pub fn with_mixing(mixing: Mixing, mean: Vec<f32>, squash: Squash) -> Colors {
        let mean = if squash == Squash::Identity { mean } else { vec![0.0; mean.len()] };
        Colors { mixing, mean, squash }
    }

    /// Converts coordinates to an image, in place. `squashed` stores what the adjoint needs.
    pub fn apply(&self, image: &mut [f32], squashed: &mut Vec<f32>) {
        self.mixing.apply(image);
        self.shift(image, 1.0);
        self.squash.apply(image, squashed);
    }

    /// Converts the gradient with respect to the image to the gradient with respect to the coordinates, in
    /// place.
    pub fn adjoint(&self, gradient: &mut [f32], squashed: &[f32]) {
        self.squash.adjoint(gradient, squashed);
        self.mixing.adjoint(gradient);
    }

    /// Converts an image to coordinates, in place.
    pub fn unapply(&self, image: &mut [f32]) {
        self.squash.unapply(image);
        self.shift(image, -1.0);
        self.mixing.unapply(image);
    }

    fn shift(&self, image: &mut [f32], sign: f32) {
        let plane = image.len() / self.mean.len();
        for (plane, mean) in image.chunks_exact_mut(plane).zip(&self.mean).filter(|(_, mean)| **mean != 0.0) {
            plane.iter_mut().for_each(|v| *v += sign * mean);
        }
    }
}
