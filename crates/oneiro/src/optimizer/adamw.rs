//! The optimizer AdamW: Adam with decoupled weight decay.

use super::{Adam, Moments, Optimizer, check_lengths, for_each};

/// Default weight decay, that of PyTorch's AdamW.
pub const ADAMW_WEIGHT_DECAY: f32 = 1e-2;

/// AdamW (Loshchilov & Hutter 2019, algorithm 2) in PyTorch's form, ascending: x ← (1 − lr·λ)x, then a step
/// of [`Adam`] for the gradient alone.
#[derive(Debug, Clone)]
pub struct AdamW {
    adam: Adam,
    len: usize,
    weight_decay: f32,
}

impl AdamW {
    /// Creates AdamW for `len` parameters; `weight_decay` is λ.
    pub fn new(len: usize, learning_rate: f32, moments: Moments, weight_decay: f32) -> AdamW {
        AdamW { adam: Adam::new(len, learning_rate, moments), len, weight_decay }
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, params: &mut [f32], value: f64, gradient: &[f32]) {
        check_lengths(self.len, params, gradient);
        let kept = (1.0 - f64::from(self.adam.learning_rate()) * f64::from(self.weight_decay)) as f32;
        for_each(params, gradient, |x, _| *x *= kept);
        self.adam.step(params, value, gradient);
    }

    fn learning_rate(&self) -> f32 {
        self.adam.learning_rate()
    }

    fn set_learning_rate(&mut self, rate: f32) {
        self.adam.set_learning_rate(rate);
    }
}
