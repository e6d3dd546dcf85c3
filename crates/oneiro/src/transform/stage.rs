//! Maps between planar images with fixed sizes and random numbers, and their adjoints, plane by plane.

use super::blur::{self, Kernel};
use super::geometry;
use super::mask::{self, Mask};
use super::noise::{self, Law};
use super::resample::{self, Taps};
use super::rotate::{self, Turn};

/// Returns the map that crops or pads about the centre. If the difference is odd, the smaller half is before
/// the image.
pub fn centred(from: [usize; 2], to: [usize; 2]) -> Map {
    let offset = |from: usize, to: usize| {
        if from >= to { ((from - to) / 2) as isize } else { -(((to - from) / 2) as isize) }
    };
    Map::Place { dy: offset(from[0], to[0]), dx: offset(from[1], to[1]) }
}

/// A fixed affine map between planar images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Map {
    /// out(y, x) = in(y + dy, x + dx), with the fill colour outside the input.
    Place { dy: isize, dx: isize },
    /// Pads by p mirrored pixels on every side.
    Reflect { p: usize },
    /// out(y + dy, x + dx) = in(y, x), modulo the size.
    Roll { dy: usize, dx: usize },
    /// Mirrors the image horizontally.
    Flip,
    /// Resizes a box bilinearly. `boxed` holds the box's start and length along each axis.
    Stretch { boxed: [[f64; 2]; 2] },
    /// Rotates the image bilinearly about its centre.
    Rotate { sin: f32, cos: f32 },
    /// Blurs with a Gaussian along x.
    BlurRows { sigma: f64 },
    /// Blurs with a Gaussian along y.
    BlurColumns { sigma: f64 },
    /// Adds noise of this distribution and size.
    Noise { law: Law, seed: u64, size: f32 },
    /// Shows the image through a window, and the fill colour outside.
    Mask(Mask),
}

/// A map and the sizes before and after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub map: Map,
}

/// Data that a stage computes once for all planes. Which fields are used depends on its map.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    taps: [Taps; 2],
    turn: Turn,
    kernel: Kernel,
    window: Vec<f32>,
}

impl Stage {
    /// Whether the stage leaves every image unchanged.
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

    /// Whether a plane must be computed as a whole: noise comes from one random stream per plane.
    pub fn makes_whole_planes(&self) -> bool {
        matches!(self.map, Map::Noise { .. })
    }

    /// Combines this stage and the next. Both must be [`Map::Place`], and the next must only crop, so that it
    /// shows no cell outside this stage's result.
    pub fn cropped_by(&self, next: &Stage) -> Option<Stage> {
        let (Map::Place { dy, dx }, Map::Place { dy: next_dy, dx: next_dx }) = (self.map, next.map) else {
            return None;
        };
        let crops = |axis: usize, offset: isize| {
            usize::try_from(offset).is_ok_and(|offset| offset + next.to[axis] <= next.from[axis])
        };
        let map = Map::Place { dy: dy + next_dy, dx: dx + next_dx };
        (crops(0, next_dy) && crops(1, next_dx)).then_some(Stage { from: self.from, to: next.to, map })
    }

    /// Computes the tables of weights that this stage needs.
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

    /// Applies the stage to the plane of this index. `out` is the rows of the result from `first` on.
    pub fn apply(
        &self,
        plane: usize,
        fill: f32,
        tables: &Tables,
        input: &[f32],
        first: usize,
        out: &mut [f32],
    ) {
        let width = self.to[1];
        let (at, rows) = (first * width, out.len() / width);
        match self.map {
            Map::Place { dy, dx } => {
                geometry::place(input, self.from, [dy + first as isize, dx], fill, out, [rows, width])
            }
            Map::Reflect { p } => geometry::reflect(input, self.from, p, first, out),
            Map::Roll { dy, dx } => geometry::roll(input, self.from, [dy, dx], first, out),
            Map::Flip => geometry::flip(&input[at..], width, out),
            Map::Stretch { .. } => resample::stretch(input, self.from, &tables.taps, first, out, width),
            Map::Rotate { .. } => rotate::rotate(input, &tables.turn, fill, first, out),
            Map::BlurRows { .. } => blur::rows(&tables.kernel, width, &input[at..], out),
            Map::BlurColumns { .. } => blur::columns(&tables.kernel, width, input, first, out),
            Map::Noise { law, seed, size } => noise::add(law, seed, plane, size, input, out),
            Map::Mask(_) => mask::apply(&tables.window[at..], fill, &input[at..], out),
        }
    }

