//! Fast paths of max pooling for the commonest windows: 3×3 windows that lie inside the source, and the
//! gradient of overlapping windows of width three.

use super::window::Inner;
use super::{Back, Piece};
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::pool::PoolGeometry;

/// The largest value of each lane, and the index of its tap.
type Best<X> = (X, X);

/// Pools the windows of a piece that lie inside the source, if they are 3×3, not dilated, and one or two
/// lines apart. Returns whether that holds.
///
/// # Safety
/// The contract of [`super::piece`].
#[inline(always)]
pub(super) unsafe fn columns<X: Lanes>(call: &Piece<'_>, inner: &Inner) -> bool {
    let g = call.geometry;
    if g.kernel != [1, 3, 3] || g.dilation != [1; 3] {
        return false;
    }
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        match g.stride[1] {
            1 => columns_at::<X, 1>(call, inner),
            2 => columns_at::<X, 2>(call, inner),
            _ => return false,
        }
    }
    true
}

/// Pools column by column of outputs, from top to bottom. The maxima of a source row are reused by the next
/// output of the column.
///
/// # Safety
/// The contract of [`super::piece`], for windows of 3×3 that are S lines apart.
#[inline(always)]
unsafe fn columns_at<X: Lanes, const S: usize>(call: &Piece<'_>, inner: &Inner) {
    let g = call.geometry;
    let [_, height, width] = g.dst;
    let mut line = call.lines.0;
    while line < call.lines.1 {
        // Output lines of one depth plane: from `y` to the end of the plane or of the thread's piece, if that
        // comes first.
        let (z, y) = (line / height, line % height);
        let end = call.lines.1.min((z + 1) * height);
        let (low, high) = (y.max(inner.ranges[1].0), (y + end - line).min(inner.ranges[1].1));
        let sees = (inner.ranges[0].0..inner.ranges[0].1).contains(&z) && low < high;
        let columns = if sees { inner.ranges[2] } else { (0, 0) };
        let slice = (z * g.stride[0]).wrapping_sub(g.pad_before[0]).wrapping_mul(g.src[1]);
        for x in columns.0..columns.1 {
            let row = slice.wrapping_add(low * S).wrapping_sub(g.pad_before[1]);
            let at = row.wrapping_mul(g.src[2]).wrapping_add(x * g.stride[2]).wrapping_sub(g.pad_before[2]);
            let mut src = call.src.wrapping_add(at.wrapping_mul(LANES));
            let below = g.src[2] * LANES;
            // SAFETY: the ranges hold only windows inside the source, and the outputs lie in the piece.
            unsafe {
                let mut held = [of_row::<X>(src), of_row::<X>(if S == 1 { src.add(below) } else { src })];
                for y in low..high {
                    let rows = match S {
                        1 => [held[0], held[1], of_row(src.add(2 * below))],
                        _ => [held[0], of_row(src.add(below)), of_row(src.add(2 * below))],
                    };
                    held = if S == 1 { [rows[1], rows[2]] } else { [rows[2]; 2] };
                    src = src.wrapping_add(S * below);
                    let (best, winner) = of_rows(rows);
                    let at = (z * height + y - call.lines.0) * width + x;
                    if !call.winners.is_null() {
                        winner.store_bytes(call.winners.add(at * LANES));
                    }
                    call.put(best, at);
                }
            }
        }
        line = end;
    }
}

/// Returns the maximum of three neighbours in a line.
///
/// # Safety
/// The three positions can be read, and the machine has the instruction set of `X`.
#[inline(always)]
unsafe fn of_row<X: Lanes>(first: *const f32) -> Best<X> {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let (mut best, mut winner) = (X::load(first), X::splat(0.0));
        for tap in 1..3 {
            let value = X::load(first.add(tap * LANES));
            let larger = value.exceeds(best);
            best = best.blend(value, larger);
            winner = winner.blend(X::splat(tap as f32), larger);
        }
        (best, winner)
    }
}

