//! Bilinear rotation of one plane about its middle, ((H − 1)/2, (W − 1)/2) in cells. Outside the plane is the
//! fill colour, into which the border fades over one cell.
//!
//! For each row, the columns whose four source cells all lie inside the plane are found first. Their source
//! positions are computed in blocks, which vectorises, once for all planes and both directions. Only the
//! other columns need bounds checks for their source cells.

use std::borrow::Cow;
use std::ops::Range;

use crate::parallel;

/// The straight line of source positions that the columns of one output row read.
#[derive(Debug, Clone, Copy)]
struct Track {
    start: [f32; 2],
    step: [f32; 2],
}

impl Track {
    /// Returns the line of an output row: output position p reads the source position centre + R·(p −
    /// centre).
    fn of_row(row: usize, [height, width]: [usize; 2], sin: f32, cos: f32) -> Track {
        let (middle_y, middle_x) = (0.5 * (height - 1) as f32, 0.5 * (width - 1) as f32);
        let (dy, dx) = (row as f32 - middle_y, -middle_x);
        // The row axis points down, so a rotation that is displayed counter-clockwise has +sin in the y
        // coordinate.
        Track { start: [middle_y + cos * dy + sin * dx, middle_x - sin * dy + cos * dx], step: [sin, cos] }
    }

    fn at(&self, column: usize) -> [f32; 2] {
        // The conversion from `i32` to `f32` is faster than that from `usize`.
        let column = column as i32 as f32;
        [0, 1].map(|axis| self.start[axis] + column * self.step[axis])
    }

    /// Returns the columns among `0..width` whose four source cells all lie inside the plane, and the columns
    /// with at least one source cell inside.
    fn columns(&self, size: [usize; 2]) -> (Range<usize>, Range<usize>) {
        let width = size[1];
        let within = |margin: f32| {
            let (mut low, mut high) = (0.0f32, width as f32);
            for axis in 0..2 {
                let (from, to) = (-margin, (size[axis] - 1) as f32 + margin);
                let (start, step) = (self.start[axis], self.step[axis]);
                if from > to || step == 0.0 && !(from..=to).contains(&start) {
                    return 0..0;
                }
                if step == 0.0 {
                    continue;
                }
                let (a, b) = ((from - start) / step, (to - start) / step);
                (low, high) = (low.max(a.min(b)), high.min(a.max(b)));
            }
            // `as` saturates to the range of the integer type.
            let (low, high) = (low.ceil() as usize, high.ceil() as usize);
            low.min(width)..high.clamp(low.min(width), width)
        };
        // The inner range is narrowed and the outer range widened by more than the rounding of positions.
        // Columns between the two are checked one by one, so the margin costs time but changes no value.
        (within(-ROUNDING), within(1.0 + ROUNDING))
    }
}

/// A margin in cells, far above the rounding error of a position (2⁻²⁴ of a few thousand).
const ROUNDING: f32 = 0.01;

/// A rotation of planes of one size. The source positions of the first blocks are computed once for all
/// planes.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    size: [usize; 2],
    rows: Vec<Row>,
    places: Vec<Places>,
}

/// One output row of a rotation.
#[derive(Debug, Clone)]
struct Row {
    track: Track,
    /// Columns whose four source cells all lie inside the plane.
    inner: Range<usize>,
    /// Columns with at least one source cell inside the plane.
    outer: Range<usize>,
    /// Source rows that the outer columns may read.
    touched: Range<usize>,
    /// The number of blocks in all rows before this one.
    blocks_before: usize,
}

impl Row {
    fn new(row: usize, size: [usize; 2], sin: f32, cos: f32, blocks_before: usize) -> Row {
        let track = Track::of_row(row, size, sin, cos);
        let (inner, outer) = track.columns(size);
        // The source rows rise or fall monotonically along an output row, so its ends bound them.
        let ends = [outer.start, outer.end.max(1) - 1].map(|column| split(track.at(column)).0[0]);
        let held = |y: isize| y.clamp(0, size[0] as isize) as usize;
        let touched = held(ends[0].min(ends[1]))..held(ends[0].max(ends[1]).saturating_add(2));
        Row { track, inner, outer, touched, blocks_before }
    }

