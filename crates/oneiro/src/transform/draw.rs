//! Draws a transform's random numbers and turns it into a fixed map.

use super::noise::Law;
use super::sampled::Sampled;
use super::stage::Map;
use super::{PadMode, Transform, time};
use crate::rng::Stream;

/// The smallest fraction of the side that a crop may have. A smaller one would show hardly more than a point.
const SMALLEST_PART: f64 = 1e-3;

impl Transform {
    /// Draws this transform's random numbers and appends the resulting maps to the chain.
    pub(super) fn draw(&self, rng: &mut Stream, progress: f32, sampled: &mut Sampled) {
        let [height, width] = sampled.size();
        match self {
            Transform::Pad(length, mode) => {
                let p = length.on(sampled.canvas());
                let map = match mode {
                    PadMode::Fill => Map::Place { dy: -(p as isize), dx: -(p as isize) },
                    PadMode::Reflect => Map::Reflect { p },
                };
                sampled.push([height + 2 * p, width + 2 * p], map);
            }
            Transform::Jitter(length) => {
                let j = length.on(sampled.canvas());
                let (cut_y, cut_x) = (j.min(height - 1), j.min(width - 1));
                let (dy, dx) = (rng.choice(cut_y + 1) as isize, rng.choice(cut_x + 1) as isize);
                sampled.push([height - cut_y, width - cut_x], Map::Place { dy, dx });
            }
            Transform::Roll(j) => {
                let j = i32::try_from(*j).unwrap_or(i32::MAX);
                let mut shift = |n: usize| i64::from(rng.range_i32(-j, j)).rem_euclid(n as i64) as usize;
                let (dy, dx) = (shift(height), shift(width));
                sampled.push([height, width], Map::Roll { dy, dx });
            }
            Transform::RollTextures => {}
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
                // The largest box of the canvas's aspect ratio that fits into the image, times the drawn
                // fraction.
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
