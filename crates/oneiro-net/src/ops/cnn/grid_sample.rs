//! `GridSample`: samples a tensor at positions that another tensor gives (spatial transformers, Jaderberg et
//! al. 2015).
//!
//! Along each axis, a sample is a sum of taps whose weights depend on the position. Gradients of both
//! operands follow from the weights and their derivatives. Positions in the grid run from −1 to 1; the last
//! axis of the tensor comes first.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::constant::check_volume;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site};
use crate::tensor::volume;

/// Number of planes that share the taps of a position.
const PLANES: usize = 8;
/// Number of positions in a task of the grid's gradient.
const POSITIONS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// What a grid position outside the tensor reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// ONNX `GridSample`. Its inputs are X (N,C,…) and the grid (N,…,axes).
#[derive(Debug, Clone, Copy)]
struct GridSample {
    mode: Mode,
    outside: Outside,
    align_corners: bool,
}

/// Reads the attributes. Before operator set 20, the names of the modes were those for two dimensions.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let not = |name: &str, value: &str| OpError::Refused(format!("{name} \"{value}\" is not one of ONNX's"));
    Ok(Arc::new(GridSample {
        mode: match a.text_or("mode", "linear")? {
            "nearest" => Mode::Nearest,
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            other => return Err(not("mode", other)),
        },
        outside: match a.text_or("padding_mode", "zeros")? {
            "zeros" => Outside::Zeros,
            "border" => Outside::Border,
            "reflection" => Outside::Reflection,
            other => return Err(not("padding_mode", other)),
        },
        align_corners: a.int_or("align_corners", 0)? != 0,
    }))
}

impl GridSample {
    fn sampler(&self, inputs: Facts<'_>) -> Result<(Vec<usize>, Sampler), OpError> {
        let (x, grid) = (inputs.shape(0)?, inputs.shape(1)?);
        let rank = x.len().saturating_sub(2);
        let fits = (1..=3).contains(&rank) && grid.len() == x.len();
        if !fits || grid[0] != x[0] || grid.last() != Some(&rank) || x[2..].contains(&0) {
            return Err(OpError::Refused(format!("a grid {grid:?} does not fit {x:?}")));
        }
        let shape = [&x[..2], &grid[1..=rank]].concat();
        check_volume(&shape)?;
        let mut extents = [1; 3];
        extents[3 - rank..].copy_from_slice(&x[2..]);
        let positions = volume(&shape[2..]);
        Ok((shape, Sampler { op: *self, channels: x[1], extents, rank, positions }))
    }
}

impl Operator for GridSample {
    fn op_type(&self) -> &str {
        "GridSample"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::float(self.sampler(inputs)?.0)])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(self.sampler(site.inputs)?.1, 2))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Whole
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        // The grid decides which position is sampled. The result's axes are those of a feature map in any
        // case.
        Some(sources.convolved(&output.shape, false))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Sampler {
    op: GridSample,
    channels: usize,
    /// Extents of the last three axes, filled up with 1.
    extents: [usize; 3],
    rank: usize,
    /// Number of grid positions in one batch entry.
    positions: usize,
}

/// The taps of a position along one axis: offset, weight, and derivative of the weight.
type Taps = [(usize, f32, f32); 4];

/// Reflects a position at the borders until it lies between them. Also returns 1 or −1: the derivative of the
/// result.
fn reflect(x: f32, low: f32, high: f32) -> (f32, f32) {
    let range = high - low;
    if range <= 0.0 {
        return (low, 0.0);
    }
    let (distance, from_low) = if x < low {
        (low - x, true)
    } else if x > high {
        (x - high, false)
    } else {
        return (x, 1.0);
    };
    let turns = (distance / range).floor();
    let rest = distance - turns * range;
    // After an even number of reflections, the position is at the side where it started, and moves away from
    // that border.
    match (turns % 2.0 == 0.0, from_low) {
        (true, true) => (low + rest, -1.0),
        (true, false) => (high - rest, -1.0),
        (false, true) => (high - rest, 1.0),
        (false, false) => (low + rest, 1.0),
    }
}

