//! The tiles of a plane: which source values each tile reads, and which outputs it computes.

use super::{Form, LineWinograd};
use crate::kernels::blocked::lanes::{LANES, Lanes};
use crate::kernels::epilogue::EpilogueAddresses;

/// Numbers of tiles along the line, and of positions on the axes before (`outer`) and after (`inner`) the
/// line. Tiles are counted over `inner` first.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) outer: usize,
    pub(super) tiles: usize,
    pub(super) inner: usize,
}

/// Calls `visit(place, outer, tile, inner)` for a range of tiles.
#[inline(always)]
pub(super) fn each_tile(
    lines: Lines,
    range: (usize, usize),
    mut visit: impl FnMut(usize, usize, usize, usize),
) {
    let (mut inner, rest) = (range.0 % lines.inner, range.0 / lines.inner);
    let (mut tile, mut outer) = (rest % lines.tiles, rest / lines.tiles);
    for place in 0..range.1 - range.0 {
        visit(place, outer, tile, inner);
        inner += 1;
        if inner == lines.inner {
            (inner, tile) = (0, tile + 1);
            if tile == lines.tiles {
                (tile, outer) = (0, outer + 1);
            }
        }
    }
}

pub(super) struct Into<'a> {
    pub(super) line: &'a LineWinograd,
    pub(super) lines: Lines,
    pub(super) range: (usize, usize),
    pub(super) plane: &'a [f32],
    pub(super) to: *mut f32,
    pub(super) point: usize,
    /// Source values of the last tap, which is not transformed.
    pub(super) last: *mut f32,
}

pub(super) struct OutOf<'a> {
    pub(super) line: &'a LineWinograd,
    pub(super) lines: Lines,
    pub(super) range: (usize, usize),
    pub(super) from: *const f32,
    pub(super) point: usize,
    /// Products of the last tap, which is not transformed back.
    pub(super) last: *const f32,
    pub(super) to: *mut f32,
    pub(super) bias: *const f32,
    pub(super) accumulate: bool,
    pub(super) epilogue: Option<&'a EpilogueAddresses>,
    pub(super) mask: usize,
}

/// Calls `visit(place, values)` with the N source values that each tile reads.
///
/// # Safety
/// The machine has the instruction set of `X`.
#[inline(always)]
pub(super) unsafe fn each_seen<X: Lanes, const N: usize>(
    call: &Into<'_>,
    mut visit: impl FnMut(usize, &[X; N]),
) {
    let line = call.line;
    let Form { axis, low, low_line, .. } = line.form;
    let src = line.correlation.src;
    let length = src[axis];
    let source_lines: usize = src[..axis].iter().product();
    let (m, _) = line.outputs.shape();
    let inner = call.lines.inner;
    each_tile(call.lines, call.range, |place, outer, tile, q| {
        let first = (tile * m) as isize + low;
        let outer = outer.wrapping_add_signed(low_line);
        let mut d;
        // SAFETY: positions outside the line, or on a line that does not exist, are not read.
        unsafe {
            d = [X::splat(0.0); N];
            if outer < source_lines {
                let start = (outer * length * inner + q) as isize + first * inner as isize;
                let from = call.plane.as_ptr().wrapping_offset(start * LANES as isize);
                let (low, high) = ((-first).max(0) as usize, (length as isize - first).clamp(0, N as isize));
                if low == 0 && high as usize == N {
                    for i in 0..N {
                        d[i] = X::load(from.add(i * inner * LANES));
                    }
                } else {
                    for i in low..high as usize {
                        d[i] = X::load(from.wrapping_add(i * inner * LANES));
                    }
                }
            }
        }
        visit(place, &d);
    });
}

impl OutOf<'_> {
    /// Distance in positions between two outputs of a tile.
    pub(super) fn step(&self) -> usize {
        let (c, axis) = (&self.line.correlation, self.line.form.axis);
        c.dst_step[axis] * c.dst[axis + 1..].iter().product::<usize>()
    }

    /// Adds a sum to the bias or the destination, applies the epilogue, and stores it at a position of the
    /// plane.
    ///
    /// # Safety
    /// The plane has the position, and the machine has the instruction set of `X`.
    #[inline(always)]
    pub(super) unsafe fn put<X: Lanes>(&self, sum: X, at: usize) {
        // SAFETY: the caller keeps the contract of this function.
        unsafe {
            let to = self.to.add(at * LANES);
            let before = if self.accumulate { X::load(to) } else { X::load(self.bias) };
            let mut value = before.add(sum);
            if let Some(epilogue) = self.epilogue {
                value = epilogue.apply(value, to, self.mask + at);
            }
            value.store(to);
        }
    }
}
