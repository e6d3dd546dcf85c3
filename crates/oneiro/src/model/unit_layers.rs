//! The layers of a network whose channels are units that somebody would look at.

use std::collections::BTreeSet;

use oneiro_net::graph::{Node, Normalization};
use oneiro_net::{ValueId, summary};

use super::{Layered, Model};
use crate::error::Result;

/// A layer whose channels are units.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitLayer {
    /// The layer.
    pub value: ValueId,
    /// What is read of it: the value in front of its ReLU, or the layer itself.
    pub read: ValueId,
    /// The bounds that the layer clips what is read to; infinite without a ReLU.
    pub clip: [f32; 2],
    /// Values of which this layer is the last form: the convolution and the normalization in front of its
    /// activation function.
    pub forms: Vec<ValueId>,
}

impl Model {
    /// A value as a layer of units.
    pub fn unit_layer(&self, layered: &Layered, value: ValueId) -> UnitLayer {
        match summary::clamp_before(&self.graph, layered.facts(), value) {
            Some((read, clip)) => UnitLayer { value, read, clip, forms: Vec::new() },
            None => {
                let clip = [f32::NEG_INFINITY, f32::INFINITY];
                UnitLayer { value, read: value, clip, forms: Vec::new() }
            }
        }
    }

    /// The layers with units, in the graph's order: what weights, sums and concatenations compute, behind their
    /// normalization and activation function, and the layers that the card names. Pooled maps, reshaped ones
    /// and steps on the way to an activation function repeat units of others and are left out.
    ///
    /// # Errors
    /// As [`Model::all_layered`].
    pub fn unit_layers(&self) -> Result<Vec<UnitLayer>> {
        let layered = self.all_layered(&self.input_shapes(1, None)?)?;
        let readers = self.readers();
        let mut found: Vec<(ValueId, Vec<ValueId>)> = Vec::new();
        for node in &self.graph.nodes {
            let Some(&Some(value)) = node.outputs.first() else { continue };
            if !self.computes_units(node, &layered) {
                continue;
            }
            for last in self.last_forms(value, &readers, &layered) {
                let forms = if last == value { Vec::new() } else { vec![value] };
                match found.iter_mut().find(|(known, _)| *known == last) {
                    Some((_, known)) => known.extend(forms),
                    None => found.push((last, forms)),
                }
            }
        }
        for tensor in self.card.layers.keys() {
            let value = self.resolve(tensor)?;
            if !found.iter().any(|(known, _)| *known == value) {
                found.push((value, Vec::new()));
            }
        }
        found.retain(|(value, _)| self.has_units(*value, &layered));
        let place = |value: &ValueId| self.graph.producer(*value);
        found.sort_by_key(|(value, _)| place(value));
        let layer = |(value, forms)| UnitLayer { forms, ..self.unit_layer(&layered, value) };
        Ok(found.into_iter().map(layer).collect())
    }

    fn has_units(&self, value: ValueId, layered: &Layered) -> bool {
        let map =
            layered.map(value).is_some_and(|map| map.shape().get(1).is_some_and(|channels| *channels > 1));
        map && !layered.is_constant(value) && self.graph.producer(value).is_some()
    }

    fn computes_units(&self, node: &Node, layered: &Layered) -> bool {
        let constant =
            |i: usize| node.inputs.get(i).is_some_and(|v| v.is_some_and(|v| layered.is_constant(v)));
        let given = (0..node.inputs.len()).filter(|&i| node.inputs[i].is_some() && !constant(i)).count();
        let weighs = node.op.weight_form().is_some() && node.op.normalization().is_none() && constant(1);
        given > 0 && (weighs || given > 1 && (node.op.is_sum() || node.op.concatenates()))
    }

    /// The nodes that read each value.
    fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.graph.values.len()];
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let read: BTreeSet<ValueId> = node.inputs.iter().flatten().copied().collect();
            read.into_iter().for_each(|value| readers[value.index()].push(i));
        }
        readers
    }

    /// What others read of a value once biases, normalization and activation functions have been applied to it:
    /// the values at which the network goes on to something else.
    fn last_forms(&self, value: ValueId, readers: &[Vec<usize>], layered: &Layered) -> Vec<ValueId> {
        let mut within = BTreeSet::from([value]);
        let mut last = Vec::new();
        let mut queue = vec![value];
        // The nodes of a graph are in order, so a value joins before those that depend on it are looked at.
        let mut nodes: BTreeSet<usize> = readers[value.index()].iter().copied().collect();
        let mut leaves = BTreeSet::new();
        while let Some(i) = nodes.pop_first() {
            let node = &self.graph.nodes[i];
            let pointwise = node.op.by_element()
                || node.op.normalization() == Some(Normalization::Batch)
                || node.op.is_activation()
                || node.op.op_type() == "Dropout";
            let inputs = || node.inputs.iter().flatten().copied();
            let own = inputs().all(|v| within.contains(&v) || layered.is_constant(v));
            match node.outputs.first() {
                Some(&Some(output)) if pointwise && own => {
                    within.insert(output);
                    queue.push(output);
                    nodes.extend(&readers[output.index()]);
                }
                _ => leaves.extend(inputs().filter(|v| within.contains(v))),
            }
        }
        for value in queue {
            let unread = readers[value.index()].is_empty();
            if leaves.contains(&value) || unread && self.graph.outputs.contains(&value) {
                last.push(value);
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;

    /// conv → relu → conv → sigmoid gate → sum with the first → pool → concat with itself.
    fn model() -> Model {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 8, 8].map(Dim::Fixed)).unwrap();
        let weights = |net: &mut Builder, name: &str, inputs: usize| {
            net.constant(name, Tensor::floats(&[4, inputs, 1, 1], vec![0.5; 4 * inputs])).unwrap()
        };
        let w = weights(&mut net, "w", 3);
        let conv = net.node("Conv", "conv", &[x, w], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
        let v = weights(&mut net, "v", 4);
        let second = net.node("Conv", "second", &[relu, v], vec![]).unwrap();
        let gate = net.node("Sigmoid", "gate", &[second], vec![]).unwrap();
        let swish = net.node("Mul", "swish", &[second, gate], vec![]).unwrap();
        let sum = net.node("Add", "sum", &[swish, relu], vec![]).unwrap();
        let pooling =
            vec![("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))];
        let pool = net.node("MaxPool", "pool", &[sum], pooling).unwrap();
        let both = net.node("Concat", "both", &[pool, pool], vec![("axis", Attribute::Int(1))]).unwrap();
        let card = "[[input]]\nname = \"x\"\n[layers]\n\"named\" = \"pool\"";
        Model::new(net.finish(&[both]), Card::parse(card).unwrap()).unwrap()
    }

    #[test]
    fn layers_stand_behind_their_activation_functions() {
        let model = model();
        let layers = model.unit_layers().unwrap();
        let names: Vec<&str> = layers.iter().map(|l| model.graph.name(l.value)).collect();
        assert_eq!(names, ["relu", "swish", "sum", "pool", "both"]);
        let relu = &layers[0];
        assert_eq!((model.graph.name(relu.read), relu.clip), ("conv", [0.0, f32::INFINITY]));
        assert_eq!(relu.forms.iter().map(|v| model.graph.name(*v)).collect::<Vec<_>>(), ["conv"]);
        let swish = &layers[1];
        assert_eq!((swish.read, swish.clip[0]), (swish.value, f32::NEG_INFINITY));
        assert_eq!(model.graph.name(swish.forms[0]), "second");
    }
}
