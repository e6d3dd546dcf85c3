//! Transforms along a line: the matrices of Toom and Cook, and their products with source and result.

use super::tiles::{Into, OutOf, each_seen, each_tile};
use super::{LineOutputs, nested};
use crate::kernels::blocked::isa_dispatch::isa_dispatch;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;

/// Most points or outputs that a filtering variant has.
const MOST: usize = 10;

/// The transforms of filter, source and result, after Toom and Cook (see [`super::super::transforms`]).
#[derive(Debug)]
pub(super) struct Matrices {
    /// The matrix that transforms the filter: `[points][taps]`.
    pub(super) filter: Vec<Vec<f64>>,
    /// The matrix that transforms the source: `[points][points]`.
    pub(super) source: [[f32; MOST]; MOST],
    /// The matrix that transforms products to results: `[outputs][points]`.
    pub(super) result: [[f32; MOST]; MOST],
}

impl Matrices {
    pub(super) fn of(outputs: LineOutputs) -> Matrices {
        if outputs == LineOutputs::Nested {
            // The source and result transforms of this variant are written out in `nested`, without matrices.
            let unused = [[0.0; MOST]; MOST];
            return Matrices { filter: nested::filter(), source: unused, result: unused };
        }
        let (m, r) = outputs.shape();
        let n = outputs.points();
        let points: Vec<f64> =
            std::iter::once(0.0).chain(outputs.pairs().iter().flat_map(|&p| [p, -p])).collect();
        assert_eq!(points.len(), n - 1, "points of {outputs:?}");
        // Returns the coefficients of Π (x − q) over the roots q, the lowest power first.
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

isa_dispatch! {
    /// Transforms the source tiles of a plane.
    pub(super) fn into(&Into<'_>) = into_any
}

isa_dispatch! {
    /// Transforms the products of a plane back.
    pub(super) fn out_of(&OutOf<'_>) = out_of_any
}

/// # Safety
/// Every point has room for the tiles from `to` on.
#[inline(always)]
unsafe fn into_any<X: Lanes>(call: &Into<'_>) {
    // SAFETY: the caller keeps the contract of this function.
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

/// # Safety
/// The contract of [`into_any`].
#[inline(always)]
unsafe fn into_line<X: Lanes, const N: usize>(call: &Into<'_>) {
    // SAFETY: the caller guarantees room for the tiles at every point.
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
/// Every point has the tiles from `from` on; `to` is a plane of the destination.
#[inline(always)]
unsafe fn out_of_any<X: Lanes>(call: &OutOf<'_>) {
    // SAFETY: the caller keeps the contract of this function.
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
/// The contract of [`out_of_any`].
#[inline(always)]
unsafe fn out_of_line<X: Lanes, const M: usize, const N: usize>(call: &OutOf<'_>) {
    let line = call.line;
    let length = line.correlation.grid[line.form.axis];
    let step = call.step();
    each_tile(call.lines, call.range, |place, outer, tile, q| {
        let first = line.position(outer, tile * M, q);
        // SAFETY: outputs outside the line are not written; the caller guarantees the rest.
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
