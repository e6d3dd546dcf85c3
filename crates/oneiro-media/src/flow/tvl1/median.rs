//! Median filters of 3×3 and 5×5 pixels, by sorting networks of comparators, which vectorize.

use super::pyramid::Plane;

/// How many pixels' medians are computed together. Fixed-size arrays of this length let the compiler
/// vectorize.
const BLOCK: usize = 32;
/// How many pixels the 5×5 filter reaches beyond its centre.
const REACH: usize = 2;
/// How many columns of the picture are read for a block of medians.
const COLUMNS: usize = BLOCK + 2 * REACH;

/// Writes the medians of the `side` × `side` pixels (3 or 5) around each pixel of row `y`; the border is
/// repeated.
pub(super) fn median_row(plane: &Plane, y: usize, side: usize, out: &mut [f32]) {
    let width = plane.width;
    let rows: [&[f32]; 5] =
        std::array::from_fn(|i| plane.row((y + i).saturating_sub(REACH).min(plane.height - 1)));
    let mut columns = [[0.0; COLUMNS]; 5];
    let mut medians = [0.0; BLOCK];
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        for (row, values) in rows.iter().zip(&mut columns) {
            match first.checked_sub(REACH).and_then(|start| row.get(start..start + COLUMNS)) {
                Some(inside) => values.copy_from_slice(inside),
                None => {
                    for (i, value) in values.iter_mut().enumerate() {
                        *value = row[(first + i).saturating_sub(REACH).min(width - 1)];
                    }
                }
            }
        }
        if side == 3 {
            median3(&columns, &mut medians)
        } else {
            median5(&mut columns, &mut medians)
        }
        out.copy_from_slice(&medians[..out.len()]);
    }
}

/// Orders pairs of array elements so that the first is the smaller one: the comparators of a sorting network.
macro_rules! exchange {
    ($values:ident: $($a:literal $b:literal),+) => {
        $(
            let (a, b) = ($values[$a], $values[$b]);
            // A comparison instead of `f32::min`: it compiles to one instruction, and no value is NaN.
            $values[$a] = if a < b { a } else { b };
            $values[$b] = if a < b { b } else { a };
        )+
    };
}

/// Sorts the three or five values given, by a sorting network.
macro_rules! sorted {
    (3: $($value:expr),+) => {{
        let mut values = [$($value),+];
        exchange!(values: 0 1, 1 2, 0 1);
        values
    }};
    (5: $($value:expr),+) => {{
        let mut values = [$($value),+];
        exchange!(values: 0 1, 3 4, 2 4, 2 3, 1 4, 0 3, 0 2, 1 3, 1 2);
        values
    }};
}

/// Medians of 3×3 pixels. Columns are sorted first; the median is that of the largest minimum, the median of
/// the middle values, and the smallest maximum.
#[inline(never)]
fn median3(pixels: &[[f32; COLUMNS]; 5], out: &mut [f32; BLOCK]) {
    let mut ranks = [[0.0; COLUMNS]; 3];
    for x in 0..COLUMNS {
        let column = sorted!(3: pixels[1][x], pixels[2][x], pixels[3][x]);
        ranks[0][x] = column[0];
        ranks[1][x] = column[1];
        ranks[2][x] = column[2];
    }
    for x in 0..BLOCK {
        let low = sorted!(3: ranks[0][x + 1], ranks[0][x + 2], ranks[0][x + 3]);
        let middle = sorted!(3: ranks[1][x + 1], ranks[1][x + 2], ranks[1][x + 3]);
        let high = sorted!(3: ranks[2][x + 1], ranks[2][x + 2], ranks[2][x + 3]);
        out[x] = sorted!(3: low[2], middle[1], high[0])[1];
    }
}

/// Medians of 5×5 pixels. Columns are sorted first.
///
/// Sorting the values of equal rank as well leaves 13 values that can be the median: six others are certainly
/// not above it, and six not below it. A network of 19 comparators selects the median of the 13. It was found
/// by a search over all 0-1 inputs that such sorted windows can have.
#[inline(never)]
fn median5(ranks: &mut [[f32; COLUMNS]; 5], out: &mut [f32; BLOCK]) {
    for x in 0..COLUMNS {
        let column = sorted!(5: ranks[0][x], ranks[1][x], ranks[2][x], ranks[3][x], ranks[4][x]);
        ranks[0][x] = column[0];
        ranks[1][x] = column[1];
        ranks[2][x] = column[2];
        ranks[3][x] = column[3];
        ranks[4][x] = column[4];
    }
    macro_rules! rank {
        ($i:literal, $x:ident) => {{
            let rank = &ranks[$i];
            sorted!(5: rank[$x], rank[$x + 1], rank[$x + 2], rank[$x + 3], rank[$x + 4])
        }};
    }
    for x in 0..BLOCK {
        let [_, _, _, a, b] = rank!(0, x);
        let [_, _, c, d, e] = rank!(1, x);
        let [_, f, g, h, _] = rank!(2, x);
        let [i, j, k, _, _] = rank!(3, x);
        let [l, m, _, _, _] = rank!(4, x);
        let mut m = [a, b, c, d, e, f, g, h, i, j, k, l, m];
        exchange!(m:
            1 11, 4 12, 3 9, 0 8, 4 11, 3 8, 7 10, 2 5, 7 11, 7 9, 6 8, 4 8, 1 5, 4 5, 2 3, 4 6, 10 12, 5 7, 5 6);
        out[x] = m[6];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference implementation: the median around one pixel, by sorting.
    fn reference(plane: &Plane, x: usize, y: usize, side: usize) -> f32 {
        let reach = side / 2;
        let near = |at: usize, end: usize, i: usize| (at + i).saturating_sub(reach).min(end - 1);
        let mut values: Vec<f32> = (0..side * side)
            .map(|i| plane.row(near(y, plane.height, i / side))[near(x, plane.width, i % side)])
            .collect();
        values.sort_by(f32::total_cmp);
        values[side * side / 2]
    }

    #[test]
    fn networks_give_what_sorting_gives() {
        // Few distinct values give many ties, as in binary images; many distinct values give none.
        let mut state = 1u32;
        for (height, width, levels) in [(3, 3, 2), (40, 50, 2), (40, 70, 5), (17, 33, 1 << 16), (4, 3, 9)] {
            let mut random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % levels
            };
            let data = (0..height * width).map(|_| random() as f32 - 2.0).collect();
            let plane = Plane { height, width, data };
            for side in [3, 5] {
                for y in 0..height {
                    let mut row = vec![0.0; width];
                    median_row(&plane, y, side, &mut row);
                    let expected: Vec<f32> = (0..width).map(|x| reference(&plane, x, y, side)).collect();
                    assert_eq!(row, expected, "{width}×{height}, {levels} levels, side {side}, row {y}");
                }
            }
        }
    }
}
