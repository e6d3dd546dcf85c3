//! `oneiro layers`: which layers are listed, and their names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::contracts::{keys, place, set};
use crate::files::picture;
use crate::onnx::{CLASSES, LEFT};
use crate::outside;
use crate::place::{Place, Report, check};

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
        // Each listed name is used as a short name in a card, and must lead to the same layer.
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

/// Receptive fields of VGG-16 (Araujo et al. 2019).
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

#[test]
fn the_embedded_network_has_labels_and_short_names() {
    let place = Place::new();
    // A folder with the name of the embedded network must not hide the network.
    std::fs::create_dir(place.path("squeezenet1_1")).unwrap();
    let layers = place.json(&["layers", "squeezenet1_1", "--json"]);
    let names: BTreeSet<&str> =
        layers.as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert!(set(&["conv1", "fire2.squeeze1x1", "fire9", "conv10", "logits"]).is_subset(&names), "{names:?}");
    place.write("photo.png", picture(300, 280));
    let stdout = place.succeed(&["classify", "squeezenet1_1", "photo.png", "--quiet"]);
    assert_eq!(stdout.lines().count(), 6, "{stdout}");
}
