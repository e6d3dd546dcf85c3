//! The optimizer NAdam: Adam with Nesterov's momentum.

use super::{CHUNK, Moments, Optimizer, check_lengths};
use crate::parallel;

/// ψ, how fast the momentum rises to β₁ (Dozat 2016; PyTorch's default).
pub const NADAM_MOMENTUM_DECAY: f64 = 4e-3;
/// Base of the momentum's growth (Sutskever et al. 2013; PyTorch's `NAdam`).
const RISE: f64 = 0.96;

/// NAdam (Dozat 2016) in PyTorch's form, ascending. With m and v as in [`super::Adam`],
/// μₜ = β₁(1 − ½·.96^(tψ)) and Πₜ = μ₁⋯μₜ:
/// x ← x + lr · ((1−μₜ)/(1−Πₜ)·g + μₜ₊₁/(1−Πₜ₊₁)·m) / (√v / √(1−β₂ᵗ) + ε).
#[derive(Debug, Clone)]
pub struct NAdam {
    rate: f32,
    moments: Moments,
    momentum_decay: f64,
    steps: i32,
    /// The product Πₜ = μ₁⋯μₜ of the momentum factors of all steps so far.
    product: f64,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl NAdam {
    /// Creates NAdam for `len` parameters; `momentum_decay` is ψ.
    pub fn new(len: usize, learning_rate: f32, moments: Moments, momentum_decay: f64) -> NAdam {
        let (mean, square) = (vec![0.0; len], vec![0.0; len]);
        NAdam { rate: learning_rate, moments, momentum_decay, steps: 0, product: 1.0, mean, square }
    }
}

impl Optimizer for NAdam {
    fn step(&mut self, params: &mut [f32], _value: f64, gradient: &[f32]) {
        check_lengths(self.mean.len(), params, gradient);
        self.steps = self.steps.saturating_add(1);
        let Moments { beta1, beta2, epsilon } = self.moments;
        let momentum = |t: f64| beta1 * (1.0 - 0.5 * RISE.powf(t * self.momentum_decay));
        let (now, next) = (momentum(f64::from(self.steps)), momentum(f64::from(self.steps) + 1.0));
        self.product *= now;
        let rate = f64::from(self.rate);
        let of_gradient = (rate * (1.0 - now) / (1.0 - self.product)) as f32;
        let of_mean = (rate * next / (1.0 - self.product * next)) as f32;
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
                *x += (of_gradient * g + of_mean * *m) / (v.sqrt() * root + epsilon);
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
