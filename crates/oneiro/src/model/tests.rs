//! Tests of networks with inputs that lack some picture axes, or with further inputs.

use std::collections::BTreeMap;

use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Builder, Dim};
use oneiro_net::tensor::{DType, Tensor};
use oneiro_net::{Graph, Rules, ValueId};

use super::*;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;

fn free(name: &str) -> Dim {
    Dim::Free(name.into())
}

fn weights(net: &mut Builder, name: &str, shape: [usize; 4]) -> ValueId {
    let n = shape.iter().product::<usize>();
    let data = (0..n).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 50.0).collect();
    net.constant(name, Tensor::floats(&shape, data)).unwrap()
}

fn list(net: &mut Builder, name: &str, ints: &[i64]) -> ValueId {
    net.constant(name, Tensor::ints(&[ints.len()], ints.to_vec())).unwrap()
}

/// A network with an input `x` of these dims. It is multiplied by two (`scaled`), brought to four axes by
/// `to_four`, and convolved (`conv`, 4 channels).
fn network(dims: &[Dim], channels: usize, to_four: impl Fn(&mut Builder, ValueId) -> ValueId) -> Graph {
    let mut net = Builder::new();
    let x = net.input("x", dims).unwrap();
    let two = net.constant("two", Tensor::floats(&[], vec![2.0])).unwrap();
    let scaled = net.node("Mul", "scaled", &[x, two], vec![]).unwrap();
    let four = to_four(&mut net, scaled);
    let w = weights(&mut net, "w", [4, channels, 3, 3]);
    let conv = net.node("Conv", "conv", &[four, w], vec![("pads", Attribute::Ints(vec![1; 4]))]).unwrap();
    net.finish(&[conv])
}

fn unsqueezed(axes: &'static [i64]) -> impl Fn(&mut Builder, ValueId) -> ValueId {
    move |net, value| {
        let axes = list(net, "axes", axes);
        net.node("Unsqueeze", "four", &[value, axes], vec![]).unwrap()
    }
}

fn model(graph: Graph, input: &str) -> Model {
    Model::new(graph, Card::parse(&format!("[[input]]\nname = \"x\"\n{input}")).unwrap()).unwrap()
}

/// Returns the objective on an input of ones and a ramp, and its gradient.
fn value_and_gradient(model: &Model, objective: &Objective, shapes: Vec<Vec<usize>>) -> (f64, Vec<f32>) {
    let mut session =
        ObjectiveSession::new(model, std::slice::from_ref(objective), &[], shapes, true).unwrap();
    session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = (i % 7) as f32 / 7.0);
    session.forward();
    session.seed(0, 1.0);
    session.backward(&Rules::default());
    (session.value(0), session.input_gradient(0).to_vec())
}

#[test]
fn a_picture_without_a_batch_gives_the_numbers_of_one_with_it() {
    let plain = network(&[free("N"), Dim::Fixed(3), Dim::Fixed(12), Dim::Fixed(10)], 3, |net, v| {
        net.node("Identity", "four", &[v], vec![]).unwrap()
    });
    let plain = model(plain, "");
    let bare = model(network(&[3, 12, 10].map(Dim::Fixed), 3, unsqueezed(&[0])), "");
    assert!(bare.is_unbatched() && bare.card.input[0].axes.is_some());
    let shapes = bare.input_shapes(1, None).unwrap();
    assert_eq!(shapes, [[1, 3, 12, 10]]);
    // The layer before the axis is added has no batch axis.
    for layer in ["scaled", "conv"] {
        let objective = Objective::channel(layer, 2);
        let (ours, theirs) = (
            value_and_gradient(&bare, &objective, shapes.clone()),
            value_and_gradient(&plain, &objective, shapes.clone()),
        );
        assert_eq!(ours, theirs, "{layer}");
        assert!(ours.1.iter().any(|g| *g != 0.0), "{layer}");
    }
    let error = bare.input_shapes(2, None).unwrap_err().to_string();
    assert!(error.contains("one picture at a time"), "{error}");
}

#[test]
fn axes_are_told_by_what_reads_the_picture() {
    let dims = |dims: &[usize]| {
        dims.iter().map(|&n| if n == 0 { free("n") } else { Dim::Fixed(n) }).collect::<Vec<_>>()
    };
    let axes = |graph: &Graph| picture_axes(graph, 0).map(|found| found.axes.to_string());
    for (shape, added, expected) in [
        (&[3, 12, 10][..], &[0][..], Some("C,H,W")),
        (&[1, 12, 10], &[0], Some("C,H,W")),
        (&[1, 12, 10], &[1], Some("N,H,W")),
        (&[0, 12, 10], &[1], Some("N,H,W")),
        (&[0, 12, 10], &[-1], Some("N,H,W")),
        (&[12, 10, 3], &[0], Some("H,W,C")),
        (&[12, 10], &[0, 1], Some("H,W")),
        (&[0, 3, 10], &[1], None),
    ] {
        let graph = network(&dims(shape), 1, |net, v| {
            let axes = list(net, "axes", added);
            net.node("Unsqueeze", "four", &[v, axes], vec![]).unwrap()
        });
        assert_eq!(axes(&graph).as_deref(), expected, "{shape:?} {added:?}");
    }
    for (shape, to, expected) in [
        (&[0, 120][..], &[-1, 1, 12, 10][..], Some("N,H*W")),
        (&[0, 360], &[-1, 3, 12, 10], Some("N,C*H*W")),
        (&[12, 10], &[1, 1, 12, 10], Some("H,W")),
        (&[0, 12, 10], &[-1, 12, 10, 1], Some("N,H,W")),
        (&[0, 120], &[-1, 1, 12, 11], None),
    ] {
        let graph = network(&dims(shape), 1, |net, v| {
            let shape = list(net, "shape", to);
            net.node("Reshape", "four", &[v, shape], vec![]).unwrap()
        });
        assert_eq!(axes(&graph).as_deref(), expected, "{shape:?} {to:?}");
    }
}

