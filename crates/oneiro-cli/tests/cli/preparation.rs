//! The preparation of pictures: grey networks, remarks about it, and pictures that already have the network's
//! size.

use crate::files::picture;
use crate::onnx::{Network, ints, message, node, number, tensor, text, value, weights};
use crate::place::{Place, Report, check};

const SIDE: usize = 16;

/// Writes a network with one input channel, whose logit 0 is the mean of its input. Its output thus shows how
/// the input was prepared.
fn gray(place: &Place) {
    let graph = [
        node("GlobalAveragePool", "mean", &["x"], "mean", &[]),
        node("Flatten", "flat", &["mean"], "flat", &[]),
        node("Gemm", "dense", &["flat", "dense.weight"], "out", &[]),
        text(2, "gray"),
        tensor("dense.weight", &[1, 2], &[1.0, 0.0]),
        value(11, "x", &[Some(1), Some(1), Some(SIDE), Some(SIDE)]),
        value(12, "out", &[None]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    place.write("gray.onnx", [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat());
}

/// Returns the prepared value of a uniformly grey picture, computed from the probabilities: the softmax of
/// (x, 0).
fn seen(place: &Place, args: &[&str]) -> f64 {
    let list = place.json(&[&["classify", "gray.onnx", "photo.png", "--json"], args].concat());
    let top = list[0]["top"].as_array().unwrap();
    let p = top.iter().find(|g| g["class"] == 0).unwrap()["probability"].as_f64().unwrap();
    (p / (1.0 - p)).ln()
}

/// Writes a picture that is uniformly grey with the value 51 of 255, which is 0.2.
fn flat(place: &Place) {
    let image = oneiro_media::Image::filled(SIDE, SIDE, [0.2; 3]);
    place.write("photo.png", oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap());
}

#[test]
fn preparations_by_name_mean_something_for_one_channel() {
    let place = Place::new();
    gray(&place);
    flat(&place);
    place.write("three.toml", "[[input]]\nname = \"x\"\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n");
    place.write("own.toml", "[[input]]\nname = \"x\"\norder = \"gray\"\nmean = [0.3]\nstd = [0.1]\n");
    let mut report = Report::default();
    for (args, wanted, says) in [
        (&[][..], (0.2 - 0.449) / 0.226, "grey in 0-1, mean .449, std .226"),
        (
            &["--preprocess", "imagenet"],
            (0.2 - 0.449) / 0.226,
            "their means: grey in 0-1, mean .449, std .226",
        ),
        (&["--preprocess", "tf"], 2.0 * 0.2 - 1.0, ""),
        (&["--preprocess", "unit"], 0.2, ""),
        (&["--preprocess", "tf", "--order", "gray"], 2.0 * 0.2 - 1.0, ""),
        (&["--mean", "0.5", "--std", "0.5"], 2.0 * 0.2 - 1.0, ""),
        (&["--preprocess", "unit", "--mean", "0.1"], 0.1, ""),
        (&["--card", "own.toml"], -1.0, ""),
        (&["--card", "own.toml", "--preprocess", "tf"], 2.0 * 0.2 - 1.0, ""),
        (&["--card", "three.toml", "--order", "gray"], (0.2 - 0.5) / 0.25, ""),
    ] {
        let near = |x: f64| (x - wanted).abs() < 1e-3;
        let ours = seen(&place, args);
        report.case(&args.join(" "), check(near(ours), || format!("{ours}, not {wanted}")));
        let stderr = place.run(&[&["classify", "gray.onnx", "photo.png"], args].concat()).stderr;
        let said = stderr.contains(says) && (!says.is_empty() || !stderr.contains("colours"));
        report.case(&args.join(" "), check(said, || stderr));
    }
    report.finish();
}

#[test]
fn the_remark_names_the_numbers_that_are_used() {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("photo.png", picture(24, 24));
    let mut report = Report::default();
    for (args, says) in [
        (&[][..], "(RGB in 0-1, mean .485 .456 .406, std .229 .224 .225)"),
        (&["--order", "bgr"], "(BGR in 0-1, mean .485 .456 .406, std .229 .224 .225)"),
        (&["--mean", "0,0,0.5"], "(RGB in 0-1, mean 0 0 .5, std .229 .224 .225)"),
        (&["--range", "255", "--std", "1,2,3"], "(RGB in 0-255, mean .485 .456 .406, std 1 2 3)"),
    ] {
        let outcome = place.run(&[&["classify", "net.onnx", "photo.png"], args].concat());
        let right = outcome.code == Some(0) && outcome.stderr.contains(says);
        report.case(&args.join(" "), check(right, || format!("{outcome:?}")));
    }
    report.finish();
}

#[test]
fn numbers_of_other_channels_are_refused_not_dropped() {
    let place = Place::new();
    place.write("net.onnx", Network { channels: 4, ..Network::default() }.bytes());
    place.write("card.toml", "[[input]]\nname = \"x\"\nmean = [0.1, 0.2, 0.3]\n");
    let bands = |more: &[&str]| {
        let args = ["layers", "net.onnx", "--card", "card.toml", "--order", "bands"];
        place.run(&[&args[..], more].concat())
    };
    let outcome = bands(&[]);
    let said = outcome.stderr.contains("numbers .1 .2 .3 are not those of 4 channels");
    assert!(outcome.code == Some(1) && said, "{outcome:?}");
    assert_eq!(bands(&["--mean", "0.5", "--std", "0.5"]).code, Some(0));
}

/// Writes a network of three classes for pictures of 16x16 that reads the border only.
fn at_the_border(place: &Place) {
    let graph = [
        node("Conv", "conv", &["x", "conv.weight"], "conv", &[ints("kernel_shape", &[SIDE as u64; 2])]),
        node("Flatten", "flat", &["conv"], "out", &[]),
        text(2, "border"),
        tensor("conv.weight", &[3, 3, SIDE, SIDE], &weights(9 * SIDE * SIDE, 4)),
        value(11, "x", &[Some(1), Some(3), Some(SIDE), Some(SIDE)]),
        value(12, "out", &[None]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    place.write("net.onnx", [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat());
}

#[test]
fn what_is_transparent_counts_as_black_with_a_word() {
    let place = Place::new();
    at_the_border(&place);
    let image = oneiro_media::Image::filled(SIDE, SIDE, [0.9, 0.6, 0.3]);
    let encoded = |alpha: f32| {
        let alpha = vec![alpha; SIDE * SIDE];
        oneiro_media::encode_png_alpha(&image, &alpha, &oneiro_media::PngText::default()).unwrap()
    };
    place.write("clear.png", encoded(0.0));
    place.write("whole.png", encoded(1.0));
    place.write(
        "black.png",
        oneiro_media::encode_png(
            &oneiro_media::Image::filled(SIDE, SIDE, [0.0; 3]),
            &oneiro_media::PngText::default(),
        )
        .unwrap(),
    );
    let classify = |file: &str| place.json(&["classify", "net.onnx", file, "--preprocess", "unit", "--json"]);
    assert_eq!(classify("clear.png")[0]["top"], classify("black.png")[0]["top"]);
    assert_eq!(classify("clear.png")[0]["shown"]["on_black"], true);
    assert!(classify("whole.png")[0]["shown"].get("on_black").is_none());
    let said = place.run(&["classify", "net.onnx", "clear.png", "--preprocess", "unit"]).stderr;
    assert!(said.contains("clear.png: neither scaled nor cropped, at the network's size 16x16; what is transparent counts as black"), "{said}");
}

#[test]
fn images_of_the_networks_size_are_neither_resized_nor_cropped() {
    let place = Place::new();
    at_the_border(&place);
    place.write("fits.png", picture(SIDE, SIDE));
    place.write("large.png", picture(40, 30));
    let classify = |file: &str, more: &[&str]| {
        let args = ["classify", "net.onnx", file, "--preprocess", "unit"];
        let json = place.json(&[&args[..], &["--json"], more].concat());
        let said = place.run(&[&args[..], more].concat()).stderr;
        (json[0]["top"].clone(), json[0]["shown"].clone(), said)
    };
    let (top, shown, said) = classify("fits.png", &[]);
    assert_eq!(shown, serde_json::json!({ "from": [16, 16] }));
    assert!(said.contains("fits.png: neither scaled nor cropped, at the network's size 16x16"), "{said}");
    assert_eq!(top, classify("fits.png", &["--crop", "1"]).0);
    // An explicitly requested crop is applied.
    let (cropped, shown, _) = classify("fits.png", &["--crop", "0.5"]);
    assert_ne!(cropped, top);
    assert_eq!(shown, serde_json::json!({ "from": [16, 16], "resized": [32, 32], "cropped": [16, 16] }));
    let (_, shown, said) = classify("large.png", &[]);
    assert_eq!(shown, serde_json::json!({ "from": [30, 40], "resized": [19, 25], "cropped": [16, 16] }));
    assert!(
        said.contains("large.png: resized from 30x40 to 19x25, cropped about the centre to 16x16"),
        "{said}"
    );
    for file in ["fits.png", "large.png"] {
        let attributed =
            ["attribute", "net.onnx", file, "--preprocess", "unit", "--method", "gradient", "--json"];
        let object = place.json(&[&attributed[..], &["--out", "a.png"]].concat());
        assert_eq!(object["shown"][0]["shown"], classify(file, &[]).1, "{object:#}");
    }
    let inverted =
        ["invert", "net.onnx", "large.png", "--layer", "conv", "--preprocess", "unit", "--steps", "2"];
    let object = place.json(&[&inverted[..], &["--json", "--out", "i.png"]].concat());
    let shown = serde_json::json!({ "from": [30, 40], "resized": [16, 21], "cropped": [16, 16] });
    assert_eq!(object["shown"][0]["shown"], shown, "{object:#}");
}

#[test]
fn what_cannot_be_done_is_refused_in_one_line() {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    let graph = [
        node("Conv", "conv", &["signal", "weight"], "conv", &[ints("kernel_shape", &[3])]),
        node("Flatten", "flat", &["conv"], "out", &[]),
        text(2, "signal"),
        tensor("weight", &[4, 2, 3], &weights(24, 4)),
        value(11, "signal", &[Some(1), Some(2), Some(64)]),
        value(12, "out", &[None]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    place.write("signal.onnx", [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat());
    place.write("odd.onnx", Network { middle: "Hoist", channels: 1, ..Network::default() }.bytes());
    let mut report = Report::default();
    for (args, says) in [
        (&["render", "signal.onnx", "-u", "conv:1"][..], "takes no pictures"),
        (&["classify", "signal.onnx", "photo.png"], "[1, 2, 64]"),
        (&["attribute", "signal.onnx", "photo.png"], "takes no pictures"),
        (&["invert", "signal.onnx", "photo.png", "--layer", "conv"], "takes no pictures"),
        (&["dream", "signal.onnx", "photo.png", "--layer", "conv"], "takes no pictures"),
        (&["render", "odd.onnx", "-u", "output:1", "--size", "16"], "operator Hoist"),
        (&["classify", "odd.onnx", "photo.png"], "operator Hoist"),
        (&["sheet", "odd.onnx", "-l", "output", "--size", "16"], "operator Hoist"),
    ] {
        let outcome = place.run(args);
        let right =
            outcome.code == Some(1) && outcome.stderr.contains(says) && outcome.stderr.lines().count() == 1;
        report.case(&args.join(" "), check(right, || format!("{outcome:?}")));
    }
    report.finish();
}
