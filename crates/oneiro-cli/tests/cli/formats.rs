//! Peculiarities of model files from exporters: weights in separate files, channels last, integers, metadata,
//! inputs that are no pictures.

use crate::onnx::{FLOAT, Network, ints, message, node, number, tensor, text, value, weights};
use crate::place::{Place, Report, check};

const CARD: &str = "[[input]]\nname = \"x\"\nmean = [0.5, 0.5, 0.5]\n";

/// Returns an ONNX file with these fields of `GraphProto`, and these additional fields of `ModelProto`.
fn model(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat()), more.concat()].concat()
}

/// Returns a small graph: `x` → 1x1 convolution with 4 filters → ReLU, named `/conv/Conv` and `/relu/Relu`,
/// with the given weights.
fn small(channels: usize, weight: Vec<u8>) -> Vec<Vec<u8>> {
    vec![
        node("Conv", "/conv/Conv", &["x", "w"], "conv", &[ints("kernel_shape", &[1, 1])]),
        node("Relu", "/relu/Relu", &["conv"], "relu", &[]),
        weight,
        value(11, "x", &[None, Some(channels), None, None]),
        value(12, "relu", &[None, Some(4), None, None]),
    ]
}

fn bytes_of(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Returns a `TensorProto` whose data are stored in another file.
fn external(name: &str, shape: &[usize], entries: &[(&str, &str)]) -> Vec<u8> {
    /// The value `EXTERNAL` of ONNX's `TensorProto.DataLocation`.
    const EXTERNAL: u64 = 1;
    let dims: Vec<u8> = shape.iter().flat_map(|&n| number(1, n as u64)).collect();
    let entries: Vec<u8> =
        entries.iter().flat_map(|(k, v)| message(13, &[text(1, k), text(2, v)].concat())).collect();
    message(5, &[dims, number(2, FLOAT), text(8, name), entries, number(14, EXTERNAL)].concat())
}

/// Returns the bytes of a `.npy` file of float32.
fn npy(shape: &[usize], data: &[f32]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}", shape.join(", "));
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".to_vec(), length.to_vec(), header.into_bytes(), bytes_of(data)].concat()
}

/// Renders a unit of `m.onnx`, and returns the raw file of the optimised input.
fn raw(place: &Place, unit: &str) -> Vec<u8> {
    let args =
        ["render", "m.onnx", "--unit", unit, "--size", "16", "--steps", "3", "--raw", "raw.safetensors"];
    place.succeed(&[&args[..], &["--out", "p.png"]].concat());
    place.read("raw.safetensors")
}

