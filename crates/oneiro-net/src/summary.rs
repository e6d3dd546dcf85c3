//! Summaries of a layer's channels for each image, computed within the network, so that the maps are not
//! kept.
//!
//! Interface: [`add`] adds a node after a value (N, C, positions …). For each image and channel the node
//! computes [`len`] numbers ([`ChannelSummary`]). A plan then stores these instead of the map, and the map is
//! read while it is in the caches.

use crate::graph::{Attribute, Attributes, Fact, Facts, Graph, Node, OPSET, Value, ValueId, build};
use crate::kernels::EpilogueFunction;
use crate::kernels::blocked::summary as kernel;
use crate::ops::array::tap::Given;
use crate::ops::math::summary::Summary;
use crate::tensor::Tensor;

/// Largest random seed that is exact in f32.
pub const MAX_SEED: u32 = (1 << f32::MANTISSA_DIGITS) - 1;

/// The settings with which a value's channels are summarized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// The bounds to which the activation function after the value clamps it (0 and infinity for a ReLU).
    /// Without an activation function both are infinite.
    pub clip: [f32; 2],
    /// The number of positions that are sampled from each channel.
    pub samples: usize,
}

/// Returns the number of elements of a channel's summary.
pub fn len(samples: usize) -> usize {
    kernel::NUMBERS + samples
}

/// The summary of one channel for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelSummary<'a>(&'a [f32]);

impl<'a> ChannelSummary<'a> {
    /// Wraps the [`len`] elements of a channel's summary.
    ///
    /// # Panics
    /// If there are fewer numbers than a summary has.
    pub fn new(numbers: &'a [f32]) -> Self {
        assert!(numbers.len() >= kernel::NUMBERS, "{} numbers are no summary", numbers.len());
        Self(numbers)
    }

    /// Returns the largest value; NaN if none is finite.
    pub fn largest(self) -> f32 {
        self.0[kernel::LARGEST]
    }

    /// Returns the position of the largest value; the first one among equal values.
    pub fn place(self) -> usize {
        self.0[kernel::PLACE] as usize
    }

    /// Returns the mean of the channel's values over its positions.
    pub fn mean(self) -> f32 {
        self.0[kernel::MEAN]
    }

    /// Returns the variance over the positions: the mean squared difference from the mean.
    pub fn variance(self) -> f32 {
        self.0[kernel::VARIANCE]
    }

    /// Returns the mean of the channel's clamped values.
    pub fn clipped_mean(self) -> f32 {
        self.0[kernel::CLIPPED_MEAN]
    }

    /// Returns the variance of the channel's clamped values.
    pub fn clipped_variance(self) -> f32 {
        self.0[kernel::CLIPPED_VARIANCE]
    }

    /// Returns the number of positions at which the channel is above zero.
    pub fn active(self) -> u32 {
        self.0[kernel::ACTIVE] as u32
    }

    /// Returns the number of positions that are not finite (NaN or infinite). No other field includes them.
    pub fn not_finite(self) -> u32 {
        self.0[kernel::NOT_FINITE] as u32
    }

    /// Returns the values at positions drawn at random ([`sampled_place`]), not clamped.
    pub fn samples(self) -> &'a [f32] {
        &self.0[kernel::NUMBERS..]
    }
}

/// Returns the position, out of `positions`, of a sample of the image with this random seed. It is the same
/// for all channels of a layer.
pub fn sampled_place(seed: u32, sample: usize, positions: usize) -> usize {
    kernel::sampled_place(seed, sample, positions)
}

/// Returns the operand and the bounds of the clamp (`Relu`, or `Clip` with constant bounds) that computes a
/// value. Returns `None` if another operator computes it.
pub fn clamp_before(graph: &Graph, facts: &[Option<Fact>], value: ValueId) -> Option<(ValueId, [f32; 2])> {
    let node = &graph.nodes[graph.producer(value)?];
    let inputs: Vec<Option<&Fact>> =
        node.inputs.iter().map(|v| v.and_then(|v| facts.get(v.index())?.as_ref())).collect();
    match node.op.epilogue(Facts(&inputs)).ok()?? {
        EpilogueFunction::Clip { bounds, .. } if node.op.obeys_relu_rule() => {
            Some((node.inputs.first().copied()??, [bounds.low, bounds.high]))
        }
        _ => None,
    }
}

