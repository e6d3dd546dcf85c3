//! Model files that are damaged, inconsistent or ask for too much memory. Each gives one message that names
//! the cause and leaves no file behind.

use crate::bad_input::{refuse, refuse_all};
use crate::files::picture;
use crate::onnx::{self, FLOAT, Network, message, node, number, tensor, text, value};
use crate::place::{Place, Report, check};

/// Returns an ONNX model with these parts of a graph.
fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &parts.concat())].concat()
}

/// Returns a network whose weight is stored in a separate file.
fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    /// The value `EXTERNAL` of ONNX's `TensorProto.DataLocation`.
    const EXTERNAL: u64 = 1;
    let entries: Vec<u8> =
        entries.iter().flat_map(|(k, v)| message(13, &[text(1, k), text(2, v)].concat())).collect();
    let dims = [number(1, 1), number(1, 3)].concat();
    let weight = [dims, number(2, FLOAT), text(8, "w"), entries, number(14, EXTERNAL)].concat();
    network(&message(5, &weight))
}

/// Returns a network that adds the constant `w` to its input.
fn network(weight: &[u8]) -> Vec<u8> {
    model(&[
        weight.to_vec(),
        node("Add", "sum", &["x", "w"], "y", &[]),
        value(11, "x", &[None, Some(3)]),
        value(12, "y", &[None, Some(3)]),
    ])
}

#[test]
fn models_that_lie() {
    let place = Place::new();
    let three = [1.0, 2.0, 3.0];
    place.write("fine.onnx", network(&tensor("w", &[1, 3], &three)));
    place.write("short.onnx", network(&tensor("w", &[4, 3], &three)));
    place.write("claims.onnx", network(&tensor("w", &[1 << 15, 1 << 14], &three)));
    place.write("endless.onnx", network(&tensor("w", &[1 << 40, 1 << 40], &three)));
    place.write("twice.onnx", {
        let first = node("Relu", "first", &["x"], "y", &[]);
        model(&[
            first,
            node("Relu", "second", &["x"], "y", &[]),
            value(11, "x", &[None]),
            value(12, "y", &[None]),
        ])
    });
    let circle = [node("Relu", "first", &["b"], "a", &[]), node("Relu", "second", &["a"], "b", &[])].concat();
    place.write("circle.onnx", model(&[circle, value(11, "x", &[None]), value(12, "b", &[None])]));
    let own = node("Add", "itself", &["x", "y"], "y", &[]);
    place.write("own.onnx", model(&[own, value(11, "x", &[None]), value(12, "y", &[None])]));
    let loose = node("Add", "loose", &["x", "nowhere"], "y", &[]);
    place.write("loose.onnx", model(&[loose, value(11, "x", &[None]), value(12, "y", &[None])]));
    place.write("no_result.onnx", model(&[value(11, "x", &[None]), value(12, "y", &[None])]));
    place.write("no_graph.onnx", [number(1, 8), message(8, &number(2, 17))].concat());
    place.write("no_opset.onnx", [number(1, 8), message(7, &[])].concat());
    refuse_all(
        &place,
        &[
            ("less data than its shape", "layers short.onnx", &["short.onnx", "\"w\"", "needs 48 bytes"]),
            ("2 GB in a kilobyte", "layers claims.onnx", &["claims.onnx", "\"w\"", "the file has 12"]),
            ("more than can be counted", "layers endless.onnx", &["\"w\"", "too large"]),
            ("a value defined twice", "layers twice.onnx", &["\"y\"", "defined twice"]),
            ("a circle", "layers circle.onnx", &["circle.onnx", "depends on its own result"]),
            ("a node that reads itself", "layers own.onnx", &["\"itself\"", "depends on its own result"]),
            ("a value from nowhere", "layers loose.onnx", &["\"loose\"", "\"nowhere\"", "nothing defines"]),
            ("a result from nowhere", "layers no_result.onnx", &["\"y\"", "not computed"]),
            ("no graph", "layers no_graph.onnx", &["no graph"]),
            ("no operator set", "layers no_opset.onnx", &["operator set"]),
        ],
    );
}

