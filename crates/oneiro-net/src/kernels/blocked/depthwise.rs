//! Depthwise convolution and its adjoint: sixteen channels at a time, each channel with a small kernel of its
//! own.

use super::isa_dispatch::isa_dispatch;
use super::lanes::LANES;
use super::lanes::Lanes;
use super::windows::{LineTap, each_piece, interior};
use super::{Packed, blocks_of};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::epilogue::EpilogueAddresses;
use crate::kernels::epilogue::SharedEpilogue;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::Disjoint;
use std::cell::RefCell;

/// Number of output positions computed together, so that each weight is loaded once for all of them.
const POSITIONS: usize = 8;

thread_local! {
    static TAPS: RefCell<Vec<LineTap>> = const { RefCell::new(Vec::new()) };
}

/// A correlation with one channel in and one out per group, and its weights.
#[derive(Debug)]
pub struct Depthwise {
    correlation: Correlation,
    isa: Isa,
    /// Shape `[blocks][taps][16]`; lanes without a channel hold zeros.
    weights: Packed,
    /// The bias, one number for each channel: shape `[blocks][16]`.
    bias: Packed,
}

impl Depthwise {
    /// Packs weights `[channels, taps]` and a bias `[channels]`.
    ///
    /// # Panics
    /// If the correlation is not depthwise or the weights have the wrong length.
    pub fn new(correlation: Correlation, isa: Isa, weights: &[f32], bias: Option<&[f32]>) -> Depthwise {
        isa.require();
        assert_eq!((correlation.c_in, correlation.c_out), (1, 1), "not depthwise: {correlation:?}");
        correlation.check_grid();
        let (channels, taps) = (correlation.groups, correlation.taps.len());
        assert_eq!(weights.len(), channels * taps, "depthwise weights of {correlation:?}");
        let mut packed = Packed::zeros(blocks_of(channels) * taps * LANES);
        for channel in 0..channels {
            for tap in 0..taps {
                let to = (channel / LANES * taps + tap) * LANES + channel % LANES;
                packed.as_mut_slice()[to] = weights[channel * taps + tap];
            }
        }
        let bias = Packed::bias(bias, 1, channels);
        Depthwise { correlation, isa, weights: packed, bias }
    }

    /// Computes the correlation into `dst`, or adds it to `dst` if `accumulate` is set; the bias is then left
    /// out.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, epilogue: &mut Epilogue<'_>) {
        let c = &self.correlation;
        let blocks = blocks_of(c.groups);
        let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
        assert_eq!(src.len(), c.batch * blocks * src_plane * LANES, "source of {c:?}");
        assert_eq!(dst.len(), c.batch * blocks * dst_plane * LANES, "destination of {c:?}");
        let epilogue = SharedEpilogue(epilogue.addresses(dst, c.batch * blocks, dst_plane));
        let dst = Disjoint::new(dst);
        let taps = c.taps.len();
        each_piece(c.batch * blocks, c.grid[0] * c.grid[1], c.grid[2], |plane, from, to| {
            let block = plane / c.batch;
            let weights = &self.weights.as_slice()[block * taps * LANES..(block + 1) * taps * LANES];
            let bias = &self.bias.as_slice()[block * LANES..(block + 1) * LANES];
            TAPS.with_borrow_mut(|line_taps| {
                for line in from..to {
                    self.line(plane, line, weights, bias, src, &dst, accumulate, &epilogue, line_taps);
                }
            });
        });
    }

    fn line(
        &self,
        plane: usize,
        line: usize,
        weights: &[f32],
        bias: &[f32],
        src: &[f32],
        dst: &Disjoint<'_, f32>,
        accumulate: bool,
        epilogue: &SharedEpilogue,
        taps: &mut Vec<LineTap>,
    ) {
        let c = &self.correlation;
        let (z, y) = (line / c.grid[1], line % c.grid[1]);
        taps.clear();
        for (tap, offset) in c.taps.iter().enumerate() {
            let sz = (z * c.src_step[0]) as isize + offset[0];
            let sy = (y * c.src_step[1]) as isize + offset[1];
            if (0..c.src[0] as isize).contains(&sz) && (0..c.src[1] as isize).contains(&sy) {
                let line = (sz as usize * c.src[1] + sy as usize) * c.src[2];
                taps.push(LineTap { tap, line, x: offset[2] });
            }
        }
        let to = ((c.dst_start[0] + z * c.dst_step[0]) * c.dst[1] + c.dst_start[1] + y * c.dst_step[1])
            * c.dst[2]
            + c.dst_start[2];
        let dst_plane = volume(c.dst);
        let src_plane = volume(c.src) * LANES;
        let source = &src[plane * src_plane..(plane + 1) * src_plane];
        let end = to + (c.grid[2] - 1) * c.dst_step[2] + 1;
        assert!(end <= dst_plane, "the grid leaves the destination: {c:?}");
        dst.pointer((plane * dst_plane + end) * LANES);
        let call = Line {
            taps,
            interior: interior(taps, c.grid[2], c.src_step[2], c.src[2]),
            count: c.grid[2],
            step: c.src_step[2],
            src_line: c.src[2],
            src: source.as_ptr(),
            weights: weights.as_ptr(),
            start: bias.as_ptr(),
            out: dst.pointer((plane * dst_plane + to) * LANES),
            out_step: c.dst_step[2],
            accumulate,
            epilogue: epilogue.get(),
            mask: plane * super::mask_plane(dst_plane) + to,
        };
        // SAFETY: taps outside the source lines were removed, and the line's ends are checked tap by tap. The
        // outputs lie in the plane (checked above) and belong to this task alone.
        unsafe { run_line(self.isa, &call) };
    }
}