    fn blocks(&self) -> usize {
        self.inner.len().div_ceil(BLOCK)
    }

    /// Iterates over the outer columns that are not inner ones.
    fn edges(&self) -> impl Iterator<Item = usize> + use<> {
        let Row { inner, outer, .. } = self;
        let (before, after) = if inner.is_empty() {
            (outer.clone(), 0..0)
        } else {
            (outer.start..inner.start, inner.end..outer.end)
        };
        before.chain(after)
    }
}

/// Maximum number of blocks whose source positions are stored, in 3 MiB. They suffice for pictures of up to
/// 500 pixels a side. In larger ones, every plane computes the remaining blocks again.
const SHARED_BLOCKS: usize = 4096;
/// Number of pixel blocks that one task computes.
const TASK_BLOCKS: usize = 64;

impl Turn {
    /// Sets the plane's size and the angle, given by its sine and cosine, counter-clockwise as displayed.
    pub fn set(&mut self, size: [usize; 2], sin: f32, cos: f32) {
        self.size = size;
        self.rows.clear();
        let mut blocks = 0;
        for row in 0..size[0] {
            let row = Row::new(row, size, sin, cos, blocks);
            blocks += row.blocks();
            self.rows.push(row);
        }
        let mut places = std::mem::take(&mut self.places);
        places.resize(blocks.min(SHARED_BLOCKS), Places::NONE);
        parallel::each(places.chunks_mut(TASK_BLOCKS), |task, places| {
            for (block, places) in (task * TASK_BLOCKS..).zip(places) {
                let row = &self.rows[self.rows.partition_point(|row| row.blocks_before <= block) - 1];
                *places = Places::of_block(row, block - row.blocks_before, size[1]);
            }
        });
        self.places = places;
    }

    /// Returns the source positions of a row's block: stored ones, or computed ones if none are stored.
    fn places(&self, row: &Row, block: usize) -> Cow<'_, Places> {
        match self.places.get(row.blocks_before + block) {
            Some(places) => Cow::Borrowed(places),
            None => Cow::Owned(Places::of_block(row, block, self.size[1])),
        }
    }
}

/// Rotates a plane about its centre. `out` is the rows of the result from `first` on.
pub fn rotate(input: &[f32], turn: &Turn, fill: f32, first: usize, out: &mut [f32]) {
    let size = turn.size;
    let width = size[1];
    let cell = |y: isize, x: isize| match inside(y, x, size) {
        Some(at) => input[at],
        None => fill,
    };
    for (row, out) in turn.rows[first..].iter().zip(out.chunks_exact_mut(width)) {
        out[..row.outer.start].fill(fill);
        out[row.outer.end..].fill(fill);
        let careful = |x: usize| {
            let ([y, x], [wy, wx]) = split(row.track.at(x));
            let upper = cell(y, x) + wx * (cell(y, x + 1) - cell(y, x));
            let lower = cell(y + 1, x) + wx * (cell(y + 1, x + 1) - cell(y + 1, x));
            upper + wy * (lower - upper)
        };
        row.edges().for_each(|x| out[x] = careful(x));
        for (k, out) in out[row.inner.clone()].chunks_mut(BLOCK).enumerate() {
            let places = &*turn.places(row, k);
            let (mut top, mut bottom) = ([[0.0; 2]; BLOCK], [[0.0; 2]; BLOCK]);
            for i in 0..out.len() {
                let cells = &input[places.at[i] as usize..][..width + 2];
                (top[i], bottom[i]) = ([cells[0], cells[1]], [cells[width], cells[width + 1]]);
            }
            for (i, out) in out.iter_mut().enumerate() {
                let upper = top[i][0] + places.wx[i] * (top[i][1] - top[i][0]);
                let lower = bottom[i][0] + places.wx[i] * (bottom[i][1] - bottom[i][0]);
                *out = upper + places.wy[i] * (lower - upper);
            }
        }
    }
}

