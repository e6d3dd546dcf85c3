//! Total variation: differences of neighbours, within frames and between them.

use super::Measure;
use oneiro_image::Extent;

/// Differences below this have no gradient where the power would make it infinite (Mahendran & Vedaldi 2016,
/// their code).
pub(crate) const TV_FLOOR: f64 = 1e-6;

/// Mean over positions of Σ over channels of (κ(Δx² + Δy²) + γΔt²)^(β/2) (Feichtenhofer et al. 2020, §3.2).
/// Differences are forward ones, and zero in the last column, row and frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variation {
    /// Channels, frames, height and width of the values, `[C, T, H, W]`.
    pub extent: Extent,
    /// The exponent β.
    pub beta: f64,
    /// The weight κ of differences within a frame.
    pub kappa: f64,
    /// The weight γ of differences between frames.
    pub gamma: f64,
}

impl Variation {
    /// The value of `x`; adds `weight` times its derivative to `gradient`.
    pub fn add_gradient(&self, x: &[f32], weight: f64, gradient: &mut [f32]) -> f64 {
        if self.beta == 2.0 {
            self.add_squares(x, (2.0 * weight / self.extent.positions() as f64) as f32, gradient)
        } else {
            self.add_powers(x, weight * self.beta / self.extent.positions() as f64, gradient);
            self.value(x)
        }
    }

    /// β = 2, where every difference counts by itself and the derivative is linear.
    fn add_squares(&self, x: &[f32], share: f32, gradient: &mut [f32]) -> f64 {
        let Extent { width, .. } = self.extent;
        let (plane, positions) = (self.extent.plane(), self.extent.positions());
        let (kappa, gamma) = ((self.kappa as f32) * share, (self.gamma as f32) * share);
        let (mut within, mut between) = (0.0, 0.0);
        for (x, gradient) in x.chunks_exact(positions).zip(gradient.chunks_exact_mut(positions)) {
            if self.kappa > 0.0 {
                for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
                    within += across(x, kappa, gradient);
                }
                for (x, gradient) in x.chunks_exact(plane).zip(gradient.chunks_exact_mut(plane)) {
                    within += apart(x, width, kappa, gradient);
                }
            }
            if self.gamma > 0.0 {
                between += apart(x, plane, gamma, gradient);
            }
        }
        (self.kappa * within + self.gamma * between) / positions as f64
    }

    /// Differences of position i to its right, downwards and to the next frame.
    fn differences(&self, x: &[f32], i: usize) -> [f64; 3] {
        let Extent { frames, height, width, .. } = self.extent;
        let plane = height * width;
        let to = |has_next: bool, step: usize| {
            if has_next { f64::from(x[i + step]) - f64::from(x[i]) } else { 0.0 }
        };
        [
            to(i % width + 1 < width, 1),
            to(i % plane / width + 1 < height, width),
            to(i / plane % frames + 1 < frames, plane),
        ]
    }

    fn square(&self, [dx, dy, dt]: [f64; 3]) -> f64 {
        self.kappa * (dx * dx + dy * dy) + self.gamma * dt * dt
    }

    fn add_powers(&self, x: &[f32], share: f64, gradient: &mut [f32]) {
        let steps = [1, self.extent.width, self.extent.plane()];
        let weights = [self.kappa, self.kappa, self.gamma];
        for i in 0..x.len() {
            let differences = self.differences(x, i);
            let square = self.square(differences).max(TV_FLOOR * TV_FLOOR);
            let factor = share * square.powf(self.beta / 2.0 - 1.0);
            for axis in 0..3 {
                let slope = (factor * weights[axis] * differences[axis]) as f32;
                if slope != 0.0 {
                    gradient[i] -= slope;
                    gradient[i + steps[axis]] += slope;
                }
            }
        }
    }
}

impl Measure for Variation {
    fn value(&self, x: &[f32]) -> f64 {
        let of = |i: usize| self.square(self.differences(x, i)).powf(self.beta / 2.0);
        (0..x.len()).map(of).sum::<f64>() / self.extent.positions() as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        self.add_gradient(x, weight, seed);
    }
}