/// Arguments of the computation of one line of outputs.
struct Line<'a> {
    taps: &'a [LineTap],
    interior: (usize, usize),
    count: usize,
    step: usize,
    src_line: usize,
    src: *const f32,
    weights: *const f32,
    start: *const f32,
    out: *mut f32,
    out_step: usize,
    accumulate: bool,
    epilogue: Option<&'a EpilogueAddresses>,
    mask: usize,
}

isa_dispatch! {
    /// Computes one line of outputs.
    fn run_line(&Line<'_>) = line_of
}

/// # Safety
/// The addresses of the call reach as far as its counts say.
#[inline(always)]
unsafe fn line_of<X: Lanes>(call: &Line<'_>) {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let (from, to) = call.interior;
        for x in (0..from).chain(to..call.count) {
            positions::<X, 1>(call, x, true);
        }
        let mut x = from;
        while x + POSITIONS <= to {
            positions::<X, POSITIONS>(call, x, false);
            x += POSITIONS;
        }
        while x < to {
            positions::<X, 1>(call, x, false);
            x += 1;
        }
    }
}

/// # Safety
/// The contract of [`line_of`]. Without `check`, every tap of every position must lie in its source line.
#[inline(always)]
unsafe fn positions<X: Lanes, const R: usize>(call: &Line<'_>, x: usize, check: bool) {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let mut sum = [X::load(call.start); R];
        if call.accumulate {
            for j in 0..R {
                sum[j] = X::load(call.out.add((x + j) * call.out_step * LANES));
            }
        }
        for tap in call.taps {
            let at = (x * call.step) as isize + tap.x;
            if check && !(0..call.src_line as isize).contains(&at) {
                continue;
            }
            let weight = X::load(call.weights.add(tap.tap * LANES));
            let src = call.src.add((tap.line + at as usize) * LANES);
            for j in 0..R {
                sum[j] = sum[j].multiply_add(X::load(src.add(j * call.step * LANES)), weight);
            }
        }
        for j in 0..R {
            X::store(sum[j], call.out.add((x + j) * call.out_step * LANES));
        }
        if let Some(epilogue) = call.epilogue {
            for j in 0..R {
                let to = call.out.add((x + j) * call.out_step * LANES);
                epilogue.apply(X::load(to), to, call.mask + (x + j) * call.out_step).store(to);
            }
        }
    }
}
