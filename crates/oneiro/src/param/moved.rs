//! A clip as a still picture moved by a velocity field: texture and motion are optimised separately.
//!
//! The parameters are a still's half spectrum, as in [`Fourier`](super::Fourier), and a velocity field for
//! each pair of successive frames on a coarse grid, `[T − 1, 2, h, w]`, x before y. Let D(t) be the
//! displacement from the middle frame to frame t: the sum of the velocities in between, enlarged bilinearly.
//! Then
//!
//! frame t at position p = still(p − D(t, p)).
//!
//! The still is sampled bilinearly and continued periodically, as its Fourier series is.

use std::fmt;

use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

use super::{Fourier, FourierOptions, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::color::Decorrelate;
use crate::error::{Error, Result};
use crate::rng::Stream;

/// Settings of [`Moved`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MovedOptions {
    /// Exponent with which the still's scale falls with frequency.
    pub decay: f32,
    /// Source of the matrix that decorrelates colours.
    pub decorrelate: Decorrelate,
    /// Last function of the still, which maps its values to 0–1.
    pub squash: Squash,
    /// Standard deviation of the still's random initial parameters.
    pub init_std: f32,
    /// Distance in pixels between the nodes of the velocity grid.
    pub cell: usize,
    /// Velocity, in pixels per frame, that a parameter of 1 stands for.
    pub speed: f32,
}

impl Default for MovedOptions {
    fn default() -> MovedOptions {
        let still = FourierOptions::default();
        MovedOptions {
            decay: still.decay,
            decorrelate: still.decorrelate,
            squash: still.squash,
            init_std: still.init_std,
            cell: 16,
            speed: 2.0,
        }
    }
}

/// The parametrization of a clip by a still and its motion.
#[derive(Clone)]
pub struct Moved {
    extent: Extent,
    options: MovedOptions,
    still: Fourier,
    /// Rows and columns of the velocity grid.
    grid: [usize; 2],
}

impl Moved {
    /// Makes the parametrization for clips of this extent.
    ///
    /// # Errors
    ///
    /// If the cell is 0 pixels, and the errors of [`Fourier::new`].
    pub fn new(extent: impl Into<Extent>, options: MovedOptions, sources: &ParamSources) -> Result<Moved> {
        let extent = extent.into();
        if options.cell == 0 {
            return Err(Error::out_of_range("the cell of a moved still", 0, "a pixel or more"));
        }
        let of_still = FourierOptions {
            decay: options.decay,
            decorrelate: options.decorrelate,
            squash: options.squash,
            init_std: options.init_std,
            ..FourierOptions::default()
        };
        let still = Fourier::new(Extent { frames: 1, ..extent }, of_still, sources)?;
        let grid = extent.size().map(|n| n.div_ceil(options.cell) + 1);
        Ok(Moved { extent, options, still, grid })
    }

    /// Returns the number of grid nodes, which is the length of one component of a velocity field.
    fn nodes(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Returns the index of the frame that is not displaced.
    fn middle(&self) -> usize {
        self.extent.frames / 2
    }

    /// Returns the displacement of every frame on the grid, `[T, 2, h, w]`, in pixels.
    fn displacements(&self, velocities: &[f32]) -> Vec<f32> {
        let (len, middle) = (2 * self.nodes(), self.middle());
        let mut out = vec![0.0; self.extent.frames * len];
        for t in middle + 1..self.extent.frames {
            for i in 0..len {
                out[t * len + i] =
                    out[(t - 1) * len + i] + self.options.speed * velocities[(t - 1) * len + i];
            }
        }
        for t in (0..middle).rev() {
            for i in 0..len {
                out[t * len + i] = out[(t + 1) * len + i] - self.options.speed * velocities[t * len + i];
            }
        }
        out
    }

    /// Computes the gradient with respect to the velocities from that with respect to the displacements.
    fn displacements_adjoint(&self, gradient: &mut [f32], velocities: &mut [f32]) {
        let (len, middle) = (2 * self.nodes(), self.middle());
        for t in (middle + 1..self.extent.frames).rev() {
            for i in 0..len {
                velocities[(t - 1) * len + i] = self.options.speed * gradient[t * len + i];
                gradient[(t - 1) * len + i] += gradient[t * len + i];
            }
        }
        for t in 0..middle {
            for i in 0..len {
                velocities[t * len + i] = -self.options.speed * gradient[t * len + i];
                gradient[(t + 1) * len + i] += gradient[t * len + i];
            }
        }
    }

    /// Returns the four grid nodes around a pixel, with their bilinear weights.
    fn around(&self, y: usize, x: usize) -> [(usize, f32); 4] {
        let cell = self.options.cell;
        let [fy, fx] = [y, x].map(|n| (n % cell) as f32 / cell as f32);
        let at = (y / cell) * self.grid[1] + x / cell;
        [
            (at, (1.0 - fy) * (1.0 - fx)),
            (at + 1, (1.0 - fy) * fx),
            (at + self.grid[1], fy * (1.0 - fx)),
            (at + self.grid[1] + 1, fy * fx),
        ]
    }

    /// Returns where a pixel of a frame comes from: four pixels of the still, and the fractions between them.
    fn source(&self, moved: &[f32], nodes: &[(usize, f32); 4], y: usize, x: usize) -> Source {
        let Extent { height, width, .. } = self.extent;
        let (dx, dy) = moved.split_at(self.nodes());
        let mean = |plane: &[f32]| nodes.iter().map(|(at, weight)| weight * plane[*at]).sum::<f32>();
        let (py, px) = (y as f32 - mean(dy), x as f32 - mean(dx));
        let (top, left) = (py.floor(), px.floor());
        let wrap = |n: f32, len: usize| (n as i64).rem_euclid(len as i64) as usize;
        let rows = [wrap(top, height), wrap(top + 1.0, height)];
        let columns = [wrap(left, width), wrap(left + 1.0, width)];
        let corner = |r: usize, c: usize| rows[r] * width + columns[c];
        Source {
            corners: [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)],
            fy: py - top,
            fx: px - left,
        }
    }
}