#[test]
fn sequences_and_rows_of_features_are_no_pictures() {
    let mut net = Builder::new();
    let x = net.input("x", &[free("N"), Dim::Fixed(28), Dim::Fixed(28)]).unwrap();
    let w = net.constant("w", Tensor::floats(&[4, 28, 3], vec![0.1; 336])).unwrap();
    let conv = net.node("Conv", "conv", &[x, w], vec![]).unwrap();
    assert_eq!(picture_axes(&net.finish(&[conv]), 0), None);
}

#[test]
fn flat_pictures_are_pictures_by_the_card() {
    let mut net = Builder::new();
    let x = net.input("x", &[free("N"), Dim::Fixed(120)]).unwrap();
    let w =
        net.constant("w", Tensor::floats(&[120, 2], (0..240).map(|i| i as f32 / 240.0).collect())).unwrap();
    let dense = net.node("MatMul", "dense", &[x, w], vec![]).unwrap();
    let graph = net.finish(&[dense]);
    let flat = model(graph.clone(), "order = \"gray\"\nsize = [12, 10]");
    let shapes = flat.input_shapes(3, None).unwrap();
    assert_eq!(shapes, [[3, 1, 12, 10]]);
    let (value, gradient) = value_and_gradient(&flat, &Objective::channel("dense", 1), shapes);
    let expected: f64 =
        (0..120).map(|i| f64::from((i % 7) as f32 / 7.0) * f64::from((2 * i + 1) as f32) / 240.0).sum();
    assert!((value - expected).abs() < 1e-4 * expected);
    assert!((gradient[7] - 15.0 / 240.0).abs() < 1e-6);
    assert_eq!(flat.with_all_axes(&[vec![3, 120]]).unwrap(), [[3, 1, 12, 10]]);
    let card =
        Card::parse("[[input]]\nname = \"x\"\norder = \"gray\"\nsize = [12, 11]\naxes = \"N,H*W\"").unwrap();
    let error = Model::new(graph, card).unwrap_err().to_string();
    assert!(error.contains("120 numbers") && error.contains("12x11"), "{error}");
}

/// A picture is multiplied by the input `k`, then passes a ReLU. `first` says that `k` is the first input.
fn with_setting(first: bool, dtype: DType, reads: bool) -> Graph {
    let mut net = Builder::new();
    let mut x = None;
    if !first {
        x = Some(net.input("x", &[free("N"), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)]).unwrap());
    }
    let k = net.input("k", &[]).unwrap();
    let x = x.unwrap_or_else(|| {
        net.input("x", &[free("N"), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)]).unwrap()
    });
    let to = vec![("to", Attribute::Int(1))];
    let factor = net.node("Cast", "factor", &[k], to).unwrap();
    let y = match reads {
        true => net.node("Mul", "y", &[x, factor], vec![]).unwrap(),
        false => net.node("Relu", "y", &[x], vec![]).unwrap(),
    };
    let mut graph = net.finish(&[y]);
    let at = graph.inputs.iter().position(|i| i.value == k).unwrap();
    graph.inputs[at].dtype = dtype;
    if !reads {
        graph.nodes.retain(|n| n.name != "factor");
    }
    graph
}

#[test]
fn the_batch_is_that_of_the_picture_wherever_a_single_number_stands() {
    for (first, reads) in [(true, true), (true, false), (false, true), (false, false)] {
        let card =
            Card::parse("[[input]]\nname = \"x\"\n[[input]]\nname = \"k\"\nkind = \"tensor\"").unwrap();
        let model = Model::new(with_setting(first, DType::Float, reads), card).unwrap();
        let shapes = model.input_shapes(2, None).unwrap();
        assert_eq!(model.batch(&shapes), 2);
        let objectives = [Objective::channel("y", 0), Objective::channel("y", 1)];
        let mut session = ObjectiveSession::new(&model, &objectives, &[], shapes, true).unwrap();
        let (x, k) = if first { (1, 0) } else { (0, 1) };
        session.input_mut(x).fill(0.5);
        session.input_mut(k).fill(3.0);
        session.forward();
        let expected = if reads { 1.5 } else { 0.5 };
        assert!((0..2).all(|e| (session.value(e) - expected).abs() < 1e-6), "{first} {reads}");
    }
}

