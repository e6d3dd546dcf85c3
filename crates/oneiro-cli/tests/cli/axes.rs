//! Units use the axis that the network treats as channels; if it is not known, they are refused.

use serde_json::Value;

use crate::place::Place;

/// Runs the program, which must end with this exit code; returns its error output.
fn refused(place: &Place, code: i32, args: &[&str]) -> String {
    let outcome = place.run(args);
    assert_eq!(outcome.code, Some(code), "oneiro {}: {}", args.join(" "), outcome.stderr);
    outcome.stderr
}

/// Returns a folder with a network of `tests/cases/axes`.
fn with(network: &str) -> Place {
    let place = Place::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/axes");
    std::fs::copy(folder.join(format!("{network}.onnx")), place.path("net.onnx")).unwrap();
    place
}

#[test]
fn layers_say_what_their_axes_are() {
    for (network, layer, axes, channels) in [
        ("class_token.legacy", "block.fc1", "N,tokens,C", 78),
        ("class_token.dynamo", "embed", "N,C,H,W", 39),
        ("windows.legacy", "merge", "N,H,W,C", 12),
        ("windows.dynamo", "block.fc1", "N*windows,tokens,C", 16),
        ("mixer.legacy", "fc", "N,tokens,C", 8),
        // Nothing says on which axis the units of a product over tokens are.
        ("mixer.legacy", "mix", "N,features,mixed", 0),
    ] {
        let place = with(network);
        let list = place.json(&["layers", "net.onnx", "--json", "--preprocess", "unit"]);
        let named = |l: &&Value| {
            let aliases = l["aliases"].as_array().unwrap().iter();
            [&l["name"]].into_iter().chain(aliases).any(|n| n.as_str() == Some(layer))
        };
        let found = list
            .as_array()
            .unwrap()
            .iter()
            .find(named)
            .unwrap_or_else(|| panic!("{network} has no layer {layer}"));
        assert_eq!(
            (&found["axes"], &found["channels"]),
            (&axes.into(), &channels.into()),
            "{network} {layer}"
        );
    }
}

#[test]
fn a_channel_on_an_unknown_axis_is_refused_unless_it_is_stated() {
    let place = with("mixer.legacy");
    let common =
        ["render", "net.onnx", "--preprocess", "unit", "--size", "24", "--steps", "2", "--out", "a.png"];
    let error = refused(&place, 1, &[&common[..], &["--unit", "mix:3"]].concat());
    assert!(error.contains("which of its axes holds the channels is not known"), "{error}");
    assert!(error.contains("--axes \"mix=N,C,?\""), "{error}");
    place.succeed(&[&common[..], &["--unit", "mix:3", "--axes", "mix=N,?,C"]].concat());
    // The axes that the user stated are recorded in the picture.
    place.succeed(&["again", "a.png", "--out", "b.png"]);
    assert_eq!(place.read("a.png"), place.read("b.png"));
    // A unit that is a whole layer needs no channel axis.
    place.succeed(&[&common[..], &["--unit", "mix"]].concat());
    for (axes, says) in [
        ("mix=N,C", "names 2 axes"),
        ("mix=N,tokens,X", "X is no axis"),
        ("nothing=N,C", "no layer is called"),
    ] {
        let error = refused(&place, 1, &[&common[..], &["--unit", "mix:3", "--axes", axes]].concat());
        assert!(error.contains(says), "{axes}: {error}");
    }
    refused(&place, 2, &[&common[..], &["--unit", "mix:3", "--axes", "mix"]].concat());
}

#[test]
fn positions_of_token_layers_are_those_of_the_patch_grid() {
    let place = with("class_token.legacy");
    let common =
        ["render", "net.onnx", "--preprocess", "unit", "--size", "24", "--steps", "2", "--out", "a.png"];
    place.succeed(&[&common[..], &["--unit", "block.fc1:3@5,5"]].concat());
    let error = refused(&place, 1, &[&common[..], &["--unit", "block.fc1:3@6,0"]].concat());
    assert!(error.contains("whose map is [6, 6]"), "{error}");
}

#[test]
fn a_network_that_begins_behind_its_patches_keeps_their_grid() {
    let place = with("class_token.legacy");
    let common = ["--preprocess", "unit", "-q"];
    let list = |more: &[&str]| place.json(&[&["layers", "net.onnx", "--json"], &common[..], more].concat());
    let axes_of = |list: &Value, op: &str| {
        let layers = list.as_array().unwrap().iter().filter(|l| l["op"] == op);
        layers.map(|l| l["axes"].clone()).collect::<Vec<_>>()
    };
    let (whole, cut) = (list(&[]), list(&["--from-layer", "/Add"]));
    let (all, behind) = (axes_of(&whole, "LayerNormalization"), axes_of(&cut, "LayerNormalization"));
    assert_eq!((behind.len(), &behind), (3, &all));
}

#[test]
fn axes_that_the_graph_contradicts_count_with_a_word() {
    let place = with("class_token.legacy");
    let common =
        ["render", "net.onnx", "--preprocess", "unit", "--size", "24", "--steps", "2", "--out", "a.png"];
    let stated = |axes: &str| place.run(&[&common[..], &["--unit", "block.fc1:3", "--axes", axes]].concat());
    let agrees = stated("block.fc1=N,tokens,C");
    assert!(!agrees.stderr.contains("are stated as"), "{}", agrees.stderr);
    let differs = stated("block.fc1=N,C,?");
    assert!(
        differs.stderr.contains("are stated as N,C,?, by the graph they are N,tokens,C"),
        "{}",
        differs.stderr
    );
}
