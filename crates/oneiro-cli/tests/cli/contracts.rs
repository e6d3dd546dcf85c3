//! Names and formats that scripts rely on (the interface's section "Machine-readable results").

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::files::{Tensors, npy, picture, read_safetensors, safetensors, text_of, wave};
use crate::onnx::{CLASSES, LEFT, Network};
use crate::outside;
use crate::place::{Place, Report, check, fixture};

/// The tiny network with card and labels.
fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write(
        "net.toml",
        "name = \"tiny\"\nlabels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\nmean = [0.4, 0.5, 0.6]\n",
    );
    place.write("classes.txt", "cat\ndog\nred fox\nowl\n");
    place
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn set<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

#[test]
fn layers_are_listed_with_everything_a_script_needs() {
    let place = place();
    let layers = place.json(&["layers", "net.onnx", "--json"]);
    let layers = layers.as_array().unwrap();
    let wanted = [
        "name",
        "aliases",
        "op",
        "shape",
        "channels",
        "receptive_field",
        "stride",
        "params",
        "flops",
        "axes",
    ];
    assert!(layers.iter().all(|l| keys(l) == set(&wanted)), "{layers:#?}");
    let left = &layers[0];
    assert_eq!(left["name"], "left.conv");
    assert_eq!(left["aliases"], json!(["/left/conv/Conv", "/left/conv/Conv_output_0"]));
    assert_eq!(left["op"], "Conv");
    assert_eq!(left["shape"], json!([1, LEFT, 24, 20]));
    assert_eq!((&left["channels"], &left["axes"]), (&json!(LEFT), &json!("N,C,H,W")));
    assert_eq!(left["receptive_field"], json!({"x": [3, 3]}));
    assert_eq!(left["stride"], json!({"x": [1, 1]}));
    assert_eq!(left["params"], LEFT * 3 * 9);
    assert_eq!(left["flops"], 2 * LEFT * 3 * 9 * 24 * 20);
    let right = layers.iter().find(|l| l["name"] == "right.conv").unwrap();
    assert_eq!(right["shape"], json!([1, CLASSES, 11, 9]));
    assert_eq!((&right["receptive_field"], &right["stride"]), (&json!({"x": [5, 5]}), &json!({"x": [2, 2]})));
    let output = layers.last().unwrap();
    assert_eq!((&output["shape"], &output["channels"]), (&json!([1, CLASSES]), &json!(CLASSES)));
}

#[test]
fn every_name_of_a_layer_means_that_layer() {
    let mut report = Report::default();
    for (model, more) in [
        ("plain2d.legacy.onnx", &[][..]),
        ("plain2d.dynamo.onnx", &[]),
        ("two_stream.legacy.onnx", &[]),
        ("two_stream.dynamo.onnx", &[]),
        ("clip3d.dynamo.onnx", &[]),
    ] {
        let place = Place::new();
        place.borrow(model, "net.onnx");
        let list = |args: &[&str]| {
            place.json(&[&["layers", "net.onnx", "--json", "--preprocess", "unit"], args].concat())
        };
        let layers = list(more);
        // Every name becomes a short name of a card, which has to lead to the same layer again.
        let mut card = String::new();
        for input in layers
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|l| keys(&l["receptive_field"]))
            .collect::<BTreeSet<_>>()
        {
            card += &format!("[[input]]\nname = \"{input}\"\n");
        }
        card += "[layers]\n";
        let mut names = Vec::new();
        for layer in layers.as_array().unwrap() {
            let aliases = layer["aliases"].as_array().unwrap();
            for alias in [&layer["name"]].into_iter().chain(aliases) {
                card += &format!("\"short{}\" = {alias}\n", names.len());
                names.push((alias.clone(), layer["name"].clone()));
            }
        }
        place.write("net.toml", card);
        let layers = list(&[]);
        for (i, (alias, name)) in names.iter().enumerate() {
            let short = json!(format!("short{i}"));
            let all =
                |l: &Value| [vec![l["name"].clone()], l["aliases"].as_array().unwrap().clone()].concat();
            let led_to = layers.as_array().unwrap().iter().find(|l| all(l).contains(&short));
            let same = led_to.is_some_and(|l| all(l).contains(name));
            report.case(model, check(same, || format!("{alias} does not mean {name}")));
        }
    }
    report.finish();
}