#[test]
fn weights_may_lie_in_a_file_beside_the_model() {
    let w = weights(4 * 3, 5);
    let inline = Place::new();
    inline.write("m.onnx", model(&small(3, tensor("w", &[4, 3, 1, 1], &w)), &[]));
    inline.write("m.toml", CARD);
    let beside = Place::new();
    let entries = [("location", "data/weights.bin"), ("offset", "8"), ("length", "48")];
    beside.write("m.onnx", model(&small(3, external("w", &[4, 3, 1, 1], &entries)), &[]));
    beside.write("data/weights.bin", [vec![9; 8], bytes_of(&w)].concat());
    beside.write("m.toml", CARD);
    assert!(raw(&inline, "relu:2") == raw(&beside, "relu:2"));

    std::fs::remove_file(beside.path("data/weights.bin")).unwrap();
    let outcome = beside.run(&["layers", "m.onnx"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("data/weights.bin") && outcome.stderr.contains("\"w\""),
        "{}",
        outcome.stderr
    );
}

/// Returns the network of [`small`] as TensorFlow's converters write it: input and output have their channels
/// last.
fn channels_last(weight: Vec<u8>) -> Vec<u8> {
    let graph = [
        node("Transpose", "to_nchw", &["x"], "x_nchw", &[ints("perm", &[0, 3, 1, 2])]),
        node("Conv", "net_1/conv_1/Conv2D", &["x_nchw", "w"], "conv", &[ints("kernel_shape", &[1, 1])]),
        node("Relu", "net_1/relu_1/Relu", &["conv"], "relu", &[]),
        node("Transpose", "to_nhwc", &["relu"], "last", &[ints("perm", &[0, 2, 3, 1])]),
        node("Sigmoid", "net_1/out_1/Sigmoid", &["last"], "out", &[]),
        weight,
        value(11, "x", &[None, None, None, Some(3)]),
        value(12, "out", &[None, None, None, Some(4)]),
    ];
    model(&graph, &[])
}

#[test]
fn a_network_with_channels_last_makes_the_pictures_of_its_twin_with_channels_first() {
    let weight = || tensor("w", &[4, 3, 1, 1], &weights(4 * 3, 5));
    let mut graph = small(3, weight());
    graph.insert(2, node("Sigmoid", "/out/Sigmoid", &["relu"], "out", &[]));
    let first = Place::new();
    first.write("m.onnx", model(&graph, &[]));
    // A picture's random numbers depend on the first of its layer's names, so both networks use the same
    // names.
    let card = format!("{CARD}\n[layers]\nconv = \"conv\"\nrelu = \"relu\"\nout = \"out\"\n");
    first.write("m.toml", &card);
    let last = Place::new();
    last.write("m.onnx", channels_last(weight()));
    last.write("m.toml", format!("layout = \"nhwc\"\n{card}"));
    let data = |bytes: Vec<u8>| {
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.tensor("x/0").unwrap().data().to_vec()
    };
    let twin = |unit: &str, place: &Place| data(raw(place, unit));
    // The convolution has its channels first in both networks; the sigmoid has them last in one.
    for unit in ["conv:1", "relu:0", "out:3"] {
        assert!(twin(unit, &first) == twin(unit, &last), "{unit}");
    }

    let layers = last.json(&["layers", "m.onnx", "--json"]);
    let out = layers.as_array().unwrap().iter().find(|l| l["op"] == "Sigmoid").unwrap();
    assert_eq!((&out["channels"], &out["receptive_field"]["x"]), (&4.into(), &serde_json::json!([1, 1])));
    assert_eq!(layers.as_array().unwrap().len(), 5, "the turned input is no layer");
    // In the Graphviz output, the first layer is connected to the input.
    last.succeed(&["layers", "m.onnx", "--dot", "m.dot"]);
    let dot = String::from_utf8(last.read("m.dot")).unwrap();
    assert_eq!((dot.matches("input0 -> ").count(), dot.matches(" -> ").count()), (1, 5), "{dot}");
    // The picture records where the channels are, so it can be made again without the card.
    std::fs::remove_file(last.path("m.toml")).unwrap();
    assert!(last.succeed(&["again", "p.png"]).contains("byte for byte"));
    last.write("m.toml", format!("layout = \"nhwc\"\n{CARD}"));

    // Raw tensors are given in the layout of the file; objectives still refer to channels.
    let data: Vec<f32> = weights(2 * 5 * 7 * 3, 3);
    last.write("x.npy", npy(&[2, 5, 7, 3], &data));
    last.succeed(&[
        "run",
        "m.onnx",
        "--input",
        "x=x.npy",
        "--capture",
        "out",
        "--grad",
        "channel(out,3)",
        "--out",
        "r.safetensors",
    ]);
    let bytes = last.read("r.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("act/out").unwrap().shape(), [2, 5, 7, 4]);
    assert_eq!(tensors.tensor("grad/x").unwrap().shape(), [2, 5, 7, 3]);
}

#[test]
fn channels_last_are_noticed_without_a_card() {
    let place = Place::new();
    place.write("m.onnx", channels_last(tensor("w", &[4, 3, 1, 1], &weights(12, 5))));
    let args = ["render", "m.onnx", "--unit", "conv:1", "--size", "16", "--steps", "1", "--out", "p.png"];
    let outcome = place.run(&args);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("channels last"), "{}", outcome.stderr);
    // The layer is found by Keras's name, without the numbers that the exporter appended.
    place
        .succeed(&["render", "m.onnx", "--unit", "relu:1", "--size", "16", "--steps", "1", "--out", "q.png"]);
}

/// Returns a `TensorProto` of integers in its field `int32_data`.
fn integers(name: &str, kind: u64, shape: &[usize], data: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&n| number(1, n as u64)).collect();
    let data: Vec<u8> = data.iter().flat_map(|&n| number(5, n)).collect();
    message(5, &[dims, number(2, kind), text(8, name), data].concat())
}

