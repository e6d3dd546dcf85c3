//! A dense layer with one constant input ("Visualizing How CNNs See", Keras): image = squash(W·1 + b).
//!
//! Weights and biases are both parameters, and the gradient of an image value is the gradient of both. So a
//! step of gradient ascent moves the value twice as far as a pixel's. Adam, whose steps do not depend on the
//! gradient's magnitude, also moves it twice as far.

use super::{Param, Squash, Work, check_image, normal_numbers};
use crate::rng::Stream;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

/// Numerator of the limit of Glorot's uniform distribution (Glorot & Bengio 2010, equation 16), Keras'
/// default for the weights of a Dense layer: weights lie within ±√(6 / (inputs + outputs)).
const GLOROT: f64 = 6.0;

/// Settings of [`Dense`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseOptions {
    /// Whether the layer has biases, which start at 0.
    pub bias: bool,
    /// Whether values pass a sigmoid. Without it, they may leave 0–1.
    pub squash: Squash,
    /// Standard deviation of the initial weights; by default Keras' (Glorot's) uniform distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f32>,
}

impl Default for DenseOptions {
    /// The default has biases, a sigmoid, and Keras' initial weights.
    fn default() -> DenseOptions {
        DenseOptions { bias: true, squash: Squash::Sigmoid, init_std: None }
    }
}

/// The weights of a layer with a single input, one for each value of the image; then its biases.
#[derive(Debug, Clone)]
pub struct Dense {
    extent: Extent,
    options: DenseOptions,
}

impl Dense {
    /// Creates the layer for images of this extent.
    pub fn new(extent: impl Into<Extent>, options: DenseOptions) -> Dense {
        Dense { extent: extent.into(), options }
    }

    fn outputs(&self) -> usize {
        self.extent.values()
    }
}

impl Param for Dense {
    fn len(&self) -> usize {
        self.outputs() * if self.options.bias { 2 } else { 1 }
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        let limit = (GLOROT / (1 + self.outputs()) as f64).sqrt();
        let mut params = match self.options.init_std {
            Some(std) => normal_numbers(rng, self.outputs(), 0.0, std),
            None => (0..self.outputs()).map(|_| rng.uniform_in(-limit, limit) as f32).collect(),
        };
        params.resize(self.len(), 0.0);
        params
    }

    /// The image determines the weights; the biases are 0.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        let mut params = image.to_vec();
        self.options.squash.unapply(&mut params);
        params.resize(self.len(), 0.0);
        Some(params)
    }

    fn work(&self) -> Work {
        Work::default()
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        let (weights, biases) = params.split_at(self.outputs());
        out.copy_from_slice(weights);
        out.iter_mut().zip(biases).for_each(|(o, b)| *o += b);
        self.options.squash.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let (weights, biases) = grad_params.split_at_mut(self.outputs());
        weights.copy_from_slice(grad_image);
        self.options.squash.adjoint(weights, &work.squashed);
        if self.options.bias {
            biases.copy_from_slice(weights);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    #[test]
    fn gradient_and_way_back() {
        for bias in [false, true] {
            for squash in [Squash::Identity, Squash::Sigmoid] {
                let param = Dense::new([2, 3, 5], DenseOptions { bias, squash, init_std: None });
                checks::assert_gradient(&param, 0.5, 1e-2, 1e-3);
                checks::assert_way_back(&param, 1e-5);
            }
        }
    }

    #[test]
    fn a_bias_doubles_the_step_of_gradient_ascent() {
        let step = |bias: bool| {
            let param =
                Dense::new([1, 1, 2], DenseOptions { bias, squash: Squash::Identity, init_std: None });
            let mut params = vec![0.0; param.len()];
            let mut gradient = vec![0.0; param.len()];
            param.adjoint(&params, &mut param.work(), &[1.0, -3.0], &mut gradient);
            params.iter_mut().zip(&gradient).for_each(|(p, g)| *p += 0.1 * g);
            checks::image_of(&param, &params)
        };
        for (with, without) in step(true).iter().zip(step(false)) {
            assert!((with - 2.0 * without).abs() < 1e-6);
        }
    }

    #[test]
    fn weights_start_within_glorots_limit_and_biases_at_zero() {
        let param = Dense::new([3, 10, 10], DenseOptions::default());
        let start = param.init(&mut Stream::new(0, 0), &mut Stream::new(0, 1));
        let limit = (6.0f32 / 301.0).sqrt();
        assert!(start[..300].iter().all(|w| w.abs() <= limit));
        assert!(start[..300].iter().any(|w| w.abs() > 0.9 * limit));
        assert!(start[300..].iter().all(|b| *b == 0.0));
    }
}
