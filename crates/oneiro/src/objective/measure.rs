//! Terms as functions: activations → value and seed gradient.
//!
//! One shape for all: a [`Measure`] reads the activations of one batch entry, `[C, positions]`, and adds
//! `weight` times its derivative to the seed of that entry. A [`Coupling`] does the same for all entries of a
//! batch at once. [`of_layer`], [`of_input`] and [`of_batch`] make them from terms. Sums run in f64, but for
//! the many products of a guide, and in a fixed order.

mod channel;
mod coupling;
mod direction;
pub(crate) mod guide;
mod penalty;
mod reference;
mod style;
mod variation;
mod window;

use std::sync::Arc;

use crate::model::Activation;
use crate::objective::{Term, TermError, TermKind};

pub(crate) use variation::Variation;

/// A function of one entry's activations.
pub trait Measure: Send + Sync {
    /// Its value.
    fn value(&self, activations: &[f32]) -> f64;
    /// Adds `weight` times the derivative to the seed.
    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]);
}

/// A function of the activations of a whole batch, entries one after another.
pub trait Coupling: Send + Sync {
    /// Its value.
    fn value(&self, activations: &[f32], entries: usize) -> f64;
    /// Adds `weight` times the derivative to the seeds.
    fn seed(&self, activations: &[f32], entries: usize, weight: f64, seeds: &mut [f32]);
}

/// The measure of a term that reads a layer or the output, whose entries have this shape (channels first).
/// `features(picture)` are the layer's activations for a picture that the term compares with, in the order of
/// [`Term::references`]. The term must have passed [`Term::check`].
pub fn of_layer(
    term: &Term,
    shape: &[usize],
    features: &[Arc<[f32]>],
) -> Result<Arc<dyn Measure>, TermError> {
    let window = window::Window::new(&term.region, shape)?;
    let first = || features.first().cloned().ok_or_else(|| format!("{term}: its picture is missing"));
    Ok(match &term.kind {
        TermKind::Channel(c) => Arc::new(channel::Channel { channel: *c, window }),
        TermKind::Neuron(c, at) => Arc::new(channel::Neuron { index: channel::neuron(*c, at, shape) }),
        TermKind::Layer => Arc::new(channel::Energy { window }),
        TermKind::Logit(c) => Arc::new(channel::Neuron { index: *c }),
        TermKind::Probability(c) => Arc::new(channel::Probability { class: *c }),
        TermKind::Direction(d) => Arc::new(direction::Direction::new(d, shape, window, features)?),
        TermKind::Difference(_) => Arc::new(reference::Difference::new(first()?, window)?),
        TermKind::Inversion(_) => Arc::new(reference::Inversion::new(first()?, window)?),
        TermKind::Caricature(_, p) => Arc::new(reference::Caricature::new(&first()?, *p, window)?),
        TermKind::Style(_) => Arc::new(style::Style::new(&first()?, shape)?),
        TermKind::Guide(_) => {
            let guide = guide::Guide::new(&first()?, style::planes(shape).0);
            if !guide.is_finite() {
                return Err(TermError::NotFinite);
            }
            Arc::new(guide)
        }
        TermKind::Penalty(p) => penalty::new(*p, shape, false)?,
        TermKind::Diversity | TermKind::Alignment => return Err(format!("{term} couples a batch").into()),
    })
}

/// The measure of a penalty on an input of this shape (C, H, W), display units.
pub fn of_input(term: &Term, shape: &[usize], has_alpha: bool) -> Result<Arc<dyn Measure>, TermError> {
    match term.kind {
        TermKind::Penalty(p) => penalty::new(p, shape, has_alpha),
        _ => Err(format!("{term} is not about the input").into()),
    }
}

/// The measure of a class's probability, of `classes` in all, where the network ends in this activation.
pub fn probability(class: usize, activation: Activation, classes: usize) -> Arc<dyn Measure> {
    match activation.over(classes) {
        Activation::Softmax | Activation::None => Arc::new(channel::Probability { class }),
        activation => Arc::new(channel::Independent { class, activation }),
    }
}

/// The function of a term that couples a batch, at a layer whose entries have this shape.
pub fn of_batch(term: &Term, shape: &[usize]) -> Result<Box<dyn Coupling>, TermError> {
    match term.kind {
        TermKind::Diversity => Ok(Box::new(coupling::Diversity::new(shape))),
        TermKind::Alignment => Ok(Box::new(coupling::Alignment)),
        _ => Err(format!("{term} is about one entry alone").into()),
    }
}

/// ⟨a, b⟩ in f64, as eight sums that a vector register holds.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests;
