//! Rendering many units at once, and the kernels of a first layer.

use crate::bad_input::refuse_all;
use crate::onnx::Network;
use crate::place::Place;

const QUICK: &[&str] = &["--size", "24", "--steps", "1", "--json"];

/// A new folder with a small network that has names for its four classes.
pub fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"labels.txt\"\n");
    place.write("labels.txt", "cat\ndog\nred fox, vulpes\nowl\n");
    place
}

fn units(place: &Place, args: &[&str]) -> Vec<String> {
    let report = place.json(&[args, QUICK].concat());
    report["units"].as_array().unwrap().iter().map(|u| u["unit"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_of_channels_and_classes_are_rendered_one_by_one() {
    let place = place();
    let render =
        ["render", "net.onnx", "--out", "pictures", "--unit", "left.conv:0-1,3", "--unit", "class:1-2"];
    let expected = ["left.conv:0", "left.conv:1", "left.conv:3", "class:dog", "class:red fox"];
    assert_eq!(units(&place, &render), expected);
    let named = ["render", "net.onnx", "--out", "named", "--unit", "class:owl,cat"];
    assert_eq!(units(&place, &named), ["class:owl", "class:cat"]);
    let classes = ["render", "net.onnx", "--out", "all", "--unit", "class:all"];
    assert_eq!(units(&place, &classes).len(), 4);
}

#[test]
fn a_sheet_mixes_layers_ranges_and_classes() {
    let place = place();
    let sheet = ["sheet", "net.onnx", "--unit", "left.conv:0-1", "--unit", "right.conv:2", "--class", "all"];
    let made = units(&place, &sheet);
    assert_eq!(made[..3], ["left.conv:0", "left.conv:1", "right.conv:2"]);
    assert_eq!(made.len(), 7);
    let whole = ["sheet", "net.onnx", "--layer", "left.conv", "--units", "all"];
    assert!(units(&place, &whole).len() > 3);
}

#[test]
fn small_pictures_of_a_sheet_are_enlarged_in_whole_pixels() {
    let place = place();
    let sheet = ["sheet", "net.onnx", "--unit", "left.conv:0", "--size", "24", "--steps", "1"];
    let size = |more: &[&str], name: &str| {
        place.succeed(&[&sheet[..], more, &["--out", name]].concat());
        oneiro_media::read_image(place.path(name)).unwrap().height
    };
    let (large, small) = (size(&[], "a.png"), size(&["--tile", "1"], "b.png"));
    assert_eq!(large - small, 144 - 24);
}

#[test]
fn kernels_of_a_first_layer_are_drawn_and_made_again() {
    let place = place();
    let report = place.json(&["sheet", "net.onnx", "--kernels", "left.conv", "--json", "--out", "k.png"]);
    let kernels = report["kernels"].as_array().unwrap();
    assert!(report["alike"].is_array(), "{report}");
    assert!(kernels.iter().all(|k| k["size"] == serde_json::json!([3, 3])), "{report}");
    assert!(kernels[0]["norm"].as_f64().unwrap() > 0.0);
    let again = place.json(&["again", "k.png", "--json"]);
    assert_eq!(again["identical"], true);
}

#[test]
fn a_layer_behind_an_activation_function_has_no_kernels() {
    let place = Place::new();
    let outcome = place.run(&["sheet", "squeezenet1_1", "--kernels", "fire2.expand3x3"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("not linear"), "{}", outcome.stderr);
    place.succeed(&["sheet", "squeezenet1_1", "--kernels", "conv1", "--units", "0-7", "--out", "k.png"]);
}

#[test]
fn settings_of_an_optimisation_are_refused_for_kernels() {
    let place = place();
    for flag in [
        &["--steps", "3"][..],
        &["--size", "32"],
        &["--preset", "lucid"],
        &["--seed", "4"],
        &["--relu-rule", "guided"],
        &["--from", "a.png"],
        &["--display", "auto"],
        &["--shard", "1/2"],
    ] {
        let outcome = place.run(&[&["sheet", "net.onnx", "--kernels", "left.conv"], flag].concat());
        assert_eq!(outcome.code, Some(2), "{flag:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("cannot be used with"), "{flag:?}: {}", outcome.stderr);
    }
}

#[test]
fn messages_name_the_flag_that_is_meant() {
    let place = place();
    for i in 0..4 {
        place.write(&format!("photos/cat/{i}.png"), crate::scan::photo(i));
    }
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s"]);
    refuse_all(
        &place,
        &[
            (
                "units of several layers",
                "sheet net.onnx --unit left.conv:0,right.conv:1",
                &["left.conv:0,right.conv", "repeat --unit"],
            ),
            ("images of a unit", "units s left.conv:0 --top 3", &["--top", "--examples"]),
        ],
    );
}

#[test]
fn few_images_are_shown_once_and_said_to_be_few() {
    let place = place();
    for (i, class) in ["cat", "dog", "owl"].into_iter().enumerate() {
        place.write(&format!("photos/{class}/{i}.png"), crate::scan::photo(i));
    }
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s"]);
    let unit = place.succeed(&["units", "s", "left.conv:0"]);
    assert!(unit.contains("largest activation (all 3 images)\n") && !unit.contains("smallest"), "{unit}");
    assert!(unit.contains(", by the classes' means (1 image of this class)\n"), "{unit}");
    // Of three images one is shown among the largest, and not among the smallest again.
    let args = ["units", "s", "left.conv:0", "--examples", "1", "--html", "a.html"];
    place.succeed(&args);
    let page = String::from_utf8(place.read("a.html")).unwrap();
    assert!(page.contains("largest activation<") && page.contains("is the smallest<"), "{page}");
}

#[test]
fn maps_stand_below_their_images() {
    let place = place();
    for i in 0..3 {
        place.write(&format!("photos/cat/{i}.png"), crate::scan::photo(i));
    }
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s"]);
    let size = |more: &[&str]| {
        place.succeed(&[&["units", "s", "left.conv:0", "--render", "--out", "u.png"], more].concat());
        let drawn = oneiro_media::read_image(place.path("u.png")).unwrap();
        drawn.height
    };
    let (plain, heat) = (size(&[]), size(&["--heat", "--html", "u.html"]));
    assert!(plain < heat, "{plain:?} {heat:?}");
    let page = String::from_utf8(place.read("u.html")).unwrap();
    assert!(page.contains(">optimised picture<"), "{page}");
}

#[test]
fn lists_of_units_of_a_scan_are_units_and_lists_of_images_may_be_short() {
    let place = place();
    for i in 0..4 {
        place.write(&format!("photos/cat/{i}.png"), crate::scan::photo(i));
    }
    place.succeed(&["scan", "net.onnx", "photos", "--out", "s"]);
    let found = place.json(&["units", "s", "left.conv:0-1", "class:1,0", "--examples", "2", "--json"]);
    let found = found.as_array().unwrap();
    let channels: Vec<u64> = found.iter().map(|unit| unit["channel"].as_u64().unwrap()).collect();
    assert_eq!(channels, [0, 1, 1, 0], "{found:#?}");
    assert!(found.iter().all(|unit| unit["best"].as_array().unwrap().len() == 2));
    let all = place.json(&["units", "s", "left.conv:all", "--json"]);
    assert_eq!(all[0]["best"].as_array().unwrap().len(), 4);
    assert_eq!(
        all.as_array().unwrap().len() as u64,
        place.json(&["units", "s", "--layer", "left.conv", "--json"]).as_array().unwrap().len() as u64
    );
    let outcome = place.run(&["units", "s", "left.conv:0-99"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("no channel"), "{outcome:?}");
}

#[test]
fn a_sheet_has_a_row_for_each_seed() {
    let place = place();
    let sheet = ["sheet", "net.onnx", "-l", "left.conv", "--units", "0-1", "--steps", "2", "--out", "s.png"];
    let report = place.json(&[&sheet[..], &["--seeds", "0,5", "--json"]].concat());
    let units = report["units"].as_array().unwrap();
    let seeds: Vec<u64> = units.iter().map(|unit| unit["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [0, 0, 5, 5], "{report}");
    assert_ne!(units[0]["value"], units[2]["value"]);
    assert_eq!(place.json(&["again", "s.png", "--json"])["identical"], true);
    // One seed for all rows would make them equal, below titles that say otherwise.
    let outcome = place.run(&["again", "s.png", "--seed", "7"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("would make equal"), "{outcome:?}");
    assert!(place.succeed(&["again", "s.png", "--steps", "3"]).contains("with steps=3"));
    let outcome = place.run(&[&sheet[..], &["--seeds", "0-1", "--seed", "3"]].concat());
    assert!(outcome.code == Some(2) && outcome.stderr.contains("--seed"), "{outcome:?}");
}
