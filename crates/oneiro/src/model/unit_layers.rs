//! Finds the layers of a network whose channels are worth showing as units.

use std::collections::BTreeSet;
use std::sync::Arc;

use oneiro_net::graph::{Node, Normalization};
use oneiro_net::{ValueId, summary};

use super::{Layered, Model};
use crate::error::Result;

/// A layer whose channels are the units to be studied.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitLayer {
    /// The layer's value in the graph.
    pub value: ValueId,
    /// The values that are read and concatenated along the channels: one value, or the operands of a
    /// concatenation.
    pub parts: Vec<UnitPart>,
    /// Earlier forms of this layer: the convolution and the normalization before its activation function.
    /// Also the operands of a concatenation that nothing else reads.
    pub forms: Vec<Form>,
}

/// The value that is read for a layer, or for some of its channels.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitPart {
    /// The value before the layer's ReLU, or the layer itself.
    pub read: ValueId,
    /// The bounds to which the layer clips the value; infinite without a ReLU.
    pub clip: [f32; 2],
    /// The projection onto directions, for units that are directions in the value's channels.
    pub projection: Option<Projection>,
}

/// An affine map from the channels of a layer to units.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// For each unit, a row with one weight for each channel of the layer.
    pub weights: Arc<[f32]>,
    /// For each unit, a number that is added.
    pub bias: Arc<[f32]>,
}

/// A value that is an earlier form of a layer's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The value that is an earlier form of the layer.
    pub value: ValueId,
    /// Index of the layer's channel that corresponds to this value's first channel.
    pub first: usize,
    /// Number of this value's channels.
    pub channels: usize,
}

impl Model {
    /// Returns a value as a layer of units.
    pub fn unit_layer(&self, layered: &Layered, value: ValueId) -> UnitLayer {
        let parts = self.joined(layered, value).map(|(operands, _)| {
            let of = |operand: &ValueId| self.unit_layer(layered, *operand).parts;
            operands.iter().flat_map(of).collect()
        });
        let parts = parts.unwrap_or_else(|| {
            vec![match summary::clamp_before(&self.graph, layered.facts(), value) {
                Some((read, clip)) => UnitPart { read, clip, projection: None },
                None => UnitPart { read: value, clip: [f32::NEG_INFINITY, f32::INFINITY], projection: None },
            }]
        });
        UnitLayer { value, parts, forms: Vec::new() }
    }

    /// Returns directions in the channels of a value as a layer of units. If `is_rectified` is set, responses
    /// are clipped at zero.
    pub fn direction_layer(&self, value: ValueId, projection: Projection, is_rectified: bool) -> UnitLayer {
        let low = if is_rectified { 0.0 } else { f32::NEG_INFINITY };
        let clip = [low, f32::INFINITY];
        let part = UnitPart { read: value, clip, projection: Some(projection) };
        UnitLayer { value, parts: vec![part], forms: Vec::new() }
    }

    /// Returns the operands of a concatenation along the channels, with their numbers of channels.
    fn joined(&self, layered: &Layered, value: ValueId) -> Option<(Vec<ValueId>, Vec<usize>)> {
        let node = &self.graph.nodes[self.graph.producer(value)?];
        let whole = layered.map(value).filter(|_| node.op.concatenates())?;
        let operands = node.inputs.iter().copied().collect::<Option<Vec<ValueId>>>()?;
        let maps = operands.iter().map(|v| layered.map(*v)).collect::<Option<Vec<_>>>()?;
        let channels: Vec<usize> = maps.iter().map(|map| map.shape()[1]).collect();
        let same = maps.iter().all(|map| map.shape()[2..] == whole.shape()[2..]);
        (same && channels.iter().sum::<usize>() == whole.shape()[1]).then_some((operands, channels))
    }

    /// Returns the layers with units, in the graph's order. They are results of weights, sums and
    /// concatenations after normalization and activation function, and further layers that the card names.
    /// Left out are layers that repeat the units of others: pooled and reshaped maps, steps within an
    /// activation function, and operands of a concatenation without other readers.
    ///
    /// # Errors
    /// The errors of [`Model::all_layered`].
    pub fn unit_layers(&self) -> Result<Vec<UnitLayer>> {
        let layered = self.all_layered(&self.input_shapes(1, None)?)?;
        let readers = self.readers();
        let mut found: Vec<UnitLayer> = Vec::new();
        for node in &self.graph.nodes {
            let Some(&Some(value)) = node.outputs.first() else { continue };
            if !self.computes_units(node, &layered) {
                continue;
            }
            let (last, forms) = self.forms(value, &readers, &layered);
            for last in last.into_iter().filter(|last| self.has_units(*last, &layered)) {
                let channels = layered.map(last).map_or(0, |map| map.shape()[1]);
                let forms = forms.iter().map(|value| Form { value: *value, first: 0, channels });
                match found.iter_mut().find(|known| known.value == last) {
                    Some(known) => known.forms.extend(forms),
                    None => {
                        let layer = self.unit_layer(&layered, last);
                        found.push(UnitLayer { forms: forms.collect(), ..layer });
                    }
                }
            }
        }
        self.absorb(&mut found, &readers, &layered);
        for name in self.card.layers.keys() {
            let value = self.resolve(name)?;
            let known = |layer: &UnitLayer| {
                layer.value == value || layer.forms.iter().any(|form| form.value == value)
            };
            if !found.iter().any(known) && self.has_units(value, &layered) {
                found.push(self.unit_layer(&layered, value));
            }
        }
        let place = |layer: &UnitLayer| self.graph.producer(layer.value);
        found.sort_by_key(place);
        Ok(found)
    }

