//! The transforms of F(2, 3) and F(4, 3) after Toom and Cook, which evaluate polynomials at points.
//!
//! Let the points be p₀ … p_{n−2} and ∞, and fⱼ = Π_{k≠j} (pⱼ − pₖ). The filter is evaluated at the points
//! and divided by fⱼ. The source is multiplied by the coefficients of Π_{k≠j} (x − pₖ), the products by the
//! powers of the points.
//!
//! The points of F(2, 3) are 0, ±1, ∞; its transforms of source and result round in additions only. Those of
//! F(4, 3) are 0, ±5/8, ±3/2, ∞. Of the pairs tried, ±5/8 and ±3/2 have the smallest error: 6.8e-7, against
//! 1.5e-6 with the usual ±1 and ±2, and 2.4e-7 for F(2, 3). These errors were measured with 256 channels and
//! random weights; `docs/performance.md` has the table. The powers of the points are exact in f32.

use super::Outputs;
use crate::kernels::blocked::lanes::Lanes;

/// The inner pair of points of F(4, 3).
const P: f32 = 0.625;
/// The outer pair of points of F(4, 3).
const Q: f32 = 1.5;

const P2: f32 = P * P;
const Q2: f32 = Q * Q;
const P3: f32 = P2 * P;
const Q3: f32 = Q2 * Q;

/// Transforms a 3×3 filter: calls `put(point, value)` for each point.
pub(super) fn filter(outputs: Outputs, taps: &[f32; 9], put: &mut dyn FnMut(usize, f32)) {
    match outputs {
        Outputs::Two => transform(&[0.0, 1.0, -1.0], taps, put),
        Outputs::Four => {
            let (p, q) = (f64::from(P), f64::from(Q));
            transform(&[0.0, p, -p, q, -q], taps, put);
        }
    }
}

/// Computes G · taps · Gᵀ in f64, rounded once at the end.
fn transform(points: &[f64], taps: &[f32; 9], put: &mut dyn FnMut(usize, f32)) {
    let row = |j: usize| -> [f64; 3] {
        let Some(&p) = points.get(j) else { return [0.0, 0.0, 1.0] };
        let f: f64 = points.iter().enumerate().filter(|(k, _)| *k != j).map(|(_, q)| p - q).product();
        [1.0 / f, p / f, p * p / f]
    };
    let n = points.len() + 1;
    for i in 0..n {
        let left = row(i);
        let half: [f64; 3] =
            std::array::from_fn(|x| (0..3).map(|y| left[y] * f64::from(taps[y * 3 + x])).sum());
        for j in 0..n {
            let right = row(j);
            put(i * n + j, (0..3).map(|x| half[x] * right[x]).sum::<f64>() as f32);
        }
    }
}

/// Computes Bᵀ · d, the transform of one line of a source tile.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn input_line<X: Lanes, const N: usize>(d: [X; N]) -> [X; N] {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe {
        let mut out = d;
        if N == 4 {
            out[0] = d[2].sub(d[0]);
            out[1] = d[1].add(d[2]);
            out[2] = d[2].sub(d[1]);
            out[3] = d[3].sub(d[1]);
        } else {
            let minus = |x: f32| X::splat(-x);
            // Sums over even and over odd positions: first for the points ±p, then for ±q.
            let even = d[4].multiply_add(d[2], minus(Q2));
            let odd = d[3].multiply_add(d[1], minus(Q2));
            out[1] = even.multiply_add(odd, X::splat(P));
            out[2] = even.multiply_add(odd, minus(P));
            let even = d[4].multiply_add(d[2], minus(P2));
            let odd = d[3].multiply_add(d[1], minus(P2));
            out[3] = even.multiply_add(odd, X::splat(Q));
            out[4] = even.multiply_add(odd, minus(Q));
            let ends = X::splat(P2 * Q2);
            out[0] = d[4].multiply_add(d[2], minus(P2 + Q2)).multiply_add(d[0], ends);
            out[5] = d[5].multiply_add(d[3], minus(P2 + Q2)).multiply_add(d[1], ends);
        }
        out
    }
}

/// Computes Aᵀ · m, the transform of one line of products back to outputs.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn output_line<X: Lanes, const M: usize, const N: usize>(m: [X; N]) -> [X; M] {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe {
        let mut out = [m[0]; M];
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        if N == 4 {
            out[0] = m[0].add(sum);
            out[1] = difference.add(m[3]);
        } else {
            let (sum_q, difference_q) = (m[3].add(m[4]), m[3].sub(m[4]));
            out[0] = m[0].add(sum.add(sum_q));
            out[1] = difference.mul(X::splat(P)).multiply_add(difference_q, X::splat(Q));
            out[2] = sum.mul(X::splat(P2)).multiply_add(sum_q, X::splat(Q2));
            out[3] = m[5].add(difference.mul(X::splat(P3)).multiply_add(difference_q, X::splat(Q3)));
        }
        out
    }
}
