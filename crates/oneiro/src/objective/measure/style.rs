//! Measures of what is there rather than where: Gram matrices, and the best match anywhere.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Measure, dot};

/// Channels and positions of an entry's shape.
pub(super) fn planes(shape: &[usize]) -> (usize, usize) {
    (shape.first().copied().unwrap_or(1), shape.get(1..).unwrap_or_default().iter().product::<usize>().max(1))
}

/// G(c, d) = Σ over positions of a_c · a_d, row by row.
pub(super) fn gram(activations: &[f32], channels: usize, positions: usize) -> Vec<f32> {
    let row = |c: usize| &activations[c * positions..(c + 1) * positions];
    let mut gram = vec![0.0; channels * channels];
    gram.par_chunks_exact_mut(channels).enumerate().for_each(|(c, out)| {
        for (d, out) in out.iter_mut().enumerate() {
            *out = dot(row(c), row(d)) as f32;
        }
    });
    gram
}

/// Adds to `seed` the gradient on the activations, given a symmetric one on their Gram matrix: 2·D·A.
pub(super) fn gram_adjoint(grad: &[f32], activations: &[f32], positions: usize, seed: &mut [f32]) {
    let channels = activations.len() / positions;
    seed.par_chunks_exact_mut(positions).zip(grad.par_chunks_exact(channels)).for_each(|(seed, grad)| {
        for (g, a) in grad.iter().zip(activations.chunks_exact(positions)) {
            seed.iter_mut().zip(a).for_each(|(s, a)| *s += 2.0 * g * a);
        }
    });
}

/// −Σ (G − G0)² / Σ G0².
pub(super) struct Style {
    target: Vec<f32>,
    energy: f64,
    channels: usize,
    positions: usize,
}

impl Style {
    pub fn new(features: &Arc<[f32]>, shape: &[usize]) -> Result<Self, String> {
        let (channels, positions) = planes(shape);
        let target = gram(features, channels, positions);
        let energy = dot(&target, &target);
        if energy.is_nan() || energy <= 0.0 {
            return Err("all activations of the picture are zero: it has no style there".into());
        }
        Ok(Self { target, energy, channels, positions })
    }

    /// G − G0.
    fn difference(&self, activations: &[f32]) -> Vec<f32> {
        let mut gram = gram(activations, self.channels, self.positions);
        gram.iter_mut().zip(&self.target).for_each(|(g, t)| *g -= t);
        gram
    }
}

impl Measure for Style {
    fn value(&self, activations: &[f32]) -> f64 {
        let difference = self.difference(activations);
        -dot(&difference, &difference) / self.energy
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let mut difference = self.difference(activations);
        let share = (-2.0 * weight / self.energy) as f32;
        difference.iter_mut().for_each(|d| *d *= share);
        gram_adjoint(&difference, activations, self.positions, seed);
    }
}

/// Mean over positions of the largest product with any position of a guide (Google's DeepDream notebook,
/// `objective_guide`).
pub(super) struct Guide {
    /// The guide's activations, channels of one position together.
    guide: Vec<f32>,
    channels: usize,
    positions: usize,
}

impl Guide {
    pub fn new(features: &Arc<[f32]>, shape: &[usize]) -> Self {
        let (channels, positions) = planes(shape);
        Self { guide: turned(features, positions), channels, positions }
    }

    /// For every position: the largest product, and with which of the guide's.
    fn best(&self, activations: &[f32]) -> Vec<(f64, usize)> {
        let turned = turned(activations, self.positions);
        turned
            .par_chunks_exact(self.channels)
            .map(|a| {
                let products = self.guide.chunks_exact(self.channels).map(|g| dot(a, g)).enumerate();
                products.fold((f64::NEG_INFINITY, 0), |best, (j, x)| if x > best.0 { (x, j) } else { best })
            })
            .collect()
    }
}

/// [C, positions] as [positions, C].
fn turned(activations: &[f32], positions: usize) -> Vec<f32> {
    let channels = activations.len() / positions;
    (0..activations.len()).map(|i| activations[i % channels * positions + i / channels]).collect()
}

impl Measure for Guide {
    fn value(&self, activations: &[f32]) -> f64 {
        self.best(activations).iter().map(|(x, _)| x).sum::<f64>() / self.positions as f64
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        let share = (weight / self.positions as f64) as f32;
        for (p, (_, j)) in self.best(activations).iter().enumerate() {
            let guide = &self.guide[j * self.channels..(j + 1) * self.channels];
            for (c, g) in guide.iter().enumerate() {
                seed[c * self.positions + p] += share * g;
            }
        }
    }
}