/// Adds a node that summarizes a value of shape (N, C, positions …). Returns its result of shape (N, C,
/// [`len`]). `seeds` is a value of shape (N, 1, 1) with integer random seeds up to [`MAX_SEED`].
pub fn add(graph: &mut Graph, value: ValueId, seeds: ValueId, request: Request) -> ValueId {
    let mut name = format!("{} (summary)", graph.name(value));
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    graph.values.push(Value { name: name.clone(), constant: None });
    let output = ValueId(graph.values.len() as u32 - 1);
    let op = std::sync::Arc::new(Summary { clip: request.clip, samples: request.samples });
    let inputs = vec![Some(value), Some(seeds)];
    graph.nodes.push(Node { name, module: None, op, inputs, outputs: vec![Some(output)] });
    output
}

/// Inserts a copy between a value and all its readers. No gradient passes back through the copy, so the value
/// counts as a constant.
pub fn detach(graph: &mut Graph, value: ValueId) {
    let mut name = format!("{} (given)", graph.name(value));
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    graph.values.push(Value { name: name.clone(), constant: None });
    let copy = ValueId(graph.values.len() as u32 - 1);
    let Some(producer) = graph.producer(value) else { return };
    for node in &mut graph.nodes {
        for input in node.inputs.iter_mut().filter(|input| **input == Some(value)) {
            *input = Some(copy);
        }
    }
    let op = std::sync::Arc::new(Given);
    let node = Node { name, module: None, op, inputs: vec![Some(value)], outputs: vec![Some(copy)] };
    graph.nodes.insert(producer + 1, node);
}