#[test]
fn a_quantized_network_runs_in_floating_point_and_says_so() {
    /// Values of ONNX's `TensorProto.DataType`.
    const UINT8: u64 = 2;
    const INT32: u64 = 6;
    // One filter for each channel: its centre weight 0.5·(q − 128) is 1, and the bias is −100·0.01·0.5.
    let identity: Vec<u64> = (0..9).map(|i| if i % 4 == 0 { 130 } else { 128 }).collect();
    let inputs = ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"];
    let graph = [
        node("QuantizeLinear", "quantize", &["x", "xs", "xz"], "q", &[]),
        node("QLinearConv", "/conv/Conv", &inputs, "qy", &[ints("kernel_shape", &[1, 1])]),
        node("DequantizeLinear", "dequantize", &["qy", "ys", "yz"], "y", &[]),
        tensor("xs", &[], &[0.01]),
        tensor("ws", &[], &[0.5]),
        tensor("ys", &[], &[0.02]),
        integers("xz", UINT8, &[], &[100]),
        integers("wz", UINT8, &[], &[128]),
        integers("yz", UINT8, &[], &[0]),
        integers("w", UINT8, &[3, 3, 1, 1], &identity),
        integers("b", INT32, &[3], &[100, 100, 100]),
        value(11, "x", &[None, Some(3), None, None]),
        value(12, "y", &[None, Some(3), None, None]),
    ];
    let place = Place::new();
    place.write("m.onnx", model(&graph, &[]));
    // The 8-bit input saturates below −1 and above 1.55; the 8-bit output saturates below 0, so it acts as a
    // ReLU.
    let x = [-3.0, -0.7, -0.2, 0.333, 1.0, 9.0];
    let x3: Vec<f32> = [x, x, x].concat();
    place.write("x.npy", npy(&[1, 3, 1, 6], &x3));
    let run =
        ["run", "m.onnx", "--input", "x=x.npy", "--capture", "y", "--grad", "layer(y)", "--out", "r.st"];
    let outcome = place.run(&run);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("quantized") && outcome.stderr.contains("not rounded"),
        "{}",
        outcome.stderr
    );
    let bytes = place.read("r.st");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = tensors.tensor(name).unwrap().data().to_vec();
        data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let expected = [0.0, 0.0, 0.3, 0.833, 1.5, 2.05];
    for (y, wanted) in floats("act/y").iter().zip(expected.iter().cycle()) {
        assert!((y - wanted).abs() < 1e-5, "{y} for {wanted}");
    }
    let gradient = floats("grad/x");
    let passes: Vec<bool> = gradient[..6].iter().map(|g| *g != 0.0).collect();
    assert_eq!(passes, [false, false, true, true, true, false], "{gradient:?}");
}

