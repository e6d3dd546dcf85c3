//! Weights that are not finite (from diverged training): finds the tensors and channels, and isolates them so
//! that the other channels stay usable.
//!
//! A broken filter makes its own channel and every layer that reads the channel useless. It would also make
//! the gradients of its layer's other channels useless, because a layer's gradient sums over all filters and
//! 0·NaN is NaN. A plan therefore replaces such filters in the layer by finite ones. Afterwards it selects
//! the channel's value (NaN, or ±∞ if only the bias is infinite) instead of the result; the selection passes
//! no gradient. Layers that read the channel are still not finite.

use std::collections::BTreeSet;

use crate::graph::{Graph, ValueId};
use crate::ops::weight_form::{VARIANCE, WeightForm};
use crate::ops::{Attributes, Fact, build};
use crate::tensor::{DType, Tensor};
use crate::typed::{Typed, TypedNode, ancestors};

/// The number of channels that a message lists for a tensor.
const LISTED: usize = 8;

/// Returns the channels of a constant that contain a value that is not finite, ascending.
fn channels(form: WeightForm, i: usize, tensor: &Tensor) -> Vec<usize> {
    let mut channels = BTreeSet::new();
    tensor.each_not_finite(&mut |at| {
        channels.insert(form.channel(i, tensor.shape(), at));
    });
    channels.into_iter().collect()
}

