//! What is dreamt of: an objective, or the features of another picture.

use std::fmt;
use std::sync::Arc;

use oneiro_net::plan::MAX_BYTES;
use oneiro_net::{CpuSession, Isa, MaxPoolRule, Plan, Request, Session};
use rayon::prelude::*;

use super::Image;
use super::planes::resize;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::Objective;
use crate::preprocess::Preprocess;

/// What a dream makes more of.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// An objective that is maximised.
    Objective(Objective),
    /// The features of another picture ("Controlling dreams" of the DeepDream notebook).
    Guide(Guide),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objective(objective) => objective.fmt(f),
            Self::Guide(guide) => {
                for (i, (layer, weight)) in guide.layers.iter().enumerate() {
                    let plus = if i == 0 { "" } else { " + " };
                    match *weight {
                        1.0 => write!(f, "{plus}guide({layer})")?,
                        weight => write!(f, "{plus}{weight}*guide({layer})")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Another picture whose features are dreamt of. At every position of a layer, the value is the largest dot product
/// with the activations at any position of the guide; the gradient is that vector of the guide. A layer counts as the
/// mean over its positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Guide {
    /// Layers, each with its weight.
    pub layers: Vec<(String, f64)>,
    /// The picture.
    pub image: Image,
}

/// Longest side that a guide is seen at: the notebook's guides are about as large as the network's input.
const GUIDE_SIDE: usize = 256;
/// Numbers that are added up side by side in a dot product.
const LANES: usize = 16;

/// Activations of a layer of the guide, one vector after the other.
#[derive(Debug)]
struct Features {
    channels: usize,
    vectors: Vec<f32>,
}

/// The layers of a guide with what they show of it.
#[derive(Debug, Clone)]
pub(super) struct Guided {
    layers: Vec<(String, f64, Arc<Features>)>,
}

impl Guided {
    /// Captures the guide's features; `fixed` is the size of a network that takes no other.
    pub fn new(model: &Model, guide: &Guide, input: usize, fixed: Option<[usize; 2]>) -> Result<Self> {
        let Image { height, width, .. } = guide.image;
        let longest = height.max(width);
        let size = fixed.unwrap_or([height, width].map(|n| match longest {
            l if l > GUIDE_SIDE => (n * GUIDE_SIDE / l).max(1),
            _ => n,
        }));
        let pixels = resize(&guide.image.rgb, [height, width], size);
        let names: Vec<&str> = guide.layers.iter().map(|(layer, _)| layer.as_str()).collect();
        let mut session = compile(model, &names, size, false)?;
        feed(model, &mut session, input, &pixels);
        session.forward();
        let layers = guide.layers.iter().enumerate().map(|(i, (layer, weight))| {
            let channels = channels(&session, i, layer)?;
            let activations = session.activation(i);
            let vectors = vectors(activations, channels);
            if vectors.iter().any(|x| !x.is_finite()) {
                return Err(Error::Settings(format!("the guide's activations at {layer} are not finite")));
            }
            Ok((layer.clone(), *weight, Arc::new(Features { channels, vectors })))
        });
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }

    /// A network whose layers can be compared with the guide's.
    pub fn session(&self, model: &Model, size: [usize; 2]) -> Result<CpuSession> {
        let names: Vec<&str> = self.layers.iter().map(|(layer, ..)| layer.as_str()).collect();
        compile(model, &names, size, true)
    }

    /// The value after a forward pass, whose gradients are added to the seeds if they are wanted.
    pub fn value(&self, session: &mut CpuSession, seed: bool) -> f64 {
        let mut value = 0.0;
        for (i, (_, weight, features)) in self.layers.iter().enumerate() {
            let seen = vectors(session.activation(i), features.channels);
            let best: Vec<(usize, f32)> =
                seen.par_chunks(features.channels).map(|a| features.nearest(a)).collect();
            let positions = best.len();
            value += weight * best.iter().map(|(_, dot)| f64::from(*dot)).sum::<f64>() / positions as f64;
            if seed {
                let share = (weight / positions as f64) as f32;
                let (_, seeds) = session.seed(i);
                seeds.par_chunks_mut(positions).enumerate().for_each(|(channel, seeds)| {
                    for (seed, (at, _)) in seeds.iter_mut().zip(&best) {
                        *seed += share * features.vectors[at * features.channels + channel];
                    }
                });
            }
        }
        value
    }
}

impl Features {
    /// The position whose vector has the largest dot product with this one, the first of equals, and that product.
    fn nearest(&self, a: &[f32]) -> (usize, f32) {
        let dots = self.vectors.chunks_exact(self.channels).map(|v| dot(a, v)).enumerate();
        dots.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
    }
}

/// A dot product in lanes, whose order is always the same.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<LANES>();
    let (b, rest_b) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

/// The activations of a layer (channels, …) as one vector a position.
fn vectors(activations: &[f32], channels: usize) -> Vec<f32> {
    let positions = activations.len() / channels;
    let mut out = vec![0.0; activations.len()];
    out.par_chunks_mut(channels).enumerate().for_each(|(position, out)| {
        out.iter_mut().enumerate().for_each(|(c, out)| *out = activations[c * positions + position]);
    });
    out
}

fn compile(model: &Model, layers: &[&str], size: [usize; 2], gradients: bool) -> Result<CpuSession> {
    let shapes = model.input_shapes(1, Some(size))?;
    let values = layers.iter().map(|layer| model.resolve(layer)).collect::<Result<Vec<_>>>()?;
    let (graph, targets) = model.channels_first(&values, &shapes)?;
    let request = Request {
        shapes,
        targets,
        gradients,
        max_pool: MaxPoolRule::Exact,
        isa: Isa::detect(),
        max_bytes: MAX_BYTES,
    };
    Ok(CpuSession::new(Arc::new(Plan::compile(&graph, &request)?))?)
}

fn channels(session: &CpuSession, target: usize, layer: &str) -> Result<usize> {
    match session.plan().targets[target].shape[..] {
        [1, channels, ..] if channels > 0 => Ok(channels),
        ref shape => Err(Error::Unit(format!(
            "layer \"{layer}\" has shape {shape:?}, not one image with channels; a guide needs such a layer"
        ))),
    }
}

/// Writes a picture (RGB in 0–1) into one input and zeros into all others.
fn feed(model: &Model, session: &mut CpuSession, input: usize, pixels: &[f32]) {
    for i in 0..session.plan().inputs.len() {
        let data = session.input_mut(i);
        match i == input {
            true => Preprocess::from_card(&model.card.input[input]).apply(pixels, data),
            false => data.fill(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_vector_is_the_one_with_the_largest_dot_product() {
        let features = Features { channels: 3, vectors: vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 0.0] };
        assert_eq!(features.nearest(&[3.0, 1.0, 0.0]), (0, 3.0));
        assert_eq!(features.nearest(&[1.0, 3.0, 0.0]), (1, 6.0), "the first of equals");
        assert_eq!(vectors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn dot_products_are_those_of_the_plain_sum() {
        for n in [0, 1, 15, 16, 33, 100] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).cos()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4, "{n}");
        }
    }
}
