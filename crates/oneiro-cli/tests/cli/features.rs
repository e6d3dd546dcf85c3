//! The hand-made feature networks `hog`, `hogb` and `dsift` as models.

use crate::bad_input::refuse_all;
use crate::files::{npy, read_safetensors, text_of, wave};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

const FEATURES: [(&str, usize, [usize; 2]); 3] =
    [("hog", 31, [28, 28]), ("hogb", 31, [28, 28]), ("dsift", 128, [25, 25])];

#[test]
fn layers_lists_the_named_stages_with_their_shapes() {
    let place = Place::new();
    let mut report = Report::default();
    for (name, channels, [rows, columns]) in FEATURES {
        let table = place.json(&["layers", name, "--json"]);
        let layers = table.as_array().unwrap();
        let shape = |layer: &str| {
            layers.iter().find(|l| l["name"] == layer).map_or(serde_json::Value::Null, |l| l["shape"].clone())
        };
        let expected = serde_json::json!([1, channels, rows, columns]);
        report.case(name, check(shape(name) == expected, || format!("{table:#}")));
        for stage in ["luminance", "gradient", "orientation", "cells", "blocks"] {
            report.case(&format!("{name} {stage}"), check(!shape(stage).is_null(), || format!("{table:#}")));
        }
    }
    report.finish();
}

#[test]
fn run_computes_features_and_their_gradient() {
    let place = Place::new();
    place.write("x.npy", npy(&[1, 3, 48, 56], &wave(3 * 48 * 56)));
    for (name, channels, _) in FEATURES {
        let capture =
            ["--capture", name, "--grad", &format!("channel({name},0)"), "--out", "out.safetensors"];
        place.succeed(&[&["run", name, "--input", "x=x.npy"][..], &capture].concat());
        let (result, _) = read_safetensors(&place.read("out.safetensors"));
        let (shape, features) = &result[&format!("act/{name}")];
        assert_eq!(shape[1], channels, "{name}");
        // Normalised histogram bins are between 0 and a small bound.
        assert!(features.iter().all(|x| (0.0..=1.0).contains(x)), "{name}");
        assert!(features.iter().any(|x| *x > 0.01), "{name}");
        assert!(result["grad/x"].1.iter().any(|x| *x != 0.0), "{name}");
    }
}

#[test]
fn a_picture_carries_the_networks_name_and_hash_and_is_made_again() {
    let place = Place::new();
    let mut hashes = Vec::new();
    for (name, ..) in FEATURES {
        place.succeed(&[
            "render",
            name,
            "--unit",
            &format!("{name}:3"),
            "--size",
            "48",
            "--steps",
            "3",
            "--out",
            "unit.png",
        ]);
        let hash = text_of(&place.path("unit.png")).get("model-sha256").unwrap().to_owned();
        assert_eq!(hash.len(), 64, "{hash}");
        hashes.push(hash);
        place.succeed(&["again", "unit.png", "--out", "again.png"]);
        assert_eq!(place.read("unit.png"), place.read("again.png"), "{name}");
    }
    hashes.dedup();
    assert_eq!(hashes.len(), FEATURES.len());
}

#[test]
fn a_file_of_the_name_comes_first_and_errors_name_the_built_in_networks() {
    let place = Place::new();
    place.write("hog", Network::default().bytes());
    let table = place.succeed(&["layers", "hog"]);
    assert!(!table.contains("orientation"), "{table}");
    refuse_all(
        &place,
        &[
            ("a name that is close", "layers hogg", &["hogg", "squeezenet1_1", "hogb", "dsift"]),
            ("too small", "bench dsift --size 16", &["too small"]),
            ("no such layer", "bench dsift --capture cellz --size 64", &["cellz", "cells"]),
        ],
    );
}
