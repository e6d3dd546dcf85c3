//! Measures that compare with the activations of a picture: difference, inversion, caricature.

use std::sync::Arc;

use super::Measure;
use super::direction::by_cosine;
use super::window::Window;
use crate::objective::TermError;

/// Measures the difference to a picture's activations: −mean |Φ − Φ0|.
pub(super) struct Difference {
    target: Arc<[f32]>,
    window: Window,
}

impl Difference {
    pub fn new(target: Arc<[f32]>, window: Window) -> Result<Self, TermError> {
        match target[window.range()].iter().all(|t| t.is_finite()) {
            true => Ok(Self { target, window }),
            false => Err(TermError::NotFinite),
        }
    }
}

impl Measure for Difference {
    fn value(&self, activations: &[f32]) -> f64 {
        let range = self.window.range();
        let pairs = activations[range.clone()].iter().zip(&self.target[range]).enumerate();
        let sum: f64 =
            pairs.map(|(i, (a, t))| self.window.weight(i) * (f64::from(*a) - f64::from(*t)).abs()).sum();
        -sum / self.window.count()
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let share = weight / self.window.count();
        for i in self.window.range() {
            let difference = activations[i] - self.target[i];
            let sign = if difference == 0.0 { 0.0 } else { f64::from(difference.signum()) };
            seed[i] -= (share * self.window.weight(i) * sign) as f32;
        }
    }
}

/// Measures how well a picture's activations are matched: −‖(Φ − Φ0) ⊙ m‖² / ‖Φ0 ⊙ m‖².
pub(super) struct Inversion {
    target: Arc<[f32]>,
    window: Window,
    /// The denominator ‖Φ0 ⊙ m‖².
    energy: f64,
}

impl Inversion {
    pub fn new(target: Arc<[f32]>, window: Window) -> Result<Self, TermError> {
        let square = |i: usize| (window.weight(i) * f64::from(target[i])).powi(2);
        let energy: f64 = window.range().map(square).sum();
        if !energy.is_finite() {
            return Err(TermError::NotFinite);
        }
        if energy == 0.0 {
            let why = "all activations of the picture are zero there: there is nothing to invert";
            return Err(why.to_owned().into());
        }
        Ok(Self { target, window, energy })
    }
}

impl Measure for Inversion {
    fn value(&self, activations: &[f32]) -> f64 {
        let square = |i: usize| {
            let difference = f64::from(activations[i]) - f64::from(self.target[i]);
            (self.window.weight(i) * difference).powi(2)
        };
        -self.window.range().map(square).sum::<f64>() / self.energy
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let share = -2.0 * weight / self.energy;
        for i in self.window.range() {
            let difference = f64::from(activations[i]) - f64::from(self.target[i]);
            seed[i] += (share * self.window.weight(i).powi(2) * difference) as f32;
        }
    }
}

/// Caricature: Σ over positions of w · dot · max(.1, cos)^p. The picture's activations are divided by Σ w ·
/// (relu Φ0)². So the value is 1 for the picture itself if no activation is negative. Dot products and
/// lengths include only the window's channels.
pub(super) struct Caricature {
    /// The target w · relu Φ0 / Σ w · (relu Φ0)²; zero outside the window.
    target: Vec<f32>,
    /// Length of the target's vector over channels, at each position.
    norms: Vec<f64>,
    power: f64,
    window: Window,
}

impl Caricature {
    pub fn new(features: &[f32], power: f64, window: Window) -> Result<Self, TermError> {
        let mut target = vec![0.0f32; features.len()];
        let mut energy = 0.0;
        for i in window.range() {
            // The function `max` would turn NaN into zero.
            let feature = if features[i] < 0.0 { 0.0 } else { features[i] };
            target[i] = window.weight(i) as f32 * feature;
            energy += window.weight(i) * f64::from(feature).powi(2);
        }
        if !energy.is_finite() {
            return Err(TermError::NotFinite);
        }
        if energy == 0.0 {
            let why = "no activation of the picture is positive there: there is nothing to exaggerate";
            return Err(why.to_owned().into());
        }
        target.iter_mut().for_each(|t| *t = (f64::from(*t) / energy) as f32);
        let len = window.len;
        let mut norms = vec![0.0; len];
        for (i, t) in target.iter().enumerate() {
            norms[i % len] += f64::from(*t).powi(2);
        }
        norms.iter_mut().for_each(|n: &mut f64| *n = n.sqrt());
        Ok(Self { target, norms, power, window })
    }

    /// Returns the dot product with the target, and the length, at every position.
    fn products(&self, activations: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (len, range) = (self.window.len, self.window.range());
        let (mut dots, mut lengths) = (vec![0.0; len], vec![0.0; len]);
        for (i, (a, t)) in activations[range.clone()].iter().zip(&self.target[range]).enumerate() {
            dots[i % len] += f64::from(*a) * f64::from(*t);
            lengths[i % len] += f64::from(*a).powi(2);
        }
        lengths.iter_mut().for_each(|l: &mut f64| *l = l.sqrt());
        (dots, lengths)
    }
}

impl Measure for Caricature {
    fn value(&self, activations: &[f32]) -> f64 {
        if self.power == 0.0 {
            return super::dot(activations, &self.target);
        }
        let (dots, lengths) = self.products(activations);
        let term =
            |p: usize| by_cosine(dots[p], lengths[p], self.norms[p].max(f64::MIN_POSITIVE), self.power).0;
        (0..dots.len()).map(term).sum()
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        if self.power == 0.0 {
            seed.iter_mut().zip(&self.target).for_each(|(s, t)| *s += (weight * f64::from(*t)) as f32);
            return;
        }
        let (dots, lengths) = self.products(activations);
        let derivative =
            |p: usize| by_cosine(dots[p], lengths[p], self.norms[p].max(f64::MIN_POSITIVE), self.power);
        let derivatives: Vec<_> = (0..dots.len()).map(derivative).collect();
        for i in self.window.range() {
            let p = i % self.window.len;
            let (_, by_dot, by_length) = derivatives[p];
            let along =
                if by_length == 0.0 { 0.0 } else { by_length * f64::from(activations[i]) / lengths[p] };
            seed[i] += (weight * (by_dot * f64::from(self.target[i]) + along)) as f32;
        }
    }
}