/// Weights of four neighbours and their derivatives (Keys 1981, a = −0.75). `t` is the distance after the
/// second neighbour.
fn cubic(t: f32) -> [(f32, f32); 4] {
    const A: f32 = -0.75;
    let outer =
        |x: f32| (((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A, (3.0 * A * x - 10.0 * A) * x + 8.0 * A);
    let inner =
        |x: f32| (((A + 2.0) * x - (A + 3.0)) * x * x + 1.0, (3.0 * (A + 2.0) * x - 2.0 * (A + 3.0)) * x);
    let back = |(w, d): (f32, f32)| (w, -d);
    [outer(t + 1.0), inner(t), back(inner(1.0 - t)), back(outer(2.0 - t))]
}

impl Sampler {
    fn plane(&self) -> usize {
        self.extents.iter().product()
    }

    /// Returns the taps of a coordinate along axis `d`.
    fn axis(&self, d: usize, coordinate: f32) -> Taps {
        let mut taps = [(0, 0.0, 0.0); 4];
        let (n, step) = (self.extents[d], volume(&self.extents[d + 1..]));
        let extent = n as f32;
        let (low, high, slope) = if self.op.align_corners {
            (0.0, extent - 1.0, (extent - 1.0) / 2.0)
        } else {
            (-0.5, extent - 0.5, extent / 2.0)
        };
        let mut x = (coordinate + 1.0) * slope + low;
        let mut slope = slope;
        if self.op.mode == Mode::Nearest {
            (x, slope) = (x.round_ties_even(), 0.0);
        }
        if x < low || x > high {
            let (inside, sign) = match self.op.outside {
                Outside::Zeros => (x, 1.0),
                Outside::Border => (x.clamp(0.0, extent - 1.0), 0.0),
                Outside::Reflection => reflect(x, low, high),
            };
            (x, slope) = (inside, slope * sign);
        }
        if !x.is_finite() {
            // A position that is not finite has no samples, so the result is NaN.
            taps[0] = (0, f32::NAN, f32::NAN);
            return taps;
        }
        let first = x.floor();
        let t = x - first;
        let weights: [(f32, f32); 4] = match self.op.mode {
            Mode::Nearest => [(0.0, 0.0), (1.0, 0.0), (0.0, 0.0), (0.0, 0.0)],
            Mode::Linear => [(0.0, 0.0), (1.0 - t, -1.0), (t, 1.0), (0.0, 0.0)],
            Mode::Cubic => cubic(t),
        };
        for (k, ((weight, derivative), tap)) in weights.into_iter().zip(&mut taps).enumerate() {
            let at = first + k as f32 - 1.0;
            let at = match self.op.outside {
                Outside::Zeros => Some(at).filter(|at| (0.0..extent).contains(at)),
                Outside::Border => Some(at.clamp(0.0, extent - 1.0)),
                Outside::Reflection => Some(reflect(at, low, high).0.trunc().clamp(0.0, extent - 1.0)),
            };
            if let Some(at) = at.filter(|_| weight != 0.0 || derivative != 0.0) {
                *tap = (at as usize * step, weight, derivative * slope);
            }
        }
        taps
    }

    /// Returns the taps of a grid position along each axis. `grid` is the batch entry's part of the grid.
    fn taps(&self, grid: &[f32], position: usize) -> [Taps; 3] {
        let at = &grid[position * self.rank..][..self.rank];
        std::array::from_fn(|d| match (d + self.rank).checked_sub(3) {
            Some(axis) => self.axis(d, at[self.rank - 1 - axis]),
            None => [(0, 1.0, 0.0), (0, 0.0, 0.0), (0, 0.0, 0.0), (0, 0.0, 0.0)],
        })
    }

    /// Calls `visit` for the taps of a position with offset, weight, and the weight's derivatives along the
    /// three axes.
    fn each(taps: &[Taps; 3], mut visit: impl FnMut(usize, f32, [f32; 3])) {
        let used = |t: &&(usize, f32, f32)| t.1 != 0.0 || t.2 != 0.0;
        for z in taps[0].iter().filter(used) {
            for y in taps[1].iter().filter(used) {
                for x in taps[2].iter().filter(used) {
                    let slopes = [z.2 * y.1 * x.1, z.1 * y.2 * x.1, z.1 * y.1 * x.2];
                    visit(z.0 + y.0 + x.0, z.1 * y.1 * x.1, slopes);
                }
            }
        }
    }

    fn grid<'a>(&self, grid: &'a [f32], entry: usize) -> &'a [f32] {
        let len = self.positions * self.rank;
        &grid[entry * len..][..len]
    }
}

