//! Inputs that are no pictures, pictures without a batch axis, and networks that begin at an inner tensor.

use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::place::{Place, Report, check};

/// Returns an ONNX file with these nodes, values and tensors.
fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let opset = [text(1, ""), number(2, 11)].concat();
    [number(1, 8), message(8, &opset), message(7, &[parts.concat(), text(2, "tiny")].concat())].concat()
}

fn conv(from: &str) -> Vec<u8> {
    let attributes = [ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])];
    [
        node("Conv", "conv", &[from, "conv.weight"], "conv.out", &attributes),
        tensor("conv.weight", &[4, 3, 3, 3], &weights(108, 1)),
    ]
    .concat()
}

const PICTURE: [Option<usize>; 4] = [None, Some(3), None, None];

/// Returns a network with two additional inputs, `keep` (one number) and `shift` (3,1,1), which change the
/// picture before the convolution.
fn with_settings() -> Vec<u8> {
    model(&[
        value(11, "keep", &[]),
        value(11, "x", &PICTURE),
        value(11, "shift", &[Some(3), Some(1), Some(1)]),
        node("Mul", "scaled", &["x", "keep"], "scaled.out", &[]),
        node("Add", "shifted", &["scaled.out", "shift"], "shifted.out", &[]),
        conv("shifted.out"),
        value(12, "conv.out", &[None, Some(4), None, None]),
    ])
}

/// Returns a network with an unknown operator before a scaling and a convolution.
fn with_front() -> Vec<u8> {
    model(&[
        value(11, "x", &PICTURE),
        node("Frobnicate", "front", &["x"], "front.out", &[]),
        node("Relu", "relu", &["front.out"], "relu.out", &[]),
        conv("relu.out"),
        value(12, "conv.out", &[None, Some(4), None, None]),
        node("Shape", "shape", &["x"], "shape.out", &[]),
        node("Reshape", "late", &["conv.out", "shape.out"], "late.out", &[]),
        value(12, "late.out", &[None, None, None, None]),
    ])
}

fn npy(shape: &str, data: &[f32]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let len = (header.len() as u16).to_le_bytes();
    let numbers: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00".to_vec(), len.to_vec(), header.into_bytes(), numbers].concat()
}

const RENDER: [&str; 8] = ["--preprocess", "unit", "--size", "16", "--steps", "3", "-q", "--threads=1"];

fn render(place: &Place, model: &str, unit: &str, out: &str, more: &[&str]) -> crate::place::Outcome {
    place.run(&[&["render", model, "--unit", unit, "--out", out][..], &RENDER, more].concat())
}

