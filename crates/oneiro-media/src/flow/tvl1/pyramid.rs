//! Image pyramids of TV-L1: planes of numbers and their resizing.

use crate::flow::{Luminance, TvL1Options};

/// Shortest side of a pyramid level in pixels, as in OpenCV.
const SMALLEST_SIDE: usize = 16;

/// A plane of numbers on one pyramid level, `[H, W]`.
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

    /// Resizes the plane, and multiplies its values by `factor`: flow vectors grow with the picture.
    pub fn enlarged(&self, height: usize, width: usize, factor: f32) -> Plane {
        let steps = [self.height as f64 / height as f64, self.width as f64 / width as f64];
        let mut plane = self.resized(height, width, steps);
        plane.data.iter_mut().for_each(|value| *value *= factor);
        plane
    }

    /// Resizes by bilinear interpolation without a low-pass filter. `steps` are the distances of neighbouring
    /// samples in source pixels, down and right. Pixels are squares, and the border is repeated.
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

/// Returns, for each new sample along an axis, its two old neighbours and the weight of the second.
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

/// Returns the frame at each scale, the finest first.
pub(super) fn pyramid(frame: &Luminance, options: &TvL1Options) -> Vec<Plane> {
    let mut levels = vec![Plane { height: frame.height, width: frame.width, data: frame.data.clone() }];
    while levels.len() < options.scales {
        let finer = &levels[levels.len() - 1];
        let scaled = |side: usize| (side as f64 * options.scale_step).round_ties_even() as usize;
        let (height, width) = (scaled(finer.height), scaled(finer.width));
        if height.min(width) < SMALLEST_SIDE {
            break;
        }
        // The step is the exact scale, although the size was rounded, as in OpenCV.
        levels.push(finer.resized(height, width, [1.0 / options.scale_step; 2]));
    }
    levels
}