/// VGG-16's receptive fields (`algorithms.md`, §8; Araujo et al. 2019).
const VGG_FIELDS: [(&str, usize); 14] = [
    ("conv1_1", 3),
    ("conv1_2", 5),
    ("pool1", 6),
    ("conv2_1", 10),
    ("conv2_2", 14),
    ("conv3_1", 24),
    ("conv3_2", 32),
    ("conv3_3", 40),
    ("conv4_1", 60),
    ("conv4_2", 76),
    ("conv4_3", 92),
    ("conv5_1", 132),
    ("conv5_2", 164),
    ("conv5_3", 196),
];

#[test]
fn receptive_fields_of_vgg_are_those_of_the_literature() {
    let Some(model) = outside::shared("models/vgg16_trunk/model.onnx") else { return };
    let layers = Place::new().json(&["layers", model.to_str().unwrap(), "--json"]);
    let layers = layers.as_array().unwrap();
    let mut report = Report::default();
    let mut expect = |name: &str, extent: usize| {
        let found = layers.iter().find(|l| {
            l["name"] == name || l["aliases"].as_array().unwrap().iter().any(|alias| alias == name)
        });
        let field = found.map(|l| l["receptive_field"]["x"].clone());
        let right = field == Some(json!([extent, extent]));
        report.case(name, check(right, || format!("{field:?} for {extent}")));
    };
    VGG_FIELDS.iter().for_each(|(name, extent)| expect(name, *extent));
    if layers.iter().any(|l| l["name"] == "pool5") {
        expect("pool5", 212);
    }
    report.finish();
}

/// What is reported about one picture.
const UNIT_KEYS: [&str; 9] =
    ["unit", "objective", "preset", "seed", "steps", "stop", "value", "value_at_start", "value_saved"];

/// What a PNG of one unit says.
const PNG_KEYS: [&str; 15] = [
    "version",
    "kernels",
    "model",
    "model-sha256",
    "unit",
    "objective",
    "preparation",
    "preset",
    "settings",
    "seed",
    "steps",
    "value",
    "value-at-start",
    "value-saved",
    "job",
];