#[test]
fn a_fed_value_is_part_of_the_network_and_of_its_card() {
    let card = Card::parse("[[input]]\nname = \"x\"\n[[input]]\nname = \"k\"\nvalue = 4").unwrap();
    let model = Model::new(with_setting(true, DType::Float, true), card).unwrap();
    let four = Fed { shape: vec![], data: vec![4.0] };
    let fed = model.clone().fed(&BTreeMap::from([("k".to_owned(), four.clone())])).unwrap();
    assert_eq!((fed.graph.inputs.len(), fed.card.input.len()), (1, 1));
    let shapes = fed.input_shapes(1, None).unwrap();
    let objective = Objective::channel("y", 0);
    let mut session = ObjectiveSession::new(&fed, &[objective], &[], shapes, true).unwrap();
    session.input_mut(0).fill(0.5);
    session.forward();
    assert_eq!(session.value(0), 2.0);
    let text = fed.whole_card().to_toml().unwrap();
    assert!(text.contains("value = 4"), "{text}");
    assert_eq!(Card::parse(&text).unwrap(), fed.whole_card());
    for (name, words) in [("q", "no input \"q\""), ("x", "is a picture")] {
        let error =
            model.clone().fed(&BTreeMap::from([(name.to_owned(), four.clone())])).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn integers_have_a_gradient() {
    let mut net = Builder::new();
    let x = net.input("x", &[free("N"), Dim::Fixed(4), Dim::Fixed(5), Dim::Fixed(3)]).unwrap();
    let turned =
        net.node("Transpose", "turned", &[x], vec![("perm", Attribute::Ints(vec![0, 3, 1, 2]))]).unwrap();
    let real = net.node("Cast", "real", &[turned], vec![("to", Attribute::Int(1))]).unwrap();
    let w = weights(&mut net, "w", [4, 3, 3, 3]);
    let conv = net.node("Conv", "conv", &[real, w], vec![]).unwrap();
    let mut integers = net.finish(&[conv]);
    let floats =
        Model::new(integers.clone(), Card::parse("layout = \"nhwc\"\n[[input]]\nname = \"x\"").unwrap())
            .unwrap();
    integers.inputs[0].dtype = DType::Int;
    let integers = Model::new(integers, floats.card.clone()).unwrap();
    let objective = Objective::channel("conv", 1);
    for (ours, theirs) in
        [(integers.clone(), floats.clone()), (integers.for_pictures(), floats.for_pictures())]
    {
        let shapes = ours.input_shapes(1, None).unwrap();
        let ours = value_and_gradient(&ours, &objective, shapes.clone());
        assert_eq!(ours, value_and_gradient(&theirs, &objective, shapes));
        assert!(ours.1.iter().any(|g| *g != 0.0));
    }
}

#[test]
fn the_error_of_a_front_that_cannot_be_run_names_where_to_begin() {
    let mut net = Builder::new();
    let x = net.input("x", &[free("N"), free("h"), free("w"), Dim::Fixed(3)]).unwrap();
    let resized = net.node("Identity", "resized", &[x], vec![]).unwrap();
    let half = net.constant("half", Tensor::floats(&[], vec![0.5])).unwrap();
    let scaled = net.node("Mul", "scaled", &[resized, half], vec![]).unwrap();
    let w = weights(&mut net, "w", [4, 3, 3, 3]);
    let conv = net.node("Conv", "conv", &[scaled, w], vec![]).unwrap();
    let mut graph = net.finish(&[conv]);
    graph.nodes[0].op =
        std::sync::Arc::new(oneiro_net::graph::Unsupported { op_type: "Loop".into(), why: None });
    let model = Model::new(graph.clone(), Card::parse("[[input]]\nname = \"x\"").unwrap()).unwrap();
    let objective = [Objective::channel("conv", 1)];
    let error = ObjectiveSession::new(&model, &objective, &[], vec![vec![1, 8, 8, 3]], true).err().unwrap();
    assert!(error.to_string().contains("Loop"), "{error}");
    assert!(matches!(&error, Error::Blocked { begin_at, .. } if begin_at == "resized"), "{error:?}");
    // The network can begin at the suggested tensor.
    let cut = begin_at(&graph, resized, &Declared::new(), None, TensorLayout::Nchw).unwrap().graph;
    assert!(cut.notes.iter().any(|n| n.contains("\"resized\"") && n.contains("\"x\"")), "{:?}", cut.notes);
    let model = Model::new(cut, Card::parse("[[input]]\nname = \"resized\"").unwrap()).unwrap();
    let shapes = model.input_shapes(1, Some([8, 8])).unwrap();
    assert_eq!(shapes, [[1, 3, 8, 8]]);
    assert!(value_and_gradient(&model, &objective[0], shapes).1.iter().any(|g| *g != 0.0));
}
