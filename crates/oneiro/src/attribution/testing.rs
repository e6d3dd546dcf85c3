//! Tiny networks with known results, for images of 6x5.

use std::sync::Arc;

use oneiro_net::graph::{Attribute, Attributes, build};
use oneiro_net::graph::{Dim, Input, Node, Value};
use oneiro_net::tensor::{DType, Tensor};
use oneiro_net::{Graph, ValueId};

use super::{Attribution, AttributionTarget, Method, Settings, attribute};
use crate::card::Card;
use crate::model::Model;
use crate::objective::Objective;
use crate::rng::Stream;

const H: usize = 6;
const W: usize = 5;
/// Standard deviation in the card; the mean is 0.5.
const STD: f32 = 0.25;

/// A graph under construction. Every node has the name of its result.
struct Builder {
    graph: Graph,
}

impl Builder {
    fn new() -> Self {
        let dims = [Dim::Free("N".into()), Dim::Fixed(3), Dim::Fixed(H), Dim::Fixed(W)];
        Self {
            graph: Graph {
                values: vec![Value { name: "x".into(), constant: None }],
                nodes: vec![],
                inputs: vec![Input { value: ValueId(0), dims: Some(dims.into()), dtype: DType::Float }],
                outputs: vec![],
                opset: 17,
                notes: vec![],
                metadata: Default::default(),
            },
        }
    }

    fn value(&mut self, name: &str, constant: Option<Tensor>) -> ValueId {
        self.graph.values.push(Value { name: name.into(), constant });
        ValueId(self.graph.values.len() as u32 - 1)
    }

    fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> ValueId {
        let output = self.value(name, None);
        self.graph.nodes.push(Node {
            name: name.into(),
            module: None,
            op: build(op, &Attributes::new(17, attributes)),
            inputs: inputs.iter().map(|&v| Some(v)).collect(),
            outputs: vec![Some(output)],
        });
        output
    }

    fn conv(&mut self, name: &str, from: ValueId, channels: [usize; 2], pad: i64, seed: u64) -> ValueId {
        let shape = [channels[1], channels[0], 3, 3];
        let weight = self.value(&format!("{name}.weight"), Some(random(&shape, seed)));
        let pads = vec![("pads", Attribute::Ints(vec![pad; 4]))];
        self.node("Conv", name, &[from, weight], pads)
    }

    /// Adds means over positions, and a dense layer with two classes.
    fn head(mut self, from: ValueId, channels: usize) -> Model {
        let pool = self.node("GlobalAveragePool", "pool", &[from], vec![]);
        self.dense(pool, channels)
    }

    fn dense(mut self, from: ValueId, features: usize) -> Model {
        let flat = self.node("Flatten", "flat", &[from], vec![]);
        let weight = self.value("logits.weight", Some(random(&[features, 2], 9)));
        let logits = self.node("MatMul", "logits", &[flat, weight], vec![]);
        self.graph.outputs = vec![logits];
        let card = "[[input]]\nname = \"x\"\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n";
        Model::new(self.graph, Card::parse(card).unwrap()).unwrap()
    }
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Stream::new(seed, 3);
    Tensor::floats(shape, (0..shape.iter().product()).map(|_| 0.5 * stream.normal() as f32).collect())
}

fn constant(model: &Model, name: &str) -> Arc<Vec<f32>> {
    let value = model.graph.find_value(name).unwrap();
    model.graph.values[value.index()].constant.as_ref().unwrap().shared_floats().unwrap()
}

/// Returns the image that the tests attribute, in display units.
pub(super) fn image() -> Vec<f32> {
    let mut stream = Stream::new(1, 1);
    (0..3 * H * W).map(|_| stream.uniform() as f32).collect()
}

/// A model with one dense layer over the pixels.
pub(super) fn linear() -> Model {
    Builder::new().dense(ValueId(0), 3 * H * W)
}

/// Weights of [`linear`]'s class 0 in display units.
pub(super) fn linear_weights() -> Vec<f32> {
    constant(&linear(), "logits.weight").iter().step_by(2).map(|w| w / STD).collect()
}

/// A model of convolutions with smooth activation functions.
pub(super) fn curved() -> Model {
    let mut b = Builder::new();
    let mut x = b.conv("conv1", ValueId(0), [3, 4], 1, 11);
    x = b.node("Tanh", "tanh1", &[x], vec![]);
    x = b.conv("conv2", x, [4, 4], 0, 12);
    x = b.node("Sigmoid", "sigmoid2", &[x], vec![]);
    b.head(x, 4)
}

/// A model of convolutions with ReLUs: conv1, relu1, conv2, relu2, pool, logits.
pub(super) fn rectified() -> Model {
    let mut b = Builder::new();
    let mut x = b.conv("conv1", ValueId(0), [3, 4], 1, 21);
    x = b.node("Relu", "relu1", &[x], vec![]);
    x = b.conv("conv2", x, [4, 4], 0, 22);
    x = b.node("Relu", "relu2", &[x], vec![]);
    b.head(x, 4)
}

/// Σc αc Ac at relu2 of [`rectified`] for class 1 and its size, computed by loops. Only means over positions
/// follow relu2, so αc is the class's weight over the number of positions.
pub(super) fn rectified_reference() -> (Vec<f32>, [usize; 2]) {
    let model = rectified();
    let input: Vec<f32> = image().iter().map(|x| (x - 0.5) / STD).collect();
    let first = naive(&input, [3, H, W], &constant(&model, "conv1.weight"), 4, 1);
    let second = naive(&first, [4, H, W], &constant(&model, "conv2.weight"), 4, 0);
    let (h, w) = (H - 2, W - 2);
    let head = constant(&model, "logits.weight");
    let n = h * w;
    let map = (0..n).map(|i| (0..4).map(|c| head[2 * c + 1] / n as f32 * second[c * n + i]).sum()).collect();
    (map, [h, w])
}

/// Computes a 3x3 convolution and a ReLU by loops.
fn naive(x: &[f32], [from, h, w]: [usize; 3], weight: &[f32], to: usize, pad: usize) -> Vec<f32> {
    let (rows, columns) = (h + 2 * pad - 2, w + 2 * pad - 2);
    let mut out = Vec::new();
    for o in 0..to {
        for (y, z) in (0..rows).flat_map(|y| (0..columns).map(move |z| (y, z))) {
            let mut sum = 0.0;
            for (c, (dy, dz)) in (0..from).flat_map(|c| (0..9).map(move |k| (c, (k / 3, k % 3)))) {
                let (sy, sz) = ((y + dy).wrapping_sub(pad), (z + dz).wrapping_sub(pad));
                if sy < h && sz < w {
                    sum += weight[((o * from + c) * 3 + dy) * 3 + dz] * x[(c * h + sy) * w + sz];
                }
            }
            out.push(sum.max(0.0));
        }
    }
    out
}

/// The attribution target for class 0 of a model.
pub(super) fn target(model: &Model) -> AttributionTarget<'_> {
    AttributionTarget::new(model, &Objective::logit(0), None).unwrap()
}

/// Returns the attribution of class 0 on [`image`].
pub(super) fn attribution(model: &Model, method: Method, settings: &Settings) -> Attribution {
    attribute(&mut target(model), &image(), method, settings, &mut |_, _| true).unwrap()
}

/// Asserts that numbers are equal up to a tolerance relative to the largest.
#[track_caller]
pub(super) fn close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance * largest, "{i}: {g} for {e}");
    }
}
