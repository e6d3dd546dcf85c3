//! Which output holds the classes, and how its values become probabilities: softmax, sigmoid, one output,
//! several.

use crate::files::picture;
use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::place::{Place, Report, check};

const SIDE: usize = 16;
const FEATURES: usize = 6;

/// Returns a network for pictures of 16x16: a convolution, the means of its maps (`features`), and a dense
/// layer (`dense`) of `classes` outputs with this bias. `further` nodes follow.
fn network(classes: usize, bias: &[f32], further: &[Vec<u8>], outputs: &[&str]) -> Vec<u8> {
    let mut graph = vec![
        node("Conv", "conv", &["x", "conv.weight"], "conv", &[ints("kernel_shape", &[3, 3])]),
        node("Relu", "relu", &["conv"], "relu", &[]),
        node("GlobalAveragePool", "pool", &["relu"], "pool", &[]),
        node("Flatten", "features", &["pool"], "features", &[]),
        node("Gemm", "dense", &["features", "dense.weight", "dense.bias"], "dense", &[]),
    ];
    graph.extend_from_slice(further);
    graph.extend([
        text(2, "heads"),
        tensor("conv.weight", &[FEATURES, 3, 3, 3], &weights(FEATURES * 27, 1)),
        tensor("dense.weight", &[FEATURES, classes], &weights(FEATURES * classes, 2)),
        tensor("dense.bias", &[classes], bias),
        tensor("aux.weight", &[FEATURES, classes], &weights(FEATURES * classes, 3)),
        value(11, "x", &[Some(1), Some(3), Some(SIDE), Some(SIDE)]),
    ]);
    graph.extend(outputs.iter().map(|name| value(12, name, &[None])));
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

/// Returns a node of the ONNX domain `ai.onnx.ml`.
fn of_ml(op: &str, name: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| text(1, i)).collect();
    message(1, &[inputs, text(2, output), text(3, name), text(4, op), text(7, "ai.onnx.ml")].concat())
}

fn probabilities(place: &Place, model: &str, more: &[&str]) -> Vec<(u64, f64)> {
    let args =
        [&["classify", model, "photo.png", "--preprocess", "unit", "--json", "--top", "9"], more].concat();
    let list = place.json(&args);
    let top = list[0]["top"].as_array().unwrap().clone();
    top.iter().map(|g| (g["class"].as_u64().unwrap(), g["probability"].as_f64().unwrap())).collect()
}

#[test]
fn behind_a_sigmoid_classes_have_probabilities_of_their_own() {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    let sigmoid = node("Sigmoid", "end", &["dense"], "p", &[]);
    place.write("net.onnx", network(4, &[40.0, -40.0, 40.0, 0.0], &[sigmoid], &["p"]));
    let p = probabilities(&place, "net.onnx", &[]);
    assert!(p[0].1 > 0.999 && p[1].1 > 0.999 && p[3].1 < 1e-6, "{p:?}");
    assert!((0.2..0.8).contains(&p[2].1), "{p:?}");
    let outcome = place.run(&["classify", "net.onnx", "photo.png", "--preprocess", "unit"]);
    assert!(outcome.stderr.contains("independent"), "{outcome:?}");
    // The objective maximises the logit, which is not flat where the sigmoid's probability is.
    let rendered = place.run(&[
        "render",
        "net.onnx",
        "-u",
        "class:0",
        "--preprocess",
        "unit",
        "--size",
        "16",
        "--steps",
        "4",
        "--seed",
        "1",
        "--json",
        "--out",
        "x.png",
    ]);
    let object: serde_json::Value = serde_json::from_str(&rendered.stdout).unwrap();
    let unit = &object["units"][0];
    assert!(unit["value"].as_f64().unwrap() > unit["value_at_start"].as_f64().unwrap(), "{object:#}");
    assert!(unit["value"].as_f64().unwrap() > 30.0, "{object:#}");
}

#[test]
fn one_output_is_a_yes_or_no() {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    place.write("yes.txt", "yes\n");
    place.write("two.txt", "no\nyes\n");
    let sigmoid = node("Sigmoid", "end", &["dense"], "p", &[]);
    let mut report = Report::default();
    for (name, further, outputs) in [("with a sigmoid", vec![sigmoid], ["p"]), ("without", vec![], ["dense"])]
    {
        place.write("net.onnx", network(1, &[-1.0], &further, &outputs));
        let p = probabilities(&place, "net.onnx", &["--labels", "yes.txt"]);
        report.case(name, check(p.len() == 1 && (0.01..0.6).contains(&p[0].1), || format!("{p:?}")));
        let outcome = place.run(&["classify", "net.onnx", "photo.png", "--preprocess", "unit"]);
        report.case(name, check(outcome.stderr.contains("a yes or no"), || format!("{outcome:?}")));
        let two =
            place.run(&["classify", "net.onnx", "photo.png", "--preprocess", "unit", "--labels", "two.txt"]);
        let right = two.code == Some(1) && two.stderr.contains("give one label");
        report.case(name, check(right, || format!("{two:?}")));
    }
    report.finish();
}

