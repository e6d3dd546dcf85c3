//! Filters: the channels of layers with weights, judged behind their activation function.
//!
//! Interface: [`Model::filter_layers`] finds the layers. What their weights say is in [`kernel_shapes`], and
//! what shuffled positions say is in [`shuffled`]. Test pictures that need no data set are in [`probes`].

pub mod kernel_shapes;
pub mod probes;
pub mod shuffled;

use std::collections::BTreeSet;

use oneiro_net::graph::{Node, Normalization};
use oneiro_net::{ValueId, summary};

use crate::error::Result;
use crate::model::unit_layers::Projection;
use crate::model::{Layered, Model};

/// What the activation function behind a layer's filters does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behind {
    /// Nothing: the layer's values are affine in what it reads.
    Affine,
    /// It clamps to these bounds, as a ReLU does.
    Clamp([f32; 2]),
    /// It is positive whatever it reads, as a sigmoid is. "Active" then means nothing.
    Positive,
    /// It bends at zero in another way, such as GELU, SiLU or a leaky ReLU.
    Other,
}

/// A layer with weights: a convolution, or a dense layer in front of an activation function.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterLayer {
    /// The layer's values behind its activation function.
    pub value: ValueId,
    /// The values in front of the activation function, behind bias and batch normalization.
    pub before: ValueId,
    /// All values of the same channels on the way, the weighted sum first.
    pub forms: Vec<ValueId>,
    /// The activation function.
    pub behind: Behind,
    /// Number of filters.
    pub channels: usize,
    /// Whether the node is a convolution.
    pub is_convolution: bool,
    /// The projection of the values onto directions, if the filters are directions in a layer's channels.
    pub projection: Option<Projection>,
    /// What the filters read.
    input: ValueId,
    /// The weights.
    weights: ValueId,
    /// Indices of the nodes from the weighted sum to `before`, in the graph's order.
    chain: Vec<usize>,
}

impl FilterLayer {
    /// Directions in the channels of a value as filters. If `is_rectified` is set, responses are clipped at
    /// zero.
    pub fn of_directions(value: ValueId, projection: Projection, is_rectified: bool) -> Self {
        Self {
            value,
            before: value,
            forms: vec![value],
            behind: if is_rectified { Behind::Clamp([0.0, f32::INFINITY]) } else { Behind::Affine },
            channels: projection.bias.len(),
            is_convolution: false,
            projection: Some(projection),
            input: value,
            weights: value,
            chain: Vec::new(),
        }
    }
}

impl Model {
    /// Returns the layers with filters in the graph's order: all convolutions, and dense layers in front of
    /// an activation function. Convolutions that compute the classes are left out.
    ///
    /// # Errors
    /// Those of [`Model::all_layered`].
    pub fn filter_layers(&self) -> Result<Vec<FilterLayer>> {
        let layered = self.all_layered(&self.input_shapes(1, None)?)?;
        let readers = self.readers();
        let logits = self.class_count().and_then(|_| self.logits().ok());
        let mut found: Vec<FilterLayer> = Vec::new();
        for at in 0..self.graph.nodes.len() {
            let Some(layer) = self.filter_layer(at, &readers, &layered) else { continue };
            let names_classes =
                logits.is_some_and(|logits| logits == layer.value || layer.forms.contains(&logits));
            if !names_classes && !found.iter().any(|known| known.value == layer.value) {
                found.push(layer);
            }
        }
        Ok(found)
    }

    /// The layer of one node, if it has filters.
    fn filter_layer(&self, at: usize, readers: &[Vec<usize>], layered: &Layered) -> Option<FilterLayer> {
        let node = &self.graph.nodes[at];
        let (input, weights) = (node.inputs.first().copied()??, node.inputs.get(1).copied()??);
        let weighs = node.op.weight_form().is_some() && node.op.normalization().is_none();
        if !weighs || !layered.is_constant(weights) || layered.is_constant(input) {
            return None;
        }
        let first = node.outputs.first().copied()??;
        let (before, chain, mut forms) = self.affine_chain(at, first, readers, layered);
        let (last, _) = self.forms(first, readers, layered);
        // Where others read the sum as well as the activation, the activation is the filter's answer.
        let value = last.iter().copied().rfind(|value| *value != before).or(last.first().copied())?;
        let shape = layered.map(value)?.shape().to_vec();
        let channels = shape.get(1).copied().filter(|&channels| channels > 1)?;
        let is_convolution = matches!(node.op.op_type(), "Conv" | "ConvTranspose");
        let behind = self.behind(before, value, layered);
        if !is_convolution && behind == Behind::Affine {
            return None;
        }
        forms.extend((value != before).then_some(value));
        let projection = None;
        Some(FilterLayer {
            value,
            before,
            forms,
            behind,
            channels,
            is_convolution,
            projection,
            input,
            weights,
            chain,
        })
    }

