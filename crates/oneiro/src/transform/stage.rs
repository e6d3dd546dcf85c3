//! A transform whose random numbers have been drawn: from [`Transform`] to maps with sizes, and what each does
//! to one plane.

use super::blur::{self, Kernel};
use super::mask::{self, Mask};
use super::noise::{self, Law};
use super::resample::{self, Taps};
use super::rotate::{self, Turn};
use super::sampled::Sampled;
use super::{PadMode, Transform, geometry, time};
use crate::rng::Stream;

/// The smallest part of a line that a crop may show: what a caller asks below it would be a point.
const SMALLEST_PART: f64 = 1e-3;

impl Transform {
    /// Draws this transform's numbers and appends its maps to the chain.
    pub(super) fn draw(&self, rng: &mut Stream, progress: f32, sampled: &mut Sampled) {
        let [height, width] = sampled.size();
        match self {
            Transform::Pad(p, mode) => {
                let map = match mode {
                    PadMode::Fill => Map::Place { dy: -(*p as isize), dx: -(*p as isize) },
                    PadMode::Reflect => Map::Reflect { p: *p },
                };
                sampled.push([height + 2 * p, width + 2 * p], map);
            }
            Transform::Jitter(j) => {
                let (cut_y, cut_x) = ((*j).min(height - 1), (*j).min(width - 1));
                let (dy, dx) = (rng.choice(cut_y + 1) as isize, rng.choice(cut_x + 1) as isize);
                sampled.push([height - cut_y, width - cut_x], Map::Place { dy, dx });
            }
            Transform::Roll(j) => {
                let j = i32::try_from(*j).unwrap_or(i32::MAX);
                let mut shift = |n: usize| i64::from(rng.range_i32(-j, j)).rem_euclid(n as i64) as usize;
                let (dy, dx) = (shift(height), shift(width));
                sampled.push([height, width], Map::Roll { dy, dx });
            }
            Transform::Scale(values) => {
                let Some(factor) = values.draw(rng, progress) else { return };
                let to = [height, width].map(|n| ((n as f64 * factor).round() as usize).max(1));
                sampled.push(to, Map::Stretch { boxed: [[0.0, height as f64], [0.0, width as f64]] });
            }
            Transform::Rotate(values) => {
                let Some(degrees) = values.draw(rng, progress) else { return };
                let (sin, cos) = degrees.to_radians().sin_cos();
                sampled.push([height, width], Map::Rotate { sin: sin as f32, cos: cos as f32 });
            }
            Transform::Crop(values) => {
                let Some(part) = values.draw(rng, progress) else { return };
                let canvas = sampled.canvas();
                // The largest box of the canvas's proportions that fits, made smaller.
                let fitting = (height as f64 / canvas[0] as f64).min(width as f64 / canvas[1] as f64);
                let side = canvas.map(|n| n as f64 * fitting * part.clamp(SMALLEST_PART, 1.0));
                let mut along = |n: usize, side: f64| [rng.uniform() * (n as f64 - side).max(0.0), side];
                let boxed = [along(height, side[0]), along(width, side[1])];
                sampled.push(canvas, Map::Stretch { boxed });
            }
            Transform::Noise(values) => {
                let (size, seed) = (values.draw(rng, progress), rng.bits());
                sampled.push_noise(Law::Gaussian, seed, size);
            }
            Transform::UniformNoise(values) => {
                let (size, seed) = (values.draw(rng, progress), rng.bits());
                sampled.push_noise(Law::Uniform, seed, size);
            }
            Transform::Blur(values) => {
                let Some(sigma) = values.draw(rng, progress).filter(|sigma| *sigma > 0.0) else { return };
                sampled.push([height, width], Map::BlurColumns { sigma });
                sampled.push([height, width], Map::BlurRows { sigma });
            }
            Transform::Flip(probability) => {
                if rng.uniform() < *probability {
                    sampled.push([height, width], Map::Flip);
                }
            }
            Transform::Mask(mask) => sampled.push([height, width], Map::Mask(*mask)),
            Transform::Canvas(height, width) => sampled.place([*height, *width].map(|n| n.max(1))),
            Transform::FrameJitter(n) => {
                let frames = sampled.frames();
                let cut = (*n).min(frames - 1);
                sampled.push_time(time::jitter(frames, cut, rng.choice(cut + 1)));
            }
            Transform::FrameCrop(values) => {
                let frames = sampled.frames();
                let Some(part) = values.draw(rng, progress) else { return };
                let length = ((part * frames as f64).round() as usize).clamp(1, frames);
                sampled.push_time(time::crop(frames, length, rng.choice(frames - length + 1)));
            }
            Transform::Speed(values) => {
                let Some(factor) = values.draw(rng, progress) else { return };
                sampled.push_time(time::speed(sampled.frames(), factor));
            }
        }
    }
}

/// Crops or pads about the centre; of an odd difference, the smaller half is before the image.
pub fn centred(from: [usize; 2], to: [usize; 2]) -> Map {
    let offset = |from: usize, to: usize| {
        if from >= to { ((from - to) / 2) as isize } else { -(((to - from) / 2) as isize) }
    };
    Map::Place { dy: offset(from[0], to[0]), dx: offset(from[1], to[1]) }
}

