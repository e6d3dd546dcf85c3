//! The optimizer Adam.

use super::{CHUNK, Optimizer, check_lengths};
use crate::parallel;

/// Decay of Adam's mean of gradients (Kingma & Ba 2015, §2; PyTorch's default).
pub const ADAM_BETA1: f64 = 0.9;
/// Decay of Adam's mean of squared gradients (Kingma & Ba 2015, §2; PyTorch's default).
pub const ADAM_BETA2: f64 = 0.999;
/// Added to Adam's denominator (Kingma & Ba 2015, §2; PyTorch's default).
pub const ADAM_EPSILON: f64 = 1e-8;

/// Constants of Adam and related optimizers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// β₁, the decay of the running mean of gradients.
    pub beta1: f64,
    /// β₂, decay of the mean of squared gradients.
    pub beta2: f64,
    /// ε, which is added to the denominator.
    pub epsilon: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: ADAM_BETA1, beta2: ADAM_BETA2, epsilon: ADAM_EPSILON }
    }
}

/// Adam (Kingma & Ba 2015) in PyTorch's form, ascending:
/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², x ← x + lr · (m / (1−β₁ᵗ)) / (√v / √(1−β₂ᵗ) + ε).
#[derive(Debug, Clone)]
pub struct Adam {
    rate: f32,
    moments: Moments,
    steps: i32,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    /// Creates Adam for `len` parameters.
    pub fn new(len: usize, learning_rate: f32, moments: Moments) -> Adam {
        Adam { rate: learning_rate, moments, steps: 0, mean: vec![0.0; len], square: vec![0.0; len] }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, params: &mut [f32], _value: f64, gradient: &[f32]) {
        check_lengths(self.mean.len(), params, gradient);
        self.steps = self.steps.saturating_add(1);
        let Moments { beta1, beta2, epsilon } = self.moments;
        let size = (f64::from(self.rate) / (1.0 - beta1.powi(self.steps))) as f32;
        let root = (1.0 - beta2.powi(self.steps)).sqrt().recip() as f32;
        let (rest1, rest2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
        let (beta1, beta2, epsilon) = (beta1 as f32, beta2 as f32, epsilon as f32);
        let moments = self.mean.chunks_mut(CHUNK).zip(self.square.chunks_mut(CHUNK));
        let chunks = params.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK)).zip(moments);
        parallel::each(chunks, |_, ((params, gradient), (mean, square))| {
            let moments = mean.iter_mut().zip(square);
            for ((x, g), (m, v)) in params.iter_mut().zip(gradient).zip(moments) {
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
                *x += size * *m / (v.sqrt() * root + epsilon);
            }
        });
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
    fn adam_takes_the_steps_of_the_paper() {
        // By hand. Step 1: m̂ = g, v̂ = g², so the step is lr·sign(g).
        // Step 2 with g = (1, 0): m = (.9·.2 + .1, .9·(−.05)), v = (.999·.004 + .001, .999·.00025),
        // m̂ = m/.19 = (1.4736842, −.2368421), v̂ = v/.001999 = (2.4992496, .1249375),
        // step = .05·(.9321757, −.6700598).
        let mut adam = Adam::new(2, 0.05, Moments::default());
        let mut x = [1.0, 1.0];
        adam.step(&mut x, 0.0, &[2.0, -0.5]);
        super::super::tests::assert_near(&x, &[1.05, 0.95]);
        adam.step(&mut x, 0.0, &[1.0, 0.0]);
        super::super::tests::assert_near(&x, &[1.05 + 0.05 * 0.932_175_7, 0.95 - 0.05 * 0.670_059_8]);
    }

    #[test]
    fn adam_stands_still_where_the_gradient_is_zero() {
        let mut x = [0.25];
        Adam::new(1, 0.05, Moments::default()).step(&mut x, 0.0, &[0.0]);
        assert_eq!(x, [0.25]);
    }
}
