//! `oneiro attribute`: sheets of heat maps, their metadata, and errors for what cannot be attributed.

use serde_json::json;

use crate::bad_input::refuse_all;
use crate::files::{picture, read_safetensors, text_of};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

/// All attribution methods, each with the number of planes in its map.
const METHODS: &[(&str, usize)] = &[
    ("gradient", 3),
    ("gradient-x-input", 3),
    ("integrated-gradients", 3),
    ("smoothgrad", 3),
    ("smoothgrad-squared", 3),
    ("vargrad", 3),
    ("grad-cam", 1),
    ("occlusion", 1),
    ("guided", 3),
    ("deconv", 3),
];

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write(
        "net.toml",
        "name = \"tiny\"\nlabels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\n",
    );
    place.write("classes.txt", "cat\ndog\nred fox\nowl\n");
    place.write("photo.png", picture(40, 31));
    place.write("other.png", picture(9, 50));
    place.write("pixel.png", picture(1, 1));
    place
}

#[test]
fn every_method_gives_a_map_a_report_and_tensors() {
    let place = place();
    let said = place.json(&[
        "attribute",
        "net.onnx",
        "photo.png",
        "other.png",
        "--method",
        "all",
        "--steps",
        "7",
        "--samples",
        "3",
        "--out",
        "a.png",
        "--raw",
        "a.st",
        "--json",
    ]);
    assert_eq!(said["files"], json!(["a.png", "a.st"]));
    let (tensors, metadata) = read_safetensors(&place.read("a.st"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&metadata["images"]).unwrap(), said["images"]);
    let mut report = Report::default();
    for image in 0..2 {
        let row = &said["images"][image];
        report.case("unit", check(row["unit"].as_str().unwrap().starts_with("class:"), || row.to_string()));
        assert_eq!(tensors[&format!("{image}/image")].0, [3, 24, 20]);
        for (i, (method, planes)) in METHODS.iter().enumerate() {
            let map = &row["maps"][i];
            report.case(method, check(map["method"] == json!(method), || map.to_string()));
            let (shape, data) = &tensors[&format!("{image}/{method}/map")];
            report
                .case(method, check(*shape == [24, 20] && data.iter().any(|&v| v != 0.0), || "empty".into()));
            let values = &tensors[&format!("{image}/{method}/values")];
            report.case(method, check(values.0 == [*planes, 24, 20], || format!("{:?}", values.0)));
            // The reported sum is that of the values that were written.
            if let Some(sum) = map["sum"].as_f64() {
                let written: f64 = values.1.iter().map(|&v| f64::from(v)).sum();
                report.case(method, check((sum - written).abs() < 1e-9, || format!("{sum} for {written}")));
            }
        }
    }
    report.finish();
}

#[test]
fn a_sheet_says_how_it_was_made_and_is_made_again_wherever_it_lies() {
    let place = place();
    for (name, flags) in [
        ("plain", vec![]),
        ("flags", vec!["--unit", "left.conv:2@3,4", "--overlay", "--full", "--size", "30x28", "--seed", "5"]),
        (
            "expression",
            vec![
                "--objective",
                "logit(owl) - 0.5*logit(cat)",
                "--crop",
                "0.6",
                "--baseline",
                "blur",
                "--window",
                "5x3",
                "--stride",
                "2",
                "--fill",
                "noise",
                "--noise",
                "0.3",
            ],
        ),
    ] {
        let out = format!("{name}.png");
        let mut args =
            vec!["attribute", "net.onnx", "photo.png", "other.png", "--method", "all", "--out", &out];
        args.extend(flags);
        place.succeed(&args);
        let text = text_of(&place.path(&out));
        assert!(text.get("attribution").unwrap().contains("methods"), "{text:?}");
        let info = place.json(&["info", &out, "--json"]);
        assert_eq!(info["images"][1]["file"], json!("other.png"), "{info:#}");
        assert_eq!(info["attribution"]["settings"]["steps"], json!(50), "{info:#}");
        let said = place.json(&["again", &out, "--out", "again.png", "--json", "--threads", "3"]);
        assert_eq!(said["identical"], json!(true), "{name}: {said}");
    }
    place.write("other.png", picture(9, 51));
    refuse_all(&place, &[("another photo", "again plain.png", &["other.png", "SHA-256"])]);
    std::fs::remove_file(place.path("photo.png")).unwrap();
    refuse_all(&place, &[("a photo that is gone", "again plain.png", &["photo.png", "not there"])]);
}

#[test]
fn noise_depends_on_the_seed_alone() {
    let place = place();
    let maps = |seed: &str, threads: &str| {
        let args = [
            "attribute",
            "net.onnx",
            "photo.png",
            "-m",
            "smoothgrad,vargrad",
            "--samples",
            "6",
            "--seed",
            seed,
            "--threads",
            threads,
            "--out",
            "n.png",
            "--raw",
            "n.st",
        ];
        place.succeed(&args);
        place.read("n.st")
    };
    // In a linear network, noise would not change the gradient, so other seeds would give equal maps.
    assert_eq!(maps("1", "1"), maps("1", "3"));
    assert_ne!(maps("1", "1"), maps("2", "1"));
}

#[test]
fn a_network_exported_for_single_images_is_fed_one_at_a_time() {
    let place = place();
    let maps = |model: &str| {
        place.succeed(&["attribute", model, "photo.png", "--out", "o.png", "--raw", "o.st", "-m", "all"]);
        read_safetensors(&place.read("o.st")).0
    };
    let free = maps("net.onnx");
    place.write("one.onnx", Network { batch: Some(1), ..Network::default() }.bytes());
    place.write("one.toml", place.read("net.toml"));
    assert_eq!(maps("one.onnx"), free);
}