/// Σ of squared differences of neighbours in a row; adds `weight` times half the derivative.
fn across(x: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
    let n = x.len();
    if n < 2 {
        return 0.0;
    }
    gradient[0] += weight * (x[0] - x[1]);
    for (out, triple) in gradient[1..n - 1].iter_mut().zip(x.windows(3)) {
        *out += weight * ((triple[1] - triple[0]) - (triple[2] - triple[1]));
    }
    gradient[n - 1] += weight * (x[n - 1] - x[n - 2]);
    squares(&x[1..], &x[..n - 1])
}

/// Does the same as [`across`] for neighbours `step` values apart.
fn apart(x: &[f32], step: usize, weight: f32, gradient: &mut [f32]) -> f64 {
    let n = x.len();
    if n <= step {
        return 0.0;
    }
    let slopes = |gradient: &mut [f32], a: &[f32], b: &[f32]| {
        gradient.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out += weight * (a - b));
    };
    slopes(&mut gradient[step..], &x[step..], &x[..n - step]);
    slopes(&mut gradient[..n - step], &x[..n - step], &x[step..]);
    squares(&x[step..], &x[..n - step])
}

/// Σ (a − b)² in f64, as eight sums that a vector register holds.
fn squares(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            let difference = f64::from(a[lane]) - f64::from(b[lane]);
            sums[lane] += difference * difference;
        }
    }
    let rest = rest_a.iter().zip(rest_b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const EXTENTS: [[usize; 4]; 6] =
        [[2, 3, 4, 5], [1, 1, 1, 1], [3, 1, 4, 2], [1, 4, 1, 3], [2, 2, 3, 1], [1, 5, 6, 19]];

    fn extent([channels, frames, height, width]: [usize; 4]) -> Extent {
        Extent { channels, frames, height, width }
    }

    fn values(n: usize) -> Vec<f32> {
        let mut rng = Stream::new(5, 0);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn squares_are_those_of_the_definition() {
        for shape in EXTENTS {
            for (kappa, gamma) in [(1.0, 0.0), (0.0, 2.0), (0.5, 5.0)] {
                let variation = Variation { extent: extent(shape), beta: 2.0, kappa, gamma };
                let x = values(variation.extent.values());
                let (mut fast, mut naive) = (vec![0.25; x.len()], vec![0.25; x.len()]);
                let value = variation.add_gradient(&x, 3.0, &mut fast);
                assert!((value - variation.value(&x)).abs() < 1e-9 * (1.0 + value), "{shape:?}");
                variation.add_powers(&x, 6.0 / variation.extent.positions() as f64, &mut naive);
                assert!(
                    fast.iter().zip(&naive).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())),
                    "{shape:?}"
                );
            }
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        for beta in [1.0, 2.0, 3.0] {
            let variation = Variation { extent: extent([2, 3, 4, 5]), beta, kappa: 0.7, gamma: 3.0 };
            let mut x = values(120);
            let mut gradient = vec![0.0; 120];
            variation.add_gradient(&x, 1.0, &mut gradient);
            for i in 0..120 {
                let (middle, h) = (x[i], 1e-3);
                x[i] = middle + h;
                let up = variation.value(&x);
                x[i] = middle - h;
                let down = variation.value(&x);
                x[i] = middle;
                let numeric = (up - down) / (2.0 * f64::from(h));
                assert!(
                    (f64::from(gradient[i]) - numeric).abs() < 2e-3 * (1.0 + numeric.abs()),
                    "{beta} {i}"
                );
            }
        }
    }

    #[test]
    fn a_still_clip_has_no_variation_in_time() {
        let frame = values(20);
        let clip: Vec<f32> = frame.repeat(4);
        let in_time = Variation { extent: extent([1, 4, 4, 5]), beta: 2.0, kappa: 0.0, gamma: 1.0 };
        assert_eq!(in_time.add_gradient(&clip, 1.0, &mut vec![0.0; 80]), 0.0);
        let within = Variation { kappa: 1.0, gamma: 0.0, ..in_time };
        let of_frame = Variation { extent: extent([1, 1, 4, 5]), ..within };
        assert!((within.value(&clip) - of_frame.value(&frame)).abs() < 1e-9);
    }
}