    /// Applies the adjoint to a plane. `grad_in` is the rows of the input's gradient from `first` on and is
    /// overwritten.
    pub fn adjoint(&self, tables: &Tables, grad_out: &[f32], first: usize, grad_in: &mut [f32]) {
        let width = self.from[1];
        let (at, rows) = (first * width, grad_in.len() / width);
        match self.map {
            Map::Place { dy, dx } => {
                geometry::place(grad_out, self.to, [first as isize - dy, -dx], 0.0, grad_in, [rows, width])
            }
            Map::Reflect { p } => geometry::reflect_adjoint(grad_out, p, first, grad_in, self.from),
            Map::Roll { dy, dx } => geometry::roll_adjoint(grad_out, self.from, [dy, dx], first, grad_in),
            Map::Flip => geometry::flip(&grad_out[at..], width, grad_in),
            Map::Stretch { .. } => {
                resample::stretch_adjoint(grad_out, self.to[1], &tables.taps, first, grad_in, width)
            }
            Map::Rotate { .. } => rotate::rotate_adjoint(grad_out, &tables.turn, first, grad_in),
            Map::BlurRows { .. } => blur::rows_adjoint(&tables.kernel, width, &grad_out[at..], grad_in),
            Map::BlurColumns { .. } => blur::columns_adjoint(&tables.kernel, width, grad_out, first, grad_in),
            Map::Noise { .. } => grad_in.copy_from_slice(grad_out),
            Map::Mask(_) => mask::adjoint(&tables.window[at..], &grad_out[at..], grad_in),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn numbers(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = Stream::new(seed, 0);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn a_crop_of_a_placed_plane_is_one_placing() {
        let place = |from, dy, dx, to| Stage { from, to, map: Map::Place { dy, dx } };
        let (padded, image) = (place([4, 5], -2, -3, [9, 10]), numbers(1, 20));
        let run = |stage: &Stage, input: &[f32]| {
            let mut out = vec![f32::NAN; stage.to[0] * stage.to[1]];
            stage.apply(0, 0.5, &Tables::default(), input, 0, &mut out);
            out
        };
        let crop = place([9, 10], 1, 4, [7, 6]);
        let both = padded.cropped_by(&crop).unwrap();
        assert_eq!(run(&both, &image), run(&crop, &run(&padded, &image)));
        for more in [place([9, 10], 1, 4, [9, 6]), place([9, 10], 0, -1, [7, 6])] {
            assert_eq!(
                padded.cropped_by(&more),
                None,
                "it shows the fill colour over cells that the first cut off"
            );
        }
    }

    #[test]
    fn rows_are_the_same_bits_whatever_band_they_are_made_in() {
        let from = [41, 150];
        let turn = |degrees: f64| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            Map::Rotate { sin: sin as f32, cos: cos as f32 }
        };
        let stretch = |y, x| Map::Stretch { boxed: [y, x] };
        let maps = [
            (Map::Place { dy: -3, dx: 5 }, [50, 140]),
            (Map::Place { dy: 7, dx: -60 }, [20, 250]),
            (Map::Reflect { p: 6 }, [53, 162]),
            (Map::Reflect { p: 45 }, [131, 240]),
            (Map::Roll { dy: 13, dx: 77 }, from),
            (Map::Flip, from),
            (stretch([0.0, 41.0], [0.0, 150.0]), [50, 160]),
            (stretch([0.0, 41.0], [0.0, 150.0]), [13, 60]),
            (stretch([20.2, 3.5], [10.0, 100.0]), [33, 150]),
            (turn(7.0), from),
            (turn(-33.0), from),
            (turn(90.0), from),
            (turn(178.0), from),
            (Map::BlurRows { sigma: 1.2 }, from),
            (Map::BlurColumns { sigma: 1.2 }, from),
            (Map::Mask(Mask::Circle(0.8)), from),
        ];
        let (image, mut tables) = (numbers(1, from[0] * from[1]), Tables::default());
        for (map, to) in maps {
            let stage = Stage { from, to, map };
            stage.prepare(&mut tables);
            let grad_out = numbers(2, to[0] * to[1]);
            let pass = |rows: usize| {
                let (mut out, mut grad) = (vec![f32::NAN; grad_out.len()], vec![f32::NAN; image.len()]);
                for (band, out) in out.chunks_mut(rows * to[1]).enumerate() {
                    stage.apply(0, 0.5, &tables, &image, band * rows, out);
                }
                for (band, grad) in grad.chunks_mut(rows * from[1]).enumerate() {
                    stage.adjoint(&tables, &grad_out, band * rows, grad);
                }
                [out, grad].map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            };
            let whole = pass(1000);
            for rows in [1, 2, 7, 40] {
                assert!(pass(rows) == whole, "{map:?} in bands of {rows} rows");
            }
        }
    }
}
