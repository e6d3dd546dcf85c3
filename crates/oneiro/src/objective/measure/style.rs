//! Measures of which features occur together, wherever they are: Gram matrices.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Measure, dot};
use crate::objective::TermError;

/// Returns the numbers of channels and positions of a batch entry's shape.
pub(super) fn planes(shape: &[usize]) -> (usize, usize) {
    (shape.first().copied().unwrap_or(1), shape.get(1..).unwrap_or_default().iter().product::<usize>().max(1))
}

/// Computes the Gram matrix G(c, d) = Σ over positions of a_c · a_d, row by row.
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

/// Adds 2·D·A to `seed`: the gradient with respect to the activations A, for a symmetric gradient D with
/// respect to their Gram matrix.
pub(super) fn gram_adjoint(grad: &[f32], activations: &[f32], positions: usize, seed: &mut [f32]) {
    let channels = activations.len() / positions;
    seed.par_chunks_exact_mut(positions).zip(grad.par_chunks_exact(channels)).for_each(|(seed, grad)| {
        for (g, a) in grad.iter().zip(activations.chunks_exact(positions)) {
            seed.iter_mut().zip(a).for_each(|(s, a)| *s += 2.0 * g * a);
        }
    });
}

/// Measures how well a picture's style is matched: −Σ (G − G0)² / Σ G0² of Gram matrices.
pub(super) struct Style {
    target: Vec<f32>,
    energy: f64,
    channels: usize,
    positions: usize,
}

impl Style {
    pub fn new(features: &Arc<[f32]>, shape: &[usize]) -> Result<Self, TermError> {
        let (channels, positions) = planes(shape);
        let target = gram(features, channels, positions);
        let energy = dot(&target, &target);
        if !energy.is_finite() {
            return Err(TermError::NotFinite);
        }
        if energy == 0.0 {
            let why = "all activations of the picture are zero: it has no style there";
            return Err(why.to_owned().into());
        }
        Ok(Self { target, energy, channels, positions })
    }

    /// Computes G − G0, the Gram matrix minus that of the style picture.
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