    /// Follows the value of a weighted sum through bias and batch normalization. Returns the last value, the
    /// nodes on the way and their values.
    fn affine_chain(
        &self,
        at: usize,
        first: ValueId,
        readers: &[Vec<usize>],
        layered: &Layered,
    ) -> (ValueId, Vec<usize>, Vec<ValueId>) {
        let (mut value, mut chain, mut forms) = (first, vec![at], vec![first]);
        while let [only] = readers[value.index()][..] {
            let node = &self.graph.nodes[only];
            let Some(&Some(output)) = node.outputs.first() else { break };
            let own = |v: &ValueId| *v == value || layered.is_constant(*v);
            if !is_affine(node) || !node.inputs.iter().flatten().all(own) || layered.map(output).is_none() {
                break;
            }
            value = output;
            chain.push(only);
            forms.push(value);
        }
        (value, chain, forms)
    }

    /// Finds out what happens between two values of a layer.
    fn behind(&self, before: ValueId, value: ValueId, layered: &Layered) -> Behind {
        if before == value {
            return Behind::Affine;
        }
        if let Some((read, clip)) = summary::clamp_before(&self.graph, layered.facts(), value)
            && read == before
        {
            return Behind::Clamp(clip);
        }
        let last = self.graph.producer(value).map(|node| &self.graph.nodes[node]);
        match last.filter(|node| node.inputs.contains(&Some(before))).map(|node| node.op.op_type()) {
            Some("Sigmoid" | "HardSigmoid" | "Softplus" | "Exp" | "Softmax") => Behind::Positive,
            _ => Behind::Other,
        }
    }

    /// Returns the nodes that read each value.
    pub(crate) fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.graph.values.len()];
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let read: BTreeSet<ValueId> = node.inputs.iter().flatten().copied().collect();
            read.into_iter().for_each(|value| readers[value.index()].push(i));
        }
        readers
    }
}

/// Whether a node with one operand that depends on the input is affine in it and keeps its channels apart.
fn is_affine(node: &Node) -> bool {
    node.op.normalization() == Some(Normalization::Batch)
        || matches!(node.op.op_type(), "Add" | "Sub" | "Mul" | "Identity" | "Dropout" | "Cast")
        || node.op.op_type() == "Div" && node.inputs.len() == 2
}

#[cfg(test)]
pub(crate) mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;

    /// conv (3×3) → ReLU → conv (1×1) → SiLU → global average → dense → ReLU → dense (the classes).
    pub(crate) fn network() -> Model {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 12, 12].map(Dim::Fixed)).unwrap();
        let mut stream = crate::rng::Stream::new(3, 0);
        let mut weights = |net: &mut Builder, name: &str, shape: &[usize]| {
            let numbers = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
            net.constant(name, Tensor::floats(shape, numbers)).unwrap()
        };
        let pads = || vec![("pads", Attribute::Ints(vec![1; 4]))];
        let (w, v) = (weights(&mut net, "w", &[4, 3, 3, 3]), weights(&mut net, "v", &[5, 4, 1, 1]));
        let sum = net.node("Conv", "first", &[x, w], pads()).unwrap();
        let bias = weights(&mut net, "bias", &[1, 4, 1, 1]);
        let sum = net.node("Add", "biased", &[sum, bias], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[sum], vec![]).unwrap();
        let second = net.node("Conv", "second", &[relu, v], vec![]).unwrap();
        let gate = net.node("Sigmoid", "gate", &[second], vec![]).unwrap();
        let swish = net.node("Mul", "swish", &[second, gate], vec![]).unwrap();
        let mean = net.node("GlobalAveragePool", "mean", &[swish], vec![]).unwrap();
        let flat = net.node("Flatten", "flat", &[mean], vec![]).unwrap();
        let (a, b) = (weights(&mut net, "a", &[5, 6]), weights(&mut net, "b", &[6, 2]));
        let hidden = net.node("MatMul", "hidden", &[flat, a], vec![]).unwrap();
        let hidden = net.node("Relu", "hidden.relu", &[hidden], vec![]).unwrap();
        let classes = net.node("MatMul", "classes", &[hidden, b], vec![]).unwrap();
        Model::new(net.finish(&[classes]), Card::parse("[[input]]\nname = \"x\"").unwrap()).unwrap()
    }

    #[test]
    fn layers_with_filters_are_found() {
        let model = network();
        let name = |value: ValueId| model.graph.name(value).to_owned();
        let layers = model.filter_layers().unwrap();
        let found: Vec<_> = layers.iter().map(|l| (name(l.before), name(l.value), l.channels)).collect();
        let expected = [("biased", "relu", 4), ("second", "swish", 5), ("hidden", "hidden.relu", 6)];
        assert_eq!(found, expected.map(|(a, b, n)| (a.to_owned(), b.to_owned(), n)));
        assert_eq!(layers[0].behind, Behind::Clamp([0.0, f32::INFINITY]));
        assert_eq!(layers[1].behind, Behind::Other);
        assert_eq!(layers[0].forms.iter().map(|v| name(*v)).collect::<Vec<_>>(), ["first", "biased", "relu"]);
        assert!(layers[0].is_convolution && !layers[2].is_convolution);
    }
}
