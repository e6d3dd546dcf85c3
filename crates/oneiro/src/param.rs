//! Parametrizations: maps from parameters to an image.
//!
//! Interface: a [`Param`] maps a flat slice of parameters to an image, [`Param::image`]. It maps the gradient
//! with respect to that image to the gradient with respect to the parameters, [`Param::adjoint`]. A `Param`
//! is immutable and shared between threads. Each evaluation stores intermediate values in a [`Work`], which
//! belongs to the caller, one for each image.
//!
//! An image is planar, `[C, H, W]` or `[C, T, H, W]`, in display units: RGB from 0 (black) to 1 (white). The
//! frames of a clip are made each by itself, unless a parametrization says otherwise; [`Cppn`] and [`Maco`]
//! make stills alone. Clips of [`Fourier3d`] and [`Moved`] are made as a whole.
//!
//! | kind | parameters | good for |
//! |---|---|---|
//! | [`Pixel`] | the image | studies of the raw gradient; starting from a picture |
//! | [`Fourier`] | a half spectrum | the usual choice |
//! | [`Laplacian`] | a pyramid | like Fourier, but local |
//! | [`Shared`] | low resolutions shared by a batch, detail for each picture | aligned batches |
//! | [`Cppn`] | weights of a network over (x, y) | pictures of any size |
//! | [`Dense`] | weights and biases of a layer | one published preset |
//! | [`Maco`] | phases | natural statistics at any depth of a network |
//! | [`Fourier3d`] | a half spectrum in space and time | clips |
//! | [`Moved`] | a still and a flow | clips, texture and motion apart |
//!
//! [`Masked`], [`WithAlpha`] and [`Flow`] wrap other parametrizations.
//!
//! To add a parametrization, add a file in `param/` with its struct, `impl Param`, and the two tests that the
//! others have: a gradient check, and the inversion of an image.

pub mod alpha;
#[cfg(test)]
mod clips;
mod colors;
mod cppn;
mod dense;
#[cfg(test)]
mod fits;
mod flow;
mod fourier;
mod fourier3d;
mod laplacian;
mod maco;
mod masked;
mod moved;
mod pixel;
mod pyramid;
mod shared;

pub use alpha::WithAlpha;
pub use cppn::{Cppn, CppnOptions};
pub use dense::{Dense, DenseOptions};
pub use flow::Flow;
pub use fourier::{Fourier, FourierOptions, LUCID_DIVISOR};
pub use fourier3d::{Fourier3d, Fourier3dOptions};
pub use laplacian::{Laplacian, LaplacianOptions};
pub use maco::{Maco, MacoOptions};
pub use masked::Masked;
pub use moved::{Moved, MovedOptions};
pub use pixel::{Pixel, PixelInit, PixelOptions};
pub use shared::{Detail, Shared, SharedOptions};

use crate::error::{Error, Result};
use crate::parallel::{self, CHUNK};
use crate::rng::Stream;
use crate::spectrum::SpectrumWork;
use crate::statistics::Statistics;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// Standard deviation of the initial parameters (Lucid, `optvis/param/spatial.py`, `sd`).
pub const INIT_STD: f32 = 0.01;

/// Distance to which an image is kept from 0 and 1 before the sigmoid is inverted: half a level of an 8-bit
/// picture.
pub const SIGMOID_MARGIN: f32 = 0.5 / 255.0;

/// Data for parametrizations besides their options, such as statistics.
#[derive(Debug, Clone, Default)]
pub struct ParamSources {
    /// Statistics of the images that a picture should resemble.
    pub statistics: Option<Arc<Statistics>>,
    /// The mean colour of pictures in display units: one number for all channels or for each; grey if empty.
    pub mean: Vec<f32>,
}

/// A map from parameters to an image, and its adjoint.
///
/// During a rendering, the workers are kept awake for the rendering's own loops. They do not help with
/// `rayon` jobs that an implementation starts, so plain loops are as fast.
pub trait Param: Send + Sync + Debug {
    /// Number of parameters that one image has.
    fn len(&self) -> usize;

    /// Whether the image has no parameters at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels, frames, height and width of the image.
    fn extent(&self) -> Extent;

    /// Scales every pixel whose norm exceeds `bound`, in the parameters' units, to that norm. Only parameters
    /// that are pixels have such a norm; others stay unchanged.
    fn project(&self, _params: &mut [f32], _bound: f32) {}

    /// Returns the parameters that all images of a batch share, if any. The rendering gives them the same
    /// start and moves them by the sum of all images' gradients.
    fn shared(&self) -> Range<usize> {
        0..0
    }

    /// Draws the initial parameters of an optimisation. Those of [`Param::shared`] come from the second
    /// stream, which is the same for all images of a batch. All others come from the first.
    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32>;

    /// Returns parameters whose image is this one, or the nearest possible image. A sigmoid never reaches 0
    /// or 1; such values are moved inward by [`SIGMOID_MARGIN`]. Returns `None` if the map cannot be
    /// inverted.
    #[allow(clippy::wrong_self_convention)] // `self` is the kind of parameters, not the result.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>>;

    /// Creates the scratch memory for one image.
    fn work(&self) -> Work;

    /// Computes the image of these parameters into `out`, and stores in `work` what [`Param::adjoint`] needs.
    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]);

    /// Computes the gradient with respect to the parameters from the gradient with respect to their image
    /// (the vector-Jacobian product). `work` must be as [`Param::image`] left it for these parameters.
    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]);
}

