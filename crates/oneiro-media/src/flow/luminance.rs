//! Frames as flow methods read them: one plane of luminance.

use oneiro_image::quantize;

use crate::{Image, MediaError, Result};

/// A frame's luminance, 0 (black) to 255 (white).
#[derive(Debug, Clone, PartialEq)]
pub struct Luminance {
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// The values, `[H, W]`.
    pub data: Vec<f32>,
}

impl Luminance {
    /// A frame from its values, `[H, W]`.
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

    /// A frame from a function of column and row.
    ///
    /// # Errors
    ///
    /// As [`Luminance::new`].
    pub fn from_fn(width: usize, height: usize, value: impl Fn(f32, f32) -> f32) -> Result<Luminance> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)));
        Self::new(height, width, pixels.map(|(x, y)| value(x, y)).collect())
    }

    /// A frame from interleaved 8-bit values (R,G,B,R,G,B,…).
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

/// ITU-R BT.601 luma of 8-bit colours, rounded to 8 bits in OpenCV's fixed-point arithmetic.
fn luma([r, g, b]: [u8; 3]) -> f32 {
    const SHIFT: u32 = 15;
    /// 0.299, 0.587 and 0.114 times 2¹⁵; they add up to 2¹⁵.
    const WEIGHTS: [u32; 3] = [9798, 19235, 3735];
    let sum = WEIGHTS[0] * u32::from(r) + WEIGHTS[1] * u32::from(g) + WEIGHTS[2] * u32::from(b);
    ((sum + (1 << (SHIFT - 1))) >> SHIFT) as f32
}

/// Luminance of each frame of a still or clip in one or three channels. Values in 0–1 are rounded to 8 bits
/// first, so that a film gives the same flow here as in OpenCV. Opacity is ignored.
///
/// # Errors
///
/// [`MediaError::Shape`] for other numbers of channels.
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
