//! The weights of units: for each channel of a layer, what it weighs its inputs with.

use oneiro_net::ValueId;
use oneiro_net::graph::{Node, Normalization};

use super::{Layered, Model};
use crate::error::Result;
use crate::similarity::cosine;

/// The weights of one channel, in the order of the layer's inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitWeights {
    /// The weights. Where a factor behind the sum is negative, such as that of a batch normalization, their
    /// signs are reversed. So a larger product always means a larger activation.
    pub weights: Vec<f32>,
    /// What they weigh: a value of the graph, and which group of its channels.
    reads: (ValueId, usize),
}

impl UnitWeights {
    /// Returns the cosine with the weights of another unit of the same network. `None` if they weigh
    /// different inputs, or one of them is zero.
    pub fn cosine(&self, other: &Self) -> Option<f64> {
        if self.reads == other.reads { cosine(&self.weights, &other.weights) } else { None }
    }
}

/// Operators that take sums, means or maxima of positions, and reshape them.
const POOLS: [&str; 7] =
    ["GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean", "ReduceMax", "Dropout"];

impl Model {
    /// Returns the weights of each channel of a layer. Between the weighted sum and the layer may be biases,
    /// batch normalization, activation functions, pooling, and a concatenation of such layers. `None` if
    /// something else is between, or if the graph computes the weights.
    ///
    /// # Errors
    /// Those of [`Model::all_layered`].
    pub fn unit_weights(&self, value: ValueId) -> Result<Option<Vec<UnitWeights>>> {
        let layered = self.all_layered(&self.input_shapes(1, None)?)?;
        let Some(channels) = layered.map(value).map(|map| map.shape()[1]) else { return Ok(None) };
        let found = self.weights_before(value, &layered);
        Ok(found.filter(|found| found.len() == channels))
    }

    fn weights_before(&self, value: ValueId, layered: &Layered) -> Option<Vec<UnitWeights>> {
        let mut value = value;
        let mut signs: Vec<f32> = Vec::new();
        loop {
            let node = &self.graph.nodes[self.graph.producer(value)?];
            if let Some(mut rows) = self.rows(node, layered) {
                if !matches!(signs.len(), 0 | 1) && signs.len() != rows.len() {
                    return None;
                }
                for (row, sign) in rows.iter_mut().zip(signs.iter().cycle()) {
                    row.weights.iter_mut().for_each(|weight| *weight *= sign);
                }
                return Some(rows);
            }
            if node.op.concatenates() && signs.is_empty() {
                let parts = node.inputs.iter().flatten().map(|part| self.weights_before(*part, layered));
                return Some(parts.collect::<Option<Vec<_>>>()?.concat());
            }
            value = self.step_back(node, layered, &mut signs)?;
        }
    }

    /// Returns the value before a node that keeps channels apart. Signs of factors are multiplied into
    /// `signs`: none, one for all channels, or one for each.
    fn step_back(&self, node: &Node, layered: &Layered, signs: &mut Vec<f32>) -> Option<ValueId> {
        let inputs: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let given: Vec<ValueId> = inputs.iter().copied().filter(|v| !layered.is_constant(*v)).collect();
        let op = node.op.op_type();
        if node.op.normalization() == Some(Normalization::Batch) {
            self.reverse(*inputs.get(1)?, layered, signs)?;
            return inputs.first().copied();
        }
        if let ("Mul", [a, b]) = (op, &given[..]) {
            // A gate of itself, such as SiLU.
            let is_gate = |gate: &ValueId, of: &ValueId| {
                let node = self.graph.producer(*gate).map(|node| &self.graph.nodes[node]);
                node.is_some_and(|node| node.op.is_activation() && node.inputs.first() == Some(&Some(*of)))
            };
            return if is_gate(b, a) { Some(*a) } else { Some(*b).filter(|b| is_gate(a, b)) };
        }
        let [only] = given[..] else { return None };
        let is_first = inputs.first() == Some(&only);
        match op {
            "Add" => Some(only),
            "Sub" | "Neg" => {
                if !is_first || op == "Neg" {
                    times(signs, &[-1.0])?;
                }
                Some(only)
            }
            "Mul" | "Div" if op == "Mul" || is_first => {
                self.reverse(*inputs.iter().find(|v| **v != only)?, layered, signs)?;
                Some(only)
            }
            _ if is_first && (node.op.is_activation() || node.op.keeps_numbers() || POOLS.contains(&op)) => {
                Some(only)
            }
            _ => None,
        }
    }