#[test]
fn what_an_input_is_fed_with_counts_and_is_kept_in_the_picture() {
    let place = Place::new();
    place.write("net.onnx", with_settings());
    place.write("shift.npy", npy("(3, 1, 1)", &[0.5, -0.25, 1.0]));
    let mut made = Vec::new();
    for (out, feeds) in [
        ("one.png", &["--feed", "keep=1.0"][..]),
        ("two.png", &["--feed", "keep=2"]),
        ("both.png", &["--feed", "keep=2", "--feed", "shift=shift.npy"]),
    ] {
        let raw = format!("{out}.safetensors");
        let outcome = render(&place, "net.onnx", "conv:1", out, &[feeds, &["--raw", &raw]].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let again = place.succeed(&["again", out]);
        assert!(again.contains("byte for byte"), "{again}");
        made.push(place.succeed(&["info", out, "--full"]));
    }
    assert!(made[0].contains("value = 1.0") && made[1].contains("value = 2.0"), "{}", made[1]);
    assert!(made[2].contains("shift.npy") && made[2].contains("sha256"), "{}", made[2]);
    let values: Vec<&str> = made.iter().filter_map(|m| m.lines().find(|l| l.starts_with("value:"))).collect();
    assert!(values[0] != values[1] && values[1] != values[2], "{values:?}");
    // The file of an input is recognised by its content, which has changed here.
    place.write("shift.npy", npy("(3, 1, 1)", &[0.5, -0.25, 2.0]));
    let outcome = place.run(&["again", "both.png"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("shift.npy"), "{}", outcome.stderr);
}

#[test]
fn a_card_feeds_inputs_too() {
    let place = Place::new();
    place.write("net.onnx", with_settings());
    place.write("cards/shift.npy", npy("(3, 1, 1)", &[0.5, -0.25, 1.0]));
    let card = "[[input]]\nname = \"x\"\n[[input]]\nname = \"keep\"\nvalue = 2\n[[input]]\nname = \"shift\"\nvalue = \"shift.npy\"\n";
    place.write("cards/card.toml", card);
    let by_card = render(&place, "net.onnx", "conv:1", "card.png", &["--card", "cards/card.toml", "--json"]);
    assert_eq!(by_card.code, Some(0), "{}", by_card.stderr);
    let flags = ["--feed", "keep=2", "--feed", "shift=cards/shift.npy", "--json"];
    let by_flags = render(&place, "net.onnx", "conv:1", "flags.png", &flags);
    let value =
        |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["units"][0]["value"].clone();
    assert_eq!(value(&by_card.stdout), value(&by_flags.stdout));
    assert!(place.succeed(&["again", "card.png"]).contains("byte for byte"));
}

#[test]
fn run_takes_fed_inputs_and_refuses_both() {
    let place = Place::new();
    place.write("net.onnx", with_settings());
    place.write("x.npy", npy("(1, 3, 4, 4)", &[0.5; 48]));
    place.write("keep.npy", npy("()", &[2.0]));
    place.write("shift.npy", npy("(3, 1, 1)", &[0.0; 3]));
    let run = |more: &[&str]| {
        let args =
            ["run", "net.onnx", "--input", "x=x.npy", "--input", "shift=shift.npy", "--capture", "scaled"];
        place.run(&[&args[..], &["--out", "out.safetensors"], more].concat())
    };
    let fed = run(&["--feed", "keep=2"]);
    let given = run(&["--input", "keep=keep.npy"]);
    assert!(fed.code == Some(0) && fed.stdout == given.stdout, "{}{}", fed.stderr, fed.stdout);
    let both = run(&["--input", "keep=keep.npy", "--feed", "keep=2"]);
    assert!(both.code == Some(1) && both.stderr.contains("--feed keep"), "{}", both.stderr);
    let none = run(&[]);
    assert!(none.code == Some(1) && none.stderr.contains("\"keep\""), "{}", none.stderr);
}

#[test]
fn what_cannot_be_fed_is_an_error_that_names_it() {
    let place = Place::new();
    place.write("net.onnx", with_settings());
    place.write("long.npy", npy("(4, 1, 1)", &[0.0; 4]));
    let mut report = Report::default();
    for (feed, code, words) in [
        ("q=1", 1, &["--feed q", "keep, x, shift"][..]),
        ("x=1", 1, &["\"x\"", "is sought"]),
        ("keep=none.npy", 1, &["\"keep\"", "none.npy"]),
        ("shift=long.npy", 1, &["\"shift\"", "[4, 1, 1]", "[3, 1, 1]"]),
        ("keep=high", 2, &["high", "NAME=VALUE"]),
        ("keep", 2, &["NAME=VALUE"]),
    ] {
        let outcome = render(&place, "net.onnx", "conv:1", "out.png", &["--feed", feed]);
        report.case(
            feed,
            check(outcome.code == Some(code) && words.iter().all(|w| outcome.stderr.contains(w)), || {
                format!("{:?} {}", outcome.code, outcome.stderr)
            }),
        );
    }
    report.finish();
}

#[test]
fn a_network_begins_where_it_is_told() {
    let place = Place::new();
    place.write("net.onnx", with_front());
    let blocked = render(&place, "net.onnx", "conv:1", "out.png", &[]);
    assert_eq!(blocked.code, Some(1));
    assert!(blocked.stderr.contains("Frobnicate"), "{}", blocked.stderr);
    assert!(blocked.stderr.contains("--from-layer \"front.out\""), "{}", blocked.stderr);
    let noted = place.run(&["layers", "net.onnx"]);
    assert!(noted.stderr.contains("--from-layer \"front.out\""), "{}", noted.stderr);
    // The layer is given by the name of its tensor, and by the name of its node.
    for name in ["front.out", "front"] {
        let cut = render(&place, "net.onnx", "conv:1", "out.png", &["--from-layer", name]);
        assert_eq!(cut.code, Some(0), "{}", cut.stderr);
        assert!(place.succeed(&["info", "out.png"]).contains("front.out"));
        assert!(place.succeed(&["again", "out.png"]).contains("byte for byte"));
    }
    let layers = place.json(&["layers", "net.onnx", "--from-layer", "front.out", "--json", "-q"]);
    let names: Vec<&str> = layers.as_array().unwrap().iter().filter_map(|l| l["name"].as_str()).collect();
    assert_eq!(names, ["relu", "conv"]);
    assert_eq!(layers[0]["receptive_field"]["front.out"], serde_json::json!([1, 1]));
    // A layer that needs the shape of the picture before the cut is refused with a message.
    let late = render(&place, "net.onnx", "late:1", "out.png", &["--from-layer", "front.out"]);
    assert!(late.code == Some(1) && late.stderr.contains("\"shape.out\""), "{}", late.stderr);
    // The card names the inner tensor as input; `oneiro check` and `oneiro run` then feed it with raw
    // numbers.
    place.write("net.toml", "[[input]]\nname = \"front.out\"\n");
    place.write("x.npy", npy("(1, 3, 4, 4)", &[0.5; 48]));
    place.succeed(&[
        "run",
        "net.onnx",
        "--input",
        "front.out=x.npy",
        "--capture",
        "conv",
        "--out",
        "o.safetensors",
    ]);
    place.succeed(&["bench", "net.onnx", "--size", "16", "--capture", "conv", "--json"]);
}

#[test]
fn a_picture_without_a_batch_is_a_picture_for_every_command() {
    let place = Place::new();
    place.write(
        "net.onnx",
        model(&[
            value(11, "image", &[Some(3), Some(24), Some(20)]),
            node("Sigmoid", "first", &["image"], "first.out", &[]),
            node("Unsqueeze", "batch", &["first.out"], "batch.out", &[ints("axes", &[0])]),
            conv("batch.out"),
            node("GlobalAveragePool", "pool", &["conv.out"], "pool.out", &[]),
            node("Flatten", "flat", &["pool.out"], "flat.out", &[]),
            node("Squeeze", "logits", &["flat.out"], "logits.out", &[ints("axes", &[0])]),
            value(12, "logits.out", &[Some(4)]),
        ]),
    );
    let unit = ["--preprocess", "unit"];
    let outcome = place.run(&[&["layers", "net.onnx", "--json"][..], &unit].concat());
    let layers: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(layers[0]["channels"], 3, "{layers}");
    assert!(outcome.stderr.contains("C,H,W"), "{}", outcome.stderr);
    let units = ["-u", "first:2", "-u", "conv:3", "--steps", "3"];
    place.succeed(&[&["render", "net.onnx", "--out", "out"][..], &units, &unit].concat());
    place.succeed(
        &[&["sheet", "net.onnx", "--layer", "first", "--out", "s.png", "--steps", "2"][..], &unit].concat(),
    );
    place.write("photo.png", place.read("s.png"));
    place.succeed(&[&["classify", "net.onnx", "photo.png"][..], &unit].concat());
    for method in ["gradient", "grad-cam"] {
        place.succeed(
            &[&["attribute", "net.onnx", "photo.png", "--method", method, "--out", "a.png"][..], &unit]
                .concat(),
        );
    }
    place.succeed(
        &[
            &["invert", "net.onnx", "photo.png", "--layer", "conv", "--steps", "3", "--out", "i.png"][..],
            &unit,
        ]
        .concat(),
    );
    place.succeed(
        &[
            &[
                "dream",
                "net.onnx",
                "photo.png",
                "-l",
                "first",
                "--octaves",
                "2",
                "--steps",
                "2",
                "--out",
                "d.png",
            ][..],
            &unit,
        ]
        .concat(),
    );
    // The array has the file's own shape (channels, height, width); its first axis is not taken for a batch
    // of 3.
    place.write("x.npy", npy("(3, 24, 20)", &[0.5; 1440]));
    let args =
        ["run", "net.onnx", "--input", "image=x.npy", "--capture", "first", "--grad", "channel(first,1)"];
    let said = place.succeed(&[&args[..], &["--out", "o.safetensors"]].concat());
    assert!(said.contains("act/first [3, 24, 20]") && said.contains("grad/image [3, 24, 20]"), "{said}");
}