struct Source {
    corners: [usize; 4],
    fy: f32,
    fx: f32,
}

impl Source {
    fn weights(&self) -> [f32; 4] {
        let (fy, fx) = (self.fy, self.fx);
        [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx]
    }
}

impl fmt::Debug for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moved")
            .field("extent", &self.extent)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Param for Moved {
    fn len(&self) -> usize {
        self.still.len() + (self.extent.frames - 1) * 2 * self.nodes()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32> {
        let mut params = self.still.init(rng, shared);
        params.extend(normal_numbers(rng, self.len() - params.len(), 0.0, self.options.init_std));
        params
    }

    /// A clip cannot be converted: in general, no still and motion reproduce it.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        None
    }

    fn work(&self) -> Work {
        let still = self.extent.channels * self.extent.plane();
        // Buffers for the still and its gradient, and for the still's spectrum.
        let kept = Work { image: vec![0.0; still], ..Work::default() };
        Work { image: vec![0.0; still], planes: vec![self.still.work(), kept], ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        let (of_still, velocities) = params.split_at(self.still.len());
        let still = &mut work.image;
        self.still.image(of_still, &mut work.planes[0], still);
        let (plane, positions) = (self.extent.plane(), self.extent.positions());
        let displacements = self.displacements(velocities);
        for (t, moved) in displacements.chunks_exact(2 * self.nodes()).enumerate() {
            for i in 0..plane {
                let (y, x) = (i / self.extent.width, i % self.extent.width);
                let source = self.source(moved, &self.around(y, x), y, x);
                let weights = source.weights();
                for (c, still) in still.chunks_exact(plane).enumerate() {
                    let corners = source.corners.iter().zip(&weights);
                    out[c * positions + t * plane + i] =
                        corners.map(|(at, weight)| weight * still[*at]).sum();
                }
            }
        }
    }

    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let (of_still, velocities) = params.split_at(self.still.len());
        let (grad_still, grad_velocities) = grad_params.split_at_mut(self.still.len());
        let still = &work.image;
        let [spectrum, kept] = &mut work.planes[..] else { return };
        kept.image.fill(0.0);
        let (plane, positions) = (self.extent.plane(), self.extent.positions());
        let displacements = self.displacements(velocities);
        let mut grad_moved = vec![0.0; displacements.len()];
        let len = 2 * self.nodes();
        for (t, (moved, gradient)) in
            displacements.chunks_exact(len).zip(grad_moved.chunks_exact_mut(len)).enumerate()
        {
            for i in 0..plane {
                let (y, x) = (i / self.extent.width, i % self.extent.width);
                let nodes = self.around(y, x);
                let source = self.source(moved, &nodes, y, x);
                let weights = source.weights();
                let (mut slope_y, mut slope_x) = (0.0, 0.0);
                for c in 0..self.extent.channels {
                    let g = grad_image[c * positions + t * plane + i];
                    let values = source.corners.map(|at| still[c * plane + at]);
                    for (at, weight) in source.corners.iter().zip(&weights) {
                        kept.image[c * plane + at] += weight * g;
                    }
                    let (fy, fx) = (source.fy, source.fx);
                    slope_y += g * ((1.0 - fx) * (values[2] - values[0]) + fx * (values[3] - values[1]));
                    slope_x += g * ((1.0 - fy) * (values[1] - values[0]) + fy * (values[3] - values[2]));
                }
                // A pixel is sampled at its position minus the displacement, so the gradient has a minus
                // sign.
                for (at, weight) in nodes {
                    gradient[at] -= weight * slope_x;
                    gradient[self.nodes() + at] -= weight * slope_y;
                }
            }
        }
        self.displacements_adjoint(&mut grad_moved, grad_velocities);
        self.still.adjoint(of_still, spectrum, &kept.image, grad_still);
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    fn moved(frames: usize, options: MovedOptions) -> Moved {
        let extent = Extent { channels: 2, frames, height: 9, width: 12 };
        Moved::new(extent, options, &ParamSources::default()).unwrap()
    }

    #[test]
    fn gradient() {
        // Steps are small, because bilinear sampling has kinks where a pixel crosses a node of the still.
        for frames in [1, 2, 5] {
            let options = MovedOptions { speed: 0.05, cell: 4, ..MovedOptions::default() };
            checks::assert_gradient(&moved(frames, options), 0.3, 1e-2, 1e-2);
        }
    }

    #[test]
    fn an_even_velocity_moves_the_still_by_whole_pixels() {
        let param = moved(5, MovedOptions { speed: 1.0, cell: 4, ..MovedOptions::default() });
        let mut params = checks::start_of(&param, 2);
        let (still, nodes) = (param.still.len(), param.nodes());
        for field in params[still..].chunks_exact_mut(2 * nodes) {
            field[..nodes].fill(1.0);
            field[nodes..].fill(-2.0);
        }
        let clip = checks::image_of(&param, &params);
        let at = |t: usize, y: i64, x: i64| {
            clip[t * 108 + y.rem_euclid(9) as usize * 12 + x.rem_euclid(12) as usize]
        };
        for t in 0..5 {
            let steps = t as i64 - 2;
            for (y, x) in [(0, 0), (4, 7), (8, 11)] {
                assert!((at(t, y - 2 * steps, x + steps) - at(2, y, x)).abs() < 1e-5, "{t} {y} {x}");
            }
        }
    }
}