/// Describes the weights that are not finite and on which the targets depend, as "w1 channel 2, b1 channel
/// 4". Returns `None` if all are finite.
pub fn describe(graph: &Graph, targets: &[ValueId]) -> Option<String> {
    let mut named: Vec<ValueId> = Vec::new();
    let mut parts = Vec::new();
    for (node, _) in graph.nodes.iter().zip(ancestors(graph, targets)).filter(|(_, needed)| *needed) {
        let form = node.op.weight_form();
        for (i, value) in node.inputs.iter().enumerate() {
            let Some((value, tensor)) =
                value.and_then(|v| graph.values[v.index()].constant.as_ref().map(|t| (v, t)))
            else {
                continue;
            };
            if tensor.dtype() != DType::Float || named.contains(&value) {
                continue;
            }
            match form.filter(|f| f.holds(i)) {
                Some(form) => {
                    let channels = channels(form, i, tensor);
                    if channels.is_empty() {
                        continue;
                    }
                    let list: Vec<String> = channels.iter().take(LISTED).map(usize::to_string).collect();
                    let more = if channels.len() > LISTED { ", …" } else { "" };
                    let noun = if channels.len() == 1 { "channel" } else { "channels" };
                    parts.push(format!("{} {noun} {}{more}", graph.name(value), list.join(", ")));
                }
                // In other constants infinity is an ordinary value: attention masks consist of it.
                None if tensor.has_nan() => parts.push(graph.name(value).to_owned()),
                None => continue,
            }
            named.push(value);
        }
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Isolates the broken filters of all layers. Returns the names of the nodes that had some.
pub(crate) fn isolate(typed: &mut Typed) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < typed.nodes.len() {
        if let Some(repair) = Repair::of(typed, &typed.nodes[at]) {
            names.push(typed.nodes[at].name.clone());
            repair.apply(typed, at);
            at += 1;
        }
        at += 1;
    }
    names
}

/// What replaces a layer of which some filters are not finite.
struct Repair {
    /// The layer's constants, with finite values in place of the filters that are not finite.
    constants: Vec<(usize, Tensor)>,
    /// Which channels are broken, with a shape that broadcasts over the result. `value` is their value.
    broken: Tensor,
    value: Tensor,
}

impl Repair {
    fn of(typed: &Typed, node: &TypedNode) -> Option<Self> {
        let form = node.op.weight_form()?;
        let facts = typed.input_facts(node);
        let output = node.outputs.first().copied().flatten()?;
        let result = typed.fact(output).ok()?;
        let axis = form.axis(result.shape.len())?;
        let count = result.shape[axis];
        let constant = |i: usize| facts.get(i).copied().flatten().and_then(|f| f.value.as_ref());
        let constants: Vec<(usize, &Tensor)> = (0..facts.len())
            .filter(|&i| form.holds(i))
            .filter_map(|i| constant(i).filter(|t| t.dtype() == DType::Float).map(|t| (i, t)))
            .collect();
        let broken_in: Vec<Vec<usize>> = constants.iter().map(|&(i, t)| channels(form, i, t)).collect();
        if broken_in.iter().all(Vec::is_empty) || broken_in.iter().flatten().any(|&c| c >= count) {
            return None;
        }
        let mut values = vec![0.0; count];
        for (&(i, tensor), broken) in constants.iter().zip(&broken_in) {
            for &c in broken {
                let bias = !matches!(form, WeightForm::Channelwise) && i == 2;
                // If only the bias is ±∞, the channel's value is the bias.
                let infinite = bias && values[c] == 0.0 && tensor.len() == count;
                let own = if infinite { tensor.as_floats().ok()?[c] } else { f32::NAN };
                values[c] = own;
            }
        }
        let broken: Vec<bool> = values.iter().map(|v: &f32| !v.is_finite()).collect();
        let repaired = constants.iter().map(|&(i, tensor)| {
            let whole = if matches!(form, WeightForm::Channelwise) && i == VARIANCE { 1.0 } else { 0.0 };
            let data = tensor.as_floats().ok()?.into_owned();
            // A constant whose shape does not fit the layer is left to the kernel, which reports it.
            let is_broken = |at| broken.get(form.channel(i, tensor.shape(), at)).is_some_and(|b| *b);
            let keep = |(at, x)| if is_broken(at) { whole } else { x };
            Some((i, Tensor::floats(tensor.shape(), data.into_iter().enumerate().map(keep).collect())))
        });
        let constants = repaired.collect::<Option<Vec<_>>>()?;
        let mut shape = vec![1; result.shape.len()];
        shape[axis] = count;
        Some(Self { constants, broken: Tensor::bools(&shape, broken), value: Tensor::floats(&shape, values) })
    }

    fn apply(self, typed: &mut Typed, at: usize) {
        for (input, tensor) in self.constants {
            let id = typed.add_constant(tensor);
            typed.nodes[at].inputs[input] = Some(id);
        }
        let Some(result) = typed.nodes[at].outputs.first().copied().flatten() else { return };
        let shape = typed.facts[result.index()].as_ref().map_or(vec![], |f| f.shape.clone());
        let inside = typed.add_value(Fact::float(shape));
        let [broken, value] = [self.broken, self.value].map(|t| typed.add_constant(t));
        let choice = TypedNode {
            name: typed.nodes[at].name.clone(),
            op: build("Where", &Attributes::new(crate::graph::OPSET, vec![])),
            inputs: vec![Some(broken), Some(value), Some(inside)],
            outputs: vec![Some(result)],
            epilogue: None,
        };
        typed.nodes[at].outputs[0] = Some(inside);
        typed.nodes.insert(at + 1, choice);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Builder, Dim};
    use crate::ops::Attribute;
    use crate::{CpuSession, Plan, Request, Rules, Session};

    const SIDE: usize = 6;

    /// A network of two convolutions with the operator `between` in the middle. If `broken`, filter 2 and the
    /// bias of channel 4 of the first convolution are not finite.
    fn network(broken: bool, between: &'static str) -> Graph {
        let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin() * 0.3).collect::<Vec<_>>();
        let (mut first, mut bias) = (wave(6 * 27, 1.3), wave(6, 0.7));
        if broken {
            first[2 * 27 + 5] = f32::NAN;
            bias[4] = f32::INFINITY;
        }
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, SIDE, SIDE].map(Dim::Fixed)).unwrap();
        let w1 = net.constant("w1", Tensor::floats(&[6, 3, 3, 3], first)).unwrap();
        let b1 = net.constant("b1", Tensor::floats(&[6], bias)).unwrap();
        let w2 = net.constant("w2", Tensor::floats(&[4, 6, 1, 1], wave(24, 0.9))).unwrap();
        let pads = vec![("pads", Attribute::Ints(vec![1; 4]))];
        let c1 = net.node("Conv", "c1", &[x, w1, b1], pads).unwrap();
        let r1 = net.node(between, "r1", &[c1], vec![]).unwrap();
        let c2 = net.node("Conv", "c2", &[r1, w2], vec![]).unwrap();
        net.finish(&[c2])
    }

    /// Returns the value and the gradient of the sum over one channel of a layer.
    fn channel(graph: &Graph, layer: &str, channel: usize) -> (f32, Vec<f32>) {
        let target = graph.find_value(layer).unwrap();
        let plan = Plan::compile(graph, &Request::new(graph, 1, &[target]).unwrap()).unwrap();
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32 * 0.37).cos());
        session.forward();
        let (values, seed) = session.seed(0);
        let range = channel * SIDE * SIDE..(channel + 1) * SIDE * SIDE;
        let value = values[range.clone()].iter().sum();
        seed.fill(0.0);
        seed[range].fill(1.0);
        session.backward(&Rules::default());
        (value, session.input_gradient(0).to_vec())
    }

    #[test]
    fn healthy_filters_have_the_numbers_of_a_network_without_the_broken_ones() {
        for between in ["Relu", "HardSwish", "Sigmoid"] {
            let (broken, whole) = (network(true, between), network(false, between));
            for layer in ["c1", "r1"] {
                for healthy in [0, 1, 3, 5] {
                    let (a, b) = (channel(&broken, layer, healthy), channel(&whole, layer, healthy));
                    assert!((a.0 - b.0).abs() <= 1e-5 * b.0.abs(), "{between} {layer} {healthy}");
                    let near = a.1.iter().zip(&b.1).all(|(a, b)| (a - b).abs() < 1e-5);
                    assert!(near, "{between} {layer} {healthy}");
                }
            }
        }
    }

    #[test]
    fn what_reads_a_broken_filter_is_not_finite() {
        for between in ["Relu", "HardSwish", "Neg"] {
            let graph = network(true, between);
            assert!(channel(&graph, "c1", 2).0.is_nan());
            assert_eq!(channel(&graph, "c1", 4).0, f32::INFINITY);
            (0..4).for_each(|c| assert!(!channel(&graph, "c2", c).0.is_finite(), "{between} {c}"));
        }
    }

    #[test]
    fn the_tensors_and_their_channels_are_named() {
        let graph = network(true, "Relu");
        assert_eq!(describe(&graph, &graph.outputs).unwrap(), "w1 channel 2, b1 channel 4");
        assert_eq!(describe(&network(false, "Relu"), &graph.outputs), None);
    }

    #[test]
    fn every_form_of_weights_belongs_to_its_channels() {
        let (groups, shape) = (2, [4, 3, 2, 2]);
        let transposed = WeightForm::Transposed { groups };
        // Inputs 0 and 1 feed channels 0 to 2; inputs 2 and 3 feed channels 3 to 5.
        assert_eq!(transposed.channel(1, &shape, 3 * 12 + 2 * 4 + 1), 5);
        assert_eq!(transposed.channel(1, &shape, 12 + 4), 1);
        assert_eq!(WeightForm::Rows.channel(1, &[5, 7], 8), 1);
        assert_eq!(WeightForm::Columns.channel(1, &[7, 5], 8), 3);
        assert_eq!(WeightForm::Filters.channel(2, &[6], 4), 4);
        assert_eq!(WeightForm::Channelwise.channel(3, &[6], 4), 4);
    }
}
