//! Terms as functions of activations, with their gradients.
//!
//! Interface: a [`Measure`] reads the activations of a single batch entry, `[C, positions]`, and adds
//! `weight` times its derivative to that entry's seed. A [`Coupling`] does this for all entries of a batch
//! together. [`of_layer`], [`of_input`] and [`of_batch`] create them from terms. Sums are computed in f64 and
//! in a fixed order. The many products of a guide are the exception: they are computed in f32.

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

/// A function of the activations of one batch entry.
pub trait Measure: Send + Sync {
    /// Computes the function's value.
    fn value(&self, activations: &[f32]) -> f64;
    /// Adds `weight` times the derivative to the entry's seed.
    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]);
}

/// A function of the activations of a whole batch, in which entries follow each other.
pub trait Coupling: Send + Sync {
    /// Computes the function's value for all entries.
    fn value(&self, activations: &[f32], entries: usize) -> f64;
    /// Adds `weight` times the derivative to all entries' seeds.
    fn seed(&self, activations: &[f32], entries: usize, weight: f64, seeds: &mut [f32]);
}

/// Returns the measure of a term that reads a layer or the output, whose entries have this shape (channels
/// first). `features(picture)` returns the layer's activations for a picture with which the term compares, in
/// the order of [`Term::references`]. The term must have passed [`Term::check`].
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

/// Returns the measure of a penalty on an input of this shape (C, H, W) in display units.
pub fn of_input(term: &Term, shape: &[usize], has_alpha: bool) -> Result<Arc<dyn Measure>, TermError> {
    match term.kind {
        TermKind::Penalty(p) => penalty::new(p, shape, has_alpha),
        _ => Err(format!("{term} is not about the input").into()),
    }
}

/// Returns the measure of one class's probability among `classes`, for a network with this activation.
pub fn probability(class: usize, activation: Activation, classes: usize) -> Arc<dyn Measure> {
    match activation.over(classes) {
        Activation::Softmax | Activation::None => Arc::new(channel::Probability { class }),
        activation => Arc::new(channel::Independent { class, activation }),
    }
}

/// Returns the coupling of a term, for a layer whose entries have this shape.
pub fn of_batch(term: &Term, shape: &[usize]) -> Result<Box<dyn Coupling>, TermError> {
    match term.kind {
        TermKind::Diversity => Ok(Box::new(coupling::Diversity::new(shape))),
        TermKind::Alignment => Ok(Box::new(coupling::Alignment)),
        _ => Err(format!("{term} is about one entry alone").into()),
    }
}

/// Computes ⟨a, b⟩ in f64, as eight partial sums that fit a vector register.
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
