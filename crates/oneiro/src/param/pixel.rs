//! A parametrization by the pixels themselves.

use super::{INIT_STD, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::error::{Error, Result};
use crate::rng::Stream;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

/// Middle of the display range, the initial value of an image without squash.
const MIDDLE_GREY: f32 = 0.5;

/// Settings of [`Pixel`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelOptions {
    /// The function that limits values. Without a sigmoid, they may leave 0–1.
    pub squash: Squash,
    /// Mean of the initial image in display units (after the sigmoid, if there is one).
    pub init_mean: f32,
    /// Standard deviation of the initial parameters.
    pub init_std: f32,
    /// The value of white in the parameters' units: 1, or 255.
    pub levels: f32,
    /// Whether parameters are differences from the mean colour of pictures.
    pub centred: bool,
    /// The distribution of the initial parameters.
    pub init: PixelInit,
}

/// The distribution of the initial parameters of a [`Pixel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PixelInit {
    /// A normal distribution with mean `init_mean`.
    #[default]
    Normal,
    /// Uniform in ±1, divided by its 95th percentile, times `init_std` (Mahendran & Vedaldi 2016, §4).
    Uniform,
}

/// Deviation of a pre-image's initial pixels in 255 levels: 80/√3, for a pixel norm of 80 (Mahendran &
/// Vedaldi 2016, §4).
const PREIMAGE_STD: f32 = 46.188_02;
/// Percentile by which uniform noise is divided (Mahendran & Vedaldi 2016, §4).
const PERCENTILE: f64 = 0.95;

impl Default for PixelOptions {
    /// No squash, and noise of 0.01 around middle grey.
    fn default() -> PixelOptions {
        PixelOptions {
            squash: Squash::Identity,
            init_mean: MIDDLE_GREY,
            init_std: INIT_STD,
            levels: 1.0,
            centred: false,
            init: PixelInit::Normal,
        }
    }
}

impl PixelOptions {
    /// Pixels from 0 to 255 minus the mean colour, starting from uniform noise (Mahendran & Vedaldi 2016,
    /// §4).
    pub fn preimage() -> PixelOptions {
        PixelOptions {
            init_std: PREIMAGE_STD,
            levels: 255.0,
            centred: true,
            init: PixelInit::Uniform,
            ..PixelOptions::default()
        }
    }
}

/// One parameter for each value of the image: image = squash(center + params / levels).
#[derive(Debug, Clone)]
pub struct Pixel {
    extent: Extent,
    options: PixelOptions,
    /// One colour value for each channel; zeros unless centred.
    center: Vec<f32>,
}

impl Pixel {
    /// Creates the pixels of an image of this extent.
    ///
    /// # Errors
    ///
    /// If `levels` is not positive, or centred values are to be squashed.
    pub fn new(extent: impl Into<Extent>, options: PixelOptions, sources: &ParamSources) -> Result<Pixel> {
        let extent = extent.into();
        if !(options.levels.is_finite() && options.levels > 0.0) {
            return Err(Error::out_of_range("the levels of a pixel", options.levels, "a positive number"));
        }
        if options.centred && options.squash != Squash::Identity {
            return Err(Error::Settings("pixels less the mean colour cannot be squashed".into()));
        }
        let mean = |c: usize| match sources.mean.len() {
            0 => MIDDLE_GREY,
            colors => sources.mean[c * colors / extent.channels],
        };
        let center = (0..extent.channels).map(|c| if options.centred { mean(c) } else { 0.0 }).collect();
        Ok(Pixel { extent, options, center })
    }

    /// Number of values in one channel of the image.
    fn positions(&self) -> usize {
        self.extent.positions()
    }
}

