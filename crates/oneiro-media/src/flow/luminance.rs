//! Converts frames to luminance, the input of optical flow.

use oneiro_image::quantize;

use crate::{Image, MediaError, Result};

/// The luminance of one frame, 0 (black) to 255 (white).
#[derive(Debug, Clone, PartialEq)]
pub struct Luminance {
    /// Rows of the frame.
    pub height: usize,
    /// Pixels in each row.
    pub width: usize,
    /// Luminance values row by row, `[H, W]`.
    pub data: Vec<f32>,
}

impl Luminance {
    /// Makes a frame from its luminance values, `[H, W]`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] unless there are `height * width` finite values, and at least one.
    pub fn new(height: usize, width: usize, data: Vec<f32>) -> Result<Luminance> {
        if height.checked_mul(width) != Some(data.len()) || data.is_empty() {
            return Err(MediaError::Shape {
                what: format!(
                    "a frame of {width}×{height} pixels needs one value for each, and at least one; {} were given",
                    data.len()
                ),
            });
        }
        if data.iter().any(|value| !value.is_finite()) {
            return Err(MediaError::Shape {
                what: format!(
                    "some values of a frame of {width}×{height} pixels are not finite; fill them first"
                ),
            });
        }
        Ok(Luminance { height, width, data })
    }

    /// Makes a frame from a function that returns the luminance at a column and row.
    ///
    /// # Errors
    ///
    /// The errors of [`Luminance::new`].
    pub fn from_fn(width: usize, height: usize, value: impl Fn(f32, f32) -> f32) -> Result<Luminance> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)));
        Self::new(height, width, pixels.map(|(x, y)| value(x, y)).collect())
    }

    /// Makes a frame from interleaved 8-bit colours (R,G,B,R,G,B,…).
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] unless there are `3 * height * width` values, and at least one pixel.
    pub fn from_rgb8(width: usize, height: usize, bytes: &[u8]) -> Result<Luminance> {
        let (pixels, rest) = bytes.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(MediaError::Shape {
                what: format!("{} bytes are no whole number of RGB pixels", bytes.len()),
            });
        }
        Self::new(height, width, pixels.iter().map(|&rgb| luma(rgb)).collect())
    }
}

/// Returns the ITU-R BT.601 luma of an 8-bit colour, rounded to 8 bits in OpenCV's fixed-point arithmetic.
fn luma([r, g, b]: [u8; 3]) -> f32 {
    const SHIFT: u32 = 15;
    /// The luma weights 0.299, 0.587 and 0.114 times 2¹⁵, rounded so that they sum to 2¹⁵.
    const WEIGHTS: [u32; 3] = [9798, 19235, 3735];
    let sum = WEIGHTS[0] * u32::from(r) + WEIGHTS[1] * u32::from(g) + WEIGHTS[2] * u32::from(b);
    ((sum + (1 << (SHIFT - 1))) >> SHIFT) as f32
}

/// Returns the luminance of each frame of a still or clip with one or three channels. Values in 0–1 are
/// rounded to 8 bits first, so that a film has the same flow here as in OpenCV. Opacity is ignored.
///
/// # Errors
///
/// [`MediaError::Shape`] for a number of channels other than 1 and 3.
pub fn luminance(clip: &Image) -> Result<Vec<Luminance>> {
    let frame = |t: usize| {
        let plane = |channel: usize| clip.plane(channel * clip.frames + t);
        let data = match clip.channels {
            1 => plane(0).iter().map(|&value| f32::from(quantize(value))).collect(),
            _ => {
                let (r, g, b) = (plane(0), plane(1), plane(2));
                let colors = r.iter().zip(g).zip(b).map(|((&r, &g), &b)| [r, g, b]);
                colors.map(|color| luma(color.map(quantize))).collect()
            }
        };
        Luminance::new(clip.height, clip.width, data)
    };
    match clip.channels {
        1 | 3 => (0..clip.frames).map(frame).collect(),
        channels => Err(MediaError::Shape {
            what: format!("optical flow needs frames in gray or RGB; these have {channels} channels"),
        }),
    }
}
