use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Builder, Dim};
use oneiro_net::tensor::Tensor;
use oneiro_net::{Graph, Rules, ValueId};

use super::*;
use crate::card::Card;
use crate::objective::{AnyNames, Objective};
use crate::objective_session::ObjectiveSession;
use crate::rng::Stream;

mod axes;
mod outputs;

const FEATURES: usize = 6;
const SIDE: usize = 4;

/// A network for pictures of 4x4 with a convolution and a pooling, to which tests add ends.
struct Net {
    builder: Builder,
    features: ValueId,
}

fn data(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Stream::new(seed, 0);
    let len = shape.iter().product();
    Tensor::floats(shape, (0..len).map(|_| stream.normal() as f32).collect())
}

impl Net {
    fn new() -> Self {
        let mut net = Builder::new();
        let dims = [Dim::Free("N".into()), Dim::Fixed(3), Dim::Fixed(SIDE), Dim::Fixed(SIDE)];
        let x = net.input("x", &dims).unwrap();
        let weight = net.constant("conv.weight", data(&[FEATURES, 3, 3, 3], 1)).unwrap();
        let conv = net.node("Conv", "conv", &[x, weight], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
        let pool = net.node("GlobalAveragePool", "pool", &[relu], vec![]).unwrap();
        let features = net.node("Flatten", "features", &[pool], vec![]).unwrap();
        Self { builder: net, features }
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[ValueId]) -> ValueId {
        self.builder.node(op, name, inputs, vec![]).unwrap()
    }

    fn with(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> ValueId {
        self.builder.node(op, name, inputs, attributes).unwrap()
    }

    fn number(&mut self, name: &str, x: f32) -> ValueId {
        self.builder.constant(name, Tensor::floats(&[], vec![x])).unwrap()
    }

    fn ints(&mut self, name: &str, list: &[i64]) -> ValueId {
        self.builder.constant(name, Tensor::ints(&[list.len()], list.to_vec())).unwrap()
    }

    /// Adds a dense layer with this many outputs on the features, or on another value with its number of
    /// columns.
    fn dense(&mut self, name: &str, from: Option<(ValueId, usize)>, outputs: usize) -> ValueId {
        let (from, columns) = from.unwrap_or((self.features, FEATURES));
        let seed = outputs as u64 + 10;
        let weight =
            self.builder.constant(&format!("{name}.weight"), data(&[columns, outputs], seed)).unwrap();
        let bias = self.builder.constant(&format!("{name}.bias"), data(&[outputs], seed + 1)).unwrap();
        self.with("Gemm", name, &[from, weight, bias], vec![])
    }

    fn model(self, outputs: &[ValueId]) -> Model {
        model(self.builder.finish(outputs), "")
    }
}

fn model(graph: Graph, card: &str) -> Model {
    let card = Card::parse(&format!("{card}\n[[input]]\nname = \"x\"\n")).unwrap();
    Model::new(graph, card).unwrap()
}

/// Returns the name of the logits that are found, and the activation.
fn found(model: &Model) -> (String, Activation) {
    let head = model.head().unwrap();
    (model.graph.name(head.logits).to_owned(), head.activation)
}

/// Builds the end of a network on its logits.
type Tail = fn(&mut Net, ValueId) -> ValueId;

/// Ends of networks: a description, a function that builds the end on logits, and the activation.
fn tails() -> Vec<(&'static str, Tail, Activation)> {
    use Activation::{HardSigmoid, Sigmoid, Softmax};
    vec![
        ("softmax", |n, z| n.node("Softmax", "p", &[z]), Softmax),
        ("log-softmax", |n, z| n.node("LogSoftmax", "p", &[z]), Softmax),
        (
            "a logarithm of a softmax",
            |n, z| {
                let p = n.node("Softmax", "soft", &[z]);
                n.node("Log", "p", &[p])
            },
            Softmax,
        ),
        (
            "a logarithm with a small number",
            |n, z| {
                let (p, small) = (n.node("Softmax", "soft", &[z]), n.number("small", 1e-7));
                let sum = n.node("Add", "sum", &[p, small]);
                n.node("Log", "p", &[sum])
            },
            Softmax,
        ),
        (
            "an exponential of a log-softmax",
            |n, z| {
                let p = n.node("LogSoftmax", "soft", &[z]);
                n.node("Exp", "p", &[p])
            },
            Softmax,
        ),
        (
            "a softmax written out",
            |n, z| {
                let axes = n.ints("axes", &[1]);
                let max = n.with("ReduceMax", "max", &[z, axes], vec![("keepdims", Attribute::Int(1))]);
                let shifted = n.node("Sub", "shifted", &[z, max]);
                let exp = n.node("Exp", "exp", &[shifted]);
                let sum = n.with("ReduceSum", "sum", &[exp, axes], vec![("keepdims", Attribute::Int(1))]);
                n.node("Div", "p", &[exp, sum])
            },
            Softmax,
        ),
        (
            "a log-softmax written out",
            |n, z| {
                let (axes, exp) = (n.ints("axes", &[1]), n.node("Exp", "exp", &[z]));
                let sum = n.with("ReduceSum", "sum", &[exp, axes], vec![("keepdims", Attribute::Int(1))]);
                let log = n.node("Log", "log", &[sum]);
                n.node("Sub", "p", &[z, log])
            },
            Softmax,
        ),
        ("sigmoid", |n, z| n.node("Sigmoid", "p", &[z]), Sigmoid),
        (
            "a clipped sigmoid",
            |n, z| {
                let p = n.node("Sigmoid", "sig", &[z]);
                let (low, high) = (n.number("low", 1e-7), n.number("high", 1.0 - 1e-7));
                n.node("Clip", "p", &[p, low, high])
            },
            Sigmoid,
        ),
        (
            "a sigmoid written out",
            |n, z| {
                let one = n.number("one", 1.0);
                let negative = n.node("Neg", "negative", &[z]);
                let exp = n.node("Exp", "exp", &[negative]);
                let sum = n.node("Add", "sum", &[one, exp]);
                n.node("Div", "p", &[one, sum])
            },
            Sigmoid,
        ),
        (
            "a sigmoid as a reciprocal",
            |n, z| {
                let (one, minus) = (n.number("one", 1.0), n.number("minus", -1.0));
                let negative = n.node("Mul", "negative", &[z, minus]);
                let exp = n.node("Exp", "exp", &[negative]);
                let sum = n.node("Add", "sum", &[exp, one]);
                n.node("Reciprocal", "p", &[sum])
            },
            Sigmoid,
        ),
        (
            "a sigmoid as a quotient of exponentials",
            |n, z| {
                let (one, exp) = (n.number("one", 1.0), n.node("Exp", "exp", &[z]));
                let sum = n.node("Add", "sum", &[exp, one]);
                n.node("Div", "p", &[exp, sum])
            },
            Sigmoid,
        ),
        (
            "a sigmoid as a hyperbolic tangent",
            |n, z| {
                let half = n.number("half", 0.5);
                let halved = n.node("Mul", "halved", &[z, half]);
                let tanh = n.node("Tanh", "tanh", &[halved]);
                let scaled = n.node("Mul", "scaled", &[tanh, half]);
                n.node("Add", "p", &[scaled, half])
            },
            Sigmoid,
        ),
        ("hard sigmoid", |n, z| n.node("HardSigmoid", "p", &[z]), HardSigmoid { slope: 0.2, offset: 0.5 }),
        (
            "a hard sigmoid written out",
            |n, z| {
                let (three, six, zero) =
                    (n.number("three", 3.0), n.number("six", 6.0), n.number("zero", 0.0));
                let sum = n.node("Add", "sum", &[z, three]);
                let clip = n.node("Clip", "clip", &[sum, zero, six]);
                n.node("Div", "p", &[clip, six])
            },
            HardSigmoid { slope: 1.0 / 6.0, offset: 0.5 },
        ),
    ]
}

/// Returns the images of a batch in the network's units.
fn pictures(batch: usize) -> Vec<f32> {
    let mut stream = Stream::new(7, 0);
    (0..batch * 3 * SIDE * SIDE).map(|_| stream.normal() as f32).collect()
}

/// Returns the value of an expression and its gradient, for one picture.
fn value_and_gradient(model: &Model, expression: &str) -> (f64, Vec<f32>) {
    let objective = [Objective::parse(expression, &AnyNames).unwrap()];
    let shapes = model.input_shapes(1, None).unwrap();
    let mut session = ObjectiveSession::new(model, &objective, &[], shapes, true).unwrap();
    session.input_mut(0).copy_from_slice(&pictures(1));
    session.forward();
    session.seed(0, 1.0);
    session.backward(&Rules::default());
    (session.value(0), session.input_gradient(0).to_vec())
}

/// Returns the network's first output for one picture.
fn output(model: &Model) -> Vec<f32> {
    let shapes = model.input_shapes(1, None).unwrap();
    let mut session = ObjectiveSession::new(model, &[], &model.graph.outputs[..1], shapes, false).unwrap();
    session.input_mut(0).copy_from_slice(&pictures(1));
    session.forward();
    session.captured(0).1.to_vec()
}

#[test]
fn logits_stand_in_front_of_what_makes_probabilities_of_them() {
    for (what, tail, activation) in tails() {
        let mut net = Net::new();
        let logits = net.dense("dense", None, 5);
        let p = tail(&mut net, logits);
        let cast = net.node("Identity", "out", &[p]);
        let model = net.model(&[cast]);
        assert_eq!(found(&model), ("dense".to_owned(), activation), "{what}");
        // The probability of a class equals the network's output, apart from a logarithm.
        let log = what.contains("log-softmax") && !what.contains("exponential") || what.contains("logarithm");
        let said = f64::from(output(&model)[2]);
        let said = if log { said.exp() } else { said };
        let (ours, gradient) = value_and_gradient(&model, "prob(2)");
        assert!((ours - said).abs() < 1e-5, "{what}: {ours} {said}");
        let (_, of_logit) = value_and_gradient(&model, "channel(dense,2)");
        assert_eq!(value_and_gradient(&model, "logit(2)").1, of_logit, "{what}");
        // The expected gradient follows by the chain rule if classes are independent.
        let slope = match activation {
            Activation::Sigmoid => ours * (1.0 - ours),
            Activation::HardSigmoid { slope, .. } if ours > 0.0 && ours < 1.0 => f64::from(slope),
            Activation::HardSigmoid { .. } => 0.0,
            _ => continue,
        };
        for (g, z) in gradient.iter().zip(&of_logit) {
            assert!((f64::from(*g) - slope * f64::from(*z)).abs() < 1e-6, "{what}: {g} {z}");
        }
    }
}

#[test]
fn a_temperature_stays_part_of_the_logits() {
    let mut net = Net::new();
    let (logits, ten) = (net.dense("dense", None, 5), net.number("ten", 10.0));
    let cooled = net.node("Div", "cooled", &[logits, ten]);
    let p = net.node("Softmax", "p", &[cooled]);
    assert_eq!(found(&net.model(&[p])), ("cooled".to_owned(), Activation::Softmax));
}

#[test]
fn networks_without_either_end_with_their_logits() {
    let mut net = Net::new();
    let logits = net.dense("dense", None, 5);
    let model = net.model(&[logits]);
    assert_eq!(found(&model), ("dense".to_owned(), Activation::None));
    let p: f64 = (0..5).map(|c| value_and_gradient(&model, &format!("prob({c})")).0).sum();
    assert!((p - 1.0).abs() < 1e-9, "{p}");
}

#[test]
fn one_output_is_a_yes_or_no_and_never_certain_by_a_softmax_over_one_number() {
    for tail in [None, Some("Sigmoid"), Some("Softmax")] {
        let mut net = Net::new();
        let logits = net.dense("dense", None, 1);
        let last = tail.map_or(logits, |op| net.node(op, "p", &[logits]));
        let model = net.model(&[last]);
        let (z, _) = value_and_gradient(&model, "channel(dense,0)");
        let (p, gradient) = value_and_gradient(&model, "prob(0)");
        assert!((p - sigmoid(z)).abs() < 1e-9, "{tail:?}: {p}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{tail:?}");
        assert_eq!(model.head().unwrap().activation.probabilities(&[z as f32]).len(), 1);
    }
}

#[test]
fn parts_of_probabilities_are_probabilities() {
    let mut net = Net::new();
    let logits = net.dense("dense", None, 2);
    let p = net.node("Softmax", "soft", &[logits]);
    let second = net.ints("second", &[1]);
    let yes = net.with("Gather", "yes", &[p, second], vec![("axis", Attribute::Int(1))]);
    let model = net.model(&[yes]);
    assert_eq!(found(&model), ("yes".to_owned(), Activation::Given { independent: false }));
    let said = f64::from(output(&model)[0]);
    assert_eq!(value_and_gradient(&model, "prob(0)").0, said);
    assert_eq!(model.head().unwrap().activation.probabilities(&[said as f32]), [said]);
}

#[test]
fn complements_and_means_of_probabilities_are_probabilities() {
    let mut net = Net::new();
    let (a, b) = (net.dense("a", None, 1), net.dense("b", None, 1));
    let (one, two) = (net.number("one", 1.0), net.number("two", 2.0));
    let (p, q) = (net.node("Sigmoid", "p", &[a]), net.node("Sigmoid", "q", &[b]));
    let no = net.node("Sub", "no", &[one, p]);
    let sum = net.node("Add", "sum", &[p, q]);
    let mean = net.node("Div", "mean", &[sum, two]);
    let both = net.with("Concat", "both", &[no, mean], vec![("axis", Attribute::Int(1))]);
    assert_eq!(found(&net.model(&[both])).1, Activation::Given { independent: true });
}

#[test]
fn joined_heads_are_independent_if_all_end_in_a_sigmoid() {
    for (ops, independent) in [(["Sigmoid", "Sigmoid"], true), (["Sigmoid", "Softmax"], false)] {
        let mut net = Net::new();
        let heads = ["a", "b"].map(|name| net.dense(name, None, 2));
        let p = [0, 1].map(|i| net.node(ops[i], ["p", "q"][i], &[heads[i]]));
        let both = net.with("Concat", "both", &p, vec![("axis", Attribute::Int(1))]);
        assert_eq!(net.model(&[both]).head().unwrap().activation.is_independent(4), independent, "{ops:?}");
    }
}

#[test]
fn the_scores_behind_a_comparison_rise_where_it_becomes_true() {
    // Operator, whether the scores are its first operand, whether a `Not` follows, and whether the value
    // rises with the scores.
    let cases = [
        ("Greater", true, false, true),
        ("Greater", false, false, false),
        ("Less", false, false, true),
        ("LessOrEqual", true, false, false),
        ("Less", true, true, true),
        ("GreaterOrEqual", true, true, false),
    ];
    // A cast of the boolean to a number gives the same head.
    for ((op, first, not, rises), as_number) in cases.into_iter().flat_map(|c| [(c, false), (c, true)]) {
        let mut net = Net::new();
        let logits = net.dense("dense", None, 5);
        let p = net.node("Sigmoid", "p", &[logits]);
        let half = net.number("half", 0.5);
        let mut last = net.node(op, "labels", &if first { [p, half] } else { [half, p] });
        if not {
            last = net.node("Not", "not", &[last]);
        }
        if as_number {
            last = net.with("Cast", "number", &[last], vec![("to", Attribute::Int(1))]);
        }
        let model = net.model(&[last]);
        match (model.head(), rises) {
            (Ok(head), true) => assert_eq!(model.graph.name(head.logits), "dense", "{op} {first} {not}"),
            (Err(_), false) => {}
            (other, _) => panic!("{op} {first} {not}: {other:?}"),
        }
    }
}

#[test]
fn a_thousand_independent_labels_are_told_from_a_softmax() {
    let mut net = Net::new();
    let logits = net.dense("dense", None, 1000);
    let p = net.node("Sigmoid", "p", &[logits]);
    let activation = net.model(&[p]).head().unwrap().activation;
    assert!(activation.is_independent(1000));
    let mut z = vec![-40.0; 1000];
    (z[0], z[999]) = (40.0, 40.0);
    let p = activation.probabilities(&z);
    assert!(p[0] > 0.999_999 && p[999] > 0.999_999 && p[1] < 1e-6);
}
