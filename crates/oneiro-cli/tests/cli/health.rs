//! `oneiro health`: verdicts on planted filters, conditions, pages, and planted networks beside the
//! repository.

use oneiro_media::{Image, PngText};
use serde_json::Value;

use crate::files::wave;
use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::outside;
use crate::place::Place;

/// Filters of the first convolution.
const FILTERS: usize = 8;

/// A network whose first convolution has planted filters: 1 is dead, 2 always on, and 5 is twice filter 3.
fn network() -> Vec<u8> {
    let mut kernels = weights(FILTERS * 27, 4);
    let twice: Vec<f32> = kernels[3 * 27..4 * 27].iter().map(|weight| 2.0 * weight).collect();
    kernels[5 * 27..6 * 27].copy_from_slice(&twice);
    let bias = [0.1, -90.0, 90.0, 0.05, -0.1, 0.1, 0.0, 0.02];
    let convolution = |name: &str, inputs: &[&str], to: &str| {
        node("Conv", name, inputs, to, &[ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])])
    };
    let graph = [
        convolution("/first/Conv", &["x", "first.weight", "first.bias"], "/first/Conv_output_0"),
        node("Relu", "/relu/Relu", &["/first/Conv_output_0"], "/relu/Relu_output_0", &[]),
        convolution("/second/Conv", &["/relu/Relu_output_0", "second.weight"], "/second/Conv_output_0"),
        node("GlobalAveragePool", "/pool/Mean", &["/second/Conv_output_0"], "/mean", &[]),
        node("Flatten", "/Flatten", &["/mean"], "output", &[]),
        text(2, "planted"),
        tensor("first.weight", &[FILTERS, 3, 3, 3], &kernels),
        tensor("first.bias", &[FILTERS], &bias),
        tensor("second.weight", &[2, FILTERS, 3, 3], &weights(2 * FILTERS * 9, 5)),
        value(11, "x", &[None, Some(3), None, None]),
        value(12, "output", &[None, Some(2)]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", network());
    place.write("labels.txt", "cat\ndog\n");
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    for i in 0..12 {
        let data = wave(3 * 24 * 24 + 31 * i);
        let data = data[31 * i..].iter().map(|x| x / 2.0 + 0.5).collect();
        let photo =
            oneiro_media::encode_png(&Image::rgb(24, 24, data).unwrap(), &PngText::default()).unwrap();
        place.write(&format!("photos/{}/{i}.png", ["cat", "dog"][i % 2]), photo);
    }
    place
}

/// The verdicts on the first convolution, and the channels that its duplicates equal.
fn verdicts(report: &Value) -> Vec<(String, Option<u64>)> {
    let units = report["layers"][0]["units"].as_array().unwrap();
    units.iter().map(|unit| (unit["verdict"].as_str().unwrap().to_owned(), unit["of"].as_u64())).collect()
}

#[test]
fn planted_filters_are_found_with_and_without_data() {
    let place = place();
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s"]);
    for data in [&["photos"][..], &["s"], &[]] {
        let report = place.json(&[&["health", "net.onnx"], data, &["--json"]].concat());
        let layer = &report["layers"][0];
        assert!(layer["aliases"].as_array().unwrap().iter().any(|alias| alias == "first"), "{layer}");
        let found = verdicts(&report);
        assert_eq!((found[1].0.as_str(), found[2].0.as_str()), ("dead", "always_on"), "{data:?}");
        assert_eq!(found[5], ("duplicate".to_owned(), Some(3)), "{data:?}");
        for healthy in [0, 3, 4] {
            assert_eq!(found[healthy].0, "healthy", "{healthy} of {data:?}");
        }
        let dead = &layer["units"][1];
        assert!(dead["why"].as_str().unwrap().starts_with("never active"), "{dead}");
        let confidence = dead["confidence"].as_f64().unwrap();
        assert!(if data.is_empty() { confidence < 0.5 } else { confidence > 0.5 }, "{confidence}");
        // Half of twelve photos are named rightly, which is chance.
        let not_judged = report["not_judged"][0].as_str().unwrap();
        let expected = if data.is_empty() { "no images of theirs" } else { "by chance" };
        assert!(not_judged.contains(expected), "{not_judged}");
    }
}

#[test]
fn a_condition_that_holds_is_exit_code_3() {
    let place = place();
    let outcome = place.run(&["health", "net.onnx", "photos", "--fail-on", "dead>5%"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("failed, as dead>5%: 1 of 10 filters"), "{}", outcome.stderr);
    let outcome = place.run(&["health", "net.onnx", "photos", "--fail-on", "dead>1"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("dead>1 does not hold"), "{}", outcome.stderr);
    // Synthetic pictures alone leave it a guess, which does not count.
    let outcome = place.run(&["health", "net.onnx", "--fail-on", "dead>0"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("are guesses and do not count"), "{}", outcome.stderr);
    let outcome = place.run(&["health", "net.onnx", "--fail-on", "ded>1"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("for instance dead>5%"), "{}", outcome.stderr);
}

#[test]
fn conditions_on_classes_hold_or_cannot_be_judged() {
    let place = place();
    let report = place.json(&["health", "net.onnx", "photos", "--json"]);
    let accuracy = &report["accuracy"];
    let (known, right) = (accuracy["known"].as_f64().unwrap(), accuracy["right"].as_f64().unwrap());
    let share = 100.0 * right / known;
    let quick = place.json(&["health", "net.onnx", "photos", "--filters-only", "--json"]);
    assert_eq!(quick["layers"], report["layers"]);
    assert!(quick["classes"].as_array().unwrap().is_empty() && quick["accuracy"] == *accuracy, "{quick}");
    let confusions = report["confusions"].as_array().unwrap();
    let sum: f64 = confusions.iter().map(|of| of["right"].as_f64().unwrap()).sum();
    assert_eq!(sum, right, "{confusions:?}");
    let outcome = place.run(&["health", "net.onnx", "photos", "--fail-on", &format!("right<={share}%")]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("images are named rightly"), "{}", outcome.stderr);
    let outcome = place.run(&["health", "net.onnx", "photos", "--fail-on", "right<0%"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // Without images nothing is known of names: that is no pass.
    let outcome = place.run(&["health", "net.onnx", "--fail-on", "right<90%"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the data has no classes that the network knows"), "{}", outcome.stderr);
}

#[test]
fn a_condition_is_asked_of_every_model_of_a_folder() {
    let place = place();
    for name in ["early", "late"] {
        place.write(&format!("nets/{name}.onnx"), network());
        let card = "labels = \"../labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n";
        place.write(&format!("nets/{name}.toml"), card);
    }
    let outcome = place.run(&["health", "nets", "photos", "--fail-on", "dead>5%"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    for name in ["early.onnx: failed, as dead>5%", "late.onnx: failed, as dead>5%"] {
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
    }
    let outcome = place.run(&["health", "nets", "photos", "--fail-on", "dead>1"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn what_the_optimiser_does_not_reach_is_tagged() {
    let place = place();
    let report = place.json(&["health", "net.onnx", "photos", "--optimise", "--layers", "relu", "--json"]);
    let units = report["layers"][0]["units"].as_array().unwrap();
    assert!(units[1]["evidence"].get("mean_of_optimised_picture").is_none(), "dead filters have no picture");
    for unit in units.iter().filter(|unit| unit["verdict"] != "dead") {
        let number = |name: &str| unit["evidence"][name].as_f64().unwrap();
        let (made, seen) = (number("mean_of_optimised_picture"), number("largest_mean_of_images"));
        let is_tagged = unit["tags"].as_array().unwrap().iter().any(|tag| tag == "not_visualizable");
        assert_eq!(is_tagged, made < seen, "{unit}");
    }
    let outcome = place.run(&["health", "net.onnx", "--optimise"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
}

#[test]
fn the_page_is_the_same_with_any_number_of_threads_and_made_again() {
    let place = place();
    let page = |threads: &str, out: &str| {
        place.succeed(&["health", "net.onnx", "photos", "--out", out, "--threads", threads]);
        place.read(&format!("{out}/health.html"))
    };
    let first = page("1", "one");
    assert!(first == page("3", "three"), "threads change the page");
    assert!(place.path("one/scan.sqlite").is_file() && place.path("one/health.json").is_file());
    assert!(!place.path("one/health.parts").exists(), "parts were left behind");
    let html = String::from_utf8(first).unwrap();
    for part in ["Dead: 1", "Always on: 1", "Duplicates: 1", "Layers"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(place.succeed(&["info", "one/health.html"]).contains("health"));
}

#[test]
fn what_is_no_filter_is_refused_by_name() {
    let place = place();
    let outcome = place.run(&["health", "net.onnx", "--layers", "/mean"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("/mean") && outcome.stderr.contains("no filters"), "{}", outcome.stderr);
    let outcome = place.run(&["health", "net.onnx", "nowhere"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
}

#[test]
fn planted_truth_is_recovered() {
    let Some(folder) = outside::shared("models/planted/sick_filters") else { return };
    let Some(photos) = outside::shared("models/planted/shapes_biased/images") else { return };
    let truth: Value = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
    let model = folder.join("final.legacy-op17.onnx");
    let place = Place::new();
    let report =
        place.json(&["health", &model.display().to_string(), &photos.display().to_string(), "--json"]);
    let (mut planted, mut right, mut accused, mut healthy) = (0, 0, 0, 0);
    for layer in report["layers"].as_array().unwrap() {
        let is_named = |name: &&String| {
            layer["name"] == **name || layer["aliases"].as_array().unwrap().iter().any(|alias| alias == *name)
        };
        let known = truth["truth"].as_object().unwrap();
        let name = known.keys().find(is_named);
        let units = layer["units"].as_array().unwrap();
        let originals: Vec<u64> = name.map_or_else(Vec::new, |name| {
            let planted = truth["planted"][name].as_object().unwrap();
            planted.values().filter_map(|of| of["of"].as_u64()).collect()
        });
        for (channel, unit) in units.iter().enumerate() {
            let verdict = unit["verdict"].as_str().unwrap();
            match name.and_then(|name| known[name][channel.to_string()].as_str()) {
                Some("duplicate") => {
                    planted += 1;
                    let of = truth["planted"][name.unwrap()][channel.to_string()]["of"].as_u64().unwrap();
                    let other = &units[of as usize];
                    let names_one = verdict == "duplicate" || other["verdict"] == "duplicate";
                    right += usize::from(names_one && verdict != other["verdict"]);
                }
                Some(known) => {
                    planted += 1;
                    let known = if known == "saturated" { "always_on" } else { known };
                    right += usize::from(verdict == known);
                }
                None if originals.contains(&(channel as u64)) && verdict == "duplicate" => {}
                None => {
                    healthy += 1;
                    accused += usize::from(verdict != "healthy");
                }
            }
        }
    }
    assert!(100 * right >= 95 * planted, "{right} of {planted}");
    assert!(100 * accused <= 3 * healthy, "{accused} of {healthy} healthy filters are accused");
}

#[test]
fn the_planted_cue_is_named_for_its_class() {
    let Some(folder) = outside::shared("models/planted/shapes_biased") else { return };
    let model = folder.join("final.legacy-op17.folded.onnx").display().to_string();
    let place = Place::new();
    for data in [Some("images"), Some("images_biased_sample"), None] {
        let path = data.map(|data| folder.join(data).display().to_string());
        let mut args = vec!["health", &model, "--layers", "conv6", "--json"];
        args.extend(path.as_deref());
        let report = place.json(&args);
        if data.is_some() {
            // The network needs colours: green for triangles, any for the others' outlines.
            let without = &report["without_color"];
            let [as_is, gray] = ["right", "right_in_gray"].map(|of| without[of].as_u64().unwrap());
            assert!(without["images"].as_u64() >= Some(as_is) && gray < as_is, "{without}");
        }
        for class in report["classes"].as_array().unwrap() {
            let suspicion = class["suspicion"].as_f64().unwrap();
            match class["name"].as_str().unwrap() {
                "triangle" => {
                    assert!(suspicion > 0.5, "{data:?}: {class}");
                    let cue = class["evidence"]["cue"].as_str().unwrap();
                    assert!(cue.contains("green background"), "{data:?}: {cue}");
                }
                _ => assert!(suspicion <= 0.5, "{data:?}: {class}"),
            }
        }
    }
}