    /// Turns layers that only a concatenation reads into forms of that concatenation.
    fn absorb(&self, found: &mut Vec<UnitLayer>, readers: &[Vec<usize>], layered: &Layered) {
        let mut at = 0;
        while at < found.len() {
            let whole = found[at].value;
            let (operands, channels) = self.joined(layered, whole).unwrap_or_default();
            let mut first = 0;
            for (operand, channels) in operands.into_iter().zip(channels) {
                let alone = readers[operand.index()].len() == 1 && !self.graph.outputs.contains(&operand);
                if let Some(own) = found.iter().position(|layer| layer.value == operand).filter(|_| alone) {
                    let absorbed = found.remove(own);
                    at -= usize::from(own < at);
                    let forms = absorbed.forms.into_iter();
                    let forms = forms.map(|form| Form { first: form.first + first, ..form });
                    found[at].forms.push(Form { value: operand, first, channels });
                    found[at].forms.extend(forms);
                }
                first += channels;
            }
            at += 1;
        }
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

    /// Returns two lists. The first has the last forms of a value: after bias, normalization and activation
    /// function, where nodes of another kind read it. The second has the earlier forms before an activation
    /// function.
    pub(crate) fn forms(
        &self,
        value: ValueId,
        readers: &[Vec<usize>],
        layered: &Layered,
    ) -> (Vec<ValueId>, Vec<ValueId>) {
        let mut within = BTreeSet::from([value]);
        let (mut last, mut forms) = (Vec::new(), Vec::new());
        let mut queue = vec![value];
        // The nodes of a graph are in order, so a value is added before the nodes that depend on it are
        // visited.
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
            } else if !self.graph.producer(value).is_some_and(|i| self.graph.nodes[i].op.is_activation()) {
                forms.push(value);
            }
        }
        (last, forms)
    }
}

#[cfg(test)]
mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;

    /// conv → relu → conv → sigmoid gate → sum with the first → pool → concatenation with itself.
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
        let (relu, swish) = (&layers[0], &layers[1]);
        let forms = |layer: &UnitLayer| {
            layer
                .forms
                .iter()
                .map(|form| (model.graph.name(form.value).to_owned(), form.first))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (model.graph.name(relu.parts[0].read), relu.parts[0].clip),
            ("conv", [0.0, f32::INFINITY])
        );
        assert_eq!(forms(relu), [("conv".to_owned(), 0)]);
        assert_eq!((swish.parts[0].read, swish.parts[0].clip[0]), (swish.value, f32::NEG_INFINITY));
        assert_eq!(forms(swish), [("second".to_owned(), 0)]);
        // Only the concatenation reads the result of pooling, but the card names it as a layer.
        assert_eq!(layers[4].parts.len(), 2);
    }

    #[test]
    fn what_only_a_concatenation_reads_is_a_form_of_it() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 8, 8].map(Dim::Fixed)).unwrap();
        let mut branch = |name: &str, channels: usize| {
            let weight = Tensor::floats(&[channels, 3, 1, 1], vec![0.5; channels * 3]);
            let weight = net.constant(&format!("{name}.w"), weight).unwrap();
            let conv = net.node("Conv", &format!("{name}.conv"), &[x, weight], vec![]).unwrap();
            net.node("Relu", name, &[conv], vec![]).unwrap()
        };
        let parts = [branch("a", 4), branch("b", 5)];
        let both = net.node("Concat", "both", &parts, vec![("axis", Attribute::Int(1))]).unwrap();
        let card = "[[input]]\nname = \"x\"";
        let model = Model::new(net.finish(&[both]), Card::parse(card).unwrap()).unwrap();
        let layers = model.unit_layers().unwrap();
        let name = |value: ValueId| model.graph.name(value);
        assert_eq!(layers.iter().map(|layer| name(layer.value)).collect::<Vec<_>>(), ["both"]);
        let forms: Vec<_> =
            layers[0].forms.iter().map(|form| (name(form.value), form.first, form.channels)).collect();
        assert_eq!(forms, [("a", 0, 4), ("a.conv", 0, 4), ("b", 4, 5), ("b.conv", 4, 5)]);
        let read: Vec<_> = layers[0].parts.iter().map(|part| (name(part.read), part.clip[0])).collect();
        assert_eq!(read, [("a.conv", 0.0), ("b.conv", 0.0)]);
    }

    #[test]
    fn forms_of_nested_concatenations_have_their_own_channels() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 8, 8].map(Dim::Fixed)).unwrap();
        let mut branch = |name: &str, channels: usize| {
            let weight = Tensor::floats(&[channels, 3, 1, 1], vec![0.5; channels * 3]);
            let weight = net.constant(&format!("{name}.w"), weight).unwrap();
            net.node("Conv", name, &[x, weight], vec![]).unwrap()
        };
        let [a, b, c] = [branch("a", 4), branch("b", 5), branch("c", 2)];
        let axis = || vec![("axis", Attribute::Int(1))];
        let inner = net.node("Concat", "inner", &[a, b], axis()).unwrap();
        let whole = net.node("Concat", "whole", &[inner, c], axis()).unwrap();
        let model =
            Model::new(net.finish(&[whole]), Card::parse("[[input]]\nname = \"x\"").unwrap()).unwrap();
        let layers = model.unit_layers().unwrap();
        let mut forms: Vec<_> = layers[0]
            .forms
            .iter()
            .map(|form| (model.graph.name(form.value).to_owned(), form.first, form.channels))
            .collect();
        forms.sort();
        let of = |name: &str, first, channels| (name.to_owned(), first, channels);
        assert_eq!(forms, [of("a", 0, 4), of("b", 4, 5), of("c", 9, 2), of("inner", 0, 9)]);
    }
}
