//! Measures of the activations themselves: channels, neurons, energy, probability.

use super::Measure;
use super::window::Window;
use crate::model::Activation;
use crate::model::head::{hard_sigmoid, sigmoid};
use crate::objective::Position;

/// Returns the index of a neuron in a batch entry of this shape.
pub(super) fn neuron(channel: usize, position: &Position, shape: &[usize]) -> usize {
    let space = shape.get(1..).unwrap_or_default();
    space.iter().enumerate().fold(channel, |at, (axis, n)| {
        let i = match position {
            Position::Center => n / 2,
            Position::At(at) => at[axis],
        };
        at * n + i
    })
}

/// Measures a channel: the weighted mean of its activations over positions.
pub(super) struct Channel {
    pub channel: usize,
    pub window: Window,
}

impl Measure for Channel {
    fn value(&self, activations: &[f32]) -> f64 {
        let n = self.window.len;
        let channel = &activations[self.channel * n..(self.channel + 1) * n];
        let sum: f64 = match &self.window.positions {
            None => channel.iter().map(|a| f64::from(*a)).sum(),
            Some(weights) => super::dot(channel, weights),
        };
        sum / self.window.total
    }

    fn seed(&self, _activations: &[f32], weight: f64, seed: &mut [f32]) {
        let n = self.window.len;
        let share = weight / self.window.total;
        for (i, s) in seed[self.channel * n..(self.channel + 1) * n].iter_mut().enumerate() {
            *s += (share * self.window.weight(i)) as f32;
        }
    }
}

/// Measures a neuron: one activation.
pub(super) struct Neuron {
    pub index: usize,
}

impl Measure for Neuron {
    fn value(&self, activations: &[f32]) -> f64 {
        f64::from(activations[self.index])
    }

    fn seed(&self, _activations: &[f32], weight: f64, seed: &mut [f32]) {
        seed[self.index] += weight as f32;
    }
}

/// Measures the mean of squared activations, DeepDream's objective.
pub(super) struct Energy {
    pub window: Window,
}

impl Measure for Energy {
    fn value(&self, activations: &[f32]) -> f64 {
        let inside = activations[self.window.range()].iter().enumerate();
        let sum: f64 = inside.map(|(i, a)| self.window.weight(i) * f64::from(*a).powi(2)).sum();
        sum / self.window.count()
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let share = 2.0 * weight / self.window.count();
        let range = self.window.range();
        for (i, (s, a)) in seed[range.clone()].iter_mut().zip(&activations[range]).enumerate() {
            *s += (share * self.window.weight(i)) as f32 * a;
        }
    }
}

/// Measures the probability of a class: its softmax among all classes.
pub(super) struct Probability {
    pub class: usize,
}

/// Returns the largest logit, and the sum of exponentials relative to it.
fn softmax_norm(logits: &[f32]) -> (f64, f64) {
    let max = logits.iter().fold(f64::NEG_INFINITY, |m, &a| m.max(f64::from(a)));
    (max, logits.iter().map(|&a| (f64::from(a) - max).exp()).sum())
}

impl Measure for Probability {
    fn value(&self, activations: &[f32]) -> f64 {
        let (max, sum) = softmax_norm(activations);
        (f64::from(activations[self.class]) - max).exp() / sum
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let (max, sum) = softmax_norm(activations);
        let p = |a: f32| (f64::from(a) - max).exp() / sum;
        let chosen = p(activations[self.class]);
        for (i, (s, a)) in seed.iter_mut().zip(activations).enumerate() {
            let same = f64::from(u8::from(i == self.class));
            *s += (weight * chosen * (same - p(*a))) as f32;
        }
    }
}

/// The probability of a class that is independent of the others.
pub(super) struct Independent {
    pub class: usize,
    pub activation: Activation,
}

impl Measure for Independent {
    fn value(&self, activations: &[f32]) -> f64 {
        self.of(activations).0
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        seed[self.class] += (weight * self.of(activations).1) as f32;
    }
}

impl Independent {
    /// Returns the probability and its derivative with respect to the logit.
    fn of(&self, activations: &[f32]) -> (f64, f64) {
        let z = f64::from(activations[self.class]);
        match self.activation {
            Activation::HardSigmoid { slope, offset } => {
                let p = hard_sigmoid(z, slope, offset);
                (p, if p > 0.0 && p < 1.0 { f64::from(slope) } else { 0.0 })
            }
            Activation::Given { .. } => (z, 1.0),
            _ => {
                let p = sigmoid(z);
                (p, p * (1.0 - p))
            }
        }
    }
}
