//! `oneiro render` and `oneiro sheet`: their JSON and their files.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::contracts::{keys, place, set};
use crate::files::{npy, read_safetensors, text_of};
use crate::onnx::{LEFT, Network};

/// Keys of the JSON that is reported for one picture.
const UNIT_KEYS: [&str; 9] =
    ["unit", "objective", "preset", "seed", "steps", "stop", "value", "value_at_start", "value_saved"];

/// Keys of the metadata in the PNG of one unit.
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
        "12",
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
        assert_eq!(
            (&unit["preset"], &unit["seed"], &unit["steps"]),
            (&json!("oneiro"), &json!(7), &json!(12))
        );
        let (value, saved) = (unit["value"].as_f64().unwrap(), unit["value_saved"].as_f64().unwrap());
        // Rounding the picture to 8 bits changes the value by about 1/255 of its range.
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
        assert_eq!((get("preset"), get("seed"), get("steps")), ("oneiro", "7", "12"));
        assert_eq!(get("version"), env!("CARGO_PKG_VERSION"));
        assert!(
            get("settings").contains("steps = 12") && get("settings").contains("jitter(6%)"),
            "{}",
            get("settings")
        );
        for (key, field) in
            [("value", "value"), ("value-saved", "value_saved"), ("value-at-start", "value_at_start")]
        {
            // The JSON parser of serde_json may round the last digit differently.
            let (in_png, in_json) = (get(key).parse::<f64>().unwrap(), unit[field].as_f64().unwrap());
            assert!((in_png - in_json).abs() <= 1e-15 * in_json.abs(), "{key}: {in_png} {in_json}");
        }
        // The picture's pixels are the values of the stored tensor, rounded to 8 bits.
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
    // The value is computed again from the stored tensor by `oneiro run`, prepared as the card says and
    // without transforms, as another program could do.
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
    // Without a choice of units, a layer's first units are shown; a layer may have fewer.
    let object =
        place.json(&["sheet", "net.onnx", "-l", "left.conv", "--size", "16", "--steps", "0", "--json"]);
    assert_eq!(object["units"].as_array().unwrap().len(), LEFT);
    assert_eq!(object["files"], json!(["sheet.png"]));
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
    assert!(outcome.stderr.contains("--preset enlarged"), "{outcome:?}");
    // A larger picture, of which transforms would show the middle alone.
    let (outcome, sizes) = render(&["--set", "picture=64"]);
    assert_eq!((outcome.code, sizes), (Some(1), [None, None]));
    assert!(outcome.stderr.contains("only 24x20 of the picture's 64x64"), "{outcome:?}");
    // The preset's picture size is 128, but the network accepts 24x20 only. All pictures of a run have the
    // same size.
    let (outcome, sizes) = render(&[]);
    assert_eq!((outcome.code, sizes), (Some(0), [Some((24, 20)); 2]), "{outcome:?}");
    assert!(
        outcome.stderr.contains("does not accept pictures of 128x128") && outcome.stderr.contains("24x20"),
        "{outcome:?}"
    );
    assert!(text_of(&place.path("p/class-owl.png")).get("settings").unwrap().contains("size = [24, 20]"));
    // Layers before the dense one accept any picture size.
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
