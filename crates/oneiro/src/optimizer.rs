//! Optimizers: steps uphill on flat slices.
//!
//! Shape of the concept: [`Optimizer::step`] takes parameters and the gradient of an objective that is to be
//! MAXIMISED, and moves the parameters uphill. An optimizer owns its moments; it is made for a fixed number
//! of parameters.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Decay of Adam's mean of gradients (Kingma & Ba 2015, §2; PyTorch's default).
pub const ADAM_BETA1: f64 = 0.9;
/// Decay of Adam's mean of squared gradients (the same).
pub const ADAM_BETA2: f64 = 0.999;
/// Added to Adam's denominator (the same).
pub const ADAM_EPSILON: f64 = 1e-8;

/// Moves parameters uphill along a gradient.
pub trait Optimizer: Send + Sync + Debug {
    /// One step that raises the objective. Both slices have the length that the optimizer was made for.
    fn step(&mut self, params: &mut [f32], gradient: &[f32]);
    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;
    /// Changes the learning rate, for schedules; the moments stay.
    fn set_learning_rate(&mut self, rate: f32);
}

/// Which optimizer, by its name in presets and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// [`Adam`].
    Adam,
    /// [`Sgd`].
    Sgd,
}

/// An optimizer and its settings, as presets and metadata hold them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSpec {
    /// Which optimizer.
    pub kind: OptimizerKind,
    /// Learning rate, in units of the parameters.
    pub learning_rate: f32,
    /// Momentum of [`Sgd`]; 0 is plain gradient ascent. Adam has its own and ignores it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub momentum: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl OptimizerSpec {
    /// Adam at this learning rate.
    pub fn adam(learning_rate: f32) -> OptimizerSpec {
        OptimizerSpec { kind: OptimizerKind::Adam, learning_rate, momentum: 0.0 }
    }

    /// Plain gradient ascent at this learning rate.
    pub fn sgd(learning_rate: f32) -> OptimizerSpec {
        OptimizerSpec { kind: OptimizerKind::Sgd, learning_rate, momentum: 0.0 }
    }

    /// A fresh optimizer for `len` parameters.
    pub fn build(&self, len: usize) -> Box<dyn Optimizer> {
        match self.kind {
            OptimizerKind::Adam => Box::new(Adam::new(len, self.learning_rate)),
            OptimizerKind::Sgd => Box::new(Sgd::new(len, self.learning_rate, self.momentum)),
        }
    }
}

/// Parameters of a task.
const CHUNK: usize = 1 << 14;

