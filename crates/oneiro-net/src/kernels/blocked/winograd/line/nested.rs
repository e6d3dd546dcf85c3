//! Seven taps by F(2, 3) of F(2, 2), and the last tap by itself.
//!
//! Tap 2·t + s and output 2·o + p meet at the source's 2·(o + t) + (p + s): along the first sum it is a
//! filter of three taps, along the second one of two, and F(2, 3) ⊗ F(2, 2) takes 4 · 3 products for six taps
//! and four outputs. The seventh tap takes four more, 16 instead of 28. All points are 0, ±1 and ∞, so that
//! nothing is multiplied but by ½ in the filter: of 192 channels the error is 1.6 times that of the direct
//! sum, where F(4, 7) has 4 times.

use super::tiles::{Into, OutOf, each_seen, each_tile};
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;

/// Points of F(2, 3) times those of F(2, 2).
pub(super) const POINTS: usize = OUTER * INNER;
/// Outputs of a tile.
pub(super) const OUTPUTS: usize = 4;
/// Sums of a transform, in or out, that a core does one a cycle.
pub(super) const SUMS: f64 = 20.0;

/// Points of F(2, 3): 0, 1, −1, ∞.
const OUTER: usize = 4;
/// Points of F(2, 2): 0, 1, ∞.
const INNER: usize = 3;
/// Numbers of the source that a tile sees.
const SEEN: usize = 10;
/// Taps of the nested part.
const TAPS: usize = 6;

/// The filter's transform, `[points][taps]`, the last tap left out.
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
/// As for the other lines, with room for the source of the last tap.
#[inline(always)]
pub(super) unsafe fn into<X: Lanes>(call: &Into<'_>) {
    let count = call.range.1 - call.range.0;
    // SAFETY: the caller has room for the tiles at every point and behind them.
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
/// As for the other lines, with the products of the last tap.
#[inline(always)]
pub(super) unsafe fn out_of<X: Lanes>(call: &OutOf<'_>) {
    let line = call.line;
    let length = line.correlation.grid[line.form.axis];
    let step = call.step();
    let count = call.range.1 - call.range.0;
    each_tile(call.lines, call.range, |place, outer, tile, q| {
        let first = line.position(outer, tile * OUTPUTS, q);
        // SAFETY: outputs outside the line are not written; the caller has the rest.
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