#[test]
fn render_reports_the_same_in_json_png_and_tensors() {
    let place = place();
    let args = [
        "render",
        "net.onnx",
        "-u",
        "left.conv:1",
        "-u",
        "class:red fox",
        "--objective",
        "-1*layer(right.conv)",
        "--size",
        "24x20",
        "--steps",
        "3",
        "--seed",
        "7",
        "--out",
        "pictures",
        "--raw",
        "raw.st",
        "--json",
    ];
    let object = place.json(&args);
    assert_eq!(keys(&object), set(&["units", "files", "seconds"]));
    assert!(object["seconds"].as_f64().unwrap() >= 0.0);
    let files = [
        "pictures/left.conv-1.png",
        "pictures/class-red-fox.png",
        "pictures/1-layer-right.conv.png",
        "raw.st",
    ];
    assert_eq!(object["files"], json!(files));
    let units = object["units"].as_array().unwrap();
    assert!(units.iter().all(|u| keys(u) == set(&UNIT_KEYS)), "{units:#?}");
    let names: Vec<&str> = units.iter().map(|u| u["unit"].as_str().unwrap()).collect();
    assert_eq!(names, ["left.conv:1", "class:red fox", "-1*layer(right.conv)"]);
    assert_eq!(units[1]["objective"], "logit(2)");
    for unit in units {
        assert_eq!((&unit["preset"], &unit["seed"], &unit["steps"]), (&json!("lucid"), &json!(7), &json!(3)));
        let (value, saved) = (unit["value"].as_f64().unwrap(), unit["value_saved"].as_f64().unwrap());
        // 8 bits move a value by about 1/255 of what it may range over.
        assert!((value - saved).abs() < 0.02 * (1.0 + value.abs()), "{unit:#?}");
        assert!(value > unit["value_at_start"].as_f64().unwrap(), "{unit:#?}");
    }

    let (tensors, metadata) = read_safetensors(&place.read("raw.st"));
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["x/0", "x/1", "x/2"]);
    assert!(tensors.values().all(|(shape, _)| *shape == [3, 24, 20]));
    let in_tensors: Value = serde_json::from_str(&metadata["units"]).unwrap();
    assert_eq!(in_tensors, object["units"]);

    let hash = {
        use sha2::Digest;
        sha2::Sha256::digest(place.read("net.onnx")).iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    for (i, unit) in units.iter().enumerate() {
        let path = place.path(files[i]);
        let text = text_of(&path);
        let found: BTreeSet<&str> = text.0.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, set(&PNG_KEYS));
        let get = |key: &str| text.get(key).unwrap();
        assert_eq!(get("unit"), names[i]);
        assert_eq!((get("model"), get("model-sha256")), ("net.onnx", hash.as_str()));
        assert_eq!((get("preset"), get("seed"), get("steps")), ("lucid", "7", "3"));
        assert_eq!(get("version"), env!("CARGO_PKG_VERSION"));
        assert!(
            get("settings").contains("steps = 3") && get("settings").contains("jitter(8)"),
            "{}",
            get("settings")
        );
        for (key, field) in
            [("value", "value"), ("value-saved", "value_saved"), ("value-at-start", "value_at_start")]
        {
            // serde_json reads numbers to within a rounding.
            let (in_png, in_json) = (get(key).parse::<f64>().unwrap(), unit[field].as_f64().unwrap());
            assert!((in_png - in_json).abs() <= 1e-15 * in_json.abs(), "{key}: {in_png} {in_json}");
        }
        // The picture is what the tensor holds, in 8 bits.
        let picture = oneiro_media::read_image(&path).unwrap();
        assert_eq!((picture.height, picture.width), (24, 20));
        let (_, data) = &tensors[&format!("x/{i}")];
        let worst =
            picture.data.iter().zip(data).map(|(a, b)| (a - b.clamp(0.0, 1.0)).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.501 / 255.0, "{worst}");
    }
}

#[test]
fn the_reported_value_is_that_of_the_stored_tensor() {
    // As another program would compute it: prepared as the card says, without transforms, through `run`.
    let place = place();
    let objective = "channel(right.conv,2) - 0.5*layer(left.conv)";
    let object = place.json(&[
        "render",
        "net.onnx",
        "--objective",
        objective,
        "--size",
        "24x20",
        "--steps",
        "4",
        "--out",
        "a.png",
        "--raw",
        "raw.st",
        "--json",
    ]);
    let (tensors, _) = read_safetensors(&place.read("raw.st"));
    let (shape, data) = &tensors["x/0"];
    let plane = shape[1] * shape[2];
    let prepared: Vec<f32> = data.iter().enumerate().map(|(i, x)| x - [0.4, 0.5, 0.6][i / plane]).collect();
    place.write("x.npy", npy(&[1, 3, 24, 20], &prepared));
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--grad", objective, "--out", "result.st"]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    let (ours, theirs) = (object["units"][0]["value"].as_f64().unwrap(), f64::from(result["value"].1[0]));
    assert!((ours - theirs).abs() < 1e-5 * (1.0 + ours.abs()), "{ours} {theirs}");
}

