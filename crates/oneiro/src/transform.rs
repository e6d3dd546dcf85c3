//! Robustness transforms: random changes of an image while it is optimised.
//!
//! Interface: a [`Chain`] lists [`Transform`]s. Each step, for each image, [`Chain::sample`] draws
//! the random numbers and returns a [`Sampled`] chain: a fixed map that is affine in the image.
//! [`Sampled::apply`] goes forward, [`Sampled::adjoint`] takes a gradient on the result back to a gradient on
//! the image. The result always has the size of the canvas: it is cropped or padded about
//! its centre.
//!
//! Images are planar `[C, H, W]`, clips `[C, T, H, W]`: all planes move together, and only the transforms of
//! time mix the T planes of a channel. Ranges may change over the run ([`Values::Schedule`]).
//!
//! Written as text, a chain is `pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)`; see
//! [`Chain::parse`].
//!
//! ```
//! # use oneiro::{rng::Stream, transform::Chain};
//! let mut rng = Stream::new(0, 0);
//! let mut moved = Chain::lucid().sample(&mut rng, [3, 64, 64]);
//! let (image, mut out) = (vec![0.5; 3 * 64 * 64], vec![0.0; 3 * 64 * 64]);
//! moved.apply(&image, &mut out);
//! ```

pub(crate) mod blur;
mod draw;
mod expression;
mod geometry;
mod length;
mod mask;
mod noise;
mod presets;
pub(crate) mod resample;
mod rotate;
mod sampled;
mod stage;
mod time;
mod values;

pub use expression::TransformError;
pub(crate) use geometry::reflected;
pub use length::Length;
pub use mask::Mask;
pub use sampled::Sampled;
pub use values::Values;

use crate::rng::Stream;
pub use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

/// Default colour outside an image: middle grey (Lucid, `optvis/transform.py`, `pad`).
pub const LUCID_FILL: f32 = 0.5;

/// One random transform.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Transform {
    /// Grows the image by this number of pixels on each of its four sides.
    Pad(Length, PadMode),
    /// Cuts off this number of rows and columns, split at random between the two sides; at least one stays.
    Jitter(Length),
    /// Rolls the image by up to this number of pixels along both axes, with wrap-around.
    Roll(usize),
    /// Moves the picture likewise by any amount, where the units that are rendered see less than half of it
    /// along both axes: a texture has no place, and the edge of the layer then leaves no frame. Nothing
    /// happens elsewhere; [`crate::render`] knows the units.
    RollTextures,
    /// Resizes bilinearly by a random factor (sizes rounded, half-pixel centres, edges continued).
    Scale(Values),
    /// Turns by a random angle in degrees about the centre, counter-clockwise as seen, bilinearly; pixels
    /// from outside have the fill colour.
    Rotate(Values),
    /// Resizes a box of the image at a random place inside to the canvas, bilinearly. The box has the
    /// canvas's proportions (it is square on a square canvas) and a random fraction, up to 1, of the side of
    /// the largest such box: of the image's shorter side for a square one (the random box crops of MACO, Fel
    /// et al. 2023).
    Crop(Values),
    /// Adds Gaussian noise of a random standard deviation, in display units.
    Noise(Values),
    /// Adds noise that is uniform between minus and plus a random amplitude, in display units.
    UniformNoise(Values),
    /// Blurs by a Gaussian of a random standard deviation in pixels. At the edges the weights inside are
    /// divided by their sum, so that a constant image stays constant.
    Blur(Values),
    /// Mirrors left and right with this probability.
    Flip(f64),
    /// Shows the image through a window, and the fill colour around it.
    Mask(Mask),
    /// Crops or pads about the centre to this height and width.
    Canvas(usize, usize),
    /// Cuts this number of frames off a clip, split at random between its two ends (at least one stays); the
    /// rest comes to its middle and its outermost frames are repeated. Nothing happens to an image.
    FrameJitter(usize),
    /// Stretches a run of frames at a random place, of a random fraction of the clip's length, to the whole
    /// clip, linearly in time. Nothing happens to an image.
    FrameCrop(Values),
    /// Plays a clip a random factor as fast about its middle, linearly in time; its outermost frames are
    /// repeated. Nothing happens to an image.
    Speed(Values),
}

