//! Measures of activations along a direction among the channels: dot · max(.1, cos)^p.

use std::sync::Arc;

use super::window::Window;
use super::{Measure, channel};
use crate::objective::{self, Toward};

/// Lower bound of the cosine (Lucid, `objectives.direction`). Below it, only the dot product matters.
pub(super) const MIN_COSINE: f64 = 0.1;

/// Vectors shorter than this count as having no direction.
const TINY: f64 = 1e-12;

/// Measures a direction: the mean over positions of dot · max(.1, cos)^p.
pub(super) struct Direction {
    vector: Vec<f64>,
    norm: f64,
    power: f64,
    /// The position at which the direction is read, instead of the mean over all positions.
    at: Option<usize>,
    window: Window,
}

impl Direction {
    /// Creates the measure. `features` are the activations of the pictures that define the direction.
    pub fn new(
        direction: &objective::Direction,
        shape: &[usize],
        window: Window,
        features: &[Arc<[f32]>],
    ) -> Result<Self, String> {
        let n = window.len;
        let mean = |features: &[f32]| -> Vec<f64> {
            features
                .chunks_exact(n.max(1))
                .map(|c| c.iter().map(|a| f64::from(*a)).sum::<f64>() / n as f64)
                .collect()
        };
        let mut features = features.iter();
        let mut next = || features.next().map(|f| mean(f)).ok_or("a picture of the direction is missing");
        let mut vector: Vec<f64> = match &direction.toward {
            Toward::Numbers(numbers) => numbers.iter().map(|v| f64::from(*v)).collect(),
            Toward::Vector(_, numbers) => numbers.iter().map(|v| f64::from(*v)).collect(),
            Toward::Picture(_) => next()?,
        };
        if direction.minus.is_some() {
            vector.iter_mut().zip(next()?).for_each(|(v, m)| *v -= m);
        }
        // Channels outside the window are set to zero.
        for (c, v) in vector.iter_mut().enumerate() {
            if !window.channels.contains(&c) {
                *v = 0.0;
            }
        }
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm.is_nan() || norm <= TINY {
            return Err("the direction is zero: it points nowhere".into());
        }
        let at = direction.at.as_ref().map(|at| channel::neuron(0, at, shape));
        Ok(Self { vector, norm, power: direction.power, at, window })
    }

    /// Weight of each position; the weights sum to one.
    fn share(&self, position: usize) -> f64 {
        match self.at {
            Some(at) => f64::from(u8::from(position == at)),
            None => self.window.weight(position) / self.window.total,
        }
    }

    /// Returns the dot product with the direction, and the length of the activations, at a position.
    fn at(&self, activations: &[f32], position: usize) -> (f64, f64) {
        let (mut dot, mut square) = (0.0, 0.0);
        for c in self.window.channels.clone() {
            let a = f64::from(activations[c * self.window.len + position]);
            dot += a * self.vector[c];
            square += a * a;
        }
        (dot, square.sqrt())
    }

    fn positions(&self) -> std::ops::Range<usize> {
        self.at.map_or(0..self.window.len, |at| at..at + 1)
    }
}

/// Returns dot · max(.1, cos)^p and its derivatives with respect to the dot product and the length.
pub(super) fn by_cosine(dot: f64, length: f64, norm: f64, power: f64) -> (f64, f64, f64) {
    if power == 0.0 {
        return (dot, 1.0, 0.0);
    }
    let cosine = if length > TINY { dot / (length * norm) } else { 0.0 };
    if cosine <= MIN_COSINE {
        let floor = MIN_COSINE.powf(power);
        return (dot * floor, floor, 0.0);
    }
    let factor = cosine.powf(power);
    (dot * factor, (1.0 + power) * factor, -power * dot * factor / length)
}

impl Measure for Direction {
    fn value(&self, activations: &[f32]) -> f64 {
        self.positions()
            .map(|p| {
                let (dot, length) = self.at(activations, p);
                self.share(p) * by_cosine(dot, length, self.norm, self.power).0
            })
            .sum()
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        for p in self.positions() {
            let (dot, length) = self.at(activations, p);
            let (_, by_dot, by_length) = by_cosine(dot, length, self.norm, self.power);
            let share = weight * self.share(p);
            for c in self.window.channels.clone() {
                let i = c * self.window.len + p;
                let along =
                    if by_length == 0.0 { 0.0 } else { by_length * f64::from(activations[i]) / length };
                seed[i] += (share * (by_dot * self.vector[c] + along)) as f32;
            }
        }
    }
}
