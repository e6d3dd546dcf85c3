//! The start of a dream: a picture or noise, and a mask. Also planes that are resized for each octave.

use oneiro_image::Image;
use rayon::prelude::*;

use crate::dream::planes::resize;
use crate::error::{Error, Result};

/// The start picture of a dream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Normal noise with mean 200 and deviation 8, at the size of the smallest octave.
    Noise,
    /// A given picture.
    Image(Image),
}

/// Planes at the result's size, and at the octave's size if it differs.
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

    pub fn clamp(&mut self, low: f32, high: f32) {
        if let Some(now) = &mut self.now {
            now.par_iter_mut().for_each(|x| *x = x.clamp(low, high));
        }
    }

    pub fn fit(&mut self, full: [usize; 2], now: [usize; 2]) {
        self.now = None;
        if full != now {
            self.now = Some(resize(&self.full, full, now));
        }
    }
}

/// Returns an error unless the image is an opaque still with this many channels and the right number of
/// values.
pub(super) fn check_photo(what: &str, image: &Image, channels: usize) -> Result<()> {
    if (image.channels, image.frames, image.has_alpha) != (channels, 1, false) {
        let shape = image.shape();
        return Err(Error::Settings(format!(
            "{what} has axes {shape:?}; an opaque still of {channels} channels is needed"
        )));
    }
    check_len(what, channels * image.height * image.width, image.data.len())
}

pub(super) fn check_len(what: &str, expected: usize, len: usize) -> Result<()> {
    if expected == len && len > 0 {
        return Ok(());
    }
    Err(Error::Values { what: what.to_owned(), values: len, needed: expected.to_string() })
}
