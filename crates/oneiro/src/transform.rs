//! Robustness transforms: random changes of an image while it is optimised.
//!
//! Interface: a [`Chain`] lists [`Transform`]s. In each step and for each image, [`Chain::sample`] draws the
//! random numbers and returns a [`Sampled`] chain, a fixed map that is affine in the image.
//! [`Sampled::apply`] transforms an image. [`Sampled::adjoint`] maps a gradient with respect to the result to
//! the gradient with respect to the image. The result always has the size of the canvas: it is cropped or
//! padded about its centre.
//!
//! Images are planar `[C, H, W]`, clips `[C, T, H, W]`. All planes are transformed alike, and only the
//! transforms in time mix the T frames of a channel. Ranges may change over the run ([`Values::Schedule`]).
//!
//! As text, a chain is written `pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)`; see
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

/// One random transform of a picture.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Transform {
    /// Adds this number of pixels on each of the four sides.
    Pad(Length, PadMode),
    /// Removes this number of rows and columns, split at random between the two sides; at least one stays.
    Jitter(Length),
    /// Rolls the image by up to this number of pixels along both axes, with wrap-around.
    Roll(usize),
    /// Rolls the image by any amount, if the rendered units have receptive fields smaller than half of the
    /// picture along both axes. Such units respond to textures, whose position does not matter. Rolling keeps
    /// the layer's border from leaving a frame in the picture. Otherwise nothing happens. Only
    /// [`crate::render`], which knows the units, applies this transform.
    RollTextures,
    /// Resizes bilinearly by a random factor (sizes rounded, half-pixel centres, border pixels repeated).
    Scale(Values),
    /// Rotates by a random angle in degrees about the centre, counter-clockwise as displayed, bilinearly.
    /// Pixels outside the image have the fill colour.
    Rotate(Values),
    /// Resizes a box at a random position inside the image to the canvas, bilinearly. The box has the
    /// canvas's aspect ratio. Its side is a random fraction, up to 1, of the side of the largest such box
    /// that fits: of the image's shorter side for a square canvas. These are the random box crops of MACO
    /// (Fel et al. 2023).
    Crop(Values),
    /// Adds Gaussian noise of a random standard deviation, in display units.
    Noise(Values),
    /// Adds noise that is uniform between minus and plus a random amplitude, in display units.
    UniformNoise(Values),
    /// Blurs by a Gaussian of a random standard deviation in pixels. At the borders, the weights of pixels
    /// inside the image are divided by their sum, so that a constant image stays constant.
    Blur(Values),
    /// Mirrors the image horizontally with this probability.
    Flip(f64),
    /// Shows the image through a window, and the fill colour around it.
    Mask(Mask),
    /// Crops or pads about the centre to this height and width.
    Canvas(usize, usize),
    /// Removes this number of frames from a clip, split at random between its two ends (at least one stays).
    /// The kept frames move to the middle, and the outermost of them are repeated. An image is unchanged.
    FrameJitter(usize),
    /// Stretches a sequence of frames at a random position to the whole clip, linearly in time. The sequence
    /// has a random fraction of the clip's length. An image is unchanged.
    FrameCrop(Values),
    /// Changes a clip's speed by a random factor about its middle, linearly in time. The outermost frames are
    /// repeated. An image is unchanged.
    Speed(Values),
}

/// What [`Transform::Pad`] adds around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PadMode {
    /// The fill colour of the chain of transforms.
    Fill,
    /// The image mirrored at its first and last pixel, which are not repeated.
    Reflect,
}

/// A sequence of transforms, and the colour outside the image.
///
/// As text and in serialized form, a chain is an expression (see [`Chain::parse`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain {
    /// The transforms in the order in which they are applied.
    pub transforms: Vec<Transform>,
    /// The colour outside the image: one value, or one for each channel. If there are fewer values than
    /// planes, each value applies to an equal number of consecutive planes. For a clip `[3, T, H, W]`, each
    /// of 3 values applies to T planes.
    pub fill: Vec<f32>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain::none()
    }
}

impl Chain {
    /// Creates a chain of these transforms, with middle grey outside the image.
    pub fn new(transforms: Vec<Transform>) -> Chain {
        Chain { transforms, fill: vec![LUCID_FILL] }
    }

    /// Creates a chain without transforms.
    pub fn none() -> Chain {
        Chain::new(Vec::new())
    }

    /// Returns an upper bound on the pixels of any intermediate image, for an image and a canvas of this size
    /// (H, W).
    pub fn largest_stage(&self, [height, width]: [usize; 2]) -> f64 {
        let mut largest = height as f64 * width as f64;
        self.stages([height, width], [height, width], Values::most, |[h, w]| largest = largest.max(h * w));
        largest
    }

    /// Returns the smallest size (H, W) that an image has behind the last transform, before the canvas crops
    /// it.
    pub fn last_stage(&self, size: [usize; 2], canvas: [usize; 2]) -> [f64; 2] {
        let mut last = size.map(|n| n as f64);
        self.stages(size, canvas, Values::least, |stage| last = stage);
        last
    }

    /// Calls a function with the size of the image behind each transform. `factor` chooses among scales.
    fn stages(
        &self,
        [height, width]: [usize; 2],
        canvas: [usize; 2],
        factor: fn(&Values) -> f64,
        mut each: impl FnMut([f64; 2]),
    ) {
        let (mut h, mut w) = (height as f64, width as f64);
        for transform in &self.transforms {
            match transform {
                Transform::Pad(length, _) => {
                    let border = 2.0 * length.on([height, width]) as f64;
                    (h, w) = (h + border, w + border);
                }
                Transform::Scale(values) => (h, w) = (h * factor(values), w * factor(values)),
                Transform::Canvas(height, width) => (h, w) = (*height as f64, *width as f64),
                Transform::Crop(_) => (h, w) = (canvas[0] as f64, canvas[1] as f64),
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
            each([h, w]);
        }
    }

    /// Draws the random numbers of a run's first step for one `[C, H, W]` image or `[C, T, H, W]` clip.
    ///
    /// The number of draws of a transform does not depend on the image's size.
    ///
    /// The count of random numbers that a transform draws does not depend on the image's size.
    ///
    /// # Panics
    /// If [`Chain::resample`] panics.
    pub fn sample(&self, rng: &mut Stream, extent: impl Into<Extent>) -> Sampled {
        let extent = extent.into();
        self.sample_onto(rng, extent, [extent.height, extent.width])
    }

    /// Draws like [`Chain::sample`], for a canvas (the height and width of the result) that differs from the
    /// image's size.
    ///
    /// # Panics
    /// If [`Chain::resample`] panics.
    pub fn sample_onto(&self, rng: &mut Stream, extent: impl Into<Extent>, canvas: [usize; 2]) -> Sampled {
        let mut sampled = Sampled::default();
        self.resample(rng, extent, canvas, 0.0, &mut sampled);
        sampled
    }

    /// Draws new random numbers into an existing sampled chain and reuses its memory. `progress` goes from 0
    /// in the run's first step to 1 in its last, and is clamped to this range.
    ///
    /// # Panics
    /// If the image or the canvas has no pixels, or if the fill's length does not divide the number of
    /// planes.
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
