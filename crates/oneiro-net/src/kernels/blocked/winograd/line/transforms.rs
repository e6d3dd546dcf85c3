//! The transforms of lines: matrices after Toom and Cook, and their products with source and result.

use super::{Form, LineOutputs, LineWinograd, nested};
use crate::kernels::blocked::families::families;
use crate::kernels::blocked::finish::Finish;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::blocked::tile::LANES;

/// The most points and outputs of a filtering.
const MOST: usize = 10;

/// The transforms, after Toom and Cook (see [`super::super::transforms`]): filter, source, result.
#[derive(Debug)]
pub(super) struct Matrices {
    /// `[points][taps]`.
    pub(super) filter: Vec<Vec<f64>>,
    /// `[points][points]`.
    pub(super) source: [[f32; MOST]; MOST],
    /// `[outputs][points]`.
    pub(super) result: [[f32; MOST]; MOST],
}

impl Matrices {
    pub(super) fn of(outputs: LineOutputs) -> Matrices {
        if outputs == LineOutputs::Nested {
            // The others are written out.
            let unused = [[0.0; MOST]; MOST];
            return Matrices { filter: nested::filter(), source: unused, result: unused };
        }
        let (m, r) = outputs.shape();
        let n = outputs.points();
        let points: Vec<f64> =
            std::iter::once(0.0).chain(outputs.pairs().iter().flat_map(|&p| [p, -p])).collect();
        assert_eq!(points.len(), n - 1, "points of {outputs:?}");
        // Coefficients of Π (x − q), the lowest first.
        let polynomial = |roots: &mut dyn Iterator<Item = f64>| {
            roots.fold(vec![1.0], |c: Vec<f64>, q| {
                let shifted = |i: usize| if i > 0 { c[i - 1] } else { 0.0 };
                (0..=c.len()).map(|i| shifted(i) - q * c.get(i).copied().unwrap_or(0.0)).collect()
            })
        };
        let mut matrices =
            Matrices { filter: Vec::new(), source: [[0.0; MOST]; MOST], result: [[0.0; MOST]; MOST] };
        for j in 0..n {
            let others = || points.iter().enumerate().filter(move |(k, _)| *k != j).map(|(_, &q)| q);
            let (filter, source) = match points.get(j) {
                Some(&p) => {
                    let f: f64 = others().map(|q| p - q).product();
                    ((0..r).map(|i| p.powi(i as i32) / f).collect(), polynomial(&mut others()))
                }
                None => {
                    ((0..r).map(|i| f64::from(u8::from(i + 1 == r))).collect(), polynomial(&mut others()))
                }
            };
            matrices.filter.push(filter);
            for (to, from) in matrices.source[j].iter_mut().zip(source) {
                *to = from as f32;
            }
            for i in 0..m {
                let at = points.get(j).map(|p| p.powi(i as i32));
                matrices.result[i][j] = at.unwrap_or(f64::from(u8::from(i + 1 == m))) as f32;
            }
        }
        matrices
    }
}

/// How tiles are counted.
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
    /// What the last tap has by itself.
    pub(super) last: *mut f32,
}

pub(super) struct OutOf<'a> {
    pub(super) line: &'a LineWinograd,
    pub(super) lines: Lines,
    pub(super) range: (usize, usize),
    pub(super) from: *const f32,
    pub(super) point: usize,
    /// What the last tap has by itself.
    pub(super) last: *const f32,
    pub(super) to: *mut f32,
    pub(super) bias: *const f32,
    pub(super) accumulate: bool,
    pub(super) finish: Option<&'a Finish>,
    pub(super) mask: usize,
}

