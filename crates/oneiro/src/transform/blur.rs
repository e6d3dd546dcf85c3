//! Gaussian blur of a plane along one axis. A picture is blurred along one axis after the other.
//!
//! At the borders, the weights of the cells inside the plane are divided by their sum: nothing comes from
//! outside, and a constant image stays constant.

/// Half-width of the kernel in standard deviations, as in SciPy (`ndimage.gaussian_filter`, `truncate`).
const TRUNCATE: f64 = 4.0;

/// A Gaussian kernel for lines of one length.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// Weights of the blur at distances of 0, 1, … pixels.
    weights: Vec<f32>,
    /// For each cell of the line, one divided by the sum of the weights of the cells inside the line.
    norms: Vec<f32>,
}

impl Kernel {
    /// Computes the kernel for lines of `n` cells. A sigma of 0 or NaN gives the identity.
    pub fn set(&mut self, sigma: f64, n: usize) {
        let radius = ((TRUNCATE * sigma).ceil() as usize).min(n - 1);
        let weight = |k: usize| if k == 0 { 1.0 } else { (-0.5 * (k as f64 / sigma).powi(2)).exp() };
        self.weights.clear();
        self.weights.extend((0..=radius).map(|k| weight(k) as f32));
        // `sums[d]` is the sum of the weights at the distances 1 to d.
        let sums: Vec<f64> = (0..=radius)
            .scan(-1.0, |sum, k| {
                *sum += weight(k);
                Some(*sum)
            })
            .collect();
        self.norms.clear();
        self.norms.extend((0..n).map(|i| {
            let (before, after) = (i.min(radius), (n - 1 - i).min(radius));
            (1.0 / (1.0 + sums[before] + sums[after])) as f32
        }));
    }
}

/// An in-place blur of planes of one size.
#[derive(Debug, Clone)]
pub(crate) struct Blur {
    /// The kernel along columns and the kernel along rows.
    kernels: [Kernel; 2],
    width: usize,
    scratch: Vec<f32>,
}

impl Blur {
    /// Creates the blur for planes of this height and width. `sigma` is in pixels.
    pub fn new(sigma: f64, size: [usize; 2]) -> Self {
        let kernels = size.map(|n| {
            let mut kernel = Kernel::default();
            kernel.set(sigma, n);
            kernel
        });
        Self { kernels, width: size[1], scratch: vec![0.0; size[0] * size[1]] }
    }

    /// Blurs one plane of an image.
    pub fn apply(&mut self, plane: &mut [f32]) {
        rows(&self.kernels[1], self.width, plane, &mut self.scratch);
        columns(&self.kernels[0], self.width, &self.scratch, 0, plane);
    }
}

fn accumulate(weight: f32, input: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(input).for_each(|(out, x)| *out += weight * x);
}

fn scaled(factor: f32, input: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(input).for_each(|(out, x)| *out = factor * x);
}

/// Correlates one line with the kernel, without normalisation at the ends.
fn correlate(weights: &[f32], input: &[f32], out: &mut [f32]) {
    let n = input.len();
    scaled(weights[0], input, out);
    for (k, weight) in weights.iter().enumerate().skip(1) {
        accumulate(*weight, &input[..n - k], &mut out[k..]);
        accumulate(*weight, &input[k..], &mut out[..n - k]);
    }
}

/// Blurs each row of a plane.
pub fn rows(kernel: &Kernel, width: usize, input: &[f32], out: &mut [f32]) {
    for (input, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        correlate(&kernel.weights, input, out);
        out.iter_mut().zip(&kernel.norms).for_each(|(out, norm)| *out *= norm);
    }
}

/// The adjoint of [`rows`]. The kernel is symmetric, so the adjoint only normalises before it correlates
/// instead of afterwards.
pub fn rows_adjoint(kernel: &Kernel, width: usize, grad_out: &[f32], grad_in: &mut [f32]) {
    let mut normed = vec![0.0; width];
    for (grad, grad_in) in grad_out.chunks_exact(width).zip(grad_in.chunks_exact_mut(width)) {
        normed.iter_mut().zip(grad).zip(&kernel.norms).for_each(|((to, g), norm)| *to = norm * g);
        correlate(&kernel.weights, &normed, grad_in);
    }
}

/// Blurs each column. `out` is the rows of the result from `first` on.
pub fn columns(kernel: &Kernel, width: usize, input: &[f32], first: usize, out: &mut [f32]) {
    mix_rows(&kernel.weights, width, input, first, out, |_, to| kernel.norms[to]);
}

/// Applies the adjoint (transpose) of [`columns`] to a gradient.
pub fn columns_adjoint(kernel: &Kernel, width: usize, grad_out: &[f32], first: usize, grad_in: &mut [f32]) {
    mix_rows(&kernel.weights, width, grad_out, first, grad_in, |from, _| kernel.norms[from]);
}

/// Computes the rows of `out`, from row `first` on, as weighted sums of the input's rows near them. Input row
/// `from` has in row `to` the weight of their distance times `norm(from, to)`.
fn mix_rows(
    weights: &[f32],
    width: usize,
    input: &[f32],
    first: usize,
    out: &mut [f32],
    norm: impl Fn(usize, usize) -> f32,
) {
    let height = input.len() / width;
    for (y, out) in (first..).zip(out.chunks_exact_mut(width)) {
        scaled(weights[0] * norm(y, y), &input[y * width..][..width], out);
        for (k, weight) in weights.iter().enumerate().skip(1) {
            for from in [y.checked_sub(k), Some(y + k).filter(|row| *row < height)].into_iter().flatten() {
                accumulate(weight * norm(from, y), &input[from * width..][..width], out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_becomes_a_gaussian_in_the_middle_of_a_line() {
        let mut kernel = Kernel::default();
        kernel.set(1.5, 31);
        let (mut point, mut out) = ([0.0; 31], [f32::NAN; 31]);
        point[15] = 1.0;
        for width in [31, 1] {
            if width == 31 {
                rows(&kernel, width, &point, &mut out);
            } else {
                columns(&kernel, width, &point, 0, &mut out);
            }
            let sum: f64 = (-6..=6).map(|k: i32| (-0.5 * (f64::from(k) / 1.5).powi(2)).exp()).sum();
            for (i, value) in out.iter().enumerate() {
                let k = i as f64 - 15.0;
                let expected = if k.abs() > 6.0 { 0.0 } else { (-0.5 * (k / 1.5).powi(2)).exp() / sum };
                assert!((f64::from(*value) - expected).abs() < 1e-6, "{i}: {value} {expected}");
            }
        }
    }

    #[test]
    fn a_constant_line_stays_constant_up_to_its_edges() {
        for (sigma, n) in [(0.0, 5), (0.3, 4), (2.0, 9), (64.0, 7), (5.0, 1)] {
            let mut kernel = Kernel::default();
            kernel.set(sigma, n);
            let mut out = vec![f32::NAN; n];
            rows(&kernel, n, &vec![0.75; n], &mut out);
            assert!(out.iter().all(|v| (v - 0.75).abs() < 1e-6), "{sigma} {n}: {out:?}");
        }
    }
}
