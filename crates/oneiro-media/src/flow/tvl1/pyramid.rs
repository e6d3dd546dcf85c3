//! Levels of TV-L1: planes and their resizing.

use crate::flow::{Luminance, TvL1Options};

/// Smallest side of a level in pixels, as in OpenCV.
const SMALLEST_SIDE: usize = 16;

/// One plane of a level, `[H, W]`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::flow) struct Plane {
    pub height: usize,
    pub width: usize,
    pub data: Vec<f32>,
}

impl Plane {
    pub fn zeros(height: usize, width: usize) -> Plane {
        Plane { height, width, data: vec![0.0; height * width] }
    }

    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width..][..self.width]
    }

    /// Resizes to the given size, with values multiplied by `factor`.
    pub fn enlarged(&self, height: usize, width: usize, factor: f32) -> Plane {
        let steps = [self.height as f64 / height as f64, self.width as f64 / width as f64];
        let mut plane = self.resized(height, width, steps);
        plane.data.iter_mut().for_each(|value| *value *= factor);
        plane
    }

    /// Bilinear interpolation without a low-pass filter. `steps` are the distances of neighbouring samples in
    /// source pixels, down and right; pixels are squares, and the border is repeated.
    fn resized(&self, height: usize, width: usize, steps: [f64; 2]) -> Plane {
        let rows = samples(self.height, height, steps[0]);
        let columns = samples(self.width, width, steps[1]);
        let mut data = Vec::with_capacity(height * width);
        for &(y, next_y, down) in &rows {
            let (above, below) = (self.row(y), self.row(next_y));
            data.extend(columns.iter().map(|&(x, next_x, right)| {
                let mix = |row: &[f32]| row[x] * (1.0 - right) + row[next_x] * right;
                mix(above) * (1.0 - down) + mix(below) * down
            }));
        }
        Plane { height, width, data }
    }
}

/// For each new sample along an axis: both neighbours and the second one's weight.
fn samples(old: usize, new: usize, step: f64) -> Vec<(usize, usize, f32)> {
    let sample = |i: usize| {
        let at = ((i as f64 + 0.5) * step - 0.5) as f32;
        let first = at.floor();
        if first < 0.0 {
            (0, 0, 0.0)
        } else if first as usize >= old - 1 {
            (old - 1, old - 1, 0.0)
        } else {
            (first as usize, first as usize + 1, at - first)
        }
    };
    (0..new).map(sample).collect()
}

/// The frame at each scale, the finest first.
pub(super) fn pyramid(frame: &Luminance, options: &TvL1Options) -> Vec<Plane> {
    let mut levels = vec![Plane { height: frame.height, width: frame.width, data: frame.data.clone() }];
    while levels.len() < options.scales {
        let finer = &levels[levels.len() - 1];
        let scaled = |side: usize| (side as f64 * options.scale_step).round_ties_even() as usize;
        let (height, width) = (scaled(finer.height), scaled(finer.width));
        if height.min(width) < SMALLEST_SIDE {
            break;
        }
        // The step is that of the scale, though the size was rounded: as in OpenCV.
        levels.push(finer.resized(height, width, [1.0 / options.scale_step; 2]));
    }
    levels
}
