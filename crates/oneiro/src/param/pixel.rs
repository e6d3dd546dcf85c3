//! The image itself.

use super::{INIT_STD, Param, Squash, Work, check_image, normal_numbers};
use crate::rng::Stream;
use serde::{Deserialize, Serialize};

/// Middle of the display range, where an unsquashed image starts.
const MIDDLE_GREY: f32 = 0.5;

/// Settings of [`Pixel`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelOptions {
    /// Whether values pass a sigmoid; without it, they may leave 0–1.
    pub squash: Squash,
    /// Mean of the first image in display units (through the sigmoid, if there is one).
    pub init_mean: f32,
    /// Standard deviation of the first parameters.
    pub init_std: f32,
}

impl Default for PixelOptions {
    /// Unsquashed, noise of 0.01 around middle grey.
    fn default() -> PixelOptions {
        PixelOptions { squash: Squash::Identity, init_mean: MIDDLE_GREY, init_std: INIT_STD }
    }
}

/// One parameter for each value of the image: image = squash(params).
#[derive(Debug, Clone)]
pub struct Pixel {
    shape: [usize; 3],
    options: PixelOptions,
}

impl Pixel {
    /// Pixels of a `[C, H, W]` image.
    pub fn new(shape: [usize; 3], options: PixelOptions) -> Pixel {
        Pixel { shape, options }
    }
}

impl Param for Pixel {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        let mut mean = [self.options.init_mean];
        self.options.squash.unapply(&mut mean);
        normal_numbers(rng, self.len(), mean[0], self.options.init_std)
    }

    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.shape);
        let mut params = image.to_vec();
        self.options.squash.unapply(&mut params);
        Some(params)
    }

    fn work(&self) -> Work {
        Work::default()
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        out.copy_from_slice(params);
        self.options.squash.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        grad_params.copy_from_slice(grad_image);
        self.options.squash.adjoint(grad_params, &work.squashed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    fn pixel(squash: Squash) -> Pixel {
        Pixel::new([2, 3, 5], PixelOptions { squash, ..PixelOptions::default() })
    }

    #[test]
    fn gradient_and_way_back() {
        for squash in [Squash::Identity, Squash::Sigmoid] {
            checks::assert_gradient(&pixel(squash), 1.0, 1e-2, 1e-3);
            checks::assert_way_back(&pixel(squash), 1e-5);
        }
    }

    #[test]
    fn both_kinds_start_near_middle_grey() {
        for squash in [Squash::Identity, Squash::Sigmoid] {
            let param = pixel(squash);
            let image = checks::image_of(&param, &checks::start_of(&param, 0));
            assert!(image.iter().all(|v| (v - 0.5).abs() < 0.06), "{image:?}");
        }
    }

    #[test]
    fn black_and_white_are_reached_to_half_a_level() {
        let param =
            Pixel::new([1, 1, 2], PixelOptions { squash: Squash::Sigmoid, ..PixelOptions::default() });
        let image = checks::image_of(&param, &param.from_image(&[0.0, 1.0]).unwrap());
        assert!(image[0] < 0.00197 && image[1] > 0.998, "{image:?}");
    }
}