/// Adds a node that maps the channels of a value of shape (N, C, positions …), with `axes` axes, to units.
/// Each unit has a row of C weights and a bias. The result has the shape (N, units, positions …).
///
/// # Panics
/// If the number of weights is not C for each element of `bias`.
pub fn project(graph: &mut Graph, value: ValueId, axes: usize, weights: &[f32], bias: &[f32]) -> ValueId {
    let units = bias.len();
    let channels = weights.len() / units.max(1);
    assert_eq!(weights.len(), units * channels, "a row of weights for each of {units} units");
    let mut name = format!("{} (directions)", graph.name(value));
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    let mut shape = vec![units, channels];
    shape.resize(axes.max(2), 1);
    let mut constant = |kind: &str, tensor: Tensor| {
        graph.values.push(Value { name: format!("{name} {kind}"), constant: Some(tensor) });
        ValueId(graph.values.len() as u32 - 1)
    };
    let weights = constant("weights", Tensor::floats(&shape, weights.to_vec()));
    let bias = constant("bias", Tensor::floats(&[units], bias.to_vec()));
    let (op, attributes) = match axes {
        0..=2 => ("Gemm", vec![("transB", Attribute::Int(1))]),
        _ => ("Conv", vec![]),
    };
    let op = build(op, &Attributes::new(OPSET, attributes));
    graph.values.push(Value { name: name.clone(), constant: None });
    let output = ValueId(graph.values.len() as u32 - 1);
    let inputs = vec![Some(value), Some(weights), Some(bias)];
    graph.nodes.push(Node { name, module: None, op, inputs, outputs: vec![Some(output)] });
    output
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Builder, Dim};
    use crate::kernels::blocked::BLOCK;
    use crate::kernels::testing::numbers;
    use crate::{CpuSession, Isa, Plan, Session};

    /// A channel's summary, computed by its definition in f64.
    fn defined(x: &[f32], [low, high]: [f32; 2], seed: u32, samples: usize) -> Vec<f64> {
        let finite: Vec<f64> = x.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x)).collect();
        let moments = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64]
        };
        let largest = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let place = x.iter().position(|&x| f64::from(x) == largest).unwrap_or(0);
        let clipped = finite.iter().map(|&x| x.clamp(f64::from(low), f64::from(high))).collect();
        let mut all = vec![largest, place as f64];
        all.extend(moments(finite.clone()));
        all.extend(moments(clipped));
        all.push(finite.iter().filter(|x| **x > 0.0).count() as f64);
        all.push((x.len() - finite.len()) as f64);
        all.extend((0..samples).map(|k| f64::from(x[sampled_place(seed, k, x.len())])));
        all
    }

    /// Runs a network that only summarizes its input. With `in_blocks`, an identity convolution comes first,
    /// so that the input of the summary is in blocks of channels.
    fn summarized(x: &[f32], shape: [usize; 4], in_blocks: bool, request: Request, isa: Isa) -> Vec<f32> {
        let mut net = Builder::new();
        let fixed = |shape: &[usize]| shape.iter().map(|&n| Dim::Fixed(n)).collect::<Vec<_>>();
        let mut value = net.input("x", &fixed(&shape)).unwrap();
        let seeds = net.input("seeds", &fixed(&[shape[0], 1, 1])).unwrap();
        if in_blocks {
            let c = shape[1];
            let one = (0..c * c).map(|i| if i % (c + 1) == 0 { 1.0 } else { 0.0 }).collect();
            let weight = net.constant("w", Tensor::floats(&[c, c, 1, 1], one)).unwrap();
            value = net.node("Conv", "same", &[value, weight], vec![]).unwrap();
        }
        let mut graph = net.finish(&[value]);
        let summary = add(&mut graph, value, seeds, request);
        let shapes = vec![shape.to_vec(), vec![shape[0], 1, 1]];
        let wanted =
            crate::Request { isa, gradients: false, ..crate::Request::of_shapes(shapes, vec![summary]) };
        let plan = Plan::compile(&graph, &wanted).unwrap();
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        session.input_mut(0).copy_from_slice(x);
        session.input_mut(1).iter_mut().enumerate().for_each(|(image, seed)| *seed = 7.0 + image as f32);
        session.forward();
        session.activation(0).to_vec()
    }

    #[test]
    fn summaries_equal_their_definition_in_both_layouts() {
        let request = Request { clip: [0.0, 0.5], samples: 3 };
        for shape in [[2, 20, 9, 13], [1, 16, 1, 1], [3, 33, 5, 30], [1, 2, 70, 3]] {
            let [batch, channels, height, width] = shape;
            let x = numbers(batch * channels * height * width, 5);
            for isa in Isa::available() {
                for in_blocks in [false, true] {
                    let found = summarized(&x, shape, in_blocks, request, isa);
                    for (row, (map, found)) in
                        x.chunks(height * width).zip(found.chunks(len(request.samples))).enumerate()
                    {
                        let expected = defined(map, request.clip, 7 + (row / channels) as u32, 3);
                        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                            let apart = (f64::from(*found) - expected).abs();
                            assert!(apart < 1e-5, "{isa:?} {in_blocks} {shape:?} row {row}, number {i}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn outliers_anywhere_leave_means_and_variances_exact() {
        let request = Request { clip: [0.0, f32::INFINITY], samples: 0 };
        let (height, width) = (112, 112);
        let shape = [1, BLOCK, height, width];
        let mut x: Vec<f32> = numbers(BLOCK * height * width, 3).iter().map(|x| x * 1e-4).collect();
        for (channel, map) in x.chunks_mut(height * width).enumerate() {
            map[channel * 701 % (height * width)] = 50.0;
        }
        for isa in Isa::available() {
            for in_blocks in [false, true] {
                let found = summarized(&x, shape, in_blocks, request, isa);
                for (map, found) in x.chunks(height * width).zip(found.chunks(len(0))) {
                    let expected = defined(map, request.clip, 0, 0);
                    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        let apart = (f64::from(*found) - expected).abs();
                        assert!(apart <= 1e-4 * expected.abs(), "{isa:?} number {i}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_counts_in_nothing_else() {
        let request = Request { clip: [0.0, f32::INFINITY], samples: 0 };
        let shape = [1, BLOCK, 2, 3];
        let mut x = numbers(BLOCK * 6, 9);
        x[0] = f32::NAN;
        x[8] = f32::INFINITY;
        x[9] = f32::NEG_INFINITY;
        x[12..18].fill(f32::NAN);
        x[18..24].copy_from_slice(&[3e30, -3e30, 1.0, 2.0, 0.0, -0.0]);
        for isa in Isa::available() {
            let found = summarized(&x, shape, false, request, isa);
            let rows: Vec<&[f32]> = found.chunks(len(0)).collect();
            for row in [0, 1, 4] {
                let expected = defined(&x[row * 6..][..6], request.clip, 7, 0);
                for (found, expected) in rows[row].iter().zip(&expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 1e-6,
                        "{isa:?} row {row}: {:?}",
                        rows[row]
                    );
                }
            }
            let empty = ChannelSummary::new(rows[2]);
            assert!(empty.largest().is_nan() && empty.mean().is_nan());
            assert_eq!((empty.active(), empty.not_finite()), (0, 6));
            // The squares of these values overflow in f32.
            let large = ChannelSummary::new(rows[3]);
            assert_eq!((large.largest(), large.place(), large.active(), large.not_finite()), (3e30, 0, 3, 0));
            assert!((large.mean() - 0.5).abs() < 1e-3 && large.variance().is_infinite());
        }
    }

    #[test]
    fn samples_are_drawn_evenly() {
        let mut counts = [0; 5];
        (0..2000).for_each(|seed| counts[sampled_place(seed, 1, 5)] += 1);
        assert!(counts.iter().all(|n| (340..460).contains(n)), "{counts:?}");
        assert_ne!(
            (0..8).map(|k| sampled_place(1, k, 1000)).collect::<Vec<_>>(),
            (0..8).map(|k| sampled_place(2, k, 1000)).collect::<Vec<_>>()
        );
    }
}
