//! One step of a dream: the gradient of all tiles, normalized so that its length does not depend on the
//! gradient's magnitude.

use rayon::prelude::*;

use crate::dream::network::Network;
use crate::dream::picture::Scaled;
use crate::dream::planes::mean_by_rows;
use crate::dream::tiles::{Axis, tiles};
use crate::dream::times::Times;
use crate::dream::{Dream, Normalize, WHITE, pyramid};
use crate::error::{Error, Result};

/// Added to the deviation of a gradient before dividing by it (`render_multiscale` of Conveiro).
const EPSILON: f64 = 1e-8;

impl Dream<'_> {
    /// Takes one step, if any is left. Returns the value before the step: the mean over all tiles of the
    /// rolled picture.
    ///
    /// # Errors
    /// If the value or the gradient is not finite, or the next octave's network cannot be compiled.
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
        self.gradient.clear();
        self.gradient.resize(self.x.len(), 0.0);
        let Self { network, axes, times, x, gradient, .. } = self;
        let value = Look { network, axes, times }.value(x, 1.0 / WHITE, shift, Some(gradient));
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

    /// Masks the gradient and returns the factor that scales it to a step; 0 for a gradient of zeros. Norms
    /// are measured within the mask, so that a mask changes where a step acts, not its length.
    pub(super) fn normalize(&mut self) -> f32 {
        let size @ [_, w] = self.size();
        let mask = self.mask.as_ref().map(Scaled::now);
        let mut gradient = std::mem::take(&mut self.gradient);
        let scale = match self.preset.normalize {
            Normalize::MeanAbs => mean_by_rows(&gradient, mask, w, f64::abs).unwrap_or(0.0),
            Normalize::Deviation => {
                let mean = mean_by_rows(&gradient, mask, w, |g| g).unwrap_or(0.0);
                let squares = mean_by_rows(&gradient, mask, w, |g| g * g).unwrap_or(0.0);
                (squares - mean * mean).max(0.0).sqrt() + EPSILON
            }
            Normalize::Laplacian => {
                gradient = pyramid::normalize(gradient, size, self.preset.levels, mask);
                1.0
            }
        };
        if let Some(mask) = mask {
            gradient.par_chunks_mut(mask.len()).for_each(|g| {
                g.iter_mut().zip(mask).for_each(|(g, m)| *g *= m);
            });
        }
        self.gradient = gradient;
        if scale == 0.0 { 0.0 } else { (self.preset.step_size / scale) as f32 }
    }
}

/// A network with the tiles and windows in which it sees a picture or clip.
pub(super) struct Look<'l> {
    pub network: &'l mut Network,
    pub axes: &'l [Axis; 2],
    pub times: &'l Times,
}

impl Look<'_> {
    /// Returns the mean of the goal over all tiles and windows, without a roll.
    pub fn mean_value(self, picture: &[f32], factor: f32) -> f64 {
        self.value(picture, factor, [0, 0], None)
    }

    /// Returns the mean of the goal over all tiles and windows of a rolled picture, and adds its gradient.
    fn value(
        self,
        picture: &[f32],
        factor: f32,
        shift: [i32; 2],
        mut gradient: Option<&mut Vec<f32>>,
    ) -> f64 {
        let Self { network, axes, times } = self;
        let count = (axes[0].count() * axes[1].count() * times.windows.len()) as f64;
        let mut value = 0.0;
        for tile in tiles(axes, shift) {
            for window in &times.windows {
                tile.read_window(picture, times, window, factor, &mut network.seen);
                value += network.look(gradient.is_some()) / count;
                if let Some(gradient) = &mut gradient {
                    tile.add_window(&network.gradient, times, window, factor, gradient);
                }
            }
        }
        value
    }
}
