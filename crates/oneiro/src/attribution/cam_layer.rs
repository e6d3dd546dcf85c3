//! Finds the default layer of Grad-CAM: the last feature map on which the objective depends.
//!
//! A feature map ends after its convolution, its sum with a shortcut, its normalisation or the concatenation
//! of its branches, activation function included. The activation function may be one node, or several nodes
//! that combine a value with element-wise functions of itself, as in x·sigmoid(x). In a transformer, the
//! class token reads no patches in the layers after the last attention. The maps of these layers have no
//! gradient, so an earlier map is taken.

use oneiro_net::analysis;
use oneiro_net::axes::Axes;
use oneiro_net::graph::{Node, Normalization};
use oneiro_net::{Graph, ValueId};

use crate::error::{Error, Result};
use crate::model::{Layered, Model};

/// Returns the feature maps among which Grad-CAM chooses, the last one first. They have more than one
/// position, and no objective reads them directly.
///
/// # Errors
/// If there is no such feature map.
pub(super) fn candidates(model: &Model, targets: &[ValueId], shapes: &[Vec<usize>]) -> Result<Vec<ValueId>> {
    let graph = &model.graph;
    let needed = analysis::ancestors(graph, targets);
    let layered = model.layered(targets, shapes)?;
    let has_map = |value: ValueId| {
        let has_size = |shape: &[usize]| matches!(*shape, [_, _, h, w] | [_, _, _, h, w] if h * w > 1);
        layered.map(value).is_some_and(|map| has_size(map.shape()))
    };
    let reading = Reading { graph, layered: &layered, needed: &needed };
    let mut within = vec![false; graph.nodes.len()];
    let mut found: Vec<ValueId> = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let Some(value) = node.outputs.first().copied().flatten() else { continue };
        if within[i] || !ends_a_map(graph, &layered, node) {
            continue;
        }
        let mut map = value;
        let mut is_target = targets.contains(&map);
        while !is_target
            && let Some(next) = reading.only_reader(map).or_else(|| reading.activated(map, &mut within))
        {
            map = next;
            is_target = targets.contains(&map);
        }
        if !is_target && has_map(map) {
            found.retain(|other| *other != map);
            found.push(map);
        }
    }
    found.reverse();
    if found.is_empty() {
        return Err(Error::Settings(
            "Grad-CAM: no convolution, nor another layer with a map of height and width, stands before the objective; name a \
             layer"
                .into(),
        ));
    }
    Ok(found)
}

/// Whether a node computes the end of a feature map: a convolution, a sum with a shortcut, a normalisation or
/// a concatenation.
fn ends_a_map(graph: &Graph, layered: &Layered, node: &Node) -> bool {
    let data = |value: &&ValueId| layered.axes(**value).is_some();
    match node.op.op_type() {
        "Conv" => true,
        _ if node.op.is_sum() && node.inputs.iter().flatten().filter(data).count() > 1 => {
            let shape = |value: ValueId| layered.shape(value);
            let output = node.outputs.first().copied().flatten().and_then(shape);
            node.inputs.iter().flatten().all(|&value| shape(value) == output)
        }
        "Add" | "Mul" => normalizes_in_steps(graph, layered, node),
        _ if node.op.concatenates() && node.inputs.iter().flatten().filter(data).count() > 1 => {
            joins_channels(layered, node)
        }
        // Normalizations with which token networks end a feature map.
        _ => matches!(
            node.op.normalization(),
            Some(Normalization::Layer | Normalization::RootMeanSquare | Normalization::Group)
        ),
    }
}

/// Whether a node ends a normalisation that is composed of several nodes: (x − mean) / deviation, then
/// products and sums with constants.
fn normalizes_in_steps(graph: &Graph, layered: &Layered, node: &Node) -> bool {
    let producer = |value: ValueId| graph.producer(value).map(|i| &graph.nodes[i]);
    // Returns the only operand that depends on the data.
    let operand = |node: &Node| {
        let mut data = node.inputs.iter().flatten().copied().filter(|&v| layered.axes(v).is_some());
        data.next().filter(|_| data.next().is_none())
    };
    let mut last = Some(node);
    while let Some(node) = last {
        match node.op.op_type() {
            "Add" | "Mul" => last = operand(node).and_then(producer),
            "Div" => {
                let numerator = node.inputs.first().copied().flatten().and_then(producer);
                return numerator.is_some_and(|n| n.op.op_type() == "Sub");
            }
            _ => return false,
        }
    }
    false
}