#[test]
fn grad_cam_is_left_out_where_there_is_nothing_before_a_unit() {
    let place = place();
    let args = ["attribute", "net.onnx", "photo.png", "--unit", "left.conv:1", "--out", "l.png", "--json"];
    let outcome = place.run(&args);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("left out: Grad-CAM"), "{}", outcome.stderr);
    assert!(
        !outcome.stdout.contains("grad-cam") && outcome.stdout.contains("occlusion"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn an_image_of_one_pixel_is_one_colour() {
    let place = place();
    let said = place.json(&["attribute", "net.onnx", "pixel.png", "--json", "--out", "p.png"]);
    assert!(said["images"][0]["value"].is_number(), "{said:#}");
}

#[test]
fn what_cannot_be_attributed_is_said() {
    let place = place();
    place.write("text.png", "no picture");
    place.write("folder/inside.txt", "");
    place.write("broken.onnx", Network { poisoned: true, ..Network::default() }.bytes());
    place.write("broken.toml", place.read("net.toml"));
    place.write("clip.toml", "[[input]]\nname = \"x\"\nkind = \"flow\"\nrange = 20.0\nframes = 1\n");
    refuse_all(
        &place,
        &[
            ("no such image", "attribute net.onnx nowhere.png", &["nowhere.png", "no such file"]),
            ("no picture", "attribute net.onnx text.png", &["text.png"]),
            ("a folder", "attribute net.onnx folder", &["folder", "name a file"]),
            ("no image", "attribute net.onnx", &["IMAGE"]),
            ("an unknown method", "attribute net.onnx photo.png --method lime", &["\"lime\"", "grad-cam"]),
            (
                "an unknown baseline",
                "attribute net.onnx photo.png --baseline white",
                &["\"white\"", "blur, noise"],
            ),
            (
                "no space",
                "attribute net.onnx photo.png --method grad-cam --cam-layer pool",
                &["height and width", "convolution"],
            ),
            (
                "nothing before the first convolution",
                "attribute net.onnx photo.png --method grad-cam --unit left.conv:1",
                &["no convolution"],
            ),
            (
                "a layer behind the unit",
                "attribute net.onnx photo.png --method grad-cam --unit left.conv:1 --cam-layer right.conv",
                &["right.conv", "does not depend"],
            ),
            (
                "an unknown layer",
                "attribute net.onnx photo.png --cam-layer right.con",
                &["\"right.con\"", "\"right.conv\""],
            ),
            (
                "a flag of another method",
                "attribute net.onnx photo.png -m gradient --steps 9",
                &["--steps", "integrated-gradients"],
            ),
            ("no steps", "attribute net.onnx photo.png --steps 0", &["--steps", "1"]),
            ("noise that is none", "attribute net.onnx photo.png --noise -1", &["noise is -1"]),
            ("a crop of nothing", "attribute net.onnx photo.png --crop 0", &["--crop 0"]),
            ("crop and whole", "attribute net.onnx photo.png --crop 0.5 --full", &["--crop", "--full"]),
            ("an unknown class", "attribute net.onnx photo.png --unit class:horse", &["horse"]),
            (
                "a channel out of range",
                "attribute net.onnx photo.png --unit left.conv:99",
                &["channel 99", "0 to 5"],
            ),
            ("a sheet of another format", "attribute net.onnx photo.png --out a.tif", &["a.tif", ".png"]),
            ("both into one file", "attribute net.onnx photo.png --out a.png --raw a.png", &["--raw a.png"]),
            ("weights that are no numbers", "attribute broken.onnx photo.png", &["not finite"]),
            ("optical flow", "attribute net.onnx photo.png --card clip.toml", &["frames", "3 channels"]),
        ],
    );
}

#[test]
fn several_units_and_expressions_have_a_row_each_for_each_image() {
    let place = place();
    let said = place.json(&[
        "attribute",
        "net.onnx",
        "photo.png",
        "other.png",
        "--unit",
        "class:cat,dog",
        "--objective",
        "logit(cat) - logit(dog)",
        "--method",
        "gradient",
        "--json",
    ]);
    let rows: Vec<(&str, &str)> = said["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["file"].as_str().unwrap(), row["unit"].as_str().unwrap()))
        .collect();
    let units = ["class:cat", "class:dog", "logit(cat) - logit(dog)"];
    let expected: Vec<_> =
        ["photo.png", "other.png"].into_iter().flat_map(|file| units.map(|unit| (file, unit))).collect();
    assert_eq!(rows, expected);
    let value = |row: usize| said["images"][row]["value"].as_f64().unwrap();
    assert!((value(0) - value(1) - value(2)).abs() < 1e-4, "{said:#}");
    assert!(place.succeed(&["again", "attribution.png"]).contains("identical"));
}

#[test]
fn maps_of_a_difference_that_ignore_what_it_subtracts_are_named() {
    let place = place();
    // SqueezeNet's scores have a ReLU in front of their mean over positions.
    let args = "attribute squeezenet1_1 photo.png --size 64 --unit class:goldfish --method guided,gradient --objective";
    let args: Vec<&str> = args.split(' ').collect();
    let said = |objective| place.run(&[&args[..], &[objective]].concat()).stderr;
    let remark = "guided gives one map for class:goldfish";
    let difference = said("logit(goldfish) - logit(zebra)");
    assert!(difference.contains(remark) && difference.matches("gives one map").count() == 1, "{difference}");
    assert!(!said("logit(zebra)").contains("gives one map"));
}