impl Kernel for Sampler {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, grid, y) = io.io2(0, 1);
        let (plane, positions) = (self.plane(), self.positions.max(1));
        let entries = y.par_chunks_mut((self.channels * positions).max(1));
        entries.enumerate().for_each(|(entry, y)| {
            let (grid, x) = (self.grid(grid, entry), &x[entry * self.channels * plane..]);
            y.par_chunks_mut(PLANES * positions).zip(x.par_chunks(PLANES * plane)).for_each(|(y, x)| {
                for p in 0..positions {
                    let taps = self.taps(grid, p);
                    for (y, x) in y.chunks_mut(positions).zip(x.chunks(plane)) {
                        let mut sum = 0.0;
                        Self::each(&taps, |at, w, _| sum += w * x[at]);
                        y[p] = sum;
                    }
                }
            });
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let read = |i: usize| io.operands[i].data(&io.reader);
        let (x, grid) = (if operand == 1 { read(0) } else { &[] }, read(1));
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        let (plane, positions) = (self.plane(), self.positions.max(1));
        if operand == 1 {
            dx.par_chunks_mut(POSITIONS * self.rank).enumerate().for_each(|(block, dx)| {
                for (i, dx) in dx.chunks_mut(self.rank).enumerate() {
                    let (entry, p) =
                        ((block * POSITIONS + i) / positions, (block * POSITIONS + i) % positions);
                    let taps = self.taps(self.grid(grid, entry), p);
                    let mut sums = [0f32; 3];
                    for c in entry * self.channels..(entry + 1) * self.channels {
                        let (x, dy) = (&x[c * plane..][..plane], dy[c * positions + p]);
                        Self::each(&taps, |at, _, slopes| {
                            sums.iter_mut().zip(slopes).for_each(|(sum, s)| *sum += dy * s * x[at]);
                        });
                    }
                    // In the grid, the last axis comes first.
                    for (dx, sum) in dx.iter_mut().zip(sums.iter().rev()) {
                        *dx = if accumulate { *dx + sum } else { *sum };
                    }
                }
            });
            return;
        }
        let entries = dx.par_chunks_mut((self.channels * plane).max(1));
        entries.enumerate().for_each(|(entry, dx)| {
            let (grid, dy) = (self.grid(grid, entry), &dy[entry * self.channels * self.positions..]);
            dx.par_chunks_mut(PLANES * plane).zip(dy.par_chunks(PLANES * positions)).for_each(|(dx, dy)| {
                if !accumulate {
                    dx.fill(0.0);
                }
                for p in 0..positions {
                    let taps = self.taps(grid, p);
                    for (dx, dy) in dx.chunks_mut(plane).zip(dy.chunks(positions)) {
                        Self::each(&taps, |at, w, _| dx[at] += w * dy[p]);
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, values};

    #[test]
    fn gradients_agree_with_differences() {
        for mode in ["nearest", "linear", "cubic"] {
            for padding in ["zeros", "border", "reflection"] {
                for align in [0, 1] {
                    let case = |x, grid| {
                        Case::new("GridSample", vec![x, grid])
                            .opset(20)
                            .attribute("mode", Attribute::Text(mode.into()))
                            .attribute("padding_mode", Attribute::Text(padding.into()))
                            .attribute("align_corners", Attribute::Int(align))
                            .check();
                    };
                    // Positions inside and outside the tensor, none of them near the kinks between samples.
                    let grid = (0..12).map(|i| (i as f32 * 0.377).sin() * 1.23 + 0.0131).collect();
                    case(data(&[1, 2, 4, 5]), values(&[1, 2, 3, 2], grid));
                    let grid = (0..24).map(|i| (i as f32 * 0.71).cos() * 0.93 + 0.0171).collect();
                    case(data(&[2, 9, 3, 4, 3]), values(&[2, 1, 2, 2, 3], grid));
                }
            }
        }
    }
}
