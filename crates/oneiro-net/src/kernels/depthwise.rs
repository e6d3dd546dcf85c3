//! Depthwise convolution: every channel is a group of its own, with one small kernel.
//!
//! A matrix product with a single row would gain nothing. So a [`Correlation`] with one input and one output
//! channel per group is computed directly, row by row and tap by tap. Forward and backward passes are the
//! same correlations as for dense convolutions ([`Correlation::forward_of`], [`Correlation::backward_of`]).

use super::clip::mask_words;
use super::correlate::{ConvGeometry, Correlation, Phase};
use super::epilogue::Epilogue;
use super::isa::{Isa, multiversion};
use super::scratch::AlignedBuffer;
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    /// Each thread's buffer for the sums of one row.
    static ROW: RefCell<AlignedBuffer> = const { RefCell::new(AlignedBuffer::new()) };
}

impl Phase {
    /// Returns the weights of this phase of a depthwise backward pass, `[channels, taps of the phase]`.
    ///
    /// # Panics
    /// If `weight` is not `[channels, 1, kernel]` of `geometry`.
    pub fn depthwise_weights(&self, geometry: &ConvGeometry, weight: &[f32]) -> Vec<f32> {
        assert_eq!(weight.len(), geometry.groups * geometry.taps(), "depthwise weights of {geometry:?}");
        let row = |kernel: &[f32]| self.kernel_taps.iter().map(|&tap| kernel[tap]).collect::<Vec<_>>();
        weight.chunks_exact(geometry.taps().max(1)).flat_map(row).collect()
    }
}

impl Correlation {
    /// Computes like [`Correlation::run`], for one input and one output channel per group. The weights are
    /// `[groups, taps]`, not packed.
    ///
    /// # Panics
    /// If the correlation is not depthwise or a slice has the wrong length. Also if a clip is asked for
    /// although the grid is not the whole destination.
    pub fn run_depthwise(
        &self,
        isa: Isa,
        weights: &[f32],
        bias: Option<&[f32]>,
        src: &[f32],
        dst: &mut [f32],
        accumulate: bool,
        epilogue: Epilogue<'_>,
    ) {
        let [src_plane, dst_plane] = [self.src, self.dst].map(|plane| plane.iter().product::<usize>());
        let planes = self.batch * self.groups;
        assert_eq!((self.c_in, self.c_out), (1, 1), "not depthwise: {self:?}");
        assert_eq!(weights.len(), self.groups * self.taps.len(), "depthwise weights of {self:?}");
        assert_eq!(bias.map_or(self.groups, <[f32]>::len), self.groups, "bias of {self:?}");
        assert_eq!(src.len(), planes * src_plane, "source of {self:?}");
        assert_eq!(dst.len(), planes * dst_plane, "destination of {self:?}");
        self.check_grid();
        if planes * dst_plane == 0 {
            return;
        }
        let clip = self.clip_of(epilogue);
        let taps = self.taps.len();
        dst.par_chunks_mut(dst_plane).enumerate().for_each(|(plane, dst)| {
            let channel = plane % self.groups;
            let source = &src[plane * src_plane..(plane + 1) * src_plane];
            let kernel = &weights[channel * taps..(channel + 1) * taps];
            let start = bias.map_or(0.0, |bias| bias[channel]);
            ROW.with_borrow_mut(|row| {
                let row = &mut row.at_least(self.grid[2])[..self.grid[2]];
                correlate_plane(isa, self, kernel, start, source, dst, accumulate, row);
            });
            if let Some(clip) = &clip {
                // SAFETY: a plane belongs to one task, and so do the words of its masks.
                unsafe { clip.apply(isa, dst, plane * mask_words(dst_plane)) };
            }
        });
    }
}

multiversion! {
    /// Correlates one plane; `row` is scratch for one row of the grid. Each output is one sum: the start,
    /// then the taps in order.
    fn correlate_plane(
        correlation: &Correlation,
        kernel: &[f32],
        start: f32,
        src: &[f32],
        dst: &mut [f32],
        accumulate: bool,
        row: &mut [f32],
    ) {
        let Correlation { src: s, dst: d, grid, src_step, dst_start, dst_step, .. } = *correlation;
        for line in 0..grid[0] * grid[1] {
            let (pz, py) = (line / grid[1], line % grid[1]);
            let to = ((dst_start[0] + pz * dst_step[0]) * d[1] + dst_start[1] + py * dst_step[1]) * d[2];
            let to = &mut dst[to + dst_start[2]..to + d[2]];
            row.fill(start);
            if accumulate {
                for (sum, held) in row.iter_mut().zip(to.iter().step_by(dst_step[2])) {
                    *sum += held;
                }
            }
            for (&weight, tap) in kernel.iter().zip(&correlation.taps) {
                let z = (pz * src_step[0]) as isize + tap[0];
                let y = (py * src_step[1]) as isize + tap[1];
                if !(0..s[0] as isize).contains(&z) || !(0..s[1] as isize).contains(&y) {
                    continue;
                }
                let from = (z as usize * s[1] + y as usize) * s[2];
                add_tap(row, &src[from..from + s[2]], weight, src_step[2], tap[2]);
            }
            if dst_step[2] == 1 {
                to[..row.len()].copy_from_slice(row);
            } else {
                for (to, sum) in to.iter_mut().step_by(dst_step[2]).zip(&*row) {
                    *to = *sum;
                }
            }
        }
    }
}