#[test]
fn a_sheet_reports_what_is_on_it() {
    let place = place();
    let object = place.json(&[
        "sheet",
        "net.onnx",
        "-l",
        "left.conv",
        "-l",
        "right.conv",
        "--units",
        "0-1,3",
        "--class",
        "owl",
        "--size",
        "16",
        "--steps",
        "1",
        "--out",
        "sheet.png",
        "--raw",
        "raw.st",
        "--json",
    ]);
    assert_eq!(keys(&object), set(&["units", "files", "seconds"]));
    assert_eq!(object["files"], json!(["sheet.png", "raw.st"]));
    let units: Vec<&str> =
        object["units"].as_array().unwrap().iter().map(|u| u["unit"].as_str().unwrap()).collect();
    let expected = [
        "left.conv:0",
        "left.conv:1",
        "left.conv:3",
        "right.conv:0",
        "right.conv:1",
        "right.conv:3",
        "class:owl",
    ];
    assert_eq!(units, expected);
    let (tensors, metadata) = read_safetensors(&place.read("raw.st"));
    assert_eq!(tensors.len(), expected.len());
    let in_tensors: Value = serde_json::from_str(&metadata["units"]).unwrap();
    assert_eq!(in_tensors, object["units"]);
    let text = text_of(&place.path("sheet.png"));
    assert_eq!(
        text.get("units").map(|u| serde_json::from_str::<Value>(u).unwrap()),
        Some(object["units"].clone())
    );
    assert!(
        ["model", "model-sha256", "preset", "settings", "seed", "version", "kernels"]
            .iter()
            .all(|k| text.get(k).is_some())
    );
    // A layer's first units are shown where none are chosen, and a layer may have fewer.
    let object =
        place.json(&["sheet", "net.onnx", "-l", "left.conv", "--size", "16", "--steps", "0", "--json"]);
    assert_eq!(object["units"].as_array().unwrap().len(), LEFT);
    assert_eq!(object["files"], json!(["sheet.png"]));
}

