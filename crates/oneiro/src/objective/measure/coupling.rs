//! Measures of a whole batch: the similarity of its entries.

use super::style::{gram, gram_adjoint, planes};
use super::{Coupling, dot};

/// Largest distance in the batch at which neighbours are compared (Lucid, `objectives.alignment`).
const ALIGNED: usize = 4;

/// Diversity: mean_i Σ_{j≠i} ⟨ĝ_i, ĝ_j⟩ over Gram matrices that are normalized to length 1. The derivative
/// includes the normalization.
pub(super) struct Diversity {
    channels: usize,
    positions: usize,
}

impl Diversity {
    pub fn new(shape: &[usize]) -> Self {
        let (channels, positions) = planes(shape);
        Self { channels, positions }
    }

    /// Returns normalized Gram matrices, with their original lengths.
    fn units(&self, activations: &[f32], entries: usize) -> Vec<(Vec<f32>, f64)> {
        let unit = |a: &[f32]| {
            let mut gram = gram(a, self.channels, self.positions);
            let norm = dot(&gram, &gram).sqrt();
            // If all activations are zero, the Gram matrix is zero and cannot be normalized.
            let inverse = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            gram.iter_mut().for_each(|g| *g = (f64::from(*g) * inverse) as f32);
            (gram, norm)
        };
        activations.chunks_exact(activations.len() / entries.max(1)).map(unit).collect()
    }
}

fn sum_of(units: &[(Vec<f32>, f64)]) -> Vec<f32> {
    let mut sum = vec![0.0; units.first().map_or(0, |u| u.0.len())];
    for (unit, _) in units {
        sum.iter_mut().zip(unit).for_each(|(s, u)| *s += u);
    }
    sum
}

impl Coupling for Diversity {
    fn value(&self, activations: &[f32], entries: usize) -> f64 {
        let units = self.units(activations, entries);
        let pair = |i: usize, j: usize| if i == j { 0.0 } else { dot(&units[i].0, &units[j].0) };
        let sum: f64 =
            (0..entries).flat_map(|i| (0..entries).map(move |j| (i, j))).map(|(i, j)| pair(i, j)).sum();
        sum / entries.max(1) as f64
    }

    fn seed(&self, activations: &[f32], entries: usize, weight: f64, seeds: &mut [f32]) {
        let units = self.units(activations, entries);
        let sum = sum_of(&units);
        let n = activations.len() / entries.max(1);
        let share = 2.0 * weight / entries.max(1) as f64;
        for (e, (unit, norm)) in units.iter().enumerate() {
            if *norm <= 0.0 {
                continue;
            }
            // The gradient with respect to ĝ is share · Σ_{j≠e} ĝ_j. With respect to G it is the component
            // orthogonal to ĝ, divided by the length.
            let mut grad: Vec<f32> = sum.iter().zip(unit).map(|(s, u)| s - u).collect();
            let along = dot(&grad, unit);
            let scale = share / norm;
            for (g, u) in grad.iter_mut().zip(unit) {
                *g = (scale * (f64::from(*g) - along * f64::from(*u))) as f32;
            }
            let range = e * n..(e + 1) * n;
            gram_adjoint(&grad, &activations[range.clone()], self.positions, &mut seeds[range]);
        }
    }
}

/// Measures how well a batch is aligned: −Σ_{d=1..4} Σ_i mean((x_{i+d} − x_i)²) / 2^d.
pub(super) struct Alignment;

/// Returns all pairs of batch entries at most [`ALIGNED`] apart, with their weights.
fn neighbours(entries: usize) -> impl Iterator<Item = (usize, usize, f64)> {
    (1..=ALIGNED)
        .flat_map(move |d| (0..entries.saturating_sub(d)).map(move |i| (i, i + d, 0.5f64.powi(d as i32))))
}

impl Coupling for Alignment {
    fn value(&self, activations: &[f32], entries: usize) -> f64 {
        let n = activations.len() / entries.max(1);
        let entry = |e: usize| &activations[e * n..(e + 1) * n];
        let distance = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / n as f64
        };
        -neighbours(entries).map(|(i, j, weight)| weight * distance(entry(i), entry(j))).sum::<f64>()
    }

    fn seed(&self, activations: &[f32], entries: usize, weight: f64, seeds: &mut [f32]) {
        let n = activations.len() / entries.max(1);
        for (i, j, share) in neighbours(entries) {
            let share = (2.0 * weight * share / n as f64) as f32;
            for k in 0..n {
                let difference = share * (activations[j * n + k] - activations[i * n + k]);
                seeds[j * n + k] -= difference;
                seeds[i * n + k] += difference;
            }
        }
    }
}