/// Adds `weight · line[p·step + tap]` to `row[p]` for every p whose position lies in the line.
#[inline(always)]
fn add_tap(row: &mut [f32], line: &[f32], weight: f32, step: usize, tap: isize) {
    let range = positions_inside(row.len(), line.len(), step, tap);
    if range.is_empty() {
        return;
    }
    let line = &line[((range.start * step) as isize + tap) as usize..];
    let row = &mut row[range];
    match step {
        1 => {
            for (sum, x) in row.iter_mut().zip(line) {
                *sum += weight * x;
            }
        }
        2 => {
            let (last, sums) = match row.split_last_mut() {
                Some((last, sums)) => (last, sums),
                None => return,
            };
            *last += weight * line[2 * sums.len()];
            for (sum, pair) in sums.iter_mut().zip(line.as_chunks::<2>().0) {
                *sum += weight * pair[0];
            }
        }
        _ => {
            for (sum, x) in row.iter_mut().zip(line.iter().step_by(step)) {
                *sum += weight * x;
            }
        }
    }
}

/// Returns the range of p below `count` for which `p·step + tap` lies in `0 .. len`.
#[inline(always)]
pub(crate) fn positions_inside(count: usize, len: usize, step: usize, tap: isize) -> std::ops::Range<usize> {
    let ceil = |distance: isize| (distance.max(0) as usize).div_ceil(step);
    let begin = ceil(-tap).min(count);
    begin..ceil(len as isize - tap).clamp(begin, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{dot, in_pool, numbers};
    use crate::kernels::{Bounds, EpilogueFunction};

    /// Cases of planes, kernels, strides, dilations and padding (equal on both sides).
    fn cases() -> Vec<ConvGeometry> {
        let one = [1, 1, 1];
        let case = |groups,
                    src: [usize; 3],
                    kernel: [usize; 3],
                    stride: [usize; 3],
                    dilation: [usize; 3],
                    pad: [usize; 3]| {
            let dst = std::array::from_fn(|d| {
                (src[d] + 2 * pad[d] - (kernel[d] - 1) * dilation[d] - 1) / stride[d] + 1
            });
            ConvGeometry {
                batch: 3,
                groups,
                c_in: 1,
                c_out: 1,
                src,
                dst,
                kernel,
                stride,
                dilation,
                pad_before: pad,
            }
        };
        vec![
            case(1, one, one, one, one, [0, 0, 0]),
            case(5, [1, 13, 37], [1, 3, 3], one, one, [0, 1, 1]),
            case(3, [1, 14, 17], [1, 3, 3], [1, 2, 2], one, [0, 1, 1]),
            case(3, [1, 15, 16], [1, 5, 5], [1, 2, 2], one, [0, 2, 2]),
            case(2, [1, 15, 16], [1, 3, 3], one, [1, 2, 3], [0, 2, 3]),
            case(2, [1, 11, 13], [1, 2, 2], [1, 3, 5], one, [0, 0, 0]),
            case(2, [1, 3, 4], [1, 2, 2], one, one, [0, 5, 4]),
            case(2, [1, 1, 41], [1, 1, 7], [1, 1, 3], one, [0, 0, 3]),
            case(2, [5, 6, 7], [3, 3, 3], [2, 1, 2], one, [1, 1, 1]),
            case(2, [1, 9, 9], [1, 3, 3], [1, 2, 2], [1, 2, 2], [0, 2, 2]),
        ]
    }

    /// Results of the forward and the backward pass, by the direct kernel and by the dense engine.
    type Results = [Vec<f32>; 4];

    fn run(isa: Isa, g: &ConvGeometry, x: &[f32], dy: &[f32], accumulate: bool) -> Results {
        let (w, bias) = (numbers(g.groups * g.taps(), 1), numbers(g.groups, 2));
        let (mut y, mut dx) = (numbers(dy.len(), 5), numbers(x.len(), 6));
        let (mut y_dense, mut dx_dense) = (y.clone(), dx.clone());
        let forward = Correlation::forward_of(g);
        forward.run_depthwise(isa, &w, Some(&bias), x, &mut y, accumulate, Epilogue::none());
        let packed = forward.pack_forward(isa, g, &w);
        forward.run(isa, &packed, Some(&bias), x, &mut y_dense, accumulate, Epilogue::none());
        for phase in Correlation::backward_of(g) {
            let part = &phase.correlation;
            let weights = phase.depthwise_weights(g, &w);
            part.run_depthwise(isa, &weights, None, dy, &mut dx, accumulate, Epilogue::none());
            part.run(isa, &phase.pack(isa, g, &w), None, dy, &mut dx_dense, accumulate, Epilogue::none());
        }
        [y, y_dense, dx, dx_dense]
    }

    fn sizes(g: &ConvGeometry) -> (usize, usize) {
        let size = |plane: [usize; 3]| g.batch * g.groups * plane.iter().product::<usize>();
        (size(g.src), size(g.dst))
    }

    /// The dense engine is the reference here; it is itself tested against the definition.
    #[test]
    fn both_directions_equal_the_dense_engine() {
        let mut failures = Vec::new();
        for g in cases() {
            let (x_len, y_len) = sizes(&g);
            let (x, dy) = (numbers(x_len, 3), numbers(y_len, 4));
            for isa in Isa::available() {
                for accumulate in [false, true] {
                    let [y, y_dense, dx, dx_dense] = run(isa, &g, &x, &dy, accumulate);
                    let far = |a: &[f32], b: &[f32]| {
                        a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-5 || a.is_nan())
                    };
                    if far(&y, &y_dense) || far(&dx, &dx_dense) {
                        failures.push(format!("{isa:?}, accumulate {accumulate}: {g:?}"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn threads_and_batch_do_not_change_a_bit_and_the_directions_are_adjoint() {
        let mut failures = Vec::new();
        for g in cases() {
            let (x_len, y_len) = sizes(&g);
            let (x, dy) = (numbers(x_len, 3), numbers(y_len, 4));
            for isa in Isa::available() {
                let [y, _, dx, _] = in_pool(1, || run(isa, &g, &x, &dy, false));
                let [y_threads, _, dx_threads, _] = in_pool(3, || run(isa, &g, &x, &dy, false));
                let single = ConvGeometry { batch: 1, ..g.clone() };
                let (xs, ys) = (x_len / 3..x_len / 3 * 2, y_len / 3..y_len / 3 * 2);
                let [y_alone, _, dx_alone, _] = run(isa, &single, &x[xs.clone()], &dy[ys.clone()], false);
                if y != y_threads || dx != dx_threads || y[ys] != y_alone || dx[xs] != dx_alone {
                    failures.push(format!("{isa:?}: bits of {g:?}"));
                }
                let bias = numbers(g.groups, 2);
                let plane = y_len / 3 / g.groups;
                let linear: Vec<f32> =
                    y.iter().enumerate().map(|(i, y)| y - bias[i / plane % g.groups]).collect();
                let size = (dot(&linear, &linear) * dot(&dy, &dy)).sqrt();
                if (dot(&linear, &dy) - dot(&x, &dx)).abs() > 1e-5 * size + 1e-6 {
                    failures.push(format!("{isa:?}: not adjoint: {g:?}"));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn a_clip_epilogue_clips_the_result_and_masks_it() {
        let g = &cases()[1];
        let (x_len, y_len) = sizes(g);
        let (x, w) = (numbers(x_len, 3), numbers(g.groups * g.taps(), 1));
        let plane = y_len / 3 / g.groups;
        for isa in Isa::available() {
            let (mut plain, mut y) = (vec![0.0; y_len], vec![0.0; y_len]);
            let mut below = vec![!0; 3 * g.groups * mask_words(plane)];
            let forward = Correlation::forward_of(g);
            forward.run_depthwise(isa, &w, None, &x, &mut plain, false, Epilogue::none());
            let relu = Epilogue::of(Some(EpilogueFunction::Clip {
                bounds: Bounds { low: 0.0, high: f32::INFINITY, saturates: false },
                below: Some(&mut below),
                above: None,
            }));
            forward.run_depthwise(isa, &w, None, &x, &mut y, false, relu);
            for i in 0..y_len {
                let bit = below[i / plane * mask_words(plane) + i % plane / 32] >> (i % plane % 32) & 1;
                assert_eq!((y[i], bit == 1), (plain[i].max(0.0), plain[i] <= 0.0), "{isa:?} at {i}");
            }
        }
    }
}
