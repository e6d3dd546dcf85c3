//! The kernel of a normalization by the batch's own mean and variance, with the gradient through both.
//!
//! For each channel, x̂ = (x − mean)/√(var + ε) and y = x̂·scale + bias. With means over the batch and all
//! positions, dx = scale/√(var + ε)·(dy − mean(dy) − x̂·mean(dy·x̂)) (Ioffe and Szegedy 2015, §3).

use rayon::prelude::*;

use crate::ops::{Backward, Forward, Kernel, put_with};

/// Normalizes each channel of (N, C, plane) by its own mean and variance.
#[derive(Debug)]
pub(super) struct Statistics {
    pub scale: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f64,
    pub plane: usize,
}

impl Statistics {
    /// Returns the rows of one channel, one for each batch entry.
    fn rows<'a>(&self, of: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        of.chunks(self.plane.max(1)).skip(channel).step_by(self.scale.len().max(1))
    }

    /// Returns mean and 1/√(var + ε) of every channel.
    fn moments(&self, x: &[f32]) -> Vec<(f64, f64)> {
        let count = (x.len() / self.scale.len().max(1)).max(1) as f64;
        let of = |channel: usize| {
            let sum = |term: &dyn Fn(f64) -> f64| -> f64 {
                self.rows(x, channel).flatten().map(|&v| term(f64::from(v))).sum()
            };
            let mean = sum(&|v| v) / count;
            let variance = sum(&|v| (v - mean).powi(2)) / count;
            (mean, (variance + self.epsilon).sqrt().recip())
        };
        (0..self.scale.len()).into_par_iter().map(of).collect()
    }
}

impl Kernel for Statistics {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let (moments, n) = (self.moments(x), self.plane.max(1));
        y.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate().for_each(|(row, (y, x))| {
            let channel = row % moments.len();
            let ((mean, factor), scale, bias) = (moments[channel], self.scale[channel], self.bias[channel]);
            for (y, x) in y.iter_mut().zip(x) {
                *y = ((f64::from(*x) - mean) * factor) as f32 * scale + bias;
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let (moments, n) = (self.moments(x), self.plane.max(1));
        let count = (x.len() / moments.len().max(1)).max(1) as f64;
        // For every channel, the means of dy and of dy·x̂, where x̂ is the normalized input.
        let means: Vec<(f64, f64)> = (0..moments.len())
            .into_par_iter()
            .map(|channel| {
                let (mean, factor) = moments[channel];
                let pairs = self.rows(x, channel).flatten().zip(self.rows(dy, channel).flatten());
                let (shift, pull) = pairs.fold((0.0, 0.0), |(shift, pull), (x, dy)| {
                    let dy = f64::from(*dy);
                    (shift + dy, pull + dy * (f64::from(*x) - mean) * factor)
                });
                (shift / count, pull / count)
            })
            .collect();
        dx.par_chunks_mut(n).zip(x.par_chunks(n)).zip(dy.par_chunks(n)).enumerate().for_each(
            |(row, ((dx, x), dy))| {
                let channel = row % moments.len();
                let ((mean, factor), (shift, pull)) = (moments[channel], means[channel]);
                let slope = f64::from(self.scale[channel]) * factor;
                put_with(dx, accumulate, |k| {
                    let normal = (f64::from(x[k]) - mean) * factor;
                    (slope * (f64::from(dy[k]) - shift - normal * pull)) as f32
                });
            },
        );
    }
}
