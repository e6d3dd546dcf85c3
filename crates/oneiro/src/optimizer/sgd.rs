//! Gradient ascent, plain or with momentum.

use super::{CHUNK, Optimizer, check_lengths, for_each};
use crate::parallel;

/// Gradient ascent with momentum, in PyTorch's form: b ← μb + g, x ← x + lr·b. With μ = 0, x ← x + lr·g.
/// A decay δ shrinks the result, whatever the rate: x ← (1 − δ)x (Yosinski et al. 2015, equation 2, and their
/// `gradient_optimizer.py`).
#[derive(Debug, Clone)]
pub struct Sgd {
    rate: f32,
    momentum: f32,
    decay: f32,
    len: usize,
    /// The velocity of each parameter; empty if there is no momentum.
    velocity: Vec<f32>,
}

impl Sgd {
    /// Creates gradient ascent for `len` parameters. `momentum` 0 is plain gradient ascent; `decay` 0 shrinks
    /// nothing.
    pub fn new(len: usize, learning_rate: f32, momentum: f32, decay: f32) -> Sgd {
        let velocity = if momentum == 0.0 { Vec::new() } else { vec![0.0; len] };
        Sgd { rate: learning_rate, momentum, decay, len, velocity }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, params: &mut [f32], _value: f64, gradient: &[f32]) {
        check_lengths(self.len, params, gradient);
        let (rate, momentum, kept) = (self.rate, self.momentum, 1.0 - self.decay);
        if momentum == 0.0 {
            for_each(params, gradient, |x, g| *x = kept * (*x + rate * g));
            return;
        }
        let chunks = params.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK));
        let chunks = chunks.zip(self.velocity.chunks_mut(CHUNK));
        parallel::each(chunks, |_, ((params, gradient), velocity)| {
            for ((x, g), b) in params.iter_mut().zip(gradient).zip(velocity) {
                *b = momentum * *b + g;
                *x = kept * (*x + rate * *b);
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