/// Adjoint of [`rotate`]: every output element adds its gradient to those of its four source cells that lie
/// inside the plane. `grad_in` is the rows of the gradient from `first` on. If an output element reads rows
/// of two bands, each band's call adds only its own rows.
pub fn rotate_adjoint(grad_out: &[f32], turn: &Turn, first: usize, grad_in: &mut [f32]) {
    let size = turn.size;
    let width = size[1];
    let rows = first..first + grad_in.len() / width;
    grad_in.fill(0.0);
    for (row, grads) in turn.rows.iter().zip(grad_out.chunks_exact(width)) {
        if row.touched.end <= rows.start || row.touched.start >= rows.end {
            continue;
        }
        for x in row.edges() {
            let ([y, left], [wy, wx]) = split(row.track.at(x));
            for (y, share) in [(y, 1.0 - wy), (y + 1, wy)] {
                for (column, share) in [(left, share * (1.0 - wx)), (left + 1, share * wx)] {
                    if let Some(at) = inside(y, column, size).filter(|at| rows.contains(&(at / width))) {
                        grad_in[at - first * width] += share * grads[x];
                    }
                }
            }
        }
        for (k, grads) in grads[row.inner.clone()].chunks(BLOCK).enumerate() {
            // The source rows rise or fall monotonically along a block, so its ends bound them.
            let column = row.inner.start + k * BLOCK;
            let ends = [column, column + grads.len() - 1];
            let [one, other] = ends.map(|column| split(row.track.at(column)).0[0].unsigned_abs());
            let (upper, lower) = (one.min(other), one.max(other) + 1);
            if lower < rows.start || upper >= rows.end {
                continue;
            }
            let places = &*turn.places(row, k);
            let mut shares = [[0.0; 4]; BLOCK];
            for (i, grad) in grads.iter().enumerate() {
                let lower = places.wy[i] * grad;
                let upper = grad - lower;
                let (upper_right, lower_right) = (places.wx[i] * upper, places.wx[i] * lower);
                shares[i] = [upper - upper_right, upper_right, lower - lower_right, lower_right];
            }
            let start = first * width;
            if rows.contains(&upper) && rows.contains(&lower) {
                scatter(&places.at, &shares[..grads.len()], |at, [above, below]| {
                    let cells = &mut grad_in[at - start..][..width + 1];
                    cells[0] += above;
                    cells[width] += below;
                });
            } else {
                scatter(&places.at, &shares[..grads.len()], |at, shares| {
                    for (at, share) in [at, at + width].into_iter().zip(shares) {
                        if let Some(cell) = at.checked_sub(start).and_then(|at| grad_in.get_mut(at)) {
                            *cell += share;
                        }
                    }
                });
            }
        }
    }
}

/// Passes the gradient shares of each output element's four source cells to `give`, two vertically adjacent
/// cells at a time. Shares of neighbouring elements for the same cell are summed first, since reading a cell
/// that was just written stalls the processor.
fn scatter(at: &[u32; BLOCK], shares: &[[f32; 4]], mut give: impl FnMut(usize, [f32; 2])) {
    let (mut held_at, mut held) = (at[0] as usize, [0.0; 4]);
    for (place, share) in at.iter().zip(shares) {
        let place = *place as usize;
        if place != held_at {
            give(held_at, [held[0], held[2]]);
            if place == held_at + 1 {
                held = [held[1], 0.0, held[3], 0.0];
            } else {
                give(held_at + 1, [held[1], held[3]]);
                held = [0.0; 4];
            }
            held_at = place;
        }
        held = [0, 1, 2, 3].map(|k| held[k] + share[k]);
    }
    give(held_at, [held[0], held[2]]);
    give(held_at + 1, [held[1], held[3]]);
}

/// Returns the cell at or before a position, and the weights of the next cell along each axis.
fn split([y, x]: [f32; 2]) -> ([isize; 2], [f32; 2]) {
    let (row, column) = (y.floor(), x.floor());
    ([row as isize, column as isize], [y - row, x - column])
}

/// Number of columns whose source positions are computed at a time.
const BLOCK: usize = 64;

/// Source positions of the columns of a block, all inside the plane. `at` is the index of the cell at or
/// before each position; `wy` and `wx` are the weights of the next cell along each axis.
#[derive(Debug, Clone)]
struct Places {
    at: [u32; BLOCK],
    wy: [f32; BLOCK],
    wx: [f32; BLOCK],
}

