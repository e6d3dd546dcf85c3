//! Samples the second frame and its gradient at the places where the flow points.

use super::pyramid::Plane;

/// Width of the zero border around a frame, so that all four taps of the cubic kernel exist at a clamped
/// place.
const PAD: usize = 4;

/// Slope parameter of the cubic kernel (R. Keys, "Cubic Convolution Interpolation", 1981); OpenCV's value.
const CUBIC: f32 = -0.75;

/// The second frame of a pair with its derivatives to the right and down, interleaved and padded.
pub(in crate::flow) struct Target {
    /// Places beyond these limits, one pixel after the last row and column, read zeros only.
    bottom: f32,
    right: f32,
    /// Number of pixels in a padded row.
    stride: usize,
    /// Pixels as `[value, right, down, 0]`: four numbers fill one vector register.
    data: Vec<[f32; 4]>,
}

impl Target {
    pub fn new(frame: &Plane) -> Target {
        let (height, width) = (frame.height, frame.width);
        let stride = width + 2 * PAD;
        let mut data = vec![[0.0; 4]; (height + 2 * PAD) * stride];
        for y in 0..height {
            let row = frame.row(y);
            let (above, below) = (frame.row(y.saturating_sub(1)), frame.row((y + 1).min(height - 1)));
            let pixels = &mut data[(y + PAD) * stride + PAD..][..width];
            for (x, pixel) in pixels.iter_mut().enumerate() {
                // At the border the one-sided difference is halved as well, as in OpenCV.
                let right = 0.5 * (row[(x + 1).min(width - 1)] - row[x.saturating_sub(1)]);
                let down = 0.5 * (below[x] - above[x]);
                *pixel = [row[x], right, down, 0.0];
            }
        }
        Target { bottom: height as f32 + 1.0, right: width as f32 + 1.0, stride, data }
    }

    /// Returns the frame and its gradient at a place in pixels, by cubic convolution; zero beyond the border.
    pub fn sample(&self, x: f32, y: f32) -> [f32; 4] {
        let (column, across) = taps(x, self.right);
        let (row, down) = taps(y, self.bottom);
        let mut sum = [0.0; 4];
        for (j, weight) in down.into_iter().enumerate() {
            let taps = self.data[(row + j) * self.stride + column..].first_chunk::<4>();
            let taps = taps.expect("clamped places have four taps in the padded frame");
            let mut line = [0.0; 4];
            for (tap, across) in taps.iter().zip(across) {
                for k in 0..4 {
                    line[k] += across * tap[k];
                }
            }
            for k in 0..4 {
                sum[k] += weight * line[k];
            }
        }
        sum
    }
}

/// Returns the index of the first of four taps around a place, in the padded frame, and their weights. Places
/// beyond `last`, or two pixels before the first, read zeros only, so they are clamped.
fn taps(at: f32, last: f32) -> (usize, [f32; 4]) {
    let at = at.clamp(-2.0, last);
    // Rounds down without `floor`, which is a slow library call on processors before SSE 4.1.
    let toward_zero = at as i32;
    let first = toward_zero - i32::from((toward_zero as f32) > at);
    ((first + PAD as i32 - 1) as usize, cubic(at - first as f32))
}

/// Returns the cubic kernel's weights of the pixels at −1, 0, 1, 2 for a place `t` between 0 and 1.
fn cubic(t: f32) -> [f32; 4] {
    let near = |t: f32| ((CUBIC + 2.0) * t - (CUBIC + 3.0)) * t * t + 1.0;
    let far = |t: f32| ((CUBIC * t - 5.0 * CUBIC) * t + 8.0 * CUBIC) * t - 4.0 * CUBIC;
    let (first, second, third) = (far(t + 1.0), near(t), near(1.0 - t));
    [first, second, third, 1.0 - first - second - third]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_positions_read_pixels_and_gradients() {
        let frame = Plane { height: 4, width: 5, data: (0..20).map(|i| (i * i) as f32).collect() };
        let target = Target::new(&frame);
        let cases = [
            ((2.0, 1.0), [49.0, 0.5 * (64.0 - 36.0), 0.5 * (144.0 - 4.0), 0.0]),
            ((0.0, 0.0), [0.0, 0.5, 0.5 * 25.0, 0.0]),
            ((4.0, 3.0), [361.0, 0.5 * (361.0 - 324.0), 0.5 * (361.0 - 196.0), 0.0]),
            ((-2.0, 1.0), [0.0; 4]),
            ((1e9, -1e9), [0.0; 4]),
            ((f32::INFINITY, 0.0), [0.0; 4]),
        ];
        for ((x, y), expected) in cases {
            assert_eq!(target.sample(x, y), expected, "{x},{y}");
        }
    }

    #[test]
    fn weights_add_up_to_one_and_continue_lines() {
        for i in 0..=16 {
            let t = i as f32 / 16.0;
            let weights = cubic(t);
            let sum: f32 = weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{t}: {sum}");
        }
        assert_eq!(cubic(0.0), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(cubic(0.5), [-0.09375, 0.59375, 0.59375, -0.09375]);
    }
}
