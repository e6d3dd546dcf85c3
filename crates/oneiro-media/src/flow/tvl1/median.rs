//! Median filters of 3×3 and 5×5 pixels by networks of comparators, which vectorize.

use super::pyramid::Plane;

/// Pixels that the filter of 5×5 reaches beyond a row's ends.
const REACH: usize = 2;

/// Buffers for one row of a filter: the ranks of each column, with repeated border.
#[derive(Debug, Clone, Default)]
pub(super) struct MedianRow {
    ranks: [Vec<f32>; 5],
}

impl MedianRow {
    /// The medians of the `side` × `side` pixels (3 or 5) around each pixel of row `y`; the border repeats.
    pub fn filter(&mut self, plane: &Plane, y: usize, side: usize, out: &mut [f32]) {
        let row = |offset: usize| {
            let y = (y + offset).saturating_sub(REACH).min(plane.height - 1);
            // Above the first row, the difference saturates; both lie on the border.
            plane.row(y)
        };
        if side == 3 {
            self.ranks_of([row(1), row(2), row(3)], sort3);
            let [low, middle, high] = padded(&self.ranks, plane.width);
            median3(low, middle, high, out);
        } else {
            self.ranks_of([row(0), row(1), row(2), row(3), row(4)], sort5);
            median5(padded(&self.ranks, plane.width), out);
        }
    }

    /// Sorts each column of some rows, and repeats the outermost columns.
    fn ranks_of<const N: usize>(&mut self, rows: [&[f32]; N], sort: impl Fn(&mut [f32; N])) {
        let width = rows[0].len();
        for ranks in &mut self.ranks[..N] {
            ranks.resize(width + 2 * REACH, 0.0);
        }
        let mut sorted = self.ranks.each_mut().map(|ranks| ranks.as_mut_slice());
        let sorted: &mut [&mut [f32]; N] =
            sorted[..N].as_mut_array().expect("a filter has at most as many rows as there are buffers");
        let rows = rows.map(|row| &row[..width]);
        {
            let inner = sorted.each_mut().map(|ranks| &mut ranks[REACH..REACH + width]);
            for x in 0..width {
                let mut column = [0.0; N];
                for i in 0..N {
                    column[i] = rows[i][x];
                }
                sort(&mut column);
                for i in 0..N {
                    inner[i][x] = column[i];
                }
            }
        }
        for ranks in sorted {
            let (first, last) = (ranks[REACH], ranks[REACH + width - 1]);
            ranks[..REACH].fill(first);
            ranks[REACH + width..].fill(last);
        }
    }
}

fn padded<const N: usize>(ranks: &[Vec<f32>; 5], width: usize) -> [&[f32]; N] {
    std::array::from_fn(|i| &ranks[i][..width + 2 * REACH])
}

/// Exchanges pairs of elements so that the first is the smaller one.
macro_rules! exchange {
    ($values:ident: $($a:literal $b:literal),+) => {
        $(
            let (a, b) = ($values[$a], $values[$b]);
            // A comparison instead of `f32::min`: it is one instruction, and no value is NaN.
            $values[$a] = if a < b { a } else { b };
            $values[$b] = if a < b { b } else { a };
        )+
    };
}

fn sort3(values: &mut [f32; 3]) {
    exchange!(values: 0 1, 1 2, 0 1);
}

fn sort5(values: &mut [f32; 5]) {
    exchange!(values: 0 1, 3 4, 2 4, 2 3, 1 4, 0 3, 0 2, 1 3, 1 2);
}

/// Medians of 3×3 pixels from their sorted columns: the median of the largest low, the median middle and the
/// smallest high value.
fn median3(low: &[f32], middle: &[f32], high: &[f32], out: &mut [f32]) {
    let width = out.len();
    let at = |ranks: &[f32], x: usize| -> [f32; 3] { std::array::from_fn(|i| ranks[x + REACH - 1 + i]) };
    for x in 0..width {
        let [mut lows, mut middles, mut highs] = [at(low, x), at(middle, x), at(high, x)];
        sort3(&mut lows);
        sort3(&mut middles);
        sort3(&mut highs);
        let mut candidates = [lows[2], middles[1], highs[0]];
        sort3(&mut candidates);
        out[x] = candidates[1];
    }
}

/// Medians of 5×5 pixels from their sorted columns.
///
/// Sorting the values of each rank as well leaves 13 values that can be the median: six others are certainly
/// not above it, and six not below. A network of 19 comparators, found by a search over all 0-1 inputs that
/// such sorted windows can have, selects the median of the 13.
fn median5(ranks: [&[f32]; 5], out: &mut [f32]) {
    let width = out.len();
    // One slice for each shift and rank, so that the loop below has no bounds to check.
    let shifted: [[&[f32]; 5]; 5] =
        ranks.map(|rank| std::array::from_fn(|shift| &rank[shift..shift + width]));
    for x in 0..width {
        let mut r = shifted.map(|rank| rank.map(|values| values[x]));
        for rank in &mut r {
            sort5(rank);
        }
        let mut m = [
            r[0][3], r[0][4], r[1][2], r[1][3], r[1][4], r[2][1], r[2][2], r[2][3], r[3][0], r[3][1],
            r[3][2], r[4][0], r[4][1],
        ];
        exchange!(m: 1 11, 4 12, 3 9, 0 8, 4 11, 3 8, 7 10, 2 5, 7 11, 7 9, 6 8, 4 8, 1 5, 4 5, 2 3, 4 6, 10 12, 5 7, 5 6);
        out[x] = m[6];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The median of the pixels around one pixel, by sorting.
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
        // Few levels give many ties, as binary images do; many levels give none.
        let mut state = 1u32;
        for (height, width, levels) in [(3, 3, 2), (40, 50, 2), (40, 50, 5), (17, 33, 1 << 16), (4, 3, 9)] {
            let mut random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % levels
            };
            let data = (0..height * width).map(|_| random() as f32 - 2.0).collect();
            let plane = Plane { height, width, data };
            let mut buffer = MedianRow::default();
            for side in [3, 5] {
                for y in 0..height {
                    let mut row = vec![0.0; width];
                    buffer.filter(&plane, y, side, &mut row);
                    let expected: Vec<f32> = (0..width).map(|x| reference(&plane, x, y, side)).collect();
                    assert_eq!(row, expected, "{width}×{height}, {levels} levels, side {side}, row {y}");
                }
            }
        }
    }
}