/// Returns the maximum of three lines, from the maximum of each.
///
/// # Safety
/// The machine has the instruction set of `X`.
#[inline(always)]
unsafe fn of_rows<X: Lanes>(rows: [Best<X>; 3]) -> Best<X> {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let (mut best, mut winner) = rows[0];
        for (above, (value, tap)) in rows.into_iter().enumerate().skip(1) {
            let larger = value.exceeds(best);
            best = best.blend(value, larger);
            winner = winner.blend(tap.add(X::splat(3.0 * above as f32)), larger);
        }
        (best, winner)
    }
}

/// The windows that cover a source position along one dimension. The position only grows.
struct Seen {
    first: usize,
    end: usize,
}

impl Seen {
    const NONE: Seen = Seen { first: 0, end: 0 };

    /// Moves to a source position of dimension `d`. Returns the tap with which the first window covers it.
    #[inline(always)]
    fn at(&mut self, g: &PoolGeometry, d: usize, position: usize) -> usize {
        let padded = position + g.pad_before[d];
        while self.end < g.dst[d] && self.end * g.stride[d] <= padded {
            self.end += 1;
        }
        while self.first < self.end && padded - self.first * g.stride[d] >= g.kernel[d] {
            self.first += 1;
        }
        padded.saturating_sub(self.first * g.stride[d])
    }
}

/// Lines of windows that cover one line of the source.
struct Lines {
    /// For each line of windows: the index of its first window in the output plane, and the first tap that
    /// reads the source line.
    of: [(usize, u8); MOST_LINES],
    count: usize,
}

/// A position is covered by at most nine lines of 3×3×3 windows.
const MOST_LINES: usize = 9;
/// Width of the windows whose gradient is gathered.
const WIDTH: usize = 3;
/// Value of `N` for which [`gather_line`] reads the number of lines at run time.
const ANY: usize = 0;

/// Whether gathering is faster than scattering. Measurements say so for overlapping windows of width three at
/// strides of one or two. For others, each window adds its gradient at its maximum.
pub(super) fn gathers(g: &PoolGeometry) -> bool {
    let lines = g.kernel[0].div_ceil(g.stride[0]) * g.kernel[1].div_ceil(g.stride[1]);
    g.dilation == [1; 3] && g.kernel[2] == WIDTH && g.stride[2] <= 2 && lines <= MOST_LINES
}

/// Computes the gradient of one plane. Each position adds up the gradients of the windows whose maximum it
/// is, in the order of the windows.
///
/// # Safety
/// The contract of [`super::back`], for a geometry that [`gathers`] accepts.
#[inline(always)]
pub(super) unsafe fn gather<X: Lanes>(call: &Back<'_>) {
    let g = call.geometry;
    let mut at = 0;
    let mut seen_z = Seen::NONE;
    for z in 0..g.src[0] {
        let tap_z = seen_z.at(g, 0, z);
        let mut seen_y = Seen::NONE;
        for y in 0..g.src[1] {
            let tap_y = seen_y.at(g, 1, y);
            let mut lines = Lines { of: [(0, 0); MOST_LINES], count: 0 };
            let mut visit = |line: usize, tap: usize| {
                lines.of[lines.count] = (line * g.dst[2], (tap * g.kernel[2]) as u8);
                lines.count += 1;
            };
            for oz in seen_z.first..seen_z.end {
                let tap_z = tap_z - (oz - seen_z.first) * g.stride[0];
                for oy in seen_y.first..seen_y.end {
                    let tap_y = tap_y - (oy - seen_y.first) * g.stride[1];
                    visit(oz * g.dst[1] + oy, tap_z * g.kernel[1] + tap_y);
                }
            }
            // SAFETY: the caller keeps the contract of this function.
            unsafe {
                let (z, y) = ((&seen_z, tap_z), (&seen_y, tap_y));
                match (g.stride[2], lines.count) {
                    (1, 3) => gather_line::<X, 1, 3>(call, at, &lines, z, y),
                    (1, _) => gather_line::<X, 1, ANY>(call, at, &lines, z, y),
                    (_, 1) => gather_line::<X, 2, 1>(call, at, &lines, z, y),
                    (_, 2) => gather_line::<X, 2, 2>(call, at, &lines, z, y),
                    _ => gather_line::<X, 2, ANY>(call, at, &lines, z, y),
                }
            }
            at += g.src[2];
        }
    }
}