#[test]
fn the_file_may_say_how_images_are_prepared() {
    let weight = || tensor("w", &[4, 3, 1, 1], &weights(12, 5));
    let entry = |key: &str, value: &str| message(14, &[text(1, key), text(2, value)].concat());
    let render = |metadata: &[Vec<u8>], flags: &[&str]| {
        let place = Place::new();
        place.write("m.onnx", model(&small(3, weight()), metadata));
        let args = ["render", "m.onnx", "--unit", "conv:1", "--size", "16", "--steps", "2", "--raw", "r.st"];
        let outcome = place.run(&[&args[..], &["--out", "p.png"], flags].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        (place.read("r.st"), outcome.stderr)
    };
    let image =
        [entry("Image.BitmapPixelFormat", "Rgb8"), entry("Image.NominalPixelRange", "Normalized_1_1")];
    let (as_said, notes) = render(&image, &[]);
    assert!(notes.contains("metadata") && !notes.contains("nothing says"), "{notes}");
    assert_eq!(as_said, render(&[], &["--preprocess", "tf"]).0);
    // Flags have precedence over the file's metadata.
    assert_eq!(render(&image, &["--preprocess", "unit"]).0, render(&[], &["--preprocess", "unit"]).0);
    let card = [entry("oneiro.card", CARD)];
    assert!(!render(&card, &[]).1.contains("nothing says"));
    // Metadata in a model file must not make the program read other files.
    let place = Place::new();
    place.write("secret.txt", "one\ntwo\n");
    let spy = [entry("oneiro.card", &format!("labels = \"secret.txt\"\n{CARD}"))];
    place.write("m.onnx", model(&small(3, weight()), &spy));
    let outcome = place.run(&["layers", "m.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("built-in list"), "{outcome:?}");
}

#[test]
fn inputs_of_any_size_batch_and_number_of_channels_run() {
    let mut report = Report::default();
    for channels in [1, 3, 4, 20] {
        let place = Place::new();
        place.write("m.onnx", Network { channels, ..Network::default() }.bytes());
        for (n, h, w) in [(1, 33, 17), (7, 12, 9), (2, 30, 50)] {
            let data = weights(n * channels * h * w, 3);
            place.write("x.npy", npy(&[n, channels, h, w], &data));
            let grad = "channel(/right/conv/Conv,1)";
            let run = ["run", "m.onnx", "--input", "x=x.npy", "--grad", grad, "--out", "r.safetensors"];
            let outcome = place.run(&run);
            let what = format!("{n}x{channels}x{h}x{w}");
            report.case(&what, check(outcome.code == Some(0), || outcome.stderr));
        }
        let layers = place.run(&["layers", "m.onnx"]);
        report.case("layers", check(layers.code == Some(0), || layers.stderr));
        let bench = place.run(&["bench", "m.onnx", "--size", "33x17", "--batch", "2", "--json"]);
        report.case("bench", check(bench.code == Some(0), || bench.stderr));
    }
    report.finish();
}

#[test]
fn an_input_that_is_no_picture_is_fed_with_zeros() {
    let graph = [
        node("Conv", "/conv/Conv", &["x", "w"], "conv", &[ints("kernel_shape", &[1, 1])]),
        node("Add", "/shift/Add", &["conv", "style"], "shifted", &[]),
        tensor("w", &[4, 3, 1, 1], &weights(12, 5)),
        value(11, "x", &[None, Some(3), None, None]),
        value(11, "style", &[None, Some(4), Some(1), Some(1)]),
        value(11, "unread", &[None, Some(9)]),
        value(12, "shifted", &[None, Some(4), None, None]),
    ];
    let place = Place::new();
    place.write("m.onnx", model(&graph, &[]));
    let args = ["render", "m.onnx", "--size", "16", "--steps", "2", "--out", "p.png", "--unit"];
    let outcome = place.run(&[&args[..], &["shifted:1"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\"style\" is no picture"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("unread"), "{}", outcome.stderr);
    place.write("x.npy", npy(&[1, 3, 2, 2], &weights(12, 3)));
    place.write("s.npy", npy(&[1, 4, 1, 1], &weights(4, 3)));
    let grad = ["--grad", "channel(shifted,1)", "--out", "r.st"];
    place.succeed(&[&["run", "m.onnx", "--input", "x=x.npy", "--input", "style=s.npy"], &grad[..]].concat());
}

#[test]
fn a_layer_answers_to_the_module_whose_weights_it_reads() {
    // PyTorch's newer exporter folds a normalisation into the convolution before it, but keeps the
    // normalisation's name.
    let graph = [
        node("Conv", "node_bn", &["x", "layer1.conv.weight"], "bn", &[ints("kernel_shape", &[1, 1])]),
        node("Relu", "node_relu", &["bn"], "relu", &[]),
        tensor("layer1.conv.weight", &[4, 3, 1, 1], &weights(12, 5)),
        value(11, "x", &[None, Some(3), None, None]),
        value(12, "relu", &[None, Some(4), None, None]),
    ];
    let place = Place::new();
    place.write("m.onnx", model(&graph, &[]));
    place.write("m.toml", CARD);
    let table = place.json(&["layers", "m.onnx", "--json"]);
    assert!(table[0]["aliases"].as_array().unwrap().contains(&"layer1.conv".into()), "{table}");
    for name in ["layer1.conv:1", "conv:1"] {
        place
            .succeed(&["render", "m.onnx", "--unit", name, "--size", "16", "--steps", "1", "--out", "p.png"]);
    }
}
