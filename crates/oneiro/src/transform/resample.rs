//! Bilinear resizing of one plane, or of a box of it. Each function computes some rows of its result from the
//! whole input plane, and writes all elements of its output.
//!
//! Centres lie at half pixels. An output line of m cells shows `length` cells of the input line from `start`
//! on. Output cell i lies at start + (i + ½)·length/m − ½, clamped to the input's first and last cell
//! (TensorFlow's `half_pixel_centers`, PyTorch's `align_corners=False`). Shrinking does not blur first.
//!
//! Each input row is first interpolated along x, once. Output rows are then blends of two such rows, which
//! vectorises. The adjoint reverses these steps. All planes share the tables of taps.

/// For each output cell along one axis: its first source cell, and the weight of the source cell after that.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    /// The first source cell. It is never the last cell of a line with more than one, so the cell after it
    /// exists.
    near: Vec<usize>,
    /// The weight of the cell after `near`. The weight of `near` is one minus this weight.
    weight: Vec<f32>,
    /// For each source cell, the first output cell whose `near` is this cell or a later one. The last element
    /// is the number of output cells.
    first: Vec<usize>,
}

impl Taps {
    /// Computes the taps that resize the `length` cells from `start` on, of a line of `from` cells, to `to`
    /// cells.
    pub fn set(&mut self, from: usize, [start, length]: [f64; 2], to: usize) {
        let ratio = length / to as f64;
        self.near.clear();
        self.weight.clear();
        for i in 0..to {
            let at = (start + (i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
            let near = (at as usize).min(from.saturating_sub(2));
            self.near.push(near);
            self.weight.push((at - near as f64) as f32);
        }
        self.first.clear();
        let mut output = 0;
        for cell in 0..=from {
            while self.near.get(output).is_some_and(|near| *near < cell) {
                output += 1;
            }
            self.first.push(output);
        }
    }

    /// Returns the taps that resize a line of `from` cells to `to` cells.
    pub fn resizing(from: usize, to: usize) -> Self {
        let mut taps = Self::default();
        taps.set(from, [0.0, from as f64], to);
        taps
    }

    /// Resizes a line of pixels.
    fn mix(&self, input: &[f32], out: &mut [f32]) {
        if let [only] = input {
            out.fill(*only);
            return;
        }
        for ((out, near), weight) in out.iter_mut().zip(&self.near).zip(&self.weight) {
            let pair = &input[*near..near + 2];
            *out = pair[0] + weight * (pair[1] - pair[0]);
        }
    }

    /// Adjoint of [`Taps::mix`]. Each source cell sums over the output cells whose `near` is this cell or the
    /// cell before it.
    fn spread(&self, grad_out: &[f32], grad_in: &mut [f32]) {
        let mut from_before = 0.0;
        for (grad, range) in grad_in.iter_mut().zip(self.first.windows(2)) {
            let (mut own, mut after) = (from_before, 0.0);
            for (g, weight) in grad_out[range[0]..range[1]].iter().zip(&self.weight[range[0]..range[1]]) {
                let share = weight * g;
                own += g - share;
                after += share;
            }
            *grad = own;
            from_before = after;
        }
    }
}

/// Resizes a plane. `taps` are the taps along y and along x. `out` is the rows of the result from `first` on.
pub fn stretch(
    input: &[f32],
    [height, width]: [usize; 2],
    taps: &[Taps; 2],
    first: usize,
    out: &mut [f32],
    out_width: usize,
) {
    // Input rows `held[0]` and `held[1]`, interpolated along x. They change as the output rows advance.
    let (mut near_row, mut far_row) = (vec![0.0; out_width], vec![0.0; out_width]);
    let mut held = [None, None];
    let mix = |y: usize, row: &mut [f32]| taps[1].mix(&input[y * width..][..width], row);
    let along = taps[0].near[first..].iter().zip(&taps[0].weight[first..]);
    for (row, (&y, weight)) in out.chunks_exact_mut(out_width).zip(along) {
        if held[0] != Some(y) {
            if held[1] == Some(y) {
                std::mem::swap(&mut near_row, &mut far_row);
            } else {
                mix(y, &mut near_row);
            }
            held = [Some(y), None];
        }
        let far = if y + 1 < height { y + 1 } else { y };
        if held[1] != Some(far) {
            mix(far, &mut far_row);
            held[1] = Some(far);
        }
        for ((out, a), b) in row.iter_mut().zip(&near_row).zip(&far_row) {
            *out = a + weight * (b - a);
        }
    }
}

/// Adjoint of [`stretch`]: every output element adds its gradient to its four source cells. `grad_in` is the
/// rows of the gradient from `first` on, of `width` elements each.
pub fn stretch_adjoint(
    grad_out: &[f32],
    out_width: usize,
    taps: &[Taps; 2],
    first: usize,
    grad_in: &mut [f32],
    width: usize,
) {
    grad_in.fill(0.0);
    let rows = first..first + grad_in.len() / width;
    // Output rows whose first source row is one of these rows, or the row before them, whose second source
    // row is `first`.
    let outputs = taps[0].first[first.saturating_sub(1)]..taps[0].first[rows.end];
    // Gradients with respect to the interpolated rows `at` and `at + 1`.
    let (mut near_row, mut far_row) = (vec![0.0; out_width], vec![0.0; out_width]);
    let mut at = None;
    let mut flush = |y: usize, row: &mut [f32]| {
        if rows.contains(&y) {
            taps[1].spread(row, &mut grad_in[(y - first) * width..][..width]);
        }
        row.fill(0.0);
    };
    for output in outputs {
        let row = &grad_out[output * out_width..][..out_width];
        let (y, weight) = (taps[0].near[output], taps[0].weight[output]);
        if let Some(done) = at.filter(|done| *done != y) {
            flush(done, &mut near_row);
            std::mem::swap(&mut near_row, &mut far_row);
            if done + 1 != y {
                flush(done + 1, &mut near_row);
            }
        }
        at = Some(y);
        for ((near, far), g) in near_row.iter_mut().zip(&mut far_row).zip(row) {
            let share = weight * g;
            *near += g - share;
            *far += share;
        }
    }
    if let Some(done) = at {
        flush(done, &mut near_row);
        flush(done + 1, &mut far_row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretched(input: &[f32], from: [usize; 2], boxed: [[f64; 2]; 2], to: [usize; 2]) -> Vec<f32> {
        let mut taps = [Taps::default(), Taps::default()];
        (0..2).for_each(|axis| taps[axis].set(from[axis], boxed[axis], to[axis]));
        let mut out = vec![f32::NAN; to[0] * to[1]];
        stretch(input, from, &taps, 0, &mut out, to[1]);
        out
    }

    fn scaled(input: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        stretched(input, from, from.map(|n| [0.0, n as f64]), to)
    }

    fn assert_near(ours: &[f32], expected: &[f32]) {
        assert_eq!(ours.len(), expected.len());
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?} {expected:?}");
    }

    #[test]
    fn resizing_has_half_pixel_centres() {
        // The expected numbers are those of torch.nn.functional.interpolate([0, 4], 4, mode="bilinear",
        // align_corners=False).
        assert_near(&scaled(&[0.0, 4.0], [1, 2], [1, 4]), &[0.0, 1.0, 3.0, 4.0]);
        assert_near(&scaled(&[0.0, 1.0, 2.0, 3.0], [4, 1], [2, 1]), &[0.5, 2.5]);
        assert_near(&scaled(&[7.0], [1, 1], [2, 2]), &[7.0; 4]);
    }

    #[test]
    fn a_box_shows_its_part_of_the_plane() {
        let image: Vec<f32> = (0..16).map(|v| v as f32).collect();
        assert_near(&stretched(&image, [4, 4], [[1.0, 2.0], [2.0, 2.0]], [2, 2]), &[6.0, 7.0, 10.0, 11.0]);
        let half = stretched(&image, [4, 4], [[1.5, 1.0], [0.0, 2.0]], [1, 4]);
        assert_near(&half, &[6.0, 6.25, 6.75, 7.25]);
    }

    #[test]
    fn whole_rows_at_a_time_equal_the_four_cell_formula() {
        let mut seed = 1u32;
        let mut number = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 16_777_216.0
        };
        for (from, to) in [([9, 7], [5, 3]), ([5, 3], [9, 20]), ([8, 8], [7, 9]), ([1, 5], [4, 2])] {
            let image: Vec<f32> = (0..from[0] * from[1]).map(|_| number()).collect();
            let ours = scaled(&image, from, to);
            for (at, value) in ours.iter().enumerate() {
                let place = |i: usize, axis: usize| {
                    let p = (i as f64 + 0.5) * from[axis] as f64 / to[axis] as f64 - 0.5;
                    let p = p.clamp(0.0, (from[axis] - 1) as f64);
                    let near = p.floor() as usize;
                    (near, (near + 1).min(from[axis] - 1), (p - p.floor()) as f32)
                };
                let ((y0, y1, wy), (x0, x1, wx)) = (place(at / to[1], 0), place(at % to[1], 1));
                let cell = |y: usize, x: usize| image[y * from[1] + x];
                let expected = (1.0 - wy) * ((1.0 - wx) * cell(y0, x0) + wx * cell(y0, x1))
                    + wy * ((1.0 - wx) * cell(y1, x0) + wx * cell(y1, x1));
                assert!((value - expected).abs() < 1e-6, "{from:?} {to:?} at {at}");
            }
        }
    }
}
