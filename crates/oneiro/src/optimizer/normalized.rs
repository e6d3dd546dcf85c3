//! Gradient ascent with steps that do not depend on the gradient's magnitude.

use serde::{Deserialize, Serialize};

use super::{Optimizer, check_lengths, for_each, sums};

/// Added to the norm, as in Conveiro's `g / (g.std() + 1e-8)`.
pub const NORM_EPSILON: f64 = 1e-8;

/// The norm by which a gradient is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Norm {
    /// Σ|g|/n: DeepDream (Mordvintsev, Olah & Tyka 2015, `dream.ipynb`).
    #[default]
    MeanAbs,
    /// √(Σ(g − mean g)²/n): Conveiro, and TensorFlow's DeepDream tutorials.
    Std,
    /// √(Σg²/n): the root mean square of the gradient.
    Rms,
    /// √Σg²: the step has the length of the learning rate.
    L2,
}

impl Norm {
    /// Returns the norm of a gradient; 0 if it is empty.
    pub fn of(self, gradient: &[f32]) -> f64 {
        let n = gradient.len().max(1) as f64;
        match self {
            Self::MeanAbs => sums::sum(gradient, f64::abs) / n,
            Self::Std => {
                let mean = sums::sum(gradient, |g| g) / n;
                (sums::sum(gradient, |g| (g - mean).powi(2)) / n).sqrt()
            }
            Self::Rms => (sums::sum(gradient, |g| g * g) / n).sqrt(),
            Self::L2 => sums::sum(gradient, |g| g * g).sqrt(),
        }
    }
}

/// Normalized gradient ascent: x ← x + lr·g/(‖g‖ + ε).
#[derive(Debug, Clone)]
pub struct Normalized {
    rate: f32,
    norm: Norm,
    epsilon: f64,
    len: usize,
}

impl Normalized {
    /// Creates the rule for `len` parameters; `epsilon` is positive.
    pub fn new(len: usize, learning_rate: f32, norm: Norm, epsilon: f64) -> Normalized {
        Normalized { rate: learning_rate, norm, epsilon, len }
    }
}

impl Optimizer for Normalized {
    fn step(&mut self, params: &mut [f32], _value: f64, gradient: &[f32]) {
        check_lengths(self.len, params, gradient);
        let factor = f64::from(self.rate) / (self.norm.of(gradient) + self.epsilon);
        for_each(params, gradient, |x, g| *x = (f64::from(*x) + factor * f64::from(g)) as f32);
    }

    fn learning_rate(&self) -> f32 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f32) {
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_those_of_the_formulas_and_steps_do_not_depend_on_the_gradients_size() {
        let g = [1.0, -2.0, 4.0, -5.0];
        // The mean is −.5; Σ(g − mean)² = 2.25 + 2.25 + 20.25 + 20.25 = 45; Σg² = 46.
        for (norm, size) in [
            (Norm::MeanAbs, 3.0),
            (Norm::Std, 11.25f64.sqrt()),
            (Norm::Rms, 11.5f64.sqrt()),
            (Norm::L2, 46f64.sqrt()),
        ] {
            assert!((norm.of(&g) - size).abs() < 1e-12, "{norm:?}");
            for scale in [1e-3, 1.0, 1e6] {
                let mut x = [0.5; 4];
                Normalized::new(4, 0.1, norm, NORM_EPSILON).step(&mut x, 0.0, &g.map(|g| g * scale));
                super::super::tests::assert_near_by(&x, &g.map(|g| 0.5 + 0.1 * f64::from(g) / size), 3e-6);
            }
        }
    }

    #[test]
    fn nothing_moves_where_the_gradient_is_zero() {
        for norm in [Norm::MeanAbs, Norm::Std, Norm::Rms, Norm::L2] {
            let mut x = [0.25; 3];
            Normalized::new(3, 1.5, norm, NORM_EPSILON).step(&mut x, 0.0, &[0.0; 3]);
            assert_eq!(x, [0.25; 3]);
        }
    }
}
