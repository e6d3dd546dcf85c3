//! Filters of seven taps: six taps by F(2, 3) nested in F(2, 2), and the last tap separately.
//!
//! Tap 2·t + s of output 2·o + p reads the source at 2·(o + t) + (p + s). In t and o this is a filter of
//! three taps, in s and p one of two taps. F(2, 3) ⊗ F(2, 2) takes 4 · 3 products for six taps and four
//! outputs. The seventh tap takes four more: 16 in all instead of 28. All points are 0, ±1 and ∞, so the
//! transforms only add and subtract, except for factors ½ in the filter's. With 192 channels the error is 1.6
//! times that of the direct sum; F(4, 7) has 4 times.

use super::tiles::{Into, OutOf, each_seen, each_tile};
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;

/// Points of F(2, 3) times those of F(2, 2).
pub(super) const POINTS: usize = OUTER * INNER;
/// Number of outputs of a tile of the nested filtering.
pub(super) const OUTPUTS: usize = 4;
/// Additions of a transform, in either direction. A core computes about one a cycle.
pub(super) const SUMS: f64 = 20.0;

/// Points of F(2, 3): 0, 1, −1, ∞.
const OUTER: usize = 4;
/// Points of F(2, 2): 0, 1, ∞.
const INNER: usize = 3;
/// Number of source values that a tile reads.
const SEEN: usize = 10;
/// Number of taps that are filtered by the nested transforms.
const TAPS: usize = 6;

/// The transform of the filter, `[points][taps]`, without the last tap.
pub(super) fn filter() -> Vec<Vec<f64>> {
    const OF_THREE: [[f64; 3]; OUTER] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    const OF_TWO: [[f64; 2]; INNER] = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    let row = |point: usize| {
        let (outer, inner) = (OF_THREE[point / INNER], OF_TWO[point % INNER]);
        let tap = |tap: usize| if tap < TAPS { outer[tap / 2] * inner[tap % 2] } else { 0.0 };
        (0..=TAPS).map(tap).collect()
    };
    (0..POINTS).map(row).collect()
}

/// # Safety
/// The contract of the other lines' transforms, with room for the source of the last tap.
#[inline(always)]
pub(super) unsafe fn into<X: Lanes>(call: &Into<'_>) {
    let count = call.range.1 - call.range.0;
    // SAFETY: the caller guarantees room for the tiles at every point, and after the points.
    unsafe {
        each_seen::<X, SEEN>(call, |place, d| {
            let mut rows = [[X::splat(0.0); OUTER]; INNER];
            for a in 0..OUTER {
                let [first, middle, end] = [d[2 * a], d[2 * a + 1], d[2 * a + 2]];
                rows[0][a] = first.sub(middle);
                rows[1][a] = middle;
                rows[2][a] = end.sub(middle);
            }
            let to = call.to.add(place * LANES);
            for (inner, [a, b, c, d]) in rows.into_iter().enumerate() {
                let points = [a.sub(c), b.add(c), c.sub(b), d.sub(b)];
                for (outer, point) in points.into_iter().enumerate() {
                    point.store(to.add((outer * INNER + inner) * call.point));
                }
            }
            for i in 0..OUTPUTS {
                d[TAPS + i].store(call.last.add((i * count + place) * LANES));
            }
        });
    }
}

/// # Safety
/// The contract of the other lines' transforms, with the products of the last tap.
#[inline(always)]
pub(super) unsafe fn out_of<X: Lanes>(call: &OutOf<'_>) {
    let line = call.line;
    let length = line.correlation.grid[line.form.axis];
    let step = call.step();
    let count = call.range.1 - call.range.0;
    each_tile(call.lines, call.range, |place, outer, tile, q| {
        let first = line.position(outer, tile * OUTPUTS, q);
        // SAFETY: outputs outside the line are not written; the caller guarantees the rest.
        unsafe {
            let from = call.from.add(place * LANES);
            let mut halves = [[X::splat(0.0); INNER]; 2];
            for inner in 0..INNER {
                let mut m = [X::splat(0.0); OUTER];
                for outer in 0..OUTER {
                    m[outer] = X::load(from.add((outer * INNER + inner) * call.point));
                }
                halves[0][inner] = m[0].add(m[1]).add(m[2]);
                halves[1][inner] = m[1].sub(m[2]).add(m[3]);
            }
            for i in 0..OUTPUTS.min(length - tile * OUTPUTS) {
                let [a, b, c] = halves[i / 2];
                let sum = if i % 2 == 0 { a.add(b) } else { b.add(c) };
                let last = X::load(call.last.add((i * count + place) * LANES));
                call.put(sum.add(last), first + i * step);
            }
        }
    });
}