/// Adam (Kingma & Ba 2015) in PyTorch's form, ascending:
/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², x ← x + lr · (m / (1−β₁ᵗ)) / (√v / √(1−β₂ᵗ) + ε).
#[derive(Debug, Clone)]
pub struct Adam {
    rate: f32,
    steps: i32,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    /// Adam for `len` parameters, with the constants above.
    pub fn new(len: usize, learning_rate: f32) -> Adam {
        Adam { rate: learning_rate, steps: 0, mean: vec![0.0; len], square: vec![0.0; len] }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, params: &mut [f32], gradient: &[f32]) {
        check_lengths(self.mean.len(), params, gradient);
        self.steps = self.steps.saturating_add(1);
        let size = (f64::from(self.rate) / (1.0 - ADAM_BETA1.powi(self.steps))) as f32;
        let root = (1.0 - ADAM_BETA2.powi(self.steps)).sqrt().recip() as f32;
        let (beta1, beta2, epsilon) = (ADAM_BETA1 as f32, ADAM_BETA2 as f32, ADAM_EPSILON as f32);
        let (rest1, rest2) = ((1.0 - ADAM_BETA1) as f32, (1.0 - ADAM_BETA2) as f32);
        let moments = self.mean.par_chunks_mut(CHUNK).zip(self.square.par_chunks_mut(CHUNK));
        let chunks = params.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(moments);
        chunks.for_each(|((params, gradient), (mean, square))| {
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

/// Gradient ascent with momentum, in PyTorch's form: b ← μb + g, x ← x + lr·b. With μ = 0, x ← x + lr·g.
#[derive(Debug, Clone)]
pub struct Sgd {
    rate: f32,
    momentum: f32,
    len: usize,
    /// Empty without momentum.
    velocity: Vec<f32>,
}

impl Sgd {
    /// Gradient ascent for `len` parameters; `momentum` 0 is the plain kind.
    pub fn new(len: usize, learning_rate: f32, momentum: f32) -> Sgd {
        let velocity = if momentum == 0.0 { Vec::new() } else { vec![0.0; len] };
        Sgd { rate: learning_rate, momentum, len, velocity }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, params: &mut [f32], gradient: &[f32]) {
        check_lengths(self.len, params, gradient);
        if self.momentum == 0.0 {
            params.iter_mut().zip(gradient).for_each(|(x, g)| *x += self.rate * g);
            return;
        }
        for ((x, g), b) in params.iter_mut().zip(gradient).zip(&mut self.velocity) {
            *b = self.momentum * *b + g;
            *x += self.rate * *b;
        }
    }

    fn learning_rate(&self) -> f32 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f32) {
        self.rate = rate;
    }
}

fn check_lengths(len: usize, params: &[f32], gradient: &[f32]) {
    assert_eq!((params.len(), gradient.len()), (len, len), "the optimizer was made for {len} parameters");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(ours: &[f32], expected: &[f64]) {
        for (a, b) in ours.iter().zip(expected) {
            assert!((f64::from(*a) - b).abs() < 1e-6, "{ours:?} {expected:?}");
        }
    }

    #[test]
    fn adam_takes_the_steps_of_the_paper() {
        // By hand. Step 1: m̂ = g, v̂ = g², so the step is lr·sign(g).
        // Step 2 with g = (1, 0): m = (.9·.2 + .1, .9·(−.05)), v = (.999·.004 + .001, .999·.00025),
        // m̂ = m/.19 = (1.4736842, −.2368421), v̂ = v/.001999 = (2.4992496, .1249375),
        // step = .05·(.9321757, −.6700598).
        let mut adam = Adam::new(2, 0.05);
        let mut x = [1.0, 1.0];
        adam.step(&mut x, &[2.0, -0.5]);
        assert_near(&x, &[1.05, 0.95]);
        adam.step(&mut x, &[1.0, 0.0]);
        assert_near(&x, &[1.05 + 0.05 * 0.932_175_7, 0.95 - 0.05 * 0.670_059_8]);
    }

    #[test]
    fn adam_stands_still_where_the_gradient_is_zero() {
        let mut x = [0.25];
        Adam::new(1, 0.05).step(&mut x, &[0.0]);
        assert_eq!(x, [0.25]);
    }

    #[test]
    fn sgd_climbs_with_and_without_momentum() {
        let mut x = [1.0];
        let mut plain = Sgd::new(1, 0.1, 0.0);
        plain.step(&mut x, &[2.0]);
        plain.step(&mut x, &[2.0]);
        assert_near(&x, &[1.4]);
        let mut x = [1.0];
        let mut heavy = Sgd::new(1, 0.1, 0.9);
        heavy.step(&mut x, &[2.0]); // b = 2
        heavy.step(&mut x, &[1.0]); // b = 2.8
        assert_near(&x, &[1.0 + 0.2 + 0.28]);
    }

    #[test]
    fn a_spec_builds_what_it_names_and_survives_toml() {
        let spec = OptimizerSpec { momentum: 0.5, ..OptimizerSpec::sgd(0.01) };
        let text = toml::to_string(&spec).unwrap();
        assert!(text.contains("kind = \"sgd\""), "{text}");
        assert_eq!(toml::from_str::<OptimizerSpec>(&text).unwrap(), spec);
        let mut built = OptimizerSpec::adam(0.05).build(1);
        assert_eq!(built.learning_rate(), 0.05);
        built.set_learning_rate(0.5);
        let mut x = [0.0];
        built.step(&mut x, &[3.0]);
        assert_near(&x, &[0.5]);
    }
}
