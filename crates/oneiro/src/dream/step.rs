//! One step: the gradient of all tiles, made a step of a length that does not depend on its magnitude.

use rayon::prelude::*;

use crate::dream::network::Network;
use crate::dream::planes::sum_by_rows;
use crate::dream::tiles::{Axis, tiles};
use crate::dream::{Dream, Normalize, WHITE, pyramid};
use crate::error::{Error, Result};

/// Added to the deviation of a gradient before dividing by it (`render_multiscale` of the same).
const EPSILON: f64 = 1e-8;

impl Dream<'_> {
    /// One step, if any is left. Returns the value before it: the mean over all tiles, as rolled.
    ///
    /// # Errors
    /// If the value or the gradient stops being a number, or the next octave's network cannot be made.
    pub fn step(&mut self) -> Result<f64> {
        if self.finished() {
            return Ok(self.value());
        }
        self.model.threads().run(|| self.advance())
    }

    fn advance(&mut self) -> Result<f64> {
        let mut draw = |axis: &Axis| {
            let reach = axis.roll(self.preset.jitter) as i32;
            self.roll.range_i32(-reach, reach)
        };
        let shift = [draw(&self.axes[0]), draw(&self.axes[1])];
        let count = (self.axes[0].count() * self.axes[1].count()) as f64;
        self.gradient.clear();
        self.gradient.resize(self.x.len(), 0.0);
        let mut value = 0.0;
        for tile in tiles(&self.axes, shift) {
            tile.read(&self.x, 1.0 / WHITE, &mut self.network.seen);
            value += self.network.look(true) / count;
            tile.add(&self.network.gradient, 1.0 / WHITE, &mut self.gradient);
        }
        let factor = self.normalize();
        if !(value.is_finite() && factor.is_finite()) {
            return Err(Error::NotFinite { objective: self.goal.clone(), step: self.steps_done });
        }
        let clip = self.preset.clip;
        self.x.par_iter_mut().zip(&self.gradient).for_each(|(x, g)| {
            *x += factor * g;
            if clip {
                *x = x.clamp(0.0, WHITE);
            }
        });
        self.step += 1;
        self.steps_done += 1;
        self.settle()?;
        Ok(value)
    }

    /// Masks the gradient and finds the factor that makes it a step; a gradient of zeros makes none.
    pub(super) fn normalize(&mut self) -> f32 {
        let [h, w] = self.size();
        let mut area = (3 * h * w) as f64;
        if let Some(mask) = &self.mask {
            let mask = mask.now();
            // What is normalized is the part that dreams.
            area = 3.0 * sum_by_rows(mask, w, |m| m * m);
            self.gradient.par_chunks_mut(mask.len()).for_each(|g| {
                g.iter_mut().zip(mask).for_each(|(g, m)| *g *= m);
            });
        }
        let scale = match self.preset.normalize {
            Normalize::MeanAbs => sum_by_rows(&self.gradient, w, f64::abs) / area,
            Normalize::Deviation => {
                let mean = sum_by_rows(&self.gradient, w, |g| g) / area;
                let squares = sum_by_rows(&self.gradient, w, |g| g * g) / area;
                (squares - mean * mean).max(0.0).sqrt() + EPSILON
            }
            Normalize::Laplacian => {
                let gradient = std::mem::take(&mut self.gradient);
                self.gradient = pyramid::normalize(gradient, [h, w], self.preset.levels);
                if let Some(mask) = &self.mask {
                    // Coarse levels have carried the gradient across the border again.
                    let mask = mask.now();
                    self.gradient.par_chunks_mut(mask.len()).for_each(|g| {
                        g.iter_mut().zip(mask).for_each(|(g, m)| *g *= m);
                    });
                }
                1.0
            }
        };
        if scale == 0.0 { 0.0 } else { (self.preset.step_size / scale) as f32 }
    }
}

/// The mean of a goal over all tiles of a picture.
pub(super) fn mean_value(network: &mut Network, axes: &[Axis; 2], picture: &[f32], factor: f32) -> f64 {
    let count = (axes[0].count() * axes[1].count()) as f64;
    tiles(axes, [0, 0])
        .map(|tile| {
            tile.read(picture, factor, &mut network.seen);
            network.look(false) / count
        })
        .sum()
}