/// Splits a number from 0 to 2²² into its integer part and its fraction, by operations that vectorise on
/// every processor. Adding 2²³ rounds to an integer, which is then in the lowest bits.
#[inline(always)]
fn split_inside(place: f32) -> (u32, f32) {
    const SHIFT: f32 = 8_388_608.0;
    let shifted = place + SHIFT;
    let rest = place - (shifted - SHIFT);
    let above = rest < 0.0;
    let whole = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_sub(u32::from(above));
    (whole, if above { rest + 1.0 } else { rest })
}

impl Places {
    const NONE: Places = Places { at: [0; BLOCK], wy: [0.0; BLOCK], wx: [0.0; BLOCK] };

    /// Computes the source positions of a block of the row's inner columns. Values beyond the last inner
    /// column are meaningless.
    fn of_block(row: &Row, block: usize, width: usize) -> Places {
        let start = row.inner.start + block * BLOCK;
        let mut places = Places::NONE;
        for i in 0..BLOCK {
            let [y, x] = row.track.at(start + i);
            let ((row, wy), (column, wx)) = (split_inside(y), split_inside(x));
            places.at[i] = row.wrapping_mul(width as u32).wrapping_add(column);
            (places.wy[i], places.wx[i]) = (wy, wx);
        }
        places
    }
}

fn inside(y: isize, x: isize, [height, width]: [usize; 2]) -> Option<usize> {
    let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
    (y < height && x < width).then(|| y * width + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(input: &[f32], size: [usize; 2], degrees: f64, fill: f32) -> Vec<f32> {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let mut out = vec![f32::NAN; input.len()];
        let mut turn = Turn::default();
        turn.set(size, sin as f32, cos as f32);
        rotate(input, &turn, fill, 0, &mut out);
        out
    }

    fn assert_near(ours: &[f32], expected: &[f32]) {
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?} {expected:?}");
    }

    #[test]
    fn rotate_turns_counter_clockwise_as_seen() {
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        assert_near(&rotated(&image, [3, 3], 90.0, 0.0), &[3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]);
        assert_near(&rotated(&image, [3, 3], -90.0, 0.0), &[7.0, 4.0, 1.0, 8.0, 5.0, 2.0, 9.0, 6.0, 3.0]);
        assert_near(&rotated(&image, [3, 3], 180.0, 0.0), &[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_near(&rotated(&[1.0, 1.0], [1, 2], 90.0, 0.5), &[0.75, 0.75]);
    }

    #[test]
    fn the_fast_middle_of_a_row_equals_the_careful_way() {
        // The rows of this image have more than two blocks.
        let size = [60, 150];
        let image: Vec<f32> = (0..9000).map(|k| ((k * 7919) % 101) as f32).collect();
        for degrees in [-170.0, -90.0, -33.0, -3.0, 0.1, 10.0, 45.0, 90.0, 123.0] {
            let out = rotated(&image, size, degrees, -5.0);
            let (sin, cos) = f64::to_radians(degrees).sin_cos();
            for (position, value) in out.iter().enumerate() {
                let track = Track::of_row(position / 150, size, sin as f32, cos as f32);
                let ([y, x], [wy, wx]) = split(track.at(position % 150));
                let cell = |y, x| inside(y, x, size).map_or(-5.0, |at| image[at]);
                let expected = (1.0 - wy) * ((1.0 - wx) * cell(y, x) + wx * cell(y, x + 1))
                    + wy * ((1.0 - wx) * cell(y + 1, x) + wx * cell(y + 1, x + 1));
                assert!((value - expected).abs() < 1e-3, "{degrees} at {position}: {value} {expected}");
            }
        }
    }

    #[test]
    fn places_that_are_not_kept_are_worked_out_to_the_same_bits() {
        let size = [40, 200];
        let image: Vec<f32> = (0..8000).map(|k| ((k * 7919) % 101) as f32).collect();
        let mut turn = Turn::default();
        turn.set(size, 0.1, 0.99);
        let pass = |turn: &Turn| {
            let (mut out, mut back) = (vec![f32::NAN; 8000], vec![f32::NAN; 8000]);
            rotate(&image, turn, 0.5, 0, &mut out);
            rotate_adjoint(&image, turn, 0, &mut back);
            (out, back)
        };
        let kept = pass(&turn);
        turn.places.truncate(7);
        assert_eq!(pass(&turn), kept);
    }
}
