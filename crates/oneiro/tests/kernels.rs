//! Kernels of first layers: the layers for which they can be drawn, and their colours.

#![allow(clippy::unwrap_used)]

use oneiro::Model;
use oneiro::card::Card;
use oneiro::kernels::{KernelError, Kernels, kernels};
use oneiro_net::graph::{Attribute, Builder, Dim};
use oneiro_net::tensor::Tensor;

const SIDE: usize = 12;

/// Builds a 3x3 convolution, whose channels have these weights and biases, with an operator after it.
fn model(card: &str, channels: usize, filters: &[(Vec<f32>, f32)]) -> Model {
    let mut net = Builder::new();
    let x =
        net.input("x", &[Dim::Free("N".into()), Dim::Fixed(channels), Dim::Fixed(SIDE), Dim::Fixed(SIDE)]);
    let weights: Vec<f32> = filters.iter().flat_map(|(weights, _)| weights.clone()).collect();
    let biases: Vec<f32> = filters.iter().map(|(_, bias)| *bias).collect();
    let weight = net.constant("weight", Tensor::floats(&[filters.len(), channels, 3, 3], weights)).unwrap();
    let bias = net.constant("bias", Tensor::floats(&[filters.len()], biases)).unwrap();
    let conv = net.node("Conv", "conv", &[x.unwrap(), weight, bias], vec![]).unwrap();
    let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
    let sigmoid = net.node("Sigmoid", "sigmoid", &[conv], vec![]).unwrap();
    Model::new(net.finish(&[relu, sigmoid]), Card::parse(card).unwrap()).unwrap()
}

/// Returns the weights of one channel: two values, at the centre and to its right, the same for every input
/// channel.
fn pair(channels: usize, centre: f32, right: f32) -> Vec<f32> {
    [0.0, 0.0, 0.0, 0.0, centre, right, 0.0, 0.0, 0.0].repeat(channels)
}

fn rgb(filters: &[(Vec<f32>, f32)]) -> Model {
    model("[[input]]\nname = \"x\"\n", 3, filters)
}

fn refusal(found: oneiro::Result<Kernels>) -> KernelError {
    match found.unwrap_err() {
        oneiro::Error::Kernel(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_channel_is_linear_only_if_no_picture_closes_its_relu() {
    let ones = vec![1.0; 27];
    let open = (ones.clone(), 1.0);
    let model = rgb(&[
        (ones.clone(), 30.0),
        // The ReLU is open at grey and under noise, but closed where the picture is black.
        (ones.clone(), -2.0),
        // The ReLU is closed at grey and under noise.
        (ones.clone(), -26.0),
        // The ReLU is closed for every picture.
        (ones.clone(), -30.0),
        open,
    ]);
    for channel in [1, 2, 3] {
        let wanted = KernelError::NotLinear { layer: "relu".into(), channel, linear: Some("conv".into()) };
        assert_eq!(refusal(kernels(&model, "relu", &[0, channel])), wanted);
    }
    assert_eq!(kernels(&model, "relu", &[4]).unwrap().kernels, [ones]);
    assert!(matches!(refusal(kernels(&model, "sigmoid", &[0])), KernelError::NotLinear { .. }));
}

#[test]
fn a_channel_of_zeros_has_a_kernel_of_zeros_and_the_size_is_that_of_the_layer() {
    let filters = [(vec![0.0; 27], 0.5), (pair(3, 2.0, 0.0), 0.0), (vec![1.0; 27], 0.0)];
    let model = rgb(&filters);
    let found = kernels(&model, "conv", &[0, 1]).unwrap();
    assert_eq!((found.size, found.kernels), ([3, 3], vec![vec![0.0; 27], pair(3, 2.0, 0.0)]));
    assert_eq!(kernels(&model, "conv", &[1]).unwrap().size, [3, 3]);
    let dead = rgb(&filters[..1]);
    assert_eq!(refusal(kernels(&dead, "conv", &[0])), KernelError::Constant { layer: "conv".into() });
}

#[test]
fn kernels_of_a_network_that_sees_grey_are_grey() {
    let gray = model("[[input]]\nname = \"x\"\norder = \"gray\"\n", 1, &[(pair(1, 2.0, -1.0), 0.0)]);
    let found = kernels(&gray, "conv", &[0]).unwrap();
    assert_eq!((found.channels, found.size, found.shown), (1, [1, 2], [0; 3]));
    assert!((found.kernels[0][0] - 2.0).abs() < 1e-5 && (found.kernels[0][1] + 1.0).abs() < 1e-5);
    // The three channels' weights are proportional to those of the luminance.
    let weights = [0.299, 0.587, 0.114].iter().flat_map(|luma| pair(1, 2.0 * luma, -luma)).collect();
    let card = "[[input]]\nname = \"x\"\nluminance = true\n";
    let found = kernels(&model(card, 3, &[(weights, 0.0)]), "conv", &[0]).unwrap();
    assert_eq!((found.channels, found.shown), (1, [0; 3]));
    assert!((found.kernels[0][0] - 2.0).abs() < 1e-5 && (found.kernels[0][1] + 1.0).abs() < 1e-5);
}

#[test]
fn kernels_of_bands_are_drawn_as_the_card_shows_pictures() {
    let drawn = |channels: usize, show: &str| {
        let card = format!("[[input]]\nname = \"x\"\norder = \"bands\"\nmean = [0.5]\n{show}");
        kernels(&model(&card, channels, &[(pair(channels, 1.0, 1.0), 0.0)]), "conv", &[0]).unwrap().shown
    };
    assert_eq!(drawn(3, "show = [2, 1, 0]"), [2, 1, 0]);
    assert_eq!(drawn(2, "show = [1]"), [1; 3]);
    assert_eq!(drawn(4, ""), [0, 1, 2]);
    assert_eq!(drawn(2, ""), [0; 3]);
}

#[test]
fn padding_that_is_computed_from_the_shape_keeps_a_layer_linear() {
    let mut net = Builder::new();
    let x =
        net.input("x", &[Dim::Free("N".into()), Dim::Fixed(3), Dim::Fixed(SIDE), Dim::Fixed(SIDE)]).unwrap();
    let shape = net.node("Shape", "shape", &[x], vec![]).unwrap();
    let zero = net.constant("zero", Tensor::ints(&[4], vec![0; 4])).unwrap();
    let none = net.node("Mul", "none", &[shape, zero], vec![]).unwrap();
    let pads = net.node("Concat", "pads", &[none, none], vec![("axis", Attribute::Int(0))]).unwrap();
    let padded = net.node("Pad", "padded", &[x, pads], vec![]).unwrap();
    let weight = net.constant("weight", Tensor::floats(&[1, 3, 1, 1], vec![1.0, -2.0, 0.5])).unwrap();
    let conv = net.node("Conv", "conv", &[padded, weight], vec![]).unwrap();
    let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
    let card = Card::parse("[[input]]\nname = \"x\"\n").unwrap();
    let model = Model::new(net.finish(&[relu]), card).unwrap();
    assert!(oneiro::kernels::is_affine(&model, model.resolve("conv").unwrap()));
    let linear = Some("conv".to_owned());
    assert_eq!(
        refusal(kernels(&model, "relu", &[0])),
        KernelError::NotLinear { layer: "relu".into(), channel: 0, linear }
    );
}