    /// Multiplies signs by those of a constant factor.
    fn reverse(&self, factor: ValueId, layered: &Layered, signs: &mut Vec<f32>) -> Option<()> {
        let fact = layered.facts().get(factor.index())?.as_ref()?;
        let numbers = fact.value.as_ref()?.as_floats().ok()?;
        let own: Vec<f32> = numbers.iter().map(|number| if *number < 0.0 { -1.0 } else { 1.0 }).collect();
        if own.iter().all(|sign| *sign > 0.0) {
            return Some(());
        }
        times(signs, &own)
    }

    /// The rows of a node with weights.
    fn rows(&self, node: &Node, layered: &Layered) -> Option<Vec<UnitWeights>> {
        let form = node.op.weight_form().filter(|_| node.op.normalization().is_none())?;
        let (input, weights) = (node.inputs.first().copied()??, node.inputs.get(1).copied()??);
        if layered.is_constant(input) {
            return None;
        }
        let fact = layered.facts().get(weights.index())?.as_ref()?;
        let (shape, numbers) = (&fact.shape, fact.value.as_ref()?.as_floats().ok()?);
        let is_dense = matches!(node.op.op_type(), "Gemm" | "MatMul");
        if is_dense && shape.len() != 2 {
            return None;
        }
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for (at, weight) in numbers.iter().enumerate() {
            let channel = form.channel(1, shape, at);
            if rows.len() <= channel {
                rows.resize(channel + 1, Vec::new());
            }
            rows[channel].push(*weight);
        }
        let of_group = match node.op.op_type() {
            "Conv" => {
                let channels = layered.map(input)?.shape()[1];
                (rows.len() * shape.get(1)? / channels.max(1)).max(1)
            }
            "ConvTranspose" => *shape.get(1)?,
            _ => rows.len(),
        };
        let row = |(channel, weights)| UnitWeights { weights, reads: (input, channel / of_group.max(1)) };
        Some(rows.into_iter().enumerate().map(row).collect())
    }
}

/// Multiplies signs. `None` if both are several, and of different numbers.
fn times(signs: &mut Vec<f32>, own: &[f32]) -> Option<()> {
    let len = signs.len().max(own.len());
    if [signs.len(), own.len()].iter().any(|n| *n > 1 && *n != len) {
        return None;
    }
    let of = |i: usize| signs.get(i % signs.len().max(1)).copied().unwrap_or(1.0) * own[i % own.len()];
    *signs = (0..len).map(of).collect();
    Some(())
}

#[cfg(test)]
mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;
    use crate::filters::tests::network;

    #[test]
    fn weights_are_found_behind_what_keeps_channels_apart() {
        let model = network();
        let lengths = |layer: &str| {
            let found = model.unit_weights(model.resolve(layer).unwrap()).unwrap();
            found.map(|rows| (rows.len(), rows[0].weights.len()))
        };
        assert_eq!(lengths("relu"), Some((4, 27)));
        assert_eq!([lengths("swish"), lengths("flat")], [Some((5, 4)); 2]);
        assert_eq!(lengths("hidden.relu"), Some((6, 5)));
        assert_eq!(lengths("classes"), Some((2, 6)));
    }

    #[test]
    fn signs_of_factors_count_and_groups_are_kept_apart() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 4, 5, 5].map(Dim::Fixed)).unwrap();
        let weights = Tensor::floats(&[4, 2, 1, 1], vec![1.0, 2.0, -1.0, -2.0, 1.0, 2.0, 3.0, 1.0]);
        let w = net.constant("w", weights).unwrap();
        let groups = vec![("group", Attribute::Int(2))];
        let sum = net.node("Conv", "conv", &[x, w], groups).unwrap();
        let factor = net.constant("f", Tensor::floats(&[1, 4, 1, 1], vec![1.0, -2.0, 1.0, 1.0])).unwrap();
        let scaled = net.node("Mul", "scaled", &[sum, factor], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[scaled], vec![]).unwrap();
        let squared = net.node("Mul", "squared", &[relu, relu], vec![]).unwrap();
        let card =
            Card::parse("[[input]]\nname = \"x\"\norder = \"bands\"\nmean = [0.0]\nstd = [1.0]").unwrap();
        let model = Model::new(net.finish(&[squared]), card).unwrap();
        let of = |layer: &str| model.unit_weights(model.resolve(layer).unwrap()).unwrap();
        let (plain, behind) = (of("conv").unwrap(), of("relu").unwrap());
        assert_eq!(plain[0].cosine(&plain[1]), Some(-1.0));
        // The second channel is reversed twice: by its weights and by its factor.
        assert_eq!(behind[0].cosine(&behind[1]), Some(1.0));
        assert_eq!(plain[0].cosine(&plain[2]), None);
        assert!(plain[2].cosine(&plain[3]).unwrap() < 1.0);
        assert_eq!(of("squared"), None);
    }
}
