//! What `oneiro units` tells of a scan beyond its lists: directions, drivers, maps of activations, spectra.

use crate::files::npy;
use crate::onnx::LEFT;
use crate::scan::{files, place, scan, units_of};

#[test]
fn directions_are_units() {
    let place = place();
    let mut rows = vec![0.0; 3 * LEFT];
    (rows[1], rows[LEFT + 4], rows[2 * LEFT + 4]) = (1.0, 1.0, -1.0);
    place.write("rows.npy", npy(&[3, LEFT], &rows));
    scan(&place, &["--layers", "middle,middle@rows.npy"]);
    let own = units_of(&place, &["middle:1", "middle:4"]);
    let along = units_of(&place, &["--layer", "middle@rows.npy"]);
    assert_eq!(along.len(), 3);
    for (unit, direction) in own.iter().zip(&along) {
        assert_eq!(files(unit, "best_by_mean"), files(direction, "best_by_mean"));
        let (a, b) = (unit["mean"].as_f64().unwrap(), direction["mean"].as_f64().unwrap());
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    assert!(along[2]["maximum"].as_f64().unwrap() <= 0.0);
    // The map of a direction that selects one channel equals the map of that channel.
    let maps = |unit: &str| -> Vec<String> {
        place.succeed(&["units", "s", unit, "--heat", "--html", "u.html"]);
        let page = String::from_utf8(place.read("u.html")).unwrap();
        let section = page.split("<h2>activation map</h2>").nth(1).unwrap();
        let section = section.split("</section>").next().unwrap();
        section.split("<img src=\"").skip(1).map(|img| img.split('"').next().unwrap().to_owned()).collect()
    };
    let of_channel = maps("middle:1");
    assert_eq!(of_channel.len(), 9);
    assert!(of_channel == maps("\"middle@rows.npy\":0"), "the maps differ");
    assert!(of_channel != maps("middle:4"));
    let render =
        ["render", "net.onnx", "--unit", "middle@rows.npy:0-1", "--size", "24", "--steps", "2", "--out", "d"];
    place.succeed(&[&render[..], &["--data", "s"]].concat());
    assert_eq!(std::fs::read_dir(place.path("d")).unwrap().count(), 2);
    let refused = place.run(&["render", "net.onnx", "--unit", "middle@rows.npy:7"]);
    assert!(refused.stderr.contains("there is no number 7"), "{refused:?}");
}

#[test]
fn drivers_add_up_to_the_unit() {
    let place = place();
    scan(&place, &[]);
    let report = place.json(&["units", "s", "right.conv:2", "--drivers", "--json", "--examples", "4"]);
    let of = &report[0];
    let (value, total) = (of["value"].as_f64().unwrap(), of["drivers"][0]["total"].as_f64().unwrap());
    // The convolution has no bias, so its drivers account for the whole value.
    assert!((value - total).abs() < 1e-5 * value.abs().max(1.0), "{of}");
    assert_eq!(of["drivers"][0]["layer"], "middle");
    assert_eq!(of["is_bias"], true);
    assert!(of["rest"].as_f64().unwrap().abs() < 1e-5 * value.abs().max(1.0), "{of}");
    // Only a mean follows the unit, so it feeds its own class only.
    assert_eq!(of["feeds"][0]["unit"], "class:red fox, vulpes");
    let groups =
        place.json(&["units", "s", "--layer", "middle", "--groups", "0.1", "--json", "--out", "g.png"]);
    let grouped: usize =
        groups["groups"].as_array().unwrap().iter().map(|g| g["channels"].as_array().unwrap().len()).sum();
    let [alone, constant] = ["alone", "constant"].map(|key| groups[key].as_u64().unwrap() as usize);
    assert_eq!(grouped + alone + constant, LEFT);
}

#[test]
fn drivers_follow_the_usual_text_and_are_drawn() {
    let place = place();
    scan(&place, &[]);
    let usual = place.succeed(&["units", "s", "right.conv:2"]);
    let driven = place.succeed(&["units", "s", "right.conv:2", "--drivers", "--top", "2"]);
    let rest = driven.strip_prefix(&usual).unwrap_or_else(|| panic!("{driven}"));
    for words in ["driven to ", "  middle contributes", "    raised by: middle:", "  its bias contributes "] {
        assert!(rest.contains(words), "{words}: {rest}");
    }
    // From a single image, the bias cannot be told from other contributions.
    let one = place.succeed(&["units", "s", "right.conv:2", "--drivers", "--examples", "1"]);
    assert!(one.contains("the rest is"), "{one}");
    let draw = ["units", "s", "right.conv:2", "--drivers", "--out", "u.png", "--html", "u.html"];
    let said = place.succeed(&draw);
    assert!(said.contains("driven to ") && said.contains("written to u.html"), "{said}");
    let page = String::from_utf8(place.read("u.html")).unwrap();
    for heading in ["raised by middle", "feeds"] {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    let rendered =
        ["units", "s", "right.conv:2", "--drivers", "--render", "--examples", "1", "--out", "r.png"];
    place.succeed(&rendered);
    for (file, again) in [("u.png", "v.png"), ("u.html", "v.html"), ("r.png", "q.png")] {
        place.succeed(&["again", file, "--out", again]);
        assert_eq!(place.read(file), place.read(again), "{file}");
    }
    let tall = |name: &str| oneiro_media::read_image(place.path(name)).unwrap().height;
    place.succeed(&["units", "s", "right.conv:2", "--out", "plain.png"]);
    assert!(tall("u.png") > tall("plain.png"));
    // The page of several units shows their drivers as well.
    place.succeed(&["units", "s", "middle:1", "right.conv:2", "--drivers", "--html", "both.html"]);
    let page = String::from_utf8(place.read("both.html")).unwrap();
    assert!(page.contains("right.conv:2: raised by middle"));
}

#[test]
fn maps_of_activations_lie_over_images() {
    let place = place();
    scan(&place, &["--layers", "middle,class"]);
    place.succeed(&["units", "s", "middle:1", "--heat", "--out", "u.png", "--html", "u.html"]);
    let page = String::from_utf8(place.read("u.html")).unwrap();
    assert!(page.contains("<h2>activation map</h2>") && page.matches("<figure").count() > 4 * 9);
    for (file, again) in [("u.png", "v.png"), ("u.html", "v.html")] {
        place.succeed(&["again", file, "--out", again]);
        assert_eq!(place.read(file), place.read(again), "{file}");
    }
    place.succeed(&["units", "s", "--layer", "middle", "--heat", "--html", "layer.html", "--out", "l.png"]);
    let says = |args: &[&str], words: &str| {
        let outcome = place.run(args);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(words), "{args:?} {outcome:?}");
    };
    says(&["units", "s", "class:cat", "--heat", "--out", "c.png"], "class:cat: its layer has no map");
    says(&["units", "s", "middle:1", "--heat"], "--heat: give --out or --html");
}

#[test]
fn spectra_have_a_curve_for_each_layer() {
    let place = place();
    scan(&place, &[]);
    let report = place.json(&["units", "s", "--spectra", "--top", "2", "--out", "spectra.png", "--json"]);
    let layers: Vec<&str> =
        report.as_array().unwrap().iter().map(|of| of["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["middle", "right.conv"]);
    for of in report.as_array().unwrap() {
        let sum: f64 = of["crops"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{of}");
    }
    place.succeed(&["again", "spectra.png", "--out", "again.png"]);
    assert_eq!(place.read("spectra.png"), place.read("again.png"));
}
