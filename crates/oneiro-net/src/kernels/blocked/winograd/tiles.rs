//! Transforms source tiles of a plane to their values at the points, and products at the points back to
//! outputs.

use super::transforms::{input_line, output_line};
use crate::kernels::blocked::isa_dispatch::isa_dispatch;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::epilogue::EpilogueAddresses;

/// Arguments of the transform of one plane's source tiles.
pub(super) struct Into<'a> {
    pub(super) plane: &'a [f32],
    pub(super) size: [usize; 2],
    /// Position of tile 0's first value, which may lie in the padding.
    pub(super) low: [isize; 2],
    pub(super) rows: (usize, usize),
    pub(super) row_tiles: usize,
    pub(super) to: *mut f32,
    /// Distance in elements between the values of two points of a tile.
    pub(super) point: usize,
}

/// Arguments of the transform of one plane's products back to outputs.
pub(super) struct OutOf<'a> {
    pub(super) from: *const f32,
    pub(super) point: usize,
    pub(super) rows: (usize, usize),
    pub(super) row_tiles: usize,
    /// The destination plane.
    pub(super) to: *mut f32,
    pub(super) size: [usize; 2],
    pub(super) bias: *const f32,
    pub(super) accumulate: bool,
    pub(super) epilogue: Option<&'a EpilogueAddresses>,
    pub(super) mask: usize,
}

isa_dispatch! {
    /// Transforms source tiles of F(2×2, 3×3).
    pub(super) fn into_two(&Into<'_>) = into_of_two
}
isa_dispatch! {
    /// Transforms source tiles of F(4×4, 3×3).
    pub(super) fn into_four(&Into<'_>) = into_of_four
}
isa_dispatch! {
    /// Transforms products of F(2×2, 3×3) back.
    pub(super) fn out_of_two(&OutOf<'_>) = out_of_of_two
}
isa_dispatch! {
    /// Transforms products of F(4×4, 3×3) back.
    pub(super) fn out_of_four(&OutOf<'_>) = out_of_of_four
}

/// # Safety
/// The contract of [`into`].
#[inline(always)]
unsafe fn into_of_two<X: Lanes>(call: &Into<'_>) {
    // SAFETY: the caller keeps the contract of `into`, which is this function's own.
    unsafe { into::<X, 2, 4>(call) }
}

/// # Safety
/// The contract of [`into`].
#[inline(always)]
unsafe fn into_of_four<X: Lanes>(call: &Into<'_>) {
    // SAFETY: the caller keeps the contract of `into`, which is this function's own.
    unsafe { into::<X, 4, 6>(call) }
}

/// # Safety
/// The contract of [`out_of`].
#[inline(always)]
unsafe fn out_of_of_two<X: Lanes>(call: &OutOf<'_>) {
    // SAFETY: the caller keeps the contract of `out_of`, which is this function's own.
    unsafe { out_of::<X, 2, 4>(call) }
}

/// # Safety
/// The contract of [`out_of`].
#[inline(always)]
unsafe fn out_of_of_four<X: Lanes>(call: &OutOf<'_>) {
    // SAFETY: the caller keeps the contract of `out_of`, which is this function's own.
    unsafe { out_of::<X, 4, 6>(call) }
}

/// # Safety
/// The plane has `size` positions. Every point has room for the tiles from `to` on.
#[inline(always)]
unsafe fn into<X: Lanes, const M: usize, const N: usize>(call: &Into<'_>) {
    let [height, width] = call.size;
    // SAFETY: the caller keeps the contract of this function. Positions outside the plane are not read.
    unsafe {
        let mut to = call.to;
        for row in call.rows.0..call.rows.1 {
            let y = (row * M) as isize + call.low[0];
            for tile in 0..call.row_tiles {
                let x = (tile * M) as isize + call.low[1];
                let inside = y >= 0 && x >= 0 && y as usize + N <= height && x as usize + N <= width;
                if inside {
                    let from = call.plane.as_ptr().add((y as usize * width + x as usize) * LANES);
                    one_into::<X, N>(|i, j| X::load(from.add((i * width + j) * LANES)), to, call.point);
                } else {
                    let load = |i: usize, j: usize| {
                        let (y, x) = (y + i as isize, x + j as isize);
                        let there = y >= 0 && x >= 0 && (y as usize) < height && (x as usize) < width;
                        if there {
                            X::load(call.plane.as_ptr().add((y as usize * width + x as usize) * LANES))
                        } else {
                            X::splat(0.0)
                        }
                    };
                    one_into::<X, N>(load, to, call.point);
                }
                to = to.add(LANES);
            }
        }
    }
}

/// # Safety
/// `load` may be called for every place of a tile. Every point has room for the tiles from `to` on.
#[inline(always)]
unsafe fn one_into<X: Lanes, const N: usize>(load: impl Fn(usize, usize) -> X, to: *mut f32, point: usize) {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let mut half = [[X::splat(0.0); N]; N];
        for j in 0..N {
            let line = input_line::<X, N>(std::array::from_fn(|i| load(i, j)));
            for i in 0..N {
                half[i][j] = line[i];
            }
        }
        for i in 0..N {
            let line = input_line::<X, N>(half[i]);
            for j in 0..N {
                line[j].store(to.add((i * N + j) * point));
            }
        }
    }
}

/// # Safety
/// Every point has the tiles from `from` on; `to` is a plane of `size` positions.
#[inline(always)]
unsafe fn out_of<X: Lanes, const M: usize, const N: usize>(call: &OutOf<'_>) {
    let [height, width] = call.size;
    // SAFETY: the caller keeps the contract of this function. Outputs outside the plane are not written.
    unsafe {
        let bias = X::load(call.bias);
        let mut from = call.from;
        for row in call.rows.0..call.rows.1 {
            let rows = M.min(height - row * M);
            for tile in 0..call.row_tiles {
                let columns = M.min(width - tile * M);
                let mut half = [[X::splat(0.0); N]; M];
                for j in 0..N {
                    let column: [X; N] = std::array::from_fn(|i| X::load(from.add((i * N + j) * call.point)));
                    let line = output_line::<X, M, N>(column);
                    for i in 0..M {
                        half[i][j] = line[i];
                    }
                }
                let mut done = [[X::splat(0.0); M]; M];
                for i in 0..M {
                    done[i] = output_line::<X, M, N>(half[i]);
                }
                for i in 0..rows {
                    for j in 0..columns {
                        let at = (row * M + i) * width + tile * M + j;
                        let to = call.to.add(at * LANES);
                        let before = if call.accumulate { X::load(to) } else { bias };
                        let mut value = before.add(done[i][j]);
                        if let Some(epilogue) = call.epilogue {
                            value = epilogue.apply(value, to, call.mask + at);
                        }
                        value.store(to);
                    }
                }
                from = from.add(LANES);
            }
        }
    }
}