#[test]
fn run_stores_activations_value_and_gradients() {
    let place = place();
    place.write("x.npy", npy(&[2, 3, 8, 9], &wave(2 * 3 * 72)));
    place.succeed(&[
        "run",
        "net.onnx",
        "--input",
        "x=x.npy",
        "--capture",
        "left.conv",
        "--capture",
        "output",
        "--capture",
        "left.conv",
        "--capture",
        "x",
        "--grad",
        "channel(left.conv,2)",
        "--out",
        "result.st",
    ]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    let shapes: Vec<(&str, &[usize])> = result.iter().map(|(k, (s, _))| (k.as_str(), s.as_slice())).collect();
    let expected: [(&str, &[usize]); 5] = [
        ("act/left.conv", &[2, LEFT, 8, 9]),
        ("act/output", &[2, CLASSES]),
        ("act/x", &[2, 3, 8, 9]),
        ("grad/x", &[2, 3, 8, 9]),
        ("value", &[1]),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(result["act/x"].1, wave(2 * 3 * 72));
    // The value is the mean over the batch of the mean over positions.
    let activations = &result["act/left.conv"].1;
    let entry = |n: usize| activations[(n * LEFT + 2) * 72..][..72].iter().sum::<f32>() / 72.0;
    let mean = (entry(0) + entry(1)) / 2.0;
    assert!((result["value"].1[0] - mean).abs() < 1e-5);
    // Gradients alone need no capture, captures no gradient.
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--grad", "logit(1)", "--out", "result.st"]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    assert_eq!(result.keys().collect::<Vec<_>>(), ["grad/x", "value"]);
    place.succeed(&[
        "run",
        "net.onnx",
        "--input",
        "x=x.npy",
        "--capture",
        "right.conv",
        "--out",
        "result.st",
    ]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    assert_eq!(result.keys().collect::<Vec<_>>(), ["act/right.conv"]);
}

#[test]
fn check_exits_with_0_where_all_agrees_and_with_1_where_anything_differs() {
    let mut report = Report::default();
    for network in ["plain2d", "clip3d", "two_stream", "tfsame", "signal1d"] {
        for exporter in ["legacy", "dynamo"] {
            let place = Place::new();
            let name = format!("{network}.{exporter}");
            place.borrow(&format!("{name}.onnx"), "net.onnx");
            place.borrow(&format!("{name}.golden.safetensors"), "golden.st");
            let run = |more: &[&str]| {
                place.run(
                    &[&["check", "net.onnx", "golden.st", "--preprocess", "unit", "--quiet"], more].concat(),
                )
            };
            let fine = run(&[]);
            report
                .case(&name, check(fine.code == Some(0) && fine.stderr.is_empty(), || format!("{fine:#?}")));
            let (tensors, metadata) =
                read_safetensors(&std::fs::read(fixture(&format!("{name}.golden.safetensors"))).unwrap());
            let compared = tensors.keys().filter(|k| !k.starts_with("input/")).count();
            let lines = fine.stdout.lines().filter(|l| l.contains("  ok")).count();
            report.case(&name, check(lines == compared, || format!("{lines} lines for {compared} tensors")));
            // A tolerance of nothing, and each kind of number off.
            let strict = run(&["--rtol", "0", "--grad-rtol", "0"]);
            report.case(
                &name,
                check(strict.code == Some(1) && strict.stdout.contains("FAILED"), || format!("{strict:#?}")),
            );
            for kind in ["act/", "value/", "grad/"] {
                let mut wrong = tensors.clone();
                let (key, (_, data)) = wrong.iter_mut().find(|(k, _)| k.starts_with(kind)).unwrap();
                data.iter_mut().for_each(|x| *x = *x * 1.01 + 0.001);
                let key = key.clone();
                place.write("golden.st", safetensors(&wrong, &[("objectives", &metadata["objectives"])]));
                let outcome = run(&[]);
                let failed: Vec<&str> = outcome.stdout.lines().filter(|l| l.contains("FAILED")).collect();
                let right =
                    outcome.code == Some(1) && failed.len() == 1 && failed[0].starts_with(&format!("{key}:"));
                report.case(&name, check(right, || format!("{kind} off: {outcome:#?}")));
            }
        }
    }
    report.finish();
}

#[test]
fn check_fails_numbers_of_another_shape_and_numbers_that_are_none() {
    let place = place();
    place.write("x.npy", npy(&[1, 3, 8, 9], &wave(216)));
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--capture", "left.conv", "--out", "result.st"]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    let (shape, data) = result["act/left.conv"].clone();
    let mut report = Report::default();
    for (name, shape, data, code) in [
        ("itself", shape.clone(), data.clone(), 0),
        ("axes of 1 more", vec![1, 1, LEFT, 8, 9, 1], data.clone(), 0),
        ("turned", vec![1, LEFT, 9, 8], data.clone(), 1),
        ("flattened", vec![data.len()], data.clone(), 1),
        ("shorter", vec![1, LEFT, 8, 8], data[..LEFT * 64].to_vec(), 1),
        ("not finite", shape.clone(), vec![f32::NAN; data.len()], 1),
    ] {
        let golden = Tensors::from([
            ("input/x".to_owned(), (vec![1, 3, 8, 9], wave(216))),
            ("act/left.conv".to_owned(), (shape, data)),
        ]);
        place.write("golden.st", safetensors(&golden, &[]));
        let outcome = place.run(&["check", "net.onnx", "golden.st"]);
        let right = outcome.code == Some(code) && outcome.stdout.contains("act/left.conv: ");
        report.case(name, check(right, || format!("{outcome:#?}")));
    }
    report.finish();
}

#[test]
fn bench_reports_seconds_speed_memory_and_threads() {
    let place = place();
    let object = place.json(&[
        "bench",
        "net.onnx",
        "--json",
        "--threads",
        "2",
        "--capture",
        "left.conv",
        "--batch",
        "2",
    ]);
    let wanted = set(&["seconds", "gflops", "peak_bytes", "threads"]);
    assert!(wanted.is_subset(&keys(&object)), "{object:#}");
    assert_eq!(object["threads"], 2);
    assert!(
        object["seconds"].as_f64().unwrap() > 0.0 && object["gflops"].as_f64().unwrap() > 0.0,
        "{object:#}"
    );
    if cfg!(target_os = "linux") {
        assert!(object["peak_bytes"].as_u64().unwrap() > 1 << 20, "{object:#}");
    }
}

#[test]
fn bench_times_networks_of_few_classes_too() {
    // The output has fewer than six channels, and the gradient is usually that of channel 5.
    let outcome = place().run(&["bench", "net.onnx", "--quiet"]);
    assert!(
        outcome.code == Some(0) && outcome.stderr.is_empty() && outcome.stdout.contains("ms"),
        "{outcome:?}"
    );
}

#[test]
fn classify_names_classes_with_their_probabilities() {
    let place = place();
    place.write("photo.png", picture(40, 30));
    let verdicts = place.json(&["classify", "net.onnx", "photo.png", "photo.png", "--top", "9", "--json"]);
    let verdicts = verdicts.as_array().unwrap();
    assert_eq!(verdicts.len(), 2);
    assert_eq!(keys(&verdicts[0]), set(&["file", "shown", "top"]));
    assert_eq!(verdicts[0], verdicts[1]);
    assert_eq!(verdicts[0]["file"], "photo.png");
    let top = verdicts[0]["top"].as_array().unwrap();
    assert_eq!(top.len(), CLASSES, "there are no more classes than that");
    assert!(top.iter().all(|g| keys(g) == set(&["class", "label", "probability"])), "{top:#?}");
    let labels: BTreeSet<&str> = top.iter().map(|g| g["label"].as_str().unwrap()).collect();
    assert_eq!(labels, set(&["cat", "dog", "red fox", "owl"]));
    let probabilities: Vec<f64> = top.iter().map(|g| g["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.windows(2).all(|p| p[0] >= p[1]));
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
}

#[test]
fn folders_of_classes_are_scored_by_name_else_by_position_with_a_word_about_it() {
    let truths = |folders: &[&str]| {
        let place = place();
        folders.iter().for_each(|f| place.write(&format!("photos/{f}/1.png"), picture(30, 30)));
        let list = place.json(&["classify", "net.onnx", "photos", "--top", "1", "--json"]);
        let truth: Vec<Option<u64>> = list.as_array().unwrap().iter().map(|v| v["truth"].as_u64()).collect();
        let outcome = place.run(&["classify", "net.onnx", "photos", "--top", "1"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(
            outcome.stdout.contains("tiny: right at first") == truth.iter().any(Option::is_some),
            "{outcome:?}"
        );
        (truth, outcome.stderr)
    };
    let (truth, said) = truths(&["dog", "n02119022_red_fox", "OWL"]);
    // Folders come in sorted order: OWL, dog, n02119022_red_fox.
    let shown = "note: 3 images: resized from 30x30 to 28x28, cropped about the centre to 24x20\n";
    assert_eq!((truth, said.as_str()), (vec![Some(3), Some(1), Some(2)], shown));
    let (truth, said) = truths(&["c1", "c2", "c3", "c4"]);
    assert_eq!(truth, [Some(0), Some(1), Some(2), Some(3)]);
    assert!(said.contains("c1") && said.contains("sorted"), "{said}");
    let (truth, said) = truths(&["dog", "wolf"]);
    assert_eq!(truth, [Some(1), None]);
    assert!(said.contains("wolf"), "{said}");
}

#[test]
fn the_embedded_network_has_labels_and_short_names() {
    let place = Place::new();
    // A folder of that name does not hide it.
    std::fs::create_dir(place.path("squeezenet1_1")).unwrap();
    let layers = place.json(&["layers", "squeezenet1_1", "--json"]);
    let names: BTreeSet<&str> =
        layers.as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert!(set(&["conv1", "fire2.squeeze1x1", "fire9", "conv10", "logits"]).is_subset(&names), "{names:?}");
    place.write("photo.png", picture(300, 280));
    let stdout = place.succeed(&["classify", "squeezenet1_1", "photo.png", "--quiet"]);
    assert_eq!(stdout.lines().count(), 6, "{stdout}");
}

#[test]
fn quiet_runs_say_nothing_but_results() {
    let place = place();
    place.write("bare.onnx", Network::default().bytes());
    place.write("photo.png", picture(24, 24));
    place.write("x.npy", npy(&[1, 3, 8, 8], &wave(192)));
    let mut report = Report::default();
    // What is guessed without a card matters where images are prepared.
    for (guesses, args) in [
        (false, &["layers", "bare.onnx"][..]),
        (true, &["classify", "bare.onnx", "photo.png"]),
        (true, &["render", "bare.onnx", "-u", "left.conv:1", "--size", "16", "--steps", "1"]),
        (true, &["sheet", "bare.onnx", "-l", "left.conv", "--size", "16", "--steps", "1"]),
        (false, &["run", "bare.onnx", "--input", "x=x.npy", "--capture", "left.conv", "--out", "a.st"]),
    ] {
        let quiet = place.run(&[args, &["--quiet"]].concat());
        let right = quiet.code == Some(0) && quiet.stderr.is_empty() && !quiet.stdout.is_empty();
        report.case(args[0], check(right, || format!("{quiet:#?}")));
        let loud = place.run(args);
        let right =
            loud.code == Some(0) && loud.stderr.contains("nothing says how images are prepared") == guesses;
        report.case(args[0], check(right && loud.stdout == quiet.stdout, || format!("{loud:#?}")));
    }
    report.finish();
}

#[test]
fn a_network_that_takes_one_size_only_gets_it_with_a_word_about_it() {
    let place = place();
    place.write("net.onnx", Network { dense: true, ..Network::default() }.bytes());
    let render = |more: &[&str]| {
        let args =
            ["render", "net.onnx", "-u", "left.conv:1", "-u", "class:owl", "--steps", "0", "--out", "p"];
        let outcome = place.run(&[&args, more].concat());
        let sizes = ["p/left.conv-1.png", "p/class-owl.png"]
            .map(|file| oneiro_media::read_image(place.path(file)).map(|i| (i.height, i.width)).ok());
        (outcome, sizes)
    };
    let (outcome, sizes) = render(&["--size", "128"]);
    assert_eq!((outcome.code, sizes), (Some(1), [None, None]));
    assert!(outcome.stderr.contains("/head/Gemm") && !place.path("p").exists(), "{outcome:?}");
    // Lucid's canvas is 128, the card says 24x20; all pictures of a run have one size.
    let (outcome, sizes) = render(&[]);
    assert_eq!((outcome.code, sizes), (Some(0), [Some((24, 20)); 2]), "{outcome:?}");
    assert!(
        outcome.stderr.contains("does not accept 128x128") && outcome.stderr.contains("24x20"),
        "{outcome:?}"
    );
    assert!(text_of(&place.path("p/class-owl.png")).get("settings").unwrap().contains("size = [24, 20]"));
    // Other layers take any size.
    let stdout =
        place.succeed(&["render", "net.onnx", "-u", "left.conv:1", "--steps", "0", "--out", "a.png"]);
    assert!(stdout.contains("a.png"), "{stdout}");
    let picture = oneiro_media::read_image(place.path("a.png")).unwrap();
    assert_eq!((picture.height, picture.width), (128, 128));
}

#[test]
fn an_older_picture_is_replaced_and_nothing_else_is_left() {
    let place = place();
    place.write("a.png", "an older picture");
    place.succeed(&[
        "render",
        "net.onnx",
        "-u",
        "left.conv:1",
        "--size",
        "16",
        "--steps",
        "1",
        "--out",
        "a.png",
    ]);
    assert!(place.read("a.png").starts_with(b"\x89PNG"));
    let names: Vec<String> = place.listing().into_keys().collect();
    assert_eq!(names, ["a.png", "classes.txt", "net.onnx", "net.toml"]);
}

#[test]
fn units_that_would_share_a_file_name_get_one_each() {
    let place = place();
    let object = place.json(
        &[
            "render",
            "net.onnx",
            "-u",
            "left.conv:1",
            "-u",
            "left.conv:1",
            "-u",
            "/left/conv/Conv:1",
            "-u",
            "left/conv/Conv:1",
            "--size",
            "16",
            "--steps",
            "0",
            "--out",
            "p",
            "--json",
        ]
        .map(|a| if a == "left/conv/Conv:1" { "\"/left/conv/Conv\":1" } else { a }),
    );
    let files: Vec<&str> = object["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(files.iter().collect::<BTreeSet<_>>().len(), 4, "{files:?}");
    assert!(files.iter().all(|f| place.path(f).is_file()), "{files:?}");
}

#[test]
fn the_page_of_the_demo_shows_its_pictures_and_how_to_make_them() {
    let place = Place::new();
    let stdout = place.succeed(&["demo", "--steps", "1", "--out", "new/demo"]);
    assert!(stdout.contains("index.html"), "{stdout}");
    let page = String::from_utf8(place.read("new/demo/index.html")).unwrap();
    let mut files = place.listing();
    files.retain(|_, content| content.is_some());
    let shown: BTreeSet<&str> =
        page.split("<img src=\"").skip(1).map(|p| p.split('"').next().unwrap()).collect();
    let there: BTreeSet<&str> = files.keys().map(|f| f.strip_prefix("new/demo/").unwrap()).collect();
    assert!(shown.len() >= 12 && shown.iter().all(|f| there.contains(f)), "{shown:?} {there:?}");
    assert_eq!(there.len(), shown.len() + 1, "{there:?}");
    let again = place.json(&["again", "new/demo/index.html", "--json"]);
    assert_eq!(again["identical"], true, "{again}");
    assert!(place.succeed(&["info", "new/demo/index.html"]).contains("steps"));
    // The command beside a picture makes the same bytes.
    let commands: Vec<String> = page
        .split("<code>")
        .skip(1)
        .map(|c| c.split("</code>").next().unwrap().replace("&quot;", "\"").replace("&#34;", "\""))
        .collect();
    assert_eq!(commands.len(), shown.len());
    let mut report = Report::default();
    for command in [&commands[0], &commands[commands.len() / 2], &commands[commands.len() - 1]] {
        // Only the unit is quoted.
        let parts: Vec<&str> = command.split('"').collect();
        assert_eq!(parts.len(), 3, "{command}");
        let args: Vec<&str> =
            parts[0].split_whitespace().chain([parts[1]]).chain(parts[2].split_whitespace()).collect();
        assert_eq!(args[0], "oneiro");
        place.succeed(&args[1..]);
        let file = args[args.len() - 1];
        let same = place.read(file) == place.read(&format!("new/demo/{file}"));
        report.case(command, check(same, || "makes other bytes than the demo".into()));
    }
    report.finish();
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let place = Place::new();
    let mut report = Report::default();
    for command in ["demo", "classify", "layers", "render", "sheet", "run", "check", "bench"] {
        let outcome = place.run(&[command, "--help"]);
        let right = outcome.code == Some(0)
            && outcome.stderr.is_empty()
            && outcome.stdout.contains("Example")
            && outcome.stdout.contains(&format!("oneiro {command}"));
        report.case(command, check(right, || format!("{outcome:#?}")));
    }
    report.finish();
    assert_eq!(place.succeed(&["--version"]).trim(), concat!("oneiro ", env!("CARGO_PKG_VERSION")));
    let outcome = place.run(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(outcome.stderr.contains("Usage"), "{}", outcome.stderr);
}
