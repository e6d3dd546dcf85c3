//! Optical flow: estimation (TV-L1), compensation of the camera's motion, flow files, and pictures of flow.
//!
//! ```text
//! clip ─ luminance ─► frames ─ tvl1, flow_of_frames ─► Flow ─ write_flow ─► .flo, .npy, folders of JPEG
//!                        └──── compensated_flow ─────► Flow ─ flow_colors ► clip of colours or arrows
//! ```
//!
//! ```
//! use oneiro_media::flow::{Luminance, TvL1Options, tvl1};
//!
//! // A texture, and the same texture one pixel further right.
//! let texture = |x: f32, y: f32| 128.0 + 50.0 * (0.4 * x).sin() + 50.0 * (0.3 * y + 0.1 * x).cos();
//! let a = Luminance::from_fn(64, 48, texture)?;
//! let b = Luminance::from_fn(64, 48, |x, y| texture(x - 1.0, y))?;
//! let flow = tvl1(&a, &b, &TvL1Options::default())?;
//! let [u, v] = flow.at(0, 32, 24);
//! assert!((u - 1.0).abs() < 0.1 && v.abs() < 0.1);
//! # Ok::<(), oneiro_media::MediaError>(())
//! ```

mod camera;
mod colors;
mod files;
mod luminance;
mod tvl1;

pub use camera::{CameraOptions, CompensatedFlow, Homography, compensated_flow, estimate_camera};
pub use colors::{
    ArrowOptions, FlowRange, FlowScaling, draw_arrows, flow_colors, flow_colors_within, flow_wheel,
    longest_arrow,
};
pub use files::{
    FLOW_BOUND, decode_flo, encode_flo, encode_flow_pair, encode_npy, is_flow, npy_header, read_flow,
    read_flow_pairs, write_flow, write_flow_pairs,
};
pub use luminance::{Luminance, luminance};
pub use tvl1::{TvL1Options, flow_of_clip, flow_of_frames, tvl1};

use crate::{MediaError, Result};

/// A stack of flow fields. Field `t` maps each pixel of frame `t` to its place in frame `t + 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Number of flow fields; a clip of `n` frames has `n - 1`.
    pub frames: usize,
    /// Rows of each field.
    pub height: usize,
    /// Pixels in each row.
    pub width: usize,
    /// Motion in pixels per frame, `[2T, H, W]`: u of field 0 (to the right), v of field 0 (down), u of field
    /// 1, ….
    pub data: Vec<f32>,
}

impl Flow {
    /// Makes a stack of flow fields from its values, `[2T, H, W]` as in [`Flow::data`].
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] unless there are `2 * frames * height * width` values, and at least two.
    pub fn new(frames: usize, height: usize, width: usize, data: Vec<f32>) -> Result<Flow> {
        let values = [2, frames, height, width].iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if values != Some(data.len()) || data.is_empty() {
            let given = data.len();
            return Err(MediaError::Shape {
                what: format!(
                    "{frames} flow fields of {width}×{height} pixels need two values for each pixel, and at least \
                     one pixel; {given} values were given"
                ),
            });
        }
        Ok(Flow { frames, height, width, data })
    }

    /// Joins flow fields of equal size to one stack, in the order given.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if no fields are given, or their sizes differ.
    pub fn stack(fields: &[Flow]) -> Result<Flow> {
        let Some(first) = fields.first() else {
            return Err(MediaError::Shape { what: "no flow fields were given to stack".into() });
        };
        let size = |flow: &Flow| (flow.width, flow.height);
        if let Some(other) = fields.iter().find(|flow| size(flow) != size(first)) {
            return Err(MediaError::Shape {
                what: format!(
                    "flow fields of {}×{} and {}×{} pixels do not stack; resize the frames first",
                    first.width, first.height, other.width, other.height
                ),
            });
        }
        let frames = fields.iter().map(|flow| flow.frames).sum();
        let data = fields.iter().flat_map(|flow| &flow.data).copied().collect();
        Flow::new(frames, first.height, first.width, data)
    }

    /// Returns the motion to the right of flow field `frame`, `[H, W]`, in pixels.
    pub fn u(&self, frame: usize) -> &[f32] {
        self.plane(2 * frame)
    }

    /// Returns the motion down of flow field `frame`, `[H, W]`, in pixels.
    pub fn v(&self, frame: usize) -> &[f32] {
        self.plane(2 * frame + 1)
    }

    /// Returns the motion of one pixel between two frames: right, down.
    pub fn at(&self, frame: usize, x: usize, y: usize) -> [f32; 2] {
        let at = y * self.width + x;
        [self.u(frame)[at], self.v(frame)[at]]
    }

    /// Returns one flow field as a stack with one field.
    pub fn field(&self, frame: usize) -> Flow {
        let values = 2 * self.height * self.width;
        let data = self.data[frame * values..(frame + 1) * values].to_vec();
        Flow { frames: 1, data, ..*self }
    }

    /// Returns the length of the longest finite motion vector, in pixels per frame.
    pub fn largest(&self) -> f32 {
        let lengths =
            (0..self.frames).flat_map(|t| self.u(t).iter().zip(self.v(t)).map(|(u, v)| u.hypot(*v)));
        lengths.filter(|length| length.is_finite()).fold(0.0, f32::max)
    }

    fn plane(&self, index: usize) -> &[f32] {
        let pixels = self.height * self.width;
        &self.data[index * pixels..(index + 1) * pixels]
    }
}

#[cfg(test)]
mod tests;