#[test]
fn the_class_output_is_named_in_a_word_and_can_be_chosen() {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    place.write("labels.txt", "ant\nbee\ncat\ndog\n");
    let aux = node("MatMul", "aux", &["features", "aux.weight"], "aux", &[]);
    place.write("net.onnx", network(4, &[0.0, 9.0, 0.0, 0.0], &[aux], &["features", "aux", "dense", "relu"]));
    let outcome = place.run(&["classify", "net.onnx", "photo.png", "--preprocess", "unit", "--top", "1"]);
    let said = "classes are those of output \"dense\", of 4; the outputs are features (6), aux (4), dense (4), relu (6x14x14)";
    assert!(outcome.stderr.contains(said), "{outcome:?}");
    assert!(outcome.stdout.contains("1 (1)"), "{outcome:?}");
    let list = place.json(&["classify", "net.onnx", "photo.png", "--preprocess", "unit", "--json"]);
    assert_eq!(list[0]["output"], "dense");
    let top = |more: &[&str]| probabilities(&place, "net.onnx", more);
    assert_eq!(top(&["--labels", "labels.txt"]), top(&[]));
    assert_ne!(top(&["--output", "aux"]), top(&[]));
    place.write("card.toml", "output = \"aux\"\n");
    assert_eq!(top(&["--card", "card.toml"]), top(&["--output", "aux"]));
    assert_eq!(top(&["--output", "features"]).len(), FEATURES);
    let mut report = Report::default();
    for (name, output, says) in [
        ("unknown", "logits", "no output \"logits\"; its outputs are features (6)"),
        ("a map", "relu", "the output \"relu\" holds no row of class scores"),
    ] {
        let outcome = place.run(&["classify", "net.onnx", "photo.png", "--output", output]);
        let right =
            outcome.code == Some(1) && outcome.stderr.contains(says) && outcome.stderr.lines().count() == 1;
        report.case(name, check(right, || format!("{outcome:?}")));
    }
    report.finish();
}

#[test]
fn a_picture_remembers_which_output_its_class_is_of() {
    let place = Place::new();
    let aux = node("MatMul", "aux", &["features", "aux.weight"], "aux", &[]);
    place.write("net.onnx", network(4, &[0.0; 4], &[aux], &["dense", "aux"]));
    let render = |out: &str, more: &[&str]| {
        let args =
            ["render", "net.onnx", "--preprocess", "unit", "--size", "16", "--steps", "2", "--out", out];
        place.run(&[&args[..], more].concat())
    };
    assert!(render("a.png", &["-u", "class:1"]).stderr.contains("classes are those of output \"dense\""));
    assert_eq!(render("b.png", &["-u", "class:1", "--output", "aux"]).code, Some(0));
    assert_ne!(place.read("a.png"), place.read("b.png"));
    for (picture, output) in [("a.png", "dense"), ("b.png", "aux")] {
        let info = place.json(&["info", picture, "--json"]);
        assert_eq!(info["preparation"]["output"], output, "{info:#}");
        let again = place.json(&["again", picture, "--json", "--out", "again.png"]);
        assert_eq!(again["identical"], true, "{picture}");
    }
    // The picture of a hidden layer does not depend on the choice of an output.
    let layer = render("c.png", &["-u", "conv:1"]);
    assert!(!layer.stderr.contains("output"), "{layer:?}");
    assert!(place.json(&["info", "c.png", "--json"])["preparation"]["output"].is_null());
}

#[test]
fn classes_are_called_as_the_operators_behind_the_scores_say() {
    /// The value `STRINGS` of ONNX's `AttributeProto.AttributeType`.
    const STRINGS: u64 = 8;
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    let zip = |names: &[&str]| {
        let names: Vec<u8> = names.iter().flat_map(|n| text(9, n)).collect();
        let attribute = message(5, &[text(1, "classlabels_strings"), names, number(20, STRINGS)].concat());
        let inputs = text(1, "p");
        let domain = text(7, "ai.onnx.ml");
        message(1, &[inputs, text(2, "loss"), text(3, "zip"), text(4, "ZipMap"), domain, attribute].concat())
    };
    let softmax = node("Softmax", "end", &["dense"], "p", &[]);
    let net = |names: &[&str]| network(4, &[0.0, 5.0, 0.0, 0.0], &[softmax.clone(), zip(names)], &["loss"]);
    place.write("net.onnx", net(&["ant", "red car", "cat", "dog"]));
    let stdout = place.succeed(&["classify", "net.onnx", "photo.png", "--preprocess", "unit"]);
    assert!(stdout.contains("red car (1)"), "{stdout}");
    let render =
        ["render", "net.onnx", "-u", "class:red_car", "--size", "16", "--steps", "1", "--out", "x.png"];
    place.succeed(&render);
    // A list of names with another length than the number of classes is ignored.
    place.write("net.onnx", net(&["ant", "cat"]));
    let stdout = place.succeed(&["classify", "net.onnx", "photo.png", "--preprocess", "unit"]);
    assert!(stdout.contains("1 (1)"), "{stdout}");
}

#[test]
fn scores_are_found_behind_words_and_positions() {
    let place = Place::new();
    place.write("photo.png", picture(SIDE, SIDE));
    let softmax = node("Softmax", "end", &["dense"], "p", &[]);
    let best = node("ArgMax", "best", &["p"], "best", &[]);
    let map = of_ml("ZipMap", "zip", &["p"], "loss");
    let word = of_ml("LabelEncoder", "words", &["best"], "label");
    let further = [softmax, best, map, word];
    let mut report = Report::default();
    place.write("plain.onnx", network(4, &[0.0, 2.0, 0.0, 0.0], &further[..1], &["p"]));
    let wanted = probabilities(&place, "plain.onnx", &[]);
    for outputs in [&["label", "loss"][..], &["loss"], &["best"], &["label", "p"]] {
        place.write("net.onnx", network(4, &[0.0, 2.0, 0.0, 0.0], &further, outputs));
        let p = probabilities(&place, "net.onnx", &[]);
        report.case(&outputs.join(", "), check(p == wanted, || format!("{p:?} {wanted:?}")));
        let outcome = place.run(&["classify", "net.onnx", "photo.png", "--preprocess", "unit"]);
        let said = outcome.stderr.contains("holds no scores") != outputs.contains(&"p");
        report.case(&outputs.join(", "), check(said, || format!("{outcome:?}")));
    }
    report.finish();
}
