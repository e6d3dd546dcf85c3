//! Attributions say which answer of the network they explain, and why a map shows nothing.

use crate::bad_input::refuse_all;
use crate::files::picture;
use crate::onnx::{Network, ints, message, node, number, tensor, text, value, weights};
use crate::place::Place;
use oneiro_media::{Image, PngText};

const SIDE: usize = 16;
const FEATURES: usize = 4;

/// Returns an ONNX network of a convolution, the operator `middle`, a global average pooling and a dense
/// layer with a sigmoid: a single yes-or-no output, with this bias.
fn yes_or_no(middle: &str, bias: f32) -> Vec<u8> {
    let graph = [
        node("Conv", "conv", &["x", "conv.weight"], "conv", &[ints("kernel_shape", &[3, 3])]),
        node(middle, "middle", &["conv"], "middle", &[]),
        node("GlobalAveragePool", "pool", &["middle"], "pool", &[]),
        node("Flatten", "flat", &["pool"], "flat", &[]),
        node("Gemm", "dense", &["flat", "dense.weight", "dense.bias"], "dense", &[]),
        node("Sigmoid", "sigmoid", &["dense"], "p", &[]),
        text(2, "answers"),
        tensor("conv.weight", &[FEATURES, 3, 3, 3], &weights(FEATURES * 27, 1)),
        tensor("dense.weight", &[FEATURES, 1], &weights(FEATURES, 2)),
        tensor("dense.bias", &[1], &[bias]),
        value(11, "x", &[Some(1), Some(3), Some(SIDE), Some(SIDE)]),
        value(12, "p", &[Some(1), Some(1)]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

/// Returns a PNG in which all values are equal.
fn flat() -> Vec<u8> {
    let image = Image::rgb(SIDE, SIDE, vec![0.5; 3 * SIDE * SIDE]).unwrap();
    oneiro_media::encode_png(&image, &PngText::default()).unwrap()
}

fn place() -> Place {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    place.write("flat.png", flat());
    place
}

#[test]
fn the_yes_of_a_single_output_is_explained_whatever_the_answer() {
    for (bias, answer) in [(-9.0, "no"), (9.0, "yes")] {
        let place = place();
        place.write("net.onnx", yes_or_no("Relu", bias));
        let args = ["attribute", "net.onnx", "photo.png", "--preprocess", "unit", "--method", "gradient"];
        let outcome = place.run(&args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains(&format!("its yes; the network says {answer}")), "{outcome:?}");
        assert!(!outcome.stdout.contains("top class"), "{outcome:?}");
        assert!(outcome.stderr.contains("one output, a yes or no"), "{outcome:?}");
    }
}

#[test]
fn a_flat_image_has_no_noise_and_an_occluded_one_says_so_itself() {
    let place = place();
    place.write("net.onnx", yes_or_no("Relu", 0.0));
    let said = |image: &str, more: &[&str]| {
        let args = ["attribute", "net.onnx", image, "--preprocess", "unit", "--samples", "3"];
        let outcome = place.run(&[&args[..], more].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    let noisy = ["--method", "smoothgrad", "--method", "vargrad"];
    let flat = said("flat.png", &noisy);
    assert!(
        flat.contains("smoothgrad adds noise in proportion") && flat.contains("that of the gradient"),
        "{flat}"
    );
    assert!(flat.contains("vargrad adds noise") && flat.contains("its map is zero"), "{flat}");
    assert!(!flat.contains("does not depend"), "{flat}");
    assert!(!said("photo.png", &noisy).contains("noise"));
    // Blurring a uniform image does not change it, so occluding by blur has no effect.
    let covered = ["--method", "smoothgrad", "--method", "occlusion", "--fill", "blur"];
    let occluded = said("flat.png", &covered);
    assert!(occluded.contains("occlusion is zero everywhere: covering any window"), "{occluded}");
}

#[test]
fn a_variance_needs_two_samples_and_a_crop_is_a_share() {
    let place = place();
    place.write("net.onnx", yes_or_no("Relu", 0.0));
    refuse_all(
        &place,
        &[
            (
                "a variance of one",
                "attribute net.onnx photo.png --method vargrad --samples 1 --preprocess unit",
                &["samples of vargrad", "1", "at least 2"],
            ),
            (
                "a crop beyond the picture",
                "attribute net.onnx photo.png --crop 2 --preprocess unit",
                &["--crop 2", "a fraction above 0 and at most 1"],
            ),
        ],
    );
}

#[test]
fn rules_for_relus_say_where_there_are_none() {
    let place = place();
    place.write("relu.onnx", yes_or_no("Relu", 0.0));
    place.write("smooth.onnx", yes_or_no("Sigmoid", 0.0));
    let said = |args: &[&str]| {
        let outcome = place.run(&[args, &["--preprocess", "unit"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr.contains("no ReLU or clip lies between")
    };
    let attribute = |net, methods: &[&str]| {
        let methods: Vec<&str> = methods.iter().flat_map(|method| ["--method", method]).collect();
        said(&[&["attribute", net, "photo.png"], &methods[..]].concat())
    };
    assert!(attribute("smooth.onnx", &["gradient", "guided", "deconv"]));
    assert!(!attribute("smooth.onnx", &["gradient"]));
    assert!(!attribute("relu.onnx", &["guided"]));
    let render = |net, unit, rule| {
        let settings = ["--steps", "1", "--size", "16", "--out", "r.png", "--relu-rule", rule];
        said(&[&["render", net, "--unit", unit], &settings[..]].concat())
    };
    assert!(render("smooth.onnx", "class:0", "guided"));
    // There is no ReLU before the convolution, so a ReLU rule changes nothing.
    assert!(render("relu.onnx", "conv:0", "guided"));
    assert!(!render("relu.onnx", "class:0", "guided"));
    assert!(!render("smooth.onnx", "class:0", "redirected"));
}

#[test]
fn labels_of_another_number_of_classes_are_refused_by_every_job_that_reads_classes() {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("two.txt", "cat\ndog\n");
    place.write("photo.png", picture(24, 24));
    place.write("x.npy", crate::files::npy(&[1, 3, 24, 24], &crate::files::wave(3 * 24 * 24)));
    let says: &[&str] = &["2 class labels for a network with 4 classes", "--labels"];
    refuse_all(
        &place,
        &[
            ("the top class", "attribute net.onnx photo.png --size 24 --labels two.txt", says),
            ("a class", "attribute net.onnx photo.png --size 24 --labels two.txt --unit class:dog", says),
            (
                "a grid",
                "grid net.onnx photo.png --layer right.conv --image-size 24 --toward class:dog --labels two.txt",
                says,
            ),
            (
                "raw tensors",
                "run net.onnx --input x=x.npy --grad logit(dog) --labels two.txt --out g.st",
                says,
            ),
        ],
    );
}