/// A fixed affine map between planar images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Map {
    /// out(y, x) = in(y + dy, x + dx), the fill colour outside.
    Place { dy: isize, dx: isize },
    /// p mirrored pixels on every side.
    Reflect { p: usize },
    /// out(y + dy, x + dx) = in(y, x), modulo the size.
    Roll { dy: usize, dx: usize },
    /// Left and right exchanged.
    Flip,
    /// Bilinear, from a box (start and length of each axis) to a size.
    Stretch { boxed: [[f64; 2]; 2] },
    /// Bilinear, about the centre.
    Rotate { sin: f32, cos: f32 },
    /// Gaussian blur along x.
    BlurRows { sigma: f64 },
    /// Gaussian blur along y.
    BlurColumns { sigma: f64 },
    /// Adds numbers of this law and size.
    Noise { law: Law, seed: u64, size: f32 },
    /// Seen through a window.
    Mask(Mask),
}

/// A map and the sizes that it goes between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub map: Map,
}

/// What a stage works out once for all planes; which part depends on its map.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    taps: [Taps; 2],
    turn: Turn,
    kernel: Kernel,
    window: Vec<f32>,
}

impl Stage {
    /// Whether nothing changes, whatever the image.
    pub fn is_identity(&self) -> bool {
        self.from == self.to
            && match self.map {
                Map::Place { dy, dx } => dy == 0 && dx == 0,
                Map::Roll { dy, dx } => dy == 0 && dx == 0,
                Map::Reflect { p } => p == 0,
                Map::Flip => self.from[1] == 1,
                Map::Stretch { boxed } => boxed == self.from.map(|n| [0.0, n as f64]),
                Map::Rotate { sin, cos } => sin == 0.0 && cos == 1.0,
                Map::BlurRows { .. } => self.from[1] == 1,
                Map::BlurColumns { .. } => self.from[0] == 1,
                Map::Noise { size, .. } => size == 0.0,
                Map::Mask(_) => false,
            }
    }

    /// Fills the tables of this stage.
    pub fn prepare(&self, tables: &mut Tables) {
        match self.map {
            Map::Stretch { boxed } => {
                for (axis, taps) in tables.taps.iter_mut().enumerate() {
                    taps.set(self.from[axis], boxed[axis], self.to[axis]);
                }
            }
            Map::Rotate { sin, cos } => tables.turn.set(self.from, sin, cos),
            Map::BlurRows { sigma } => tables.kernel.set(sigma, self.from[1]),
            Map::BlurColumns { sigma } => tables.kernel.set(sigma, self.from[0]),
            Map::Mask(mask) => mask.window(self.from, &mut tables.window),
            Map::Place { .. } | Map::Reflect { .. } | Map::Roll { .. } | Map::Flip | Map::Noise { .. } => {}
        }
    }

    /// On the plane of this index.
    pub fn apply(&self, plane: usize, fill: f32, tables: &Tables, input: &[f32], out: &mut [f32]) {
        match self.map {
            Map::Place { dy, dx } => geometry::place(input, self.from, [dy, dx], fill, out, self.to),
            Map::Reflect { p } => geometry::reflect(input, self.from, p, out),
            Map::Roll { dy, dx } => geometry::roll(input, self.from, [dy, dx], out),
            Map::Flip => geometry::flip(input, self.from[1], out),
            Map::Stretch { .. } => resample::stretch(input, self.from, &tables.taps, out, self.to[1]),
            Map::Rotate { .. } => rotate::rotate(input, &tables.turn, fill, out),
            Map::BlurRows { .. } => blur::rows(&tables.kernel, self.from[1], input, out),
            Map::BlurColumns { .. } => blur::columns(&tables.kernel, self.from[1], input, out),
            Map::Noise { law, seed, size } => noise::add(law, seed, plane, size, input, out),
            Map::Mask(_) => mask::apply(&tables.window, fill, input, out),
        }
    }

    /// On one plane; overwrites `grad_in`.
    pub fn adjoint(&self, tables: &Tables, grad_out: &[f32], grad_in: &mut [f32]) {
        match self.map {
            Map::Place { dy, dx } => geometry::place_adjoint(grad_out, self.to, [dy, dx], grad_in, self.from),
            Map::Reflect { p } => geometry::reflect_adjoint(grad_out, p, grad_in, self.from),
            Map::Roll { dy, dx } => geometry::roll_adjoint(grad_out, self.from, [dy, dx], grad_in),
            Map::Flip => geometry::flip(grad_out, self.from[1], grad_in),
            Map::Stretch { .. } => {
                resample::stretch_adjoint(grad_out, self.to[1], &tables.taps, grad_in, self.from)
            }
            Map::Rotate { .. } => rotate::rotate_adjoint(grad_out, &tables.turn, grad_in),
            Map::BlurRows { .. } => blur::rows_adjoint(&tables.kernel, self.from[1], grad_out, grad_in),
            Map::BlurColumns { .. } => blur::columns_adjoint(&tables.kernel, self.from[1], grad_out, grad_in),
            Map::Noise { .. } => grad_in.copy_from_slice(grad_out),
            Map::Mask(_) => mask::adjoint(&tables.window, grad_out, grad_in),
        }
    }
}