/// Computes the gradient of one source line that N lines of windows cover. The windows are three wide and S
/// apart; `at` is the line's first position.
///
/// # Safety
/// The contract of [`gather`].
#[inline(always)]
unsafe fn gather_line<X: Lanes, const S: usize, const N: usize>(
    call: &Back<'_>,
    at: usize,
    lines: &Lines,
    z: (&Seen, usize),
    y: (&Seen, usize),
) {
    let g = call.geometry;
    // The range of windows that lie inside the source and have all `before` overlapping predecessors.
    let pad = g.pad_before[2];
    let before = WIDTH.div_ceil(S) - 1;
    let first = before.max(pad.div_ceil(S));
    let end = g.dst[2].min((g.src[2] + pad) / S);
    if first >= end {
        // SAFETY: the caller keeps the contract of this function.
        unsafe { gather_some::<X>(call, at, 0..g.src[2], z, y) };
        return;
    }
    let lines = if N == ANY { &lines.of[..lines.count] } else { &lines.of[..N] };
    // SAFETY: the caller keeps the contract of this function. Positions and windows lie in the ranges above.
    unsafe {
        gather_some::<X>(call, at, 0..first * S - pad, z, y);
        for ox in first..end {
            for j in 0..S {
                let to = at + ox * S + j - pad;
                let dx = call.dx.add(to * LANES);
                let mut sum = if call.accumulate { X::load(dx) } else { X::splat(0.0) };
                for (line, taps) in lines {
                    for i in (0..(WIDTH - j).div_ceil(S)).rev() {
                        let from = (line + ox - i) * LANES;
                        let won = X::bytes_are(call.winners.add(from), taps + (j + i * S) as u8);
                        sum = sum.add(X::load(call.dy.add(from)).zero_where(!won));
                    }
                }
                if let Some(epilogue) = call.epilogue {
                    sum = epilogue.apply(sum, dx, call.mask + to);
                }
                sum.store(dx);
            }
        }
        gather_some::<X>(call, at, end * S - pad..g.src[2], z, y);
    }
}

/// Computes the gradient of some positions of a line, whatever windows cover them. `z` and `y` hold the
/// covering windows along these dimensions, and the tap with which the first window covers the line.
///
/// # Safety
/// The contract of [`gather`].
#[inline(always)]
unsafe fn gather_some<X: Lanes>(
    call: &Back<'_>,
    at: usize,
    positions: std::ops::Range<usize>,
    (seen_z, tap_z): (&Seen, usize),
    (seen_y, tap_y): (&Seen, usize),
) {
    let g = call.geometry;
    let mut seen_x = Seen::NONE;
    for x in positions {
        let tap_x = seen_x.at(g, 2, x);
        // SAFETY: the caller keeps the contract of this function, and the windows belong to the geometry.
        unsafe {
            let dx = call.dx.add((at + x) * LANES);
            let mut sum = if call.accumulate { X::load(dx) } else { X::splat(0.0) };
            for oz in seen_z.first..seen_z.end {
                let tap_z = tap_z - (oz - seen_z.first) * g.stride[0];
                for oy in seen_y.first..seen_y.end {
                    let tap_y = tap_y - (oy - seen_y.first) * g.stride[1];
                    let line = (oz * g.dst[1] + oy) * g.dst[2];
                    let taps = (tap_z * g.kernel[1] + tap_y) * g.kernel[2];
                    for ox in seen_x.first..seen_x.end {
                        let tap = taps + tap_x - (ox - seen_x.first) * g.stride[2];
                        let from = (line + ox) * LANES;
                        let won = X::bytes_are(call.winners.add(from), tap as u8);
                        sum = sum.add(X::load(call.dy.add(from)).zero_where(!won));
                    }
                }
            }
            if let Some(epilogue) = call.epilogue {
                sum = epilogue.apply(sum, dx, call.mask + at + x);
            }
            sum.store(dx);
        }
    }
}
