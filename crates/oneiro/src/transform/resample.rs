//! Bilinear maps, on one plane each: every function writes all of its output.
//!
//! *Scale* has half-pixel centres: cell i of a line of m shows the line of n at (i + ½)·n/m − ½, held within
//! the first and last cell (TensorFlow's `half_pixel_centers`, PyTorch's `align_corners=False`). Shrinking
//! does not blur first.
//!
//! *Rotate* turns about the middle, ((H − 1)/2, (W − 1)/2) in cells. Beyond the outermost cells lies the fill
//! colour, into which the edge fades over one cell.

use std::ops::Range;

/// Along one axis: the cell that an output cell starts from, and the weight of the cell after it.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    cells: Vec<Tap>,
}

#[derive(Debug, Clone, Copy)]
struct Tap {
    near: usize,
    far: usize,
    /// Weight of `far`; that of `near` is the rest.
    weight: f32,
}

impl Taps {
    /// The taps that take a line of `from` cells to `to`.
    pub fn set(&mut self, from: usize, to: usize) {
        let ratio = from as f64 / to as f64;
        self.cells.clear();
        self.cells.extend((0..to).map(|i| {
            let at = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
            let near = at as usize;
            Tap { near, far: (near + 1).min(from - 1), weight: (at - near as f64) as f32 }
        }));
    }
}

/// Resizes a plane; `taps` are those of its rows and columns.
pub fn scale(
    input: &[f32],
    [_, width]: [usize; 2],
    taps: &[Taps; 2],
    out: &mut [f32],
    [_, out_width]: [usize; 2],
) {
    for (row, y) in out.chunks_exact_mut(out_width).zip(&taps[0].cells) {
        let (top, bottom) = (&input[y.near * width..][..width], &input[y.far * width..][..width]);
        for (out, x) in row.iter_mut().zip(&taps[1].cells) {
            let upper = top[x.near] + x.weight * (top[x.far] - top[x.near]);
            let lower = bottom[x.near] + x.weight * (bottom[x.far] - bottom[x.near]);
            *out = upper + y.weight * (lower - upper);
        }
    }
}

/// Adjoint of [`scale`]: every output gives its gradient to the four cells it was mixed from.
pub fn scale_adjoint(
    grad_out: &[f32],
    [_, out_width]: [usize; 2],
    taps: &[Taps; 2],
    grad_in: &mut [f32],
    [_, width]: [usize; 2],
) {
    grad_in.fill(0.0);
    for (row, y) in grad_out.chunks_exact(out_width).zip(&taps[0].cells) {
        for (at, share) in [(y.near, 1.0 - y.weight), (y.far, y.weight)] {
            let line = &mut grad_in[at * width..][..width];
            for (grad, x) in row.iter().zip(&taps[1].cells) {
                let grad = share * grad;
                line[x.near] += grad - x.weight * grad;
                line[x.far] += x.weight * grad;
            }
        }
    }
}

/// The straight line through the source that one output row runs along.
#[derive(Clone, Copy)]
struct Track {
    start: [f32; 2],
    step: [f32; 2],
}

impl Track {
    /// Output (y, x) of a turn by the angle shows the source at centre + R·((y, x) − centre).
    fn of_row(row: usize, [height, width]: [usize; 2], sin: f32, cos: f32) -> Track {
        let (middle_y, middle_x) = (0.5 * (height - 1) as f32, 0.5 * (width - 1) as f32);
        let (dy, dx) = (row as f32 - middle_y, -middle_x);
        // The row axis points down, so that a counter-clockwise turn as seen has the sign of sin at y.
        Track { start: [middle_y + cos * dy + sin * dx, middle_x - sin * dy + cos * dx], step: [sin, cos] }
    }

    fn at(&self, column: usize) -> [f32; 2] {
        [0, 1].map(|axis| self.start[axis] + column as f32 * self.step[axis])
    }

    /// The columns, among `0..width`, whose four source cells all lie inside; and those that touch any.
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
            // `as` holds a float within the range of the integer.
            let (low, high) = (low.ceil() as usize, high.ceil() as usize);
            low.min(width)..high.clamp(low.min(width), width)
        };
        // The inner range is narrowed and the outer widened by more than positions are rounded. What lies
        // between them is checked cell by cell, so that the margin costs time and changes no value.
        (within(-ROUNDING), within(1.0 + ROUNDING))
    }
}

/// Far above the rounding of a position in cells (2⁻²⁴ of a few thousand).
const ROUNDING: f32 = 0.01;

/// Turns a plane about its centre.
pub fn rotate(input: &[f32], size: [usize; 2], sin: f32, cos: f32, fill: f32, out: &mut [f32]) {
    let [height, width] = size;
    let cell = |y: isize, x: isize| match inside(y, x, size) {
        Some(at) => input[at],
        None => fill,
    };
    for (y, row) in out.chunks_exact_mut(width).enumerate().take(height) {
        let track = Track::of_row(y, size, sin, cos);
        let (inner, outer) = track.columns(size);
        row[..outer.start].fill(fill);
        row[outer.end..].fill(fill);
        let careful = |x: usize| {
            let ([y, x], [wy, wx]) = split(track.at(x));
            let upper = cell(y, x) + wx * (cell(y, x + 1) - cell(y, x));
            let lower = cell(y + 1, x) + wx * (cell(y + 1, x + 1) - cell(y + 1, x));
            upper + wy * (lower - upper)
        };
        let (before, after) = around(&inner, &outer);
        for x in before.chain(after) {
            row[x] = careful(x);
        }
        for x in inner {
            let (at, [wy, wx]) = split_inside(track.at(x), width);
            let (top, bottom) = (&input[at..at + 2], &input[at + width..at + width + 2]);
            let upper = top[0] + wx * (top[1] - top[0]);
            let lower = bottom[0] + wx * (bottom[1] - bottom[0]);
            row[x] = upper + wy * (lower - upper);
        }
    }
}

