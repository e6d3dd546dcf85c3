//! The terms of objectives: value and seed gradient of one batch entry.

use std::fmt;

use crate::objective::expression::quote;

/// Where in space a neuron lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// floor(extent/2) along every axis.
    Center,
    /// One index for every spatial axis: (y, x), (t, y, x), or nothing for a layer without space.
    At(Vec<usize>),
}

/// What of a layer is maximised. Values are those of `algorithms.md` §3: means over positions, of one entry.
#[derive(Debug, Clone, PartialEq)]
pub enum TermKind {
    /// Mean of a channel over positions.
    Channel(usize),
    /// One activation.
    Neuron(usize, Position),
    /// Mean of the squares of everything (DeepDream).
    Layer,
    /// The network's output for a class, before softmax.
    Logit(usize),
    /// Softmax of the network's output at a class.
    Probability(usize),
}

/// A kind of objective at a layer. The layer's name is empty for the network's output.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Name of the layer as the person wrote it.
    pub layer: String,
    /// What of it.
    pub kind: TermKind,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = quote(&self.layer);
        match &self.kind {
            TermKind::Channel(c) => write!(f, "channel({layer},{c})"),
            TermKind::Neuron(c, Position::Center) => write!(f, "neuron({layer},{c})"),
            TermKind::Neuron(c, Position::At(at)) => {
                write!(f, "neuron({layer},{c}")?;
                at.iter().try_for_each(|i| write!(f, ",{i}"))?;
                write!(f, ")")
            }
            TermKind::Layer => write!(f, "layer({layer})"),
            TermKind::Logit(c) => write!(f, "logit({c})"),
            TermKind::Probability(c) => write!(f, "prob({c})"),
        }
    }
}

/// Splits an entry's shape (channels, …) into channels and positions.
fn planes(shape: &[usize]) -> (usize, usize) {
    let channels = shape.first().copied().unwrap_or(1);
    (channels, shape.get(1..).unwrap_or_default().iter().product())
}

impl Term {
    /// Whether the term is about the network's output, whatever it is called.
    pub fn at_output(&self) -> bool {
        matches!(self.kind, TermKind::Logit(_) | TermKind::Probability(_))
    }

    /// Checks the term against the shape of one entry at its layer (channels first, no batch axis).
    pub fn check(&self, shape: &[usize]) -> Result<(), String> {
        let (channels, positions) = planes(shape);
        let layer = if self.layer.is_empty() { "the output" } else { &self.layer };
        let in_range = |c: usize, what: &str| {
            if c < channels {
                Ok(())
            } else {
                Err(format!(
                    "{what} {c} is out of range: {layer} has {channels} (0 to {})",
                    channels.saturating_sub(1)
                ))
            }
        };
        match &self.kind {
            TermKind::Layer => Ok(()),
            TermKind::Channel(c) => in_range(*c, "channel"),
            TermKind::Logit(c) | TermKind::Probability(c) => {
                in_range(*c, "class")?;
                if positions == 1 {
                    Ok(())
                } else {
                    Err(format!("the network's output has shape {shape:?} per image: it names no classes"))
                }
            }
            TermKind::Neuron(c, position) => {
                in_range(*c, "channel")?;
                match position {
                    Position::Center => Ok(()),
                    Position::At(at) => {
                        let space = shape.get(1..).unwrap_or_default();
                        if at.len() == space.len() && at.iter().zip(space).all(|(i, n)| i < n) {
                            Ok(())
                        } else {
                            Err(format!("position {at:?} is outside {layer}, whose map is {space:?}"))
                        }
                    }
                }
            }
        }
    }

    /// Index of a neuron in an entry of this shape.
    fn neuron(&self, channel: usize, position: &Position, shape: &[usize]) -> usize {
        let space = shape.get(1..).unwrap_or_default();
        space.iter().enumerate().fold(channel, |at, (axis, n)| {
            let i = match position {
                Position::Center => n / 2,
                Position::At(at) => at[axis],
            };
            at * n + i
        })
    }

    /// The term's value for one entry. Sums run in f64.
    pub fn value(&self, activations: &[f32], shape: &[usize]) -> f64 {
        let (_, positions) = planes(shape);
        let mean = |v: &[f32], f: fn(f64) -> f64| {
            v.iter().map(|&a| f(f64::from(a))).sum::<f64>() / v.len().max(1) as f64
        };
        match &self.kind {
            TermKind::Channel(c) => mean(&activations[c * positions..(c + 1) * positions], |a| a),
            TermKind::Neuron(c, at) => f64::from(activations[self.neuron(*c, at, shape)]),
            TermKind::Layer => mean(activations, |a| a * a),
            TermKind::Logit(c) => f64::from(activations[*c]),
            TermKind::Probability(c) => {
                let (max, sum) = softmax_norm(activations);
                (f64::from(activations[*c]) - max).exp() / sum
            }
        }
    }