#[test]
fn weights_in_files_that_do_not_fit() {
    let place = Place::new();
    let data: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    place.write("weights", &data);
    place.write("cut", &data[..8]);
    place.write("folder/inside", "");
    let mut report = Report::default();
    let absolute = place.path("weights");
    let absolute = absolute.to_str().unwrap();
    let long = u64::MAX.to_string();
    for (name, entries, says) in [
        ("missing", &[("location", "absent")][..], &["absent", "model's folder"][..]),
        ("above", &[("location", "../weights")], &["../weights", "own folder"]),
        ("hidden above", &[("location", "folder/../../weights")], &["own folder"]),
        ("absolute", &[("location", absolute)], &["own folder"]),
        ("unnamed", &[], &["own folder"]),
        ("cut off", &[("location", "cut")], &["\"cut\"", "truncated"]),
        ("beyond the end", &[("location", "weights"), ("offset", "4")], &["\"weights\"", "truncated"]),
        ("beyond numbers", &[("location", "weights"), ("offset", &long)], &["truncated"]),
        ("no number", &[("location", "weights"), ("offset", "four")], &["\"four\"", "no whole number"]),
        ("longer than its shape", &[("location", "cut"), ("length", "8")], &["needs 12 bytes"]),
        ("a folder", &[("location", "folder")], &["\"folder\"", "regular file"]),
    ] {
        place.write("net.onnx", external(entries));
        report.case(name, refuse(&place, "layers net.onnx", &[&["net.onnx", "\"w\""], says].concat()));
    }
    place.write("net.onnx", external(&[("location", "weights")]));
    let fine = place.run(&["layers", "net.onnx", "--preprocess", "unit"]);
    report.case("the right file", check(!fine.stderr.contains("\"weights\""), || format!("{fine:?}")));
    report.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn weights_in_things_that_are_no_files() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    place.write("net.onnx", external(&[("location", "pipe")]));
    let outcome = place.run(&["layers", "net.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("regular file"), "{outcome:?}");
    std::fs::remove_file(place.path("pipe")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.path("pipe")).unwrap();
    let outcome = place.run(&["layers", "net.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("regular file"), "{outcome:?}");
}

#[test]
fn every_single_bit_that_flips_and_every_cut_is_said_or_survived() {
    let place = Place::new();
    let whole = Network::default().bytes();
    let mut report = Report::default();
    let mut attempt = |name: String, bytes: &[u8]| {
        place.write("net.onnx", bytes);
        let outcome = place.run(&["layers", "net.onnx", "--preprocess", "unit"]);
        let errors = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).count();
        let fine = match outcome.code {
            Some(0) => errors == 0,
            Some(1) => errors == 1 && outcome.stdout.is_empty(),
            _ => false,
        };
        report.case(&name, check(fine && !outcome.stderr.contains("panicked"), || format!("{outcome:?}")));
    };
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        attempt(format!("bit {} of byte {at}", at % 8), &damaged);
        attempt(format!("cut at {at}"), &whole[..at]);
    }
    report.finish();
}

#[test]
fn weights_that_are_infinite() {
    let place = Place::new();
    let sick = Network { poison: f32::INFINITY, poisoned: true, ..Network::default() };
    place.write("sick.onnx", sick.bytes());
    place.write("sick.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("photo.png", picture(24, 24));
    refuse_all(
        &place,
        &[
            (
                "a unit",
                "render sick.onnx -u left.conv:0",
                &["not finite: left.weight channel 0", "left.conv:0 depends"],
            ),
            ("a sheet", "sheet sick.onnx -l right.conv", &["left.weight channel 0", "right.conv:3 depend"]),
            ("classes", "classify sick.onnx photo.png", &["photo.png", "left.weight channel 0"]),
        ],
    );
}

#[test]
fn units_beside_a_broken_filter_are_drawn() {
    let place = Place::new();
    let sick = Network { poisoned: true, ..Network::default() };
    for (name, network) in [("sick", sick), ("well", Network::default())] {
        place.write(&format!("{name}.onnx"), network.bytes());
        place.write(&format!("{name}.toml"), "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
        let value = |unit: &str| {
            let model = format!("{name}.onnx");
            let said =
                place.json(&["render", &model, "-u", unit, "--steps", "4", "--json", "--out", "p.png"]);
            said["units"][0]["value"].as_f64().unwrap()
        };
        assert!(value("left.conv:1").is_finite() && value("/middle/Op:5").is_finite(), "{name}");
    }
    let said = place.run(&["sheet", "sick.onnx", "-l", "left.conv", "--steps", "2", "--out", "s.png"]);
    assert!(said.stderr.contains("left.weight channel 0; left.conv:0 is left out"), "{}", said.stderr);
    assert!(said.stdout.contains("5 units"), "{}", said.stdout);
}

#[test]
fn channels_and_pictures_that_the_network_does_not_have() {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("dense.onnx", Network { dense: true, ..Network::default() }.bytes());
    place.write("dense.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place.write("dot.png", picture(1, 1));
    refuse_all(
        &place,
        &[
            (
                "a channel too far",
                &format!("render net.onnx -u left.conv:{}", onnx::LEFT),
                &["left.conv", "6"],
            ),
            ("a channel of a sheet", "sheet net.onnx -l left.conv --units 4-9", &["left.conv", "6"]),
            ("a class too far", &format!("render net.onnx -u class:{}", onnx::CLASSES), &["4"]),
            ("a position too far", "render net.onnx -u left.conv:0@240,0", &["left.conv", "240"]),
            (
                "a small picture for a window",
                "render net.onnx -u right.conv:0 --size 2",
                &["/right/conv/Conv"],
            ),
            ("a small picture for a dense layer", "render dense.onnx -u class:0 --size 5", &["/head/Gemm"]),
            (
                "a small picture for the embedded network",
                "render squeezenet1_1 -u class:0 --size 5",
                &["Pool"],
            ),
            ("no picture", "render net.onnx -u left.conv:0 --size 0", &["size"]),
        ],
    );
    // A picture of one pixel is allowed, if the network accepts it.
    place.succeed(&[
        "render",
        "net.onnx",
        "-u",
        "left.conv:0",
        "--size",
        "1",
        "--steps",
        "1",
        "--out",
        "one.png",
    ]);
    place.succeed(&["classify", "net.onnx", "dot.png"]);
}

#[cfg(unix)]
#[test]
#[allow(clippy::print_stderr)]
fn models_that_cannot_be_opened() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    // A symbolic link to itself, which not even the root user can follow.
    symlink("endless.onnx", place.path("endless.onnx")).unwrap();
    let outcome = place.run(&["layers", "endless.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("endless.onnx"), "{outcome:?}");

    place.write("secret.onnx", Network::default().bytes());
    std::fs::set_permissions(place.path("secret.onnx"), PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(place.path("secret.onnx")).is_ok() {
        eprintln!("skipped: a file without permission, which root may read");
        return;
    }
    let outcome = place.run(&["layers", "secret.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("secret.onnx"), "{outcome:?}");
}

#[test]
fn an_inversion_of_a_layer_that_does_not_work_is_left_out_and_the_others_keep_their_names() {
    let place = Place::new();
    place.write("net.onnx", Network { poisoned_end: true, ..Network::default() }.bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place.write("cat.png", picture(40, 30));
    place.write("dog.png", picture(30, 40));
    let layers = ["--layer", "right.conv", "--layer", "left.conv"];
    let args =
        ["invert", "net.onnx", "cat.png", "dog.png", "--steps", "1", "--out", "a.png", "--table", "t.csv"];
    let said = place.json(&[&args[..], &layers, &["--json"]].concat());
    let of = |unit: &serde_json::Value| (unit["layer"].as_str().unwrap().to_owned(), unit["image"].clone());
    let units: Vec<_> = said["units"].as_array().unwrap().iter().map(of).collect();
    let left = "left.conv".to_owned();
    assert_eq!(units, [(left.clone(), "cat.png".into()), (left, "dog.png".into())], "{said:#}");
    let table = String::from_utf8(place.read("t.csv")).unwrap();
    assert!(table.lines().count() == 3 && !table.contains("right"), "{table}");
    let outcome = place.run(&["invert", "net.onnx", "cat.png", "--layer", "right.conv", "--steps", "1"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("not finite"), "{outcome:?}");
}