impl Param for Pixel {
    fn len(&self) -> usize {
        self.extent.values()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        let n = self.len();
        if self.options.init == PixelInit::Uniform {
            let mut noise: Vec<f32> = (0..n).map(|_| rng.uniform_in(-1.0, 1.0) as f32).collect();
            let mut sorted = noise.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            let top = sorted[((n as f64 * PERCENTILE) as usize).min(n - 1)].abs().max(f32::MIN_POSITIVE);
            noise.iter_mut().for_each(|x| *x *= self.options.init_std / top);
            return noise;
        }
        let mut mean = [self.options.init_mean];
        self.options.squash.unapply(&mut mean);
        let first = |c: usize| (mean[0] - self.center[c]) * self.options.levels;
        let mut params = normal_numbers(rng, n, 0.0, self.options.init_std);
        for (c, plane) in params.chunks_exact_mut(self.positions()).enumerate() {
            plane.iter_mut().for_each(|x| *x += first(c));
        }
        params
    }

    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        let mut params = image.to_vec();
        self.options.squash.unapply(&mut params);
        for (plane, center) in params.chunks_exact_mut(self.positions()).zip(&self.center) {
            plane.iter_mut().for_each(|x| *x = (*x - center) * self.options.levels);
        }
        Some(params)
    }

    fn project(&self, params: &mut [f32], bound: f32) {
        let plane = self.positions();
        for i in 0..plane {
            let norm = params[i..].iter().step_by(plane).map(|x| x * x).sum::<f32>().sqrt();
            if norm > bound {
                params[i..].iter_mut().step_by(plane).for_each(|x| *x *= bound / norm);
            }
        }
    }

    fn work(&self) -> Work {
        Work::default()
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        let scale = 1.0 / self.options.levels;
        let planes = out.chunks_exact_mut(self.positions()).zip(params.chunks_exact(self.positions()));
        for ((out, params), center) in planes.zip(&self.center) {
            out.iter_mut().zip(params).for_each(|(out, p)| *out = center + scale * p);
        }
        self.options.squash.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        grad_params.copy_from_slice(grad_image);
        self.options.squash.adjoint(grad_params, &work.squashed);
        let scale = 1.0 / self.options.levels;
        if scale != 1.0 {
            grad_params.iter_mut().for_each(|g| *g *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    fn pixel(squash: Squash) -> Pixel {
        Pixel::new([2, 3, 5], PixelOptions { squash, ..PixelOptions::default() }, &ParamSources::default())
            .unwrap()
    }

    fn preimage() -> Pixel {
        let sources = ParamSources { mean: vec![0.4, 0.5], ..ParamSources::default() };
        Pixel::new([2, 30, 50], PixelOptions::preimage(), &sources).unwrap()
    }

    #[test]
    fn pre_images_are_counted_in_255_levels_about_the_mean_colour() {
        let param = preimage();
        checks::assert_gradient(&param, 80.0, 10.0, 1e-3);
        checks::assert_way_back(&param, 1e-5);
        let image = checks::image_of(&param, &vec![51.0; 3000]);
        assert!((image[0] - 0.6).abs() < 1e-6 && (image[1500] - 0.7).abs() < 1e-6);
        // Uniform noise whose 95th percentile, .9 of its limit, is scaled to 80/√3.
        let params = param.init(&mut Stream::new(0, 0), &mut Stream::new(0, 1));
        let largest = params.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!((largest - PREIMAGE_STD / 0.9).abs() < 2.0, "{largest}");
    }

    #[test]
    fn no_pixel_is_longer_than_the_bound() {
        let param = preimage();
        let mut params = vec![0.0; 3000];
        (params[0], params[1500], params[1], params[1501]) = (300.0, 400.0, 3.0, 4.0);
        param.project(&mut params, 160.0);
        assert!((params[0] - 96.0).abs() < 1e-3 && (params[1500] - 128.0).abs() < 1e-3);
        assert_eq!((params[1], params[1501]), (3.0, 4.0));
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
        let param = Pixel::new(
            [1, 1, 2],
            PixelOptions { squash: Squash::Sigmoid, ..PixelOptions::default() },
            &ParamSources::default(),
        )
        .unwrap();
        let image = checks::image_of(&param, &param.from_image(&[0.0, 1.0]).unwrap());
        assert!(image[0] < 0.00197 && image[1] > 0.998, "{image:?}");
    }
}
