//! What a dream begins with: a picture or noise, and a mask; planes that follow the octaves.

use crate::dream::planes::resize;
use crate::error::{Error, Result};

/// A colour picture: RGB in 0–1, planar (3, H, W), not necessarily clipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// 3·H·W values.
    pub rgb: Vec<f32>,
}

/// What a dream starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Normal noise of mean 200 and deviation 8, at the size of the smallest octave.
    Noise,
    /// A picture.
    Image(Image),
}

/// Where a picture may change: 1 where it dreams, 0 where it stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// H·W values in 0–1.
    pub data: Vec<f32>,
}

/// Planes at the result's size, and at that of the octave where it is another.
pub(super) struct Scaled {
    pub full: Vec<f32>,
    now: Option<Vec<f32>>,
}

impl Scaled {
    pub fn new(full: Vec<f32>) -> Self {
        Self { full, now: None }
    }

    pub fn now(&self) -> &[f32] {
        self.now.as_deref().unwrap_or(&self.full)
    }

    pub fn fit(&mut self, full: [usize; 2], now: [usize; 2]) {
        self.now = None;
        if full != now {
            self.now = Some(resize(&self.full, full, now));
        }
    }
}

pub(super) fn check_len(what: &str, expected: usize, len: usize) -> Result<()> {
    if expected == len && len > 0 {
        return Ok(());
    }
    Err(Error::Settings(format!("{what} has {len} values, {expected} are needed")))
}
