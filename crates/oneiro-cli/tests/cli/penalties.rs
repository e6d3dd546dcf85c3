//! Penalties on the input: on raw tensors in either layout, and on inputs that are no pictures.

use crate::bad_input::refuse_all;
use crate::files::{npy, picture, read_safetensors, wave};
use crate::onnx::{Network, ints, message, node, number, tensor, text, value, weights};
use crate::place::Place;

const HEIGHT: usize = 10;
const WIDTH: usize = 12;
const CLASSES: usize = 4;

/// Returns a network of a convolution and the means of its maps, whose input has its channels last or first.
fn network(channels_last: bool) -> Vec<u8> {
    let order = ints("perm", if channels_last { &[0, 3, 1, 2] } else { &[0, 1, 2, 3] });
    let dims = if channels_last { [1, HEIGHT, WIDTH, 3] } else { [1, 3, HEIGHT, WIDTH] };
    let graph = [
        node("Transpose", "turn", &["x"], "turned", &[order]),
        node("Conv", "conv", &["turned", "weight"], "conv", &[ints("kernel_shape", &[3, 3])]),
        node("GlobalAveragePool", "pool", &["conv"], "pool", &[]),
        node("Flatten", "flat", &["pool"], "output", &[]),
        text(2, "layouts"),
        tensor("weight", &[CLASSES, 3, 3, 3], &weights(CLASSES * 27, 1)),
        value(11, "x", &dims.map(Some)),
        value(12, "output", &[Some(1), Some(CLASSES)]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

/// Moves the channels of an array from the first axis to the last.
fn turned(data: &[f32]) -> Vec<f32> {
    let plane = HEIGHT * WIDTH;
    (0..plane).flat_map(|p| (0..3).map(move |c| data[c * plane + p])).collect()
}

#[test]
fn raw_tensors_with_channels_last_have_the_values_and_gradients_of_those_with_channels_first() {
    let place = Place::new();
    place.write("first.onnx", network(false));
    place.write("last.onnx", network(true));
    // The mask has another size than the network's input, so it is cropped to that size.
    place.write("mask.png", picture(40, 20));
    let x = wave(3 * HEIGHT * WIDTH);
    place.write("first.npy", npy(&[1, 3, HEIGHT, WIDTH], &x));
    place.write("last.npy", npy(&[1, HEIGHT, WIDTH, 3], &turned(&x)));
    let run = |name: &str, expression: &str| {
        let (model, input) = (format!("{name}.onnx"), format!("x={name}.npy"));
        let args = ["run", &model, "--input", &input, "--grad", expression, "--out", "g.safetensors", "-q"];
        place.succeed(&args);
        let (mut tensors, _) = read_safetensors(&place.read("g.safetensors"));
        (tensors.remove("value").unwrap().1[0], tensors.remove("grad/x").unwrap().1)
    };
    for expression in ["logit(0) - 0.1*l1 - 3*tv", "logit(1) - l2", "channel(conv,1,mask=mask.png)"] {
        let (first, last) = (run("first", expression), run("last", expression));
        let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
        assert!(near(first.0, last.0), "{expression}: {} {}", first.0, last.0);
        let gradients = turned(&first.1);
        assert!(gradients.iter().zip(&last.1).all(|(a, b)| near(*a, *b)), "{expression}");
    }
}

#[test]
fn a_penalty_that_no_input_can_take_is_an_error() {
    let place = Place::new();
    place.write("four.onnx", Network { channels: 4, ..Network::default() }.bytes());
    place.write("four.npy", npy(&[1, 4, 20, 20], &wave(4 * 400)));
    place.write("rgb.toml", "[[input]]\nname = \"x\"\n");
    place.write("tensor.toml", "[[input]]\nname = \"x\"\nkind = \"tensor\"\n");
    let run = |card: &str| {
        format!("run four.onnx {card}--input x=four.npy --out g.safetensors --grad 'logit(0) - 100*l2'")
    };
    let (guessed, of_colours, tensor) = (run(""), run("--card rgb.toml "), run("--card tensor.toml "));
    refuse_all(
        &place,
        &[
            ("four channels and no card", &guessed, &["l2", "no picture", "--order bands"]),
            ("four channels as colours", &of_colours, &["x", "4 channels", "3"]),
            ("a tensor", &tensor, &["l2", "no picture"]),
        ],
    );
    // Declared as bands, four channels are a valid picture.
    place.succeed(&[
        "run",
        "four.onnx",
        "--order",
        "bands",
        "--preprocess",
        "unit",
        "--input",
        "x=four.npy",
        "--grad",
        "logit(0) - 100*l2",
        "--out",
        "g.safetensors",
    ]);
}