    /// Adds `weight` times the term's derivative to the entry's seed.
    pub fn seed(&self, activations: &[f32], shape: &[usize], weight: f64, seed: &mut [f32]) {
        let (_, positions) = planes(shape);
        match &self.kind {
            TermKind::Channel(c) => {
                let share = (weight / positions as f64) as f32;
                seed[c * positions..(c + 1) * positions].iter_mut().for_each(|s| *s += share);
            }
            TermKind::Neuron(c, at) => seed[self.neuron(*c, at, shape)] += weight as f32,
            TermKind::Layer => {
                let share = (2.0 * weight / activations.len().max(1) as f64) as f32;
                seed.iter_mut().zip(activations).for_each(|(s, a)| *s += share * a);
            }
            TermKind::Logit(c) => seed[*c] += weight as f32,
            TermKind::Probability(c) => {
                let (max, sum) = softmax_norm(activations);
                let p = |a: f32| (f64::from(a) - max).exp() / sum;
                let chosen = p(activations[*c]);
                for (i, (s, a)) in seed.iter_mut().zip(activations).enumerate() {
                    let same = f64::from(u8::from(i == *c));
                    *s += (weight * chosen * (same - p(*a))) as f32;
                }
            }
        }
    }
}

/// Largest logit, and the sum of exponentials relative to it.
fn softmax_norm(logits: &[f32]) -> (f64, f64) {
    let max = logits.iter().fold(f64::NEG_INFINITY, |m, &a| m.max(f64::from(a)));
    (max, logits.iter().map(|&a| (f64::from(a) - max).exp()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(kind: TermKind) -> Term {
        Term { layer: "l".into(), kind }
    }

    #[test]
    fn values_are_those_of_the_specification() {
        // Two channels, one position, every activation 1.3.
        let a = [1.3f32, 1.3];
        assert!((term(TermKind::Layer).value(&a, &[2, 1, 1]) - 1.69).abs() < 1e-6);
        let sum: f64 = (0..2).map(|c| term(TermKind::Channel(c)).value(&a, &[2, 1, 1])).sum();
        assert!((sum - 2.6).abs() < 1e-6);
        assert!((term(TermKind::Probability(0)).value(&a, &[2]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_default_neuron_lies_at_half_the_extent() {
        let shape = [2, 4, 5];
        let a: Vec<f32> = (0..40).map(|i| i as f32).collect();
        assert_eq!(term(TermKind::Neuron(1, Position::Center)).value(&a, &shape), (20 + 2 * 5 + 2) as f64);
        assert_eq!(term(TermKind::Neuron(0, Position::At(vec![3, 1]))).value(&a, &shape), 16.0);
        assert!(term(TermKind::Neuron(0, Position::At(vec![4, 1]))).check(&shape).is_err());
        assert!(term(TermKind::Channel(2)).check(&shape).unwrap_err().contains("0 to 1"));
    }

    #[test]
    fn seeds_are_the_derivatives_of_values() {
        let shape = [3, 2, 2];
        let mut a: Vec<f32> = (0..12).map(|i| (i as f32 * 0.77).sin()).collect();
        for (kind, shape) in [
            (TermKind::Channel(1), &shape[..]),
            (TermKind::Neuron(2, Position::Center), &shape),
            (TermKind::Layer, &shape),
            (TermKind::Logit(4), &[12]),
            (TermKind::Probability(4), &[12]),
        ] {
            let t = term(kind);
            let mut seed = vec![0.0; 12];
            t.seed(&a, shape, 2.0, &mut seed);
            for i in 0..12 {
                let x = a[i];
                let h = 1e-2;
                a[i] = x + h;
                let up = t.value(&a, shape);
                a[i] = x - h;
                let down = t.value(&a, shape);
                a[i] = x;
                let expected = 2.0 * (up - down) / (2.0 * f64::from(h));
                assert!(
                    (f64::from(seed[i]) - expected).abs() < 1e-4,
                    "{t} at {i}: {} for {expected}",
                    seed[i]
                );
            }
        }
    }
}
