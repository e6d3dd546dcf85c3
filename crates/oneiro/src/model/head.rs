//! The end of a classifier: the output with the classes, and the logits before its softmax or sigmoid.
//!
//! Interface: [`Model::head`] searches once, at its first use. All questions about classes use the [`Head`]
//! that it finds. `ending` walks from one output back to its logits, and `choice` chooses among several
//! outputs.

use std::sync::OnceLock;

use oneiro_net::graph::Facts;
use oneiro_net::{Graph, ValueId};

use super::Model;
use crate::error::Result;

mod choice;
mod ending;
pub(crate) mod error;

pub use error::OutputError;

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// exp(z) over its sum: classes exclude each other.
    Softmax,
    /// 1 / (1 + exp(−z)) for each class: classes are independent.
    Sigmoid,
    /// clamp(slope·z + offset, 0, 1) for each class: classes are independent.
    HardSigmoid {
        /// The factor by which the logit is multiplied.
        slope: f32,
        /// The number that is added to slope·z.
        offset: f32,
    },
    /// The entries are probabilities already: parts or means of the output of a softmax or sigmoid.
    Given {
        /// Whether all probabilities come from a sigmoid, so that classes are independent.
        independent: bool,
    },
    /// The network ends with its logits. They are treated as logits of a softmax, or, if there is only one,
    /// of a sigmoid.
    None,
}

impl Activation {
    /// Returns the function for a network with this many classes. The softmax of a single number is always 1,
    /// so a single logit is treated as that of a sigmoid.
    pub fn over(self, classes: usize) -> Activation {
        match self {
            Self::Softmax | Self::None if classes == 1 => Self::Sigmoid,
            Self::None => Self::Softmax,
            other => other,
        }
    }

    /// Whether classes are independent, for a network with this many classes.
    pub fn is_independent(self, classes: usize) -> bool {
        matches!(
            self.over(classes),
            Self::Sigmoid | Self::HardSigmoid { .. } | Self::Given { independent: true }
        )
    }

    /// Returns the probability of each class.
    pub fn probabilities(self, logits: &[f32]) -> Vec<f64> {
        let each = |f: &dyn Fn(f64) -> f64| logits.iter().map(|&z| f(f64::from(z))).collect();
        match self.over(logits.len()) {
            Self::Softmax | Self::None => {
                let max = logits.iter().fold(f64::NEG_INFINITY, |m, &z| m.max(f64::from(z)));
                let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
                each(&|z| (z - max).exp() / sum)
            }
            Self::Sigmoid => each(&sigmoid),
            Self::HardSigmoid { slope, offset } => each(&|z| hard_sigmoid(z, slope, offset)),
            Self::Given { .. } => each(&|z| z),
        }
    }
}

/// The sigmoid function 1 / (1 + exp(−z)).
pub(crate) fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The hard sigmoid clamp(slope·z + offset, 0, 1).
pub(crate) fn hard_sigmoid(z: f64, slope: f32, offset: f32) -> f64 {
    (f64::from(slope) * z + f64::from(offset)).clamp(0.0, 1.0)
}

/// Where a network's class scores are, and what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The logits: one number for each class, before the activation function.
    pub logits: ValueId,
    /// The activation function from logits to probabilities.
    pub activation: Activation,
    /// The graph's output from which they were found.
    pub output: ValueId,
    /// Number of classes, if the network's own input size determines it. It is not computed for a network
    /// with a single output.
    pub classes: Option<usize>,
    /// The operator that was skipped because its result is positions or words instead of scores.
    pub behind: Option<String>,
    /// Whether the card or a flag named the output.
    pub named: bool,
}

/// What a model knows of its head: the number of labels, and the head once it has been found.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    labels: Option<usize>,
    found: OnceLock<std::result::Result<Head, OutputError>>,
}

impl Model {
    /// Sets the number of class labels. Among several outputs, one with this number of entries is preferred.
    pub fn with_labels(mut self, labels: Option<usize>) -> Self {
        self.known = Known { labels, found: OnceLock::new() };
        self
    }

    /// Returns the location of the classes. They are searched at the first call.
    ///
    /// # Errors
    /// If there is no output, no output could hold classes, or the output that the card names does not exist.
    pub fn head(&self) -> Result<&Head> {
        let found = self.known.found.get_or_init(|| choice::choose(self, self.known.labels));
        found.as_ref().map_err(|why| why.clone().into())
    }

    /// Returns the head, if it has been found already.
    pub fn head_in_use(&self) -> Option<&Head> {
        self.known.found.get()?.as_ref().ok()
    }

    /// Returns the logits of a classifier: the class output before a final softmax or sigmoid.
    pub fn logits(&self) -> Result<ValueId> {
        Ok(self.head()?.logits)
    }

    /// Number of classes for the network's own input size; `None` if it is unknown.
    pub fn class_count(&self) -> Option<usize> {
        choice::count(self, self.logits().ok()?)
    }

    /// Describes the outputs with the shapes of their entries for messages: `embedding (16), logits (5)`.
    pub fn described_outputs(&self) -> String {
        choice::described(self)
    }
}

/// Returns the type of the operator that computes a value, without its domain. Inputs and constants give an
/// empty text.
fn op_type(graph: &Graph, value: ValueId) -> &str {
    let Some(node) = graph.producer(value).map(|i| &graph.nodes[i]) else { return "" };
    let name = node.op.op_type();
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

/// Returns operand `i` of the node that computes a value.
fn operand(graph: &Graph, value: ValueId, i: usize) -> Option<ValueId> {
    graph.nodes[graph.producer(value)?].inputs.get(i).copied().flatten()
}

/// Returns the number of a constant with one element.
fn scalar(graph: &Graph, value: ValueId) -> Option<f32> {
    let one = |tensor: &oneiro_net::tensor::Tensor| match tensor.len() {
        1 => match tensor.as_floats() {
            Ok(floats) => floats.first().copied(),
            Err(_) => tensor.as_ints().ok()?.first().map(|&n| n as f32),
        },
        _ => None,
    };
    if let Some(tensor) = &graph.values[value.index()].constant {
        return one(tensor);
    }
    let node = &graph.nodes[graph.producer(value)?];
    if node.op.op_type() == "Constant" {
        let facts = node.op.infer(Facts(&[])).ok()?;
        return one(facts.first()?.value.as_ref()?);
    }
    let first = node.inputs.first().copied().flatten()?;
    node.op.keeps_numbers().then(|| scalar(graph, first))?
}

/// Whether a value is a constant of the file instead of depending on the network's input.
fn is_constant(graph: &Graph, value: ValueId) -> bool {
    graph.values[value.index()].constant.is_some() || matches!(op_type(graph, value), "Constant")
}

/// Returns the value before operators that change no number.
fn stripped(graph: &Graph, mut value: ValueId) -> ValueId {
    while graph.producer(value).is_some_and(|i| graph.nodes[i].op.keeps_numbers()) {
        match operand(graph, value, 0) {
            Some(before) => value = before,
            None => break,
        }
    }
    value
}

#[cfg(test)]
mod tests;