families! {
    /// Transforms the source tiles of a plane.
    pub(super) fn into(&Into<'_>) = into_any
}

families! {
    /// Transforms the products of a plane back.
    pub(super) fn out_of(&OutOf<'_>) = out_of_any
}

/// # Safety
/// From `to`, every point has room for the tiles.
#[inline(always)]
unsafe fn into_any<X: Lanes>(call: &Into<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match call.line.outputs {
            LineOutputs::ThreeOfTwo | LineOutputs::TwoOfThree => into_line::<X, 4>(call),
            LineOutputs::FourOfThree | LineOutputs::ThreeOfFour => into_line::<X, 6>(call),
            LineOutputs::FourOfFive | LineOutputs::TwoOfSeven => into_line::<X, 8>(call),
            LineOutputs::FourOfSeven => into_line::<X, 10>(call),
            LineOutputs::Nested => nested::into::<X>(call),
        }
    }
}

/// Calls `visit(place, numbers)` with the N numbers of the source that each tile sees.
///
/// # Safety
/// As [`into_any`].
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
        // SAFETY: positions outside the line, or in a line that is not there, are not read.
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

/// # Safety
/// As [`into_any`].
#[inline(always)]
unsafe fn into_line<X: Lanes, const N: usize>(call: &Into<'_>) {
    // SAFETY: the caller has room for the tiles at every point.
    unsafe {
        each_seen::<X, N>(call, |place, d| {
            for (j, row) in call.line.matrices.source.iter().enumerate().take(N) {
                let mut sum = X::splat(0.0);
                for (d, &b) in d.iter().zip(row) {
                    if b != 0.0 {
                        sum = sum.multiply_add(*d, X::splat(b));
                    }
                }
                sum.store(call.to.add(j * call.point + place * LANES));
            }
        });
    }
}

/// # Safety
/// From `from`, every point has the tiles; `to` is a plane of the destination.
#[inline(always)]
unsafe fn out_of_any<X: Lanes>(call: &OutOf<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match call.line.outputs {
            LineOutputs::ThreeOfTwo => out_of_line::<X, 3, 4>(call),
            LineOutputs::TwoOfThree => out_of_line::<X, 2, 4>(call),
            LineOutputs::FourOfThree => out_of_line::<X, 4, 6>(call),
            LineOutputs::ThreeOfFour => out_of_line::<X, 3, 6>(call),
            LineOutputs::FourOfFive => out_of_line::<X, 4, 8>(call),
            LineOutputs::TwoOfSeven => out_of_line::<X, 2, 8>(call),
            LineOutputs::FourOfSeven => out_of_line::<X, 4, 10>(call),
            LineOutputs::Nested => nested::out_of::<X>(call),
        }
    }
}

/// # Safety
/// As [`out_of_any`].
#[inline(always)]
unsafe fn out_of_line<X: Lanes, const M: usize, const N: usize>(call: &OutOf<'_>) {
    let line = call.line;
    let length = line.correlation.grid[line.form.axis];
    let step = call.step();
    each_tile(call.lines, call.range, |place, outer, tile, q| {
        let first = line.position(outer, tile * M, q);
        // SAFETY: outputs outside the line are not written; the caller has the rest.
        unsafe {
            let mut products = [X::splat(0.0); N];
            for j in 0..N {
                products[j] = X::load(call.from.add(j * call.point + place * LANES));
            }
            for (i, row) in line.matrices.result.iter().enumerate().take(M.min(length - tile * M)) {
                let at = first + i * step;
                let mut sum = X::splat(0.0);
                for (product, &a) in products.iter().zip(row) {
                    if a != 0.0 {
                        sum = sum.multiply_add(*product, X::splat(a));
                    }
                }
                call.put(sum, at);
            }
        }
    });
}

impl OutOf<'_> {
    /// Numbers from one output of a tile to the next.
    pub(super) fn step(&self) -> usize {
        let (c, axis) = (&self.line.correlation, self.line.form.axis);
        c.dst_step[axis] * c.dst[axis + 1..].iter().product::<usize>()
    }

    /// Writes a sum, finished, to its position in the plane.
    ///
    /// # Safety
    /// The plane has the position, and the machine the family.
    #[inline(always)]
    pub(super) unsafe fn put<X: Lanes>(&self, sum: X, at: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let to = self.to.add(at * LANES);
            let before = if self.accumulate { X::load(to) } else { X::load(self.bias) };
            let mut value = before.add(sum);
            if let Some(finish) = self.finish {
                value = finish.apply(value, to, self.mask + at);
            }
            value.store(to);
        }
    }
}