/// The border of [`Transform::Pad`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PadMode {
    /// The chain's fill colour.
    Fill,
    /// The image mirrored at its first and last pixel, which are not repeated.
    Reflect,
}

/// Transforms one after another, and the colour outside the image.
///
/// As text and in serialized form it is an expression (see [`Chain::parse`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain {
    /// The transforms, in the order in which they act.
    pub transforms: Vec<Transform>,
    /// The colour outside the image: one number, or one for each channel. If there are fewer numbers than
    /// planes, planes share them in equal runs: 3 numbers for a clip `[3, T, H, W]` colour T planes each.
    pub fill: Vec<f32>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain::none()
    }
}

impl Chain {
    /// These transforms, with middle grey outside.
    pub fn new(transforms: Vec<Transform>) -> Chain {
        Chain { transforms, fill: vec![LUCID_FILL] }
    }

    /// No transform.
    pub fn none() -> Chain {
        Chain::new(Vec::new())
    }

    /// Pixels of the largest picture that the chain can make of one of this size (H, W) on the way, at most.
    /// The canvas is taken to have that size too.
    pub fn largest_stage(&self, [height, width]: [usize; 2]) -> f64 {
        let (mut h, mut w) = (height as f64, width as f64);
        let mut largest = h * w;
        for transform in &self.transforms {
            match transform {
                Transform::Pad(length, _) => {
                    let border = 2.0 * length.on([height, width]) as f64;
                    (h, w) = (h + border, w + border);
                }
                Transform::Scale(values) => (h, w) = (h * values.most(), w * values.most()),
                Transform::Canvas(height, width) => (h, w) = (*height as f64, *width as f64),
                Transform::Crop(_) => (h, w) = (height as f64, width as f64),
                Transform::Jitter(_)
                | Transform::Roll(_)
                | Transform::RollTextures
                | Transform::Rotate(_)
                | Transform::Noise(_)
                | Transform::UniformNoise(_)
                | Transform::Blur(_)
                | Transform::Flip(_)
                | Transform::Mask(_)
                | Transform::FrameJitter(_)
                | Transform::FrameCrop(_)
                | Transform::Speed(_) => {}
            }
            largest = largest.max(h * w);
        }
        largest
    }

    /// Draws the random numbers of one step, the first of a run, for one `[C, H, W]` image or `[C, T, H, W]`
    /// clip.
    ///
    /// The count of random numbers that a transform draws does not depend on the image's size.
    ///
    /// # Panics
    /// As [`Chain::resample`].
    pub fn sample(&self, rng: &mut Stream, extent: impl Into<Extent>) -> Sampled {
        let extent = extent.into();
        self.sample_onto(rng, extent, [extent.height, extent.width])
    }

    /// The same with a canvas, the height and width of the result, that differs from the image's.
    ///
    /// # Panics
    /// As [`Chain::resample`].
    pub fn sample_onto(&self, rng: &mut Stream, extent: impl Into<Extent>, canvas: [usize; 2]) -> Sampled {
        let mut sampled = Sampled::default();
        self.resample(rng, extent, canvas, 0.0, &mut sampled);
        sampled
    }

    /// Draws anew into a chain that was sampled before, and keeps its memory. `progress` says how far the run
    /// is, from 0 in its first step to 1 in its last; it is held within these.
    ///
    /// # Panics
    /// If the image has no pixels or the fill's length neither is 1 nor divides the number of planes.
    pub fn resample(
        &self,
        rng: &mut Stream,
        extent: impl Into<Extent>,
        canvas: [usize; 2],
        progress: f32,
        sampled: &mut Sampled,
    ) {
        let extent = extent.into();
        let planes = extent.channels * extent.frames;
        let pixels = planes * extent.height * extent.width;
        assert!(pixels > 0 && canvas.iter().all(|n| *n > 0), "no pixels in {extent:?} or on {canvas:?}");
        let colors = self.fill.len();
        assert!(
            colors > 0 && planes.is_multiple_of(colors),
            "a fill of {colors} colours for {planes} planes"
        );
        let fill = (0..planes).map(|plane| self.fill[plane * colors / planes]);
        sampled.begin(extent, fill, canvas);
        let progress = if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) };
        for transform in &self.transforms {
            transform.draw(rng, progress, sampled);
        }
        sampled.finish();
    }
}

#[cfg(test)]
mod tests;