/// Whether a node concatenates its operands along the channels.
fn joins_channels(layered: &Layered, node: &Node) -> bool {
    let Some(result) = node.outputs.first().copied().flatten() else { return false };
    let Some((channel, shape)) = layered.axes(result).and_then(Axes::channel).zip(layered.shape(result))
    else {
        return false;
    };
    let keeps = |value: &ValueId| {
        let others = |shape: &[usize]| [&shape[..channel], &shape[channel + 1..]].concat();
        layered.shape(*value).is_some_and(|x| x.len() == shape.len() && others(x) == others(shape))
    };
    node.inputs.iter().flatten().all(keeps)
}

/// The part of a graph in which feature maps are searched.
struct Reading<'a> {
    graph: &'a Graph,
    layered: &'a Layered,
    needed: &'a [bool],
}

impl Reading<'_> {
    /// Returns the needed nodes that read a value.
    fn readers(&self, value: ValueId) -> impl Iterator<Item = (usize, &Node)> {
        let nodes = self.graph.nodes.iter().enumerate();
        nodes.filter(move |(i, node)| self.needed[*i] && node.inputs.contains(&Some(value)))
    }

    /// The output of `value`'s only consumer, if that consumer keeps the feature map.
    fn only_reader(&self, value: ValueId) -> Option<ValueId> {
        let mut readers = self.readers(value);
        match (readers.next(), readers.next()) {
            (Some((_, node)), None)
                if node.op.normalization().is_some() || node.op.is_sum() || node.op.is_activation() =>
            {
                node.outputs.first().copied().flatten()
            }
            _ => None,
        }
    }

    /// Returns the result of an activation function that consists of several nodes: element-wise functions of
    /// `value` and constants, which join in one result, possibly times a factor. Marks these nodes in
    /// `within`.
    fn activated(&self, value: ValueId, within: &mut [bool]) -> Option<ValueId> {
        // If a value has one reader only, no such function begins there.
        self.readers(value).nth(1)?;
        let mut functions = vec![value];
        let mut nodes = Vec::new();
        let mut result = None;
        for (i, node) in self.graph.nodes.iter().enumerate().filter(|(i, _)| self.needed[*i]) {
            let mut inputs = node.inputs.iter().flatten();
            if !inputs.clone().any(|input| functions.contains(input)) {
                continue;
            }
            let known = |input: &ValueId| functions.contains(input) || self.layered.is_constant(*input);
            let output = node.outputs.first().copied().flatten()?;
            let by_element = node.op.by_element() || node.op.is_activation();
            if !by_element || !inputs.all(known) {
                break;
            }
            functions.push(output);
            nodes.push(i);
            let open = |value: &&ValueId| self.readers(**value).any(|(k, _)| !nodes.contains(&k));
            let mut open = functions.iter().filter(open);
            match result {
                // After the result, only a multiplication by a constant may follow.
                Some(_) if !self.is_scaling(node) => break,
                _ if open.all(|value| *value == output) => result = Some((output, nodes.len())),
                _ => {}
            }
        }
        let (output, count) = result?;
        nodes[..count].iter().for_each(|&i| within[i] = true);
        Some(output)
    }

    /// Whether a node multiplies or divides by a single number.
    fn is_scaling(&self, node: &Node) -> bool {
        let one = |value: &&ValueId| {
            self.layered.is_constant(**value)
                && self.layered.shape(**value).is_some_and(|shape| shape.iter().product::<usize>() == 1)
        };
        matches!(node.op.op_type(), "Mul" | "Div") && node.inputs.iter().flatten().any(|v| one(&v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use oneiro_net::graph::Attribute;
    use oneiro_net::graph::{Builder, Dim};
    use oneiro_net::tensor::Tensor;

    /// A network that a test builds node by node.
    struct Net(Builder, usize);

    impl Net {
        fn node(&mut self, op: &str, inputs: &[ValueId]) -> ValueId {
            self.1 += 1;
            let axis = (op == "Concat").then_some(("axis", Attribute::Int(1)));
            self.0.node(op, &format!("{op}{}", self.1), inputs, axis.into_iter().collect()).unwrap()
        }

        fn number(&mut self, number: f32) -> ValueId {
            self.1 += 1;
            self.0.constant(&format!("number{}", self.1), Tensor::floats(&[], vec![number])).unwrap()
        }

        fn conv(&mut self, x: ValueId, channels: [usize; 2]) -> ValueId {
            self.1 += 1;
            let weights =
                Tensor::floats(&[channels[1], channels[0], 1, 1], vec![0.5; channels[0] * channels[1]]);
            let weights = self.0.constant(&format!("weights{}", self.1), weights).unwrap();
            self.node("Conv", &[x, weights])
        }
    }

    /// Returns the name of the first candidate, and the name of the expected one. `make` builds on a
    /// convolution's result, and returns its last value and the expected end of the map.
    fn chosen(make: impl Fn(&mut Net, ValueId) -> (ValueId, ValueId)) -> (String, String) {
        let mut net = Net(Builder::new(), 0);
        let x = net.0.input("x", &[1, 3, 8, 8].map(Dim::Fixed)).unwrap();
        let conv = net.conv(x, [3, 4]);
        let (last, expected) = make(&mut net, conv);
        let pool = net.node("GlobalAveragePool", &[last]);
        let logits = net.node("Flatten", &[pool]);
        let graph = net.0.finish(&[logits]);
        let model = Model::new(graph, Card::parse("[[input]]\nname = \"x\"\n").unwrap()).unwrap();
        let found = candidates(&model, &[logits], &[vec![1, 3, 8, 8]]).unwrap();
        let name = |value: ValueId| model.graph.name(value).to_owned();
        (name(found[0]), name(expected))
    }

    /// Builds an activation function on a value and returns its result.
    type Function = fn(&mut Net, ValueId) -> ValueId;

    const FUNCTIONS: &[(&str, Function)] = &[
        ("none", |_, x| x),
        ("ReLU", |net, x| net.node("Relu", &[x])),
        ("SiLU", |net, x| {
            let gate = net.node("Sigmoid", &[x]);
            net.node("Mul", &[x, gate])
        }),
        ("GELU by erf", |net, x| {
            let (root, one, half) = (net.number(1.414), net.number(1.0), net.number(0.5));
            let y = net.node("Div", &[x, root]);
            let y = net.node("Erf", &[y]);
            let y = net.node("Add", &[y, one]);
            let y = net.node("Mul", &[x, y]);
            net.node("Mul", &[y, half])
        }),
        ("GELU by tanh", |net, x| {
            let (three, c, d, one) = (net.number(3.0), net.number(0.044), net.number(0.797), net.number(1.0));
            let half = net.number(0.5);
            let half = net.node("Mul", &[half, x]);
            let y = net.node("Pow", &[x, three]);
            let y = net.node("Mul", &[c, y]);
            let y = net.node("Add", &[x, y]);
            let y = net.node("Mul", &[y, d]);
            let y = net.node("Tanh", &[y]);
            let y = net.node("Add", &[y, one]);
            net.node("Mul", &[half, y])
        }),
        ("Mish", |net, x| {
            let y = net.node("Softplus", &[x]);
            let y = net.node("Tanh", &[y]);
            net.node("Mul", &[x, y])
        }),
        ("Hardswish in steps", |net, x| {
            let (three, zero, six) = (net.number(3.0), net.number(0.0), net.number(6.0));
            let y = net.node("Add", &[x, three]);
            let y = net.node("Clip", &[y, zero, six]);
            let y = net.node("Mul", &[x, y]);
            net.node("Div", &[y, six])
        }),
    ];

    #[test]
    fn the_activation_function_belongs_to_the_map() {
        let mut failures = Vec::new();
        for (name, activation) in FUNCTIONS {
            let plain = chosen(|net, x| {
                let end = activation(net, x);
                (end, end)
            });
            // The activation function follows a sum with a shortcut. Below, two results of it are
            // concatenated.
            let sum = chosen(|net, x| {
                let y = net.conv(x, [4, 4]);
                let sum = net.node("Add", &[x, y]);
                let end = activation(net, sum);
                (end, end)
            });
            let beside = chosen(|net, x| {
                let y = net.conv(x, [4, 2]);
                let parts = [activation(net, x), activation(net, y)];
                let end = net.node("Concat", &parts);
                (end, end)
            });
            for (form, (found, expected)) in [("alone", plain), ("sum", sum), ("concatenation", beside)] {
                if found != expected {
                    failures.push(format!("{name}, {form}: {found}, not {expected}"));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn weights_from_elsewhere_are_no_activation_function() {
        // Squeeze and excitation, and a gate that a convolution computes.
        let excited: Function = |net, x| {
            let mean = net.node("GlobalAveragePool", &[x]);
            net.node("Mul", &[x, mean])
        };
        let gated: Function = |net, x| {
            let y = net.conv(x, [4, 4]);
            let y = net.node("Sigmoid", &[y]);
            net.node("Mul", &[x, y])
        };
        for make in [excited, gated] {
            let (found, end) = chosen(|net, x| {
                let end = make(net, x);
                (end, end)
            });
            assert_ne!(found, end);
        }
    }
}