/// Intermediate values of one evaluation. Each parametrization uses the parts that it needs.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// The image after squashing, from which the derivative of the squash is computed.
    squashed: Vec<f32>,
    /// A scratch buffer of the image's size.
    image: Vec<f32>,
    /// Scratch memory for one plane's spectrum.
    spectrum: SpectrumWork,
    /// Scratch memory of each plane, if planes are computed in parallel.
    planes: Vec<Work>,
}

/// The last function before the image, which may keep values in 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Squash {
    /// The sigmoid function 1 / (1 + e⁻ᵗ).
    #[default]
    Sigmoid,
    /// No function: values may leave 0–1.
    Identity,
}

impl Squash {
    /// Applies the function in place and stores in `work` what the adjoint needs.
    fn apply(self, image: &mut [f32], work: &mut Vec<f32>) {
        if self == Squash::Sigmoid {
            work.resize(image.len(), 0.0);
            parallel::each(image.chunks_mut(CHUNK).zip(work.chunks_mut(CHUNK)), |_, (image, work)| {
                image.iter_mut().for_each(|t| *t = 1.0 / (1.0 + (-*t).exp()));
                work.copy_from_slice(image);
            });
        }
    }

    /// Multiplies a gradient by the derivative s·(1 − s).
    fn adjoint(self, gradient: &mut [f32], work: &[f32]) {
        if self == Squash::Sigmoid {
            assert_eq!(gradient.len(), work.len(), "adjoint before image");
            parallel::each(gradient.chunks_mut(CHUNK).zip(work.chunks(CHUNK)), |_, (gradient, work)| {
                gradient.iter_mut().zip(work).for_each(|(g, s)| *g *= s * (1.0 - s));
            });
        }
    }

    /// Applies the inverse of the function to an image, in place.
    fn unapply(self, image: &mut [f32]) {
        if self == Squash::Sigmoid {
            image.iter_mut().for_each(|v| {
                let s = v.clamp(SIGMOID_MARGIN, 1.0 - SIGMOID_MARGIN);
                *v = (s / (1.0 - s)).ln();
            });
        }
    }
}

fn check_image(image: &[f32], extent: Extent) {
    assert_eq!(image.len(), extent.values(), "from_image takes an image of {extent}");
}

/// Returns an error if the extent is a clip, for a parametrization that creates stills only.
fn check_still(kind: &str, extent: Extent) -> Result<()> {
    match extent.frames {
        1 => Ok(()),
        frames => Err(Error::Settings(format!(
            "the parametrization {kind} makes stills, not clips of {frames} frames; choose pixel, fourier or laplacian"
        ))),
    }
}

fn normal_numbers(rng: &mut Stream, len: usize, mean: f32, std: f32) -> Vec<f32> {
    (0..len).map(|_| mean + std * rng.normal() as f32).collect()
}

#[cfg(test)]
mod checks {
    //! Checks that the tests of every parametrization call.
    use super::*;

    pub fn dot(a: &[f32], b: &[f32]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    pub fn image_of(param: &dyn Param, params: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; param.extent().values()];
        param.image(params, &mut param.work(), &mut out);
        out
    }

    /// Draws the initial parameters for a random seed.
    pub fn start_of(param: &dyn Param, seed: u64) -> Vec<f32> {
        param.init(&mut Stream::new(seed, 0), &mut Stream::new(seed, 1))
    }

    /// Compares the adjoint with central differences along random directions, for the objective <image, y>.
    pub fn assert_gradient(param: &dyn Param, start_std: f32, step: f32, tolerance: f64) {
        let mut rng = Stream::new(11, 0);
        let params = normal_numbers(&mut rng, param.len(), 0.1, start_std);
        let y = normal_numbers(&mut rng, param.extent().values(), 0.0, 1.0);
        let (mut work, mut gradient) = (param.work(), vec![f32::NAN; param.len()]);
        let mut out = vec![f32::NAN; y.len()];
        param.image(&params, &mut work, &mut out);
        param.adjoint(&params, &mut work, &y, &mut gradient);
        for _ in 0..4 {
            let direction = normal_numbers(&mut rng, param.len(), 0.0, 1.0);
            let moved = |sign: f32| -> Vec<f32> {
                params.iter().zip(&direction).map(|(p, d)| p + sign * step * d).collect()
            };
            let (up, down) = (image_of(param, &moved(1.0)), image_of(param, &moved(-1.0)));
            let difference: Vec<f32> = up.iter().zip(&down).map(|(u, d)| u - d).collect();
            let (numeric, exact) =
                (dot(&difference, &y) / (2.0 * f64::from(step)), dot(&gradient, &direction));
            let scale = (dot(&gradient, &gradient) * dot(&direction, &direction)).sqrt()
                / (direction.len() as f64).sqrt();
            assert!(
                (numeric - exact).abs() < tolerance * scale,
                "{param:?}: {numeric} {exact} (scale {scale})"
            );
        }
    }

    /// Asserts that the image of `from_image(image)` is the image again.
    pub fn assert_way_back(param: &dyn Param, tolerance: f32) {
        let mut rng = Stream::new(12, 0);
        let len = param.extent().values();
        let image: Vec<f32> = (0..len).map(|_| rng.uniform_in(0.02, 0.98) as f32).collect();
        let again = image_of(param, &param.from_image(&image).unwrap());
        for (a, b) in again.iter().zip(&image) {
            assert!((a - b).abs() < tolerance, "{param:?}: {a} {b}");
        }
    }
}