/// Adjoint of [`rotate`]: every output gives its gradient to those of its four source cells that lie inside.
pub fn rotate_adjoint(grad_out: &[f32], size: [usize; 2], sin: f32, cos: f32, grad_in: &mut [f32]) {
    let [height, width] = size;
    grad_in.fill(0.0);
    for (y, row) in grad_out.chunks_exact(width).enumerate().take(height) {
        let track = Track::of_row(y, size, sin, cos);
        let (inner, outer) = track.columns(size);
        let (before, after) = around(&inner, &outer);
        for x in before.chain(after) {
            let ([y, left], [wy, wx]) = split(track.at(x));
            for (y, share) in [(y, 1.0 - wy), (y + 1, wy)] {
                for (column, share) in [(left, share * (1.0 - wx)), (left + 1, share * wx)] {
                    if let Some(at) = inside(y, column, size) {
                        grad_in[at] += share * row[x];
                    }
                }
            }
        }
        for x in inner {
            let (at, [wy, wx]) = split_inside(track.at(x), width);
            let lower = wy * row[x];
            let upper = row[x] - lower;
            let top = &mut grad_in[at..at + 2];
            top[0] += upper - wx * upper;
            top[1] += wx * upper;
            let bottom = &mut grad_in[at + width..at + width + 2];
            bottom[0] += lower - wx * lower;
            bottom[1] += wx * lower;
        }
    }
}

/// The columns of `outer` on both sides of `inner`.
fn around(inner: &Range<usize>, outer: &Range<usize>) -> (Range<usize>, Range<usize>) {
    if inner.is_empty() { (outer.clone(), 0..0) } else { (outer.start..inner.start, inner.end..outer.end) }
}

/// The cell at or before a position, and the weights of the next along each axis.
fn split([y, x]: [f32; 2]) -> ([isize; 2], [f32; 2]) {
    let (row, column) = (y.floor(), x.floor());
    ([row as isize, column as isize], [y - row, x - column])
}

/// The same for a position between cells of the plane, as one index.
fn split_inside([y, x]: [f32; 2], width: usize) -> (usize, [f32; 2]) {
    // Positions here are not negative, where `as` rounds down; the narrow type converts fastest.
    let (row, column) = (y as i32, x as i32);
    (row as usize * width + column as usize, [y - row as f32, x - column as f32])
}

fn inside(y: isize, x: isize, [height, width]: [usize; 2]) -> Option<usize> {
    let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
    (y < height && x < width).then(|| y * width + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(input: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        let mut taps = [Taps::default(), Taps::default()];
        taps[0].set(from[0], to[0]);
        taps[1].set(from[1], to[1]);
        let mut out = vec![f32::NAN; to[0] * to[1]];
        scale(input, from, &taps, &mut out, to);
        out
    }

    fn rotated(input: &[f32], size: [usize; 2], degrees: f64, fill: f32) -> Vec<f32> {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let mut out = vec![f32::NAN; input.len()];
        rotate(input, size, sin as f32, cos as f32, fill, &mut out);
        out
    }

    fn assert_near(ours: &[f32], expected: &[f32]) {
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?} {expected:?}");
    }

    #[test]
    fn scale_has_half_pixel_centres() {
        // As torch.nn.functional.interpolate([0, 4], 4, mode="bilinear", align_corners=False).
        assert_near(&scaled(&[0.0, 4.0], [1, 2], [1, 4]), &[0.0, 1.0, 3.0, 4.0]);
        assert_near(&scaled(&[0.0, 1.0, 2.0, 3.0], [4, 1], [2, 1]), &[0.5, 2.5]);
        assert_near(&scaled(&[7.0], [1, 1], [2, 2]), &[7.0; 4]);
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
        let size = [13, 17];
        let image: Vec<f32> = (0..221).map(|k| ((k * 7919) % 101) as f32).collect();
        for degrees in [-170.0, -90.0, -33.0, -3.0, 0.1, 10.0, 45.0, 90.0, 123.0] {
            let out = rotated(&image, size, degrees, -5.0);
            let (sin, cos) = f64::to_radians(degrees).sin_cos();
            for (position, value) in out.iter().enumerate() {
                let track = Track::of_row(position / 17, size, sin as f32, cos as f32);
                let ([y, x], [wy, wx]) = split(track.at(position % 17));
                let cell = |y, x| inside(y, x, size).map_or(-5.0, |at| image[at]);
                let expected = (1.0 - wy) * ((1.0 - wx) * cell(y, x) + wx * cell(y, x + 1))
                    + wy * ((1.0 - wx) * cell(y + 1, x) + wx * cell(y + 1, x + 1));
                assert!((value - expected).abs() < 1e-3, "{degrees} at {position}: {value} {expected}");
            }
        }
    }
}
