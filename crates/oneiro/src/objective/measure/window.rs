//! The part of a layer that a measure reads, expressed as weights.

use oneiro_image::Image;

use crate::objective::{Reference, Region};
use crate::preprocess::REC601_LUMA;

/// Weights of positions, and a range of channels.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// One weight for each position; by default all 1.
    pub positions: Option<Vec<f32>>,
    /// The range of channels that is measured.
    pub channels: std::ops::Range<usize>,
    /// Number of positions of a channel.
    pub len: usize,
    /// Sum of the weights of all positions.
    pub total: f64,
}

impl Window {
    /// Creates the window for a layer whose batch entries have this shape, channels first.
    pub fn new(region: &Region, shape: &[usize]) -> Result<Self, String> {
        let channels = shape.first().copied().unwrap_or(1);
        let space = shape.get(1..).unwrap_or_default();
        let len: usize = space.iter().product();
        let channels = region.channels.map_or(0..channels, |(first, last)| first..last + 1);
        let mut positions = None;
        if let (Some(center), [.., h, w]) = (region.center, space) {
            let inside = |i: usize, n: usize| {
                let side = center.min(n);
                let first = (n - side) / 2;
                (first..first + side).contains(&i)
            };
            let plane = (0..h * w).map(|i| f32::from(u8::from(inside(i / w, *h) && inside(i % w, *w))));
            positions = Some(repeated(plane.collect(), len));
        }
        if let (Some(mask), [.., h, w]) = (&region.mask, space) {
            let weights = repeated(averaged_luma(mask, *h, *w), len);
            positions = Some(match positions {
                None => weights,
                Some(center) => center.iter().zip(&weights).map(|(a, b)| a * b).collect(),
            });
        }
        let total = positions.as_ref().map_or(len as f64, |p| p.iter().map(|w| f64::from(*w)).sum());
        if total <= 0.0 || channels.is_empty() {
            return Err("the region is empty: the mask is black wherever the layer has a position".into());
        }
        Ok(Self { positions, channels, len, total })
    }

    /// Returns the range of indices of the window's channels in a batch entry.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.channels.start * self.len..self.channels.end * self.len
    }

    /// Returns the weight of the value at an index within [`Window::range`].
    #[inline]
    pub fn weight(&self, index: usize) -> f64 {
        self.positions.as_ref().map_or(1.0, |p| f64::from(p[index % self.len]))
    }

    /// Returns the number of values, counted by their weights.
    pub fn count(&self) -> f64 {
        self.total * self.channels.len() as f64
    }
}

/// Repeats a plane for every frame.
fn repeated(plane: Vec<f32>, len: usize) -> Vec<f32> {
    let frames = len / plane.len().max(1);
    plane.repeat(frames)
}

/// Averages the luma of a picture over the area of each of `h` × `w` positions.
fn averaged_luma(picture: &Reference, h: usize, w: usize) -> Vec<f32> {
    let Image { channels, height, width, ref data, .. } = *picture.image;
    let plane = height * width;
    let luma = |i: usize| match channels {
        3 => (0..3).map(|c| REC601_LUMA[c] * data[c * plane + i]).sum(),
        _ => data[i],
    };
    // Each area has at least one pixel, even if the map is finer than the mask.
    let span = |i: usize, n: usize, source: usize| {
        let first = i * source / n;
        first..((i + 1) * source).div_ceil(n).max(first + 1).min(source)
    };
    let mut out = Vec::with_capacity(h * w);
    for y in 0..h {
        let rows = span(y, h, height);
        for x in 0..w {
            let columns = span(x, w, width);
            let sum: f32 =
                rows.clone().flat_map(|r| columns.clone().map(move |c| r * width + c)).map(luma).sum();
            out.push(sum / (rows.len() * columns.len()) as f32);
        }
    }
    out
}
