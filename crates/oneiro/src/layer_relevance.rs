//! How much each position of a layer contributes to a class: activation times the gradient of the class's
//! logit.
//!
//! Interface: a [`RelevanceSession`] is compiled for layers. Each run takes an image and a function that
//! chooses a class by its logits. It computes a relevance map for each layer.

use std::sync::Arc;

use oneiro_net::axes::FeatureMap;
use oneiro_net::{CpuSession, Request, Rules, Session, ValueId};

use crate::error::Result;
use crate::input::{PictureInput, feed_all};
use crate::model::{Model, Target, View};

/// A network that computes relevance maps of layers, one image at a time.
#[allow(missing_debug_implementations)]
pub struct RelevanceSession {
    session: CpuSession,
    maps: Vec<FeatureMap>,
    inputs: Vec<PictureInput>,
}

/// Statistics of one channel's relevance over its positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relevance {
    /// The largest relevance; minus infinity if none is a number.
    pub largest: f32,
    /// Position of the largest relevance, counted row by row.
    pub place: u32,
    /// Mean of the channel's relevance over its positions.
    pub mean: f32,
}

impl RelevanceSession {
    /// Compiles a model for these layers and input shapes, with a batch of one. `inputs` are the inputs that
    /// take pictures; all others get zeros.
    ///
    /// # Errors
    /// If a layer's channel axis is unknown, or the network has no classes.
    pub fn new(
        model: &Model,
        layers: &[ValueId],
        shapes: &[Vec<usize>],
        inputs: Vec<PictureInput>,
    ) -> Result<Self> {
        let logits = Target { value: model.logits()?, view: View::Classes };
        let (graph, logits) = model.viewed(&[logits], shapes)?;
        let targets = [layers, &logits].concat();
        let request = Request {
            input_gradients: false,
            inner_gradients: layers.to_vec(),
            ..Request::of_shapes(shapes.to_vec(), targets)
        };
        let plan = model.compile(&graph, &request)?;
        let maps = layers.iter().map(|layer| model.map_of(*layer, shapes)).collect::<Result<_>>()?;
        Ok(Self { session: CpuSession::new(Arc::new(plan))?, maps, inputs })
    }

    /// Runs the network. `picture` returns the display image of an input, given by its index in the list of
    /// inputs. `class` chooses a class by the logits.
    ///
    /// # Panics
    /// If an image's length differs from the display image's, or the class does not exist.
    pub fn run<'a>(
        &mut self,
        picture: impl Fn(usize) -> &'a [f32] + Sync,
        class: impl FnOnce(&[f32]) -> usize,
    ) {
        feed_all(&self.inputs, &mut self.session, 1, |_, input| picture(input));
        self.session.forward();
        let (logits, seed) = self.session.seed(self.maps.len());
        seed[class(logits)] = 1.0;
        self.session.backward(&Rules::default());
    }

    /// Returns the relevance of each channel of a layer.
    pub fn of_layer(&self, layer: usize) -> Vec<Relevance> {
        let map = &self.maps[layer];
        let activations = map.gather(self.session.activation(layer));
        let gradients = map.gather(self.session.inner_gradient(layer));
        let positions = map.shape()[2..].iter().product::<usize>().max(1);
        let of_channel = |(a, g): (&[f32], &[f32])| {
            let (mut found, mut sum) = (Relevance { largest: f32::NEG_INFINITY, place: 0, mean: 0.0 }, 0.0);
            for (place, (a, g)) in a.iter().zip(g).enumerate() {
                let product = a * g;
                if !product.is_finite() {
                    continue;
                }
                sum += f64::from(product);
                if product > found.largest {
                    (found.largest, found.place) = (product, place as u32);
                }
            }
            Relevance { mean: (sum / positions as f64) as f32, ..found }
        };
        activations.chunks_exact(positions).zip(gradients.chunks_exact(positions)).map(of_channel).collect()
    }
}

#[cfg(test)]
mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;

    #[test]
    fn behind_a_layer_that_is_linear_the_relevance_adds_up_to_the_logit() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 4, 4].map(Dim::Fixed)).unwrap();
        let numbers = |n: usize| (0..n).map(|i| ((i * 7 % 11) as f32 - 5.0) / 6.0).collect::<Vec<_>>();
        let w = net.constant("w", Tensor::floats(&[4, 3, 1, 1], numbers(12))).unwrap();
        let conv = net.node("Conv", "conv", &[x, w], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
        let mean = net.node("GlobalAveragePool", "mean", &[relu], vec![]).unwrap();
        let flat = net.node("Flatten", "flat", &[mean], vec![]).unwrap();
        let v = net.constant("v", Tensor::floats(&[5, 4], numbers(20))).unwrap();
        let logits = net.node("Gemm", "logits", &[flat, v], vec![("transB", Attribute::Int(1))]).unwrap();
        let card = "[[input]]\nname = \"x\"\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]";
        let model = Model::new(net.finish(&[logits]), Card::parse(card).unwrap()).unwrap();
        let shapes = model.input_shapes(1, None).unwrap();
        let inputs = vec![PictureInput::of_photographs(&model, &shapes).unwrap()];
        let mut session = RelevanceSession::new(&model, &[relu, conv], &shapes, inputs).unwrap();
        let picture: Vec<f32> = (0..48).map(|i| (i * 5 % 13) as f32 / 12.0).collect();
        for class in 0..5 {
            let mut logit = 0.0;
            session.run(
                |_| &picture,
                |logits| {
                    logit = logits[class];
                    class
                },
            );
            // The products are equal before and after the ReLU, because it is linear where it passes
            // anything.
            for layer in 0..2 {
                let sum: f32 = session.of_layer(layer).iter().map(|of| of.mean * 16.0).sum();
                assert!((sum - logit).abs() < 1e-4, "class {class}, layer {layer}: {sum}, {logit}");
            }
        }
    }
}
