//! Whether the pictures of units may be believed, beside the pictures.

use serde_json::Value;

use crate::bad_input::refuse_all;
use crate::place::Place;
use crate::scan::photo;
use crate::units;

/// A network and enough photos for predictability.
fn place() -> Place {
    let place = units::place();
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    for i in 0..40 {
        place.write(&format!("photos/{i:02}.png"), photo(i));
    }
    place
}

/// The numbers are there and in their ranges.
fn check(unit: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{unit}"));
    let (path, threshold) = (number(&unit["path"]), number(&unit["path_threshold"]));
    assert_eq!(unit["path_flagged"].as_bool(), Some(path < threshold), "{unit}");
    let predicts = &unit["predictability"];
    for kind in ["natural", "synthetic"] {
        assert!((0.0..=1.0).contains(&number(&predicts[kind])), "{unit}");
    }
    assert!(predicts["pairs"].as_u64().unwrap() >= 20, "{unit}");
}

#[test]
fn sheets_renders_and_units_tell_the_same() {
    let place = place();
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s", "--top", "16"]);
    let common = ["--unit", "class:dog", "--data", "s", "--steps", "8", "--belief", "--json"];
    let sheet = place.json(&[&["sheet", "net.onnx", "--out", "sheet.png"], &common[..]].concat());
    check(&sheet["units"][0]);
    let render = place.json(&[&["render", "net.onnx", "--out", "one.png"], &common[..]].concat());
    assert_eq!(render["units"][0]["path"], sheet["units"][0]["path"]);
    assert_eq!(render["units"][0]["predictability"], sheet["units"][0]["predictability"]);
    let args = ["units", "s", "class:dog", "--render", "--out", "u.png", "--belief"];
    let said = place.succeed(&args);
    assert!(said.contains("(honest units: above .45)") && said.contains("predictability "), "{said}");
    let units = place.json(&[&args[..], &["--json"]].concat());
    check(&units[0]);
    assert_eq!(
        units[0]["predictability"]["natural"], sheet["units"][0]["predictability"]["natural"],
        "natural examples do not depend on the recipe"
    );
    for name in ["sheet.png", "one.png", "u.png"] {
        place.succeed(&["again", name, "--out", "again.png"]);
        assert_eq!(place.read("again.png"), place.read(name), "{name}");
    }
}

#[test]
fn sheets_sum_up_and_pages_sort_by_path() {
    let place = place();
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s", "--top", "16"]);
    let args =
        ["sheet", "net.onnx", "--unit", "class:dog", "--unit", "class:owl", "--data", "s", "--steps", "8"];
    let plain = place.succeed(&[&args[..], &["--out", "plain.png", "--html", "plain.html"]].concat());
    assert!(!plain.contains("flagged"), "{plain}");
    let page = |name: &str| String::from_utf8(place.read(name)).unwrap();
    assert!(!page("plain.html").contains("by path"));
    let said = place.succeed(&[&args[..], &["--belief", "--out", "a.png", "--html", "a.html"]].concat());
    assert!(said.contains(" of 2 pictures ") && said.contains(" flagged (path below .45)"), "{said}");
    let html = page("a.html");
    assert!(
        html.contains("by path, the lowest first") && html.contains(" flagged (path below .45)"),
        "{html}"
    );
    let report = place.json(&[&args[..], &["--belief", "--out", "b.png", "--json"]].concat());
    for unit in report["units"].as_array().unwrap() {
        let predicts = &unit["predictability"];
        let [low, high] = [0, 1].map(|i| predicts["chance"][i].as_f64().unwrap());
        let natural = predicts["natural"].as_f64().unwrap();
        let standing = match natural {
            n if n < low => "below-chance",
            n if n > high => "above-chance",
            _ => "chance",
        };
        assert_eq!(predicts["natural_standing"], standing, "{unit}");
    }
}

#[test]
fn too_few_examples_are_named() {
    let place = place();
    place.write("few/0.png", photo(0));
    place.write("few/1.png", photo(1));
    place.succeed(&["scan", "net.onnx", "photos", "--out", "short", "--top", "12"]);
    place.succeed(&["scan", "net.onnx", "few", "--out", "s"]);
    place.succeed(&["scan", "net.onnx", "few", "--out", "both", "--top", "1"]);
    for (data, why) in [
        (
            "short",
            "its lists have 12; scan again and keep more images in each list (`oneiro scan … --top 32`)",
        ),
        ("s", "the scan has 2 images; scan 28 or more\n"),
        ("both", "the scan has 2 images; scan 28 or more, and keep more than 1 in each list (`oneiro scan"),
    ] {
        let args = ["sheet", "net.onnx", "--unit", "class:dog", "--data", data, "--steps", "4", "--belief"];
        let outcome = place.run(&[&args[..], &["--json"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.contains("needs 14 images that excite it most"), "{outcome:?}");
        assert!(outcome.stderr.contains(why), "{data}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("\"predictability\": null"), "{outcome:?}");
    }
}

#[test]
fn a_folder_is_scanned_for_enough_examples() {
    let place = place();
    let args = ["render", "net.onnx", "--unit", "class:owl", "--data", "photos", "--steps", "4"];
    let report = place.json(&[&args[..], &["--belief", "--json"]].concat());
    check(&report["units"][0]);
    let plain = place.json(&[&args[..], &["--json"]].concat());
    assert!(plain["units"][0].get("path").is_none(), "{plain}");
}

#[test]
fn belief_needs_pictures_and_data() {
    let place = place();
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s", "--top", "16"]);
    refuse_all(
        &place,
        &[
            ("no data", "sheet net.onnx --unit class:dog --belief", &["--data"]),
            ("no pictures", "units s class:dog --belief", &["--render"]),
        ],
    );
}
