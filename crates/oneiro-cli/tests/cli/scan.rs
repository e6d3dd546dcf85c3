//! `oneiro scan` on data sets, and `oneiro units` on its results.

use oneiro_media::{Image, PngText};
use serde_json::Value;

use crate::files::{text_of, wave};
use crate::onnx::{LEFT, Network};
use crate::outside;
use crate::place::Place;
use crate::units;

/// A picture of its own.
pub fn photo(seed: usize) -> Vec<u8> {
    let data = wave(3 * 24 * 24 + 7 * seed);
    let data = data[7 * seed..].iter().map(|x| x / 2.0 + 0.5).collect();
    oneiro_media::encode_png(&Image::rgb(24, 24, data).unwrap(), &PngText::default()).unwrap()
}

/// A new folder with a network with class names, and photos of three of the classes.
pub fn place() -> Place {
    let place = units::place();
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    for (i, class) in ["cat", "dog", "owl"].iter().cycle().take(18).enumerate() {
        place.write(&format!("photos/{class}/{i}.png"), photo(i));
    }
    place
}

pub fn scan(place: &Place, more: &[&str]) -> Value {
    place.json(&[&["scan", "net.onnx", "photos", "--out", "s", "--json"], more].concat())
}

pub fn units_of(place: &Place, args: &[&str]) -> Vec<Value> {
    let found = place.json(&[&["units", "s", "--json"], args].concat());
    found.as_array().unwrap().clone()
}

fn values(unit: &Value, list: &str) -> Vec<f64> {
    unit[list].as_array().unwrap().iter().map(|example| example["value"].as_f64().unwrap()).collect()
}

pub fn files<'a>(unit: &'a Value, list: &str) -> Vec<&'a str> {
    unit[list].as_array().unwrap().iter().map(|example| example["file"].as_str().unwrap()).collect()
}

#[test]
fn a_scan_ranks_images_and_answers_for_units() {
    let place = place();
    let report = scan(&place, &["--layers", "left.conv,middle,class"]);
    assert_eq!((report["images"].as_u64(), report["seen"].as_u64()), (Some(18), Some(18)));
    assert_eq!(report["accuracy"]["known"], 18);
    assert!(!place.path("s/scan.parts").exists(), "parts were left behind");
    let (conv, relu) =
        (units_of(&place, &["--layer", "left.conv"]), units_of(&place, &["--layer", "middle"]));
    assert_eq!(conv.len(), LEFT);
    for (conv, relu) in conv.iter().zip(&relu) {
        let best = values(conv, "best");
        assert_eq!(best.len(), 18);
        assert!(best.windows(2).all(|pair| pair[0] >= pair[1]), "{best:?}");
        // After the ReLU, examples come in the same order: images with activation zero are ordered by the
        // value before it.
        assert_eq!(files(conv, "best"), files(relu, "best"));
        assert_eq!(files(conv, "worst"), files(relu, "worst"));
        assert_eq!(values(relu, "best"), best.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
        assert_eq!(relu["maximum"].as_f64().unwrap(), best[0].max(0.0));
        let classes = relu["classes"].as_object().unwrap();
        assert_eq!(classes.keys().collect::<Vec<_>>(), ["cat", "dog", "owl"]);
        let largest = classes.values().map(|class| class["maximum"].as_f64().unwrap()).fold(0.0, f64::max);
        assert_eq!(largest, best[0].max(0.0));
    }
    // The scan's predicted classes agree with those of `oneiro classify`.
    let named = place.json(&["classify", "net.onnx", "photos", "--json"]);
    let right = named.as_array().unwrap().iter().filter(|v| v["truth"] == v["top"][0]["class"]).count();
    assert_eq!(report["accuracy"]["right"], right);
    assert_eq!(units_of(&place, &["class:red fox"])[0]["channel"], 2);
}

#[test]
fn the_default_layers_stand_behind_their_activation_functions() {
    let place = place();
    scan(&place, &[]);
    let overview = place.succeed(&["units", "s"]);
    assert!(overview.contains("middle") && !overview.contains("left.conv"), "{overview}");
    let outcome = place.run(&["units", "s", "left.conv:3"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("shown behind its activation function"), "{outcome:?}");
    assert!(outcome.stdout.starts_with("middle:3: maximum"), "{outcome:?}");
    let table =
        place.succeed(&["units", "s", "--layer", "middle", "--class", "dog", "--sort", "mean", "--top", "2"]);
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn what_cannot_be_used_is_counted_and_named() {
    let place = place();
    place.write("photos/cat/empty.png", "");
    place.write("photos/cat/cut.png", &photo(1)[..99]);
    place.write("photos/owl/again.png", photo(0));
    place.write("photos/dog/deep/er.png", photo(40));
    let outcome = place.run(&["scan", "net.onnx", "photos", "--out", "s", "--json", "--top", "30"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((report["images"].as_u64(), report["seen"].as_u64()), (Some(22), Some(20)));
    assert_eq!(report["problems"], serde_json::json!([["damaged", 2], ["duplicate", 1]]));
    for words in ["cat/empty.png", "cat/cut.png", "owl/again.png: its content is that of cat/0.png"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
    // A copy of an image appears in no example list.
    let best = units_of(&place, &["middle:0"]);
    assert_eq!(values(&best[0], "best").len(), 19);
    assert!(!files(&best[0], "best").contains(&"owl/again.png"));
    assert!(files(&best[0], "best").contains(&"dog/deep/er.png"));
    let nothing = place.run(&["scan", "net.onnx", "s", "--out", "t"]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("there are no images here"), "{nothing:?}");
    assert!(!place.path("t").exists(), "an empty folder was left behind");
}

#[test]
fn lists_tell_files_and_classes() {
    let place = place();
    place.write("list.csv", "file,class\nphotos/cat/0.png,dog\nphotos/dog/1.png,dog\nphotos/gone.png,owl\n");
    let report = place.json(&["scan", "net.onnx", "list.csv", "--out", "s", "--json"]);
    assert_eq!((report["seen"].as_u64(), report["classes"].as_u64()), (Some(2), Some(1)));
    assert_eq!(report["problems"], serde_json::json!([["missing", 1]]));
    assert_eq!(files(&units_of(&place, &["middle:0"])[0], "best").len(), 2);
}

#[test]
fn threads_change_nothing() {
    let place = place();
    for threads in ["1", "3"] {
        place.succeed(&["scan", "net.onnx", "photos", "--out", &format!("t{threads}"), "--threads", threads]);
    }
    assert_eq!(place.read("t1/scan.sqlite"), place.read("t3/scan.sqlite"));
}

/// Kills a scan as soon as it has saved an intermediate result, and lets it continue.
#[test]
fn a_killed_scan_goes_on_inside_a_block() {
    let place = place();
    let small: Vec<Vec<u8>> = (0..7).map(photo).collect();
    for i in 0..900 {
        place.write(&format!("many/a/{i:04}.png"), &small[i % 7]);
    }
    place.write("many/a/0000.png", photo(8));
    let first = place.path("many/a/0000.png");
    place.succeed(&["scan", "net.onnx", "many", "--out", "whole"]);
    let mut child = place
        .command(&["scan", "net.onnx", "many", "--out", "s", "--threads", "1"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = || {
        let parts = std::fs::read_dir(place.path("s/scan.parts")).into_iter().flatten().flatten();
        parts
            .map(|entry| entry.file_name().into_string().unwrap())
            .find(|name| name.contains("-begun.") && name.ends_with(".part") && !name.starts_with('.'))
    };
    let started = std::time::Instant::now();
    while begun().is_none() {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed().as_secs() < 60, "nothing was kept");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("s/scan.sqlite").exists());
    // The first image was already processed and is not read again, so damaging it has no effect.
    let (bytes, changed) = (place.read("many/a/0000.png"), first.metadata().unwrap().modified().unwrap());
    place.write("many/a/0000.png", vec![0; bytes.len()]);
    std::fs::File::options().write(true).open(&first).unwrap().set_modified(changed).unwrap();
    place.succeed(&["scan", "net.onnx", "many", "--out", "s"]);
    assert!(place.read("s/scan.sqlite") == place.read("whole/scan.sqlite"), "the scan is another one");
    assert!(!place.path("s/scan.parts").exists(), "parts were left behind");
}

#[test]
fn pictures_and_pages_of_units_are_made_again() {
    let place = place();
    scan(&place, &["--thumbnails"]);
    place.succeed(&["units", "s", "middle:0", "--out", "u.png", "--html", "u.html"]);
    place.succeed(&["units", "s", "--layer", "middle", "--html", "layer.html", "--top", "3", "--render"]);
    assert!(text_of(&place.path("u.png")).get("job").is_some());
    let page = String::from_utf8(place.read("layer.html")).unwrap();
    assert!(page.contains("by selectivity") && page.matches("<figure").count() == 3);
    for (file, again) in [("u.png", "v.png"), ("u.html", "v.html")] {
        place.succeed(&["again", file, "--out", again]);
        assert_eq!(place.read(file), place.read(again), "{file}");
    }
    // Without the source images, the stored thumbnails are shown.
    std::fs::rename(place.path("photos"), place.path("moved")).unwrap();
    let outcome = place.run(&["units", "s", "middle:0", "--out", "w.png"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    scan_without_thumbnails(&place);
}

fn scan_without_thumbnails(place: &Place) {
    place.succeed(&["scan", "net.onnx", "moved", "--out", "bare"]);
    std::fs::remove_dir_all(place.path("moved")).unwrap();
    let outcome = place.run(&["units", "bare", "middle:0", "--out", "x.png"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot be read any more"), "{outcome:?}");
}

#[test]
fn images_stand_beside_pictures() {
    let place = place();
    scan(&place, &[]);
    let quick = ["--size", "24", "--steps", "1"];
    let sheet = |data: &str, out: &str| {
        let args =
            ["sheet", "net.onnx", "--unit", "middle:0-1", "--class", "cat", "--data", data, "--out", out];
        place.succeed(&[&args[..], &quick].concat());
    };
    sheet("s", "by_scan.png");
    sheet("photos", "by_folder.png");
    let plate = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_eq!(plate("by_scan.png"), plate("by_folder.png"));
    place.succeed(&["again", "by_scan.png", "--out", "again.png"]);
    assert_eq!(place.read("by_scan.png"), place.read("again.png"));
    let render = ["render", "net.onnx", "--unit", "class-best:dog@middle", "--data", "s", "--out", "r.png"];
    let outcome = place.run(&[&render[..], &quick].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("class-best:dog@middle is middle:"), "{outcome:?}");
    let refused = place.run(&["render", "net.onnx", "--unit", "class-best:dog@middle"]);
    assert!(refused.stderr.contains("known from a scan"), "{refused:?}");
    let refused = place.run(&["render", "net.onnx", "--unit", "middle", "--data", "s"]);
    assert!(refused.stderr.contains("for units LAYER:CHANNEL and class:NAME only"), "{refused:?}");
}

#[test]
fn plates_of_many_units_are_those_of_each_alone() {
    let place = place();
    let quick = ["--size", "24", "--steps", "2", "--data", "photos", "--display", "auto-shared"];
    let render = |units: &str, out: &str| {
        let outcome = place.run(
            &[&["render", "net.onnx", "--unit", units, "--out", out, "--threads", "2"][..], &quick].concat(),
        );
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    let said = render("middle:0-2", "all/");
    assert_eq!(said.matches("18 images: ").count(), 1, "the folder was scanned more than once: {said}");
    assert_eq!(std::fs::read_dir(place.path("all")).unwrap().count(), 3);
    // Pictures of one run share levels of black and white. Each records them, so each can be made again
    // alone.
    let shown = |file: &str| text_of(&place.path(file)).get("display").unwrap().to_owned();
    assert_eq!(shown("all/middle-0.png"), shown("all/middle-2.png"));
    assert!(shown("all/middle-0.png").contains(".."));
    place.succeed(&["again", "all/middle-1.png", "--out", "again.png"]);
    assert_eq!(place.read("all/middle-1.png"), place.read("again.png"));
    render("middle:1", "one.png");
    assert_ne!(shown("one.png"), shown("all/middle-1.png"));
    let alone =
        ["render", "net.onnx", "--unit", "middle:1", "--size", "24", "--steps", "2", "--data", "photos"];
    place.succeed(&[&alone[..], &["--out", "clip.png"]].concat());
    let many =
        ["render", "net.onnx", "--unit", "middle:0-2", "--size", "24", "--steps", "2", "--data", "photos"];
    place.succeed(&[&many[..], &["--out", "clip/", "--raw", "raw.safetensors"]].concat());
    assert_eq!(place.read("clip.png"), place.read("clip/middle-1.png"));
}

/// A file that exists but cannot be read: its block is not saved as final, yet the scan is complete.
#[cfg(target_os = "linux")]
#[test]
fn files_that_cannot_be_read_are_named() {
    let place = place();
    place.write("list.csv", "file,class\nphotos/cat/0.png,cat\n/proc/self/mem,cat\n");
    let outcome = place.run(&["scan", "net.onnx", "list.csv", "--out", "s", "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("/proc/self/mem: "), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["problems"], serde_json::json!([["unreadable", 1]]));
    assert!(!place.path("s/scan.parts").exists(), "parts were left behind");
    // Images that have disappeared since the scan are crossed out, also below activation maps.
    std::fs::remove_dir_all(place.path("photos")).unwrap();
    let outcome = place.run(&["units", "s", "middle:0", "--heat", "--out", "u.png"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("photos/cat/0.png among them"), "{outcome:?}");
}

#[test]
fn texts_say_what_they_are_of() {
    let place = place();
    scan(&place, &[]);
    let table = place.succeed(&["units", "s", "--layer", "middle", "--sort", "selectivity", "--top", "3"]);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().contains("selectivity; the class it is for"), "{table}");
    assert!(
        lines.all(|line| ["cat; ", "dog; ", "owl; "].iter().any(|class| line.contains(class))),
        "{table}"
    );
    // A unit with a single position has neither a list of means over positions nor a share of active
    // positions.
    let class = place.succeed(&["units", "s", "class:cat"]);
    assert!(class.contains("\nsmallest activation\n") && !class.contains("mean\n"), "{class}");
    assert!(!class.contains("active") && !class.contains("positions"), "{class}");
    let unit = place.succeed(&["units", "s", "middle:0"]);
    assert!(unit.contains("\nimages whose largest activation is the smallest\n"), "{unit}");
    assert!(unit.contains("\nselectivity ") && unit.contains("largest mean\n"), "{unit}");
    let groups = place.succeed(&["units", "s", "--layer", "middle", "--groups", "0.05", "--html", "g.html"]);
    let answers = groups.lines().find(|line| line.starts_with("  answers ")).unwrap();
    assert!(answers.ends_with(|c: char| c.is_ascii_digit()), "{groups}");
    assert!(groups.contains("the number behind a class: "), "{groups}");
    assert!(String::from_utf8(place.read("g.html")).unwrap().contains("The number behind a class: "));
    place.succeed(&["units", "s", "--layer", "middle", "--top", "2", "--html", "l.html"]);
    let page = String::from_utf8(place.read("l.html")).unwrap();
    assert!(page.contains("<p>2 of 6 units</p>") && page.contains("<dt>selectivity</dt>"));
}

#[test]
fn images_that_have_moved_are_found_where_they_are_said_to_be() {
    let place = place();
    scan(&place, &[]);
    place.succeed(&["units", "s", "middle:0", "--out", "before.png"]);
    std::fs::rename(place.path("photos"), place.path("moved")).unwrap();
    let outcome = place.run(&["units", "s", "middle:0", "--out", "gone.png"]);
    assert!(
        outcome.stderr.contains("cannot be read any more") && outcome.stderr.contains("--images"),
        "{outcome:?}"
    );
    let shown = ["units", "s", "middle:0", "--images", "moved"];
    let outcome = place.run(&[&shown[..], &["--out", "after.png"]].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    for command in [&["sheet", "net.onnx"][..], &["render", "net.onnx"]] {
        let rest =
            ["--unit", "middle:1", "--steps", "1", "--data", "s", "--images", "moved", "--out", "p.png"];
        let outcome = place.run(&[command, &rest].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stderr.contains("cannot be read any more"), "{outcome:?}");
    }
    let read = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_eq!(read("before.png"), read("after.png"));
    assert_ne!(read("before.png"), read("gone.png"));
    place.succeed(&["again", "after.png", "--out", "again.png"]);
    assert_eq!(place.read("after.png"), place.read("again.png"));
    let says = |args: &[&str], words: &str| {
        let outcome = place.run(args);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(words), "{args:?} {outcome:?}");
    };
    says(&["units", "s", "right.conv:1", "--drivers"], "--images");
    place.succeed(&["units", "s", "right.conv:1", "--drivers", "--images", "moved"]);
    place.succeed(&["units", "s", "--layer", "middle", "--groups", "--images", "moved", "--html", "g.html"]);
    place.succeed(&["units", "s", "--spectra", "--images", "moved"]);
    says(
        &["units", "s", "middle:0", "--images", "nowhere", "--out", "x.png"],
        "nowhere: there is no such folder",
    );
    says(&["units", "s", "middle:0", "--images", "moved"], "--images: images are read for");
}

#[test]
fn flags_without_effect_are_refused() {
    let place = place();
    scan(&place, &[]);
    let says = |args: &[&str], words: &str| {
        let outcome = place.run(args);
        assert!(outcome.code != Some(0) && outcome.stderr.contains(words), "{args:?} {outcome:?}");
    };
    says(&["units", "s", "--layer", "middle", "--drivers"], "--drivers: give the units");
    says(&["units", "s", "--groups"], "--groups: give the --layer");
    says(&["units", "s", "--sort", "mean"], "--sort: give --layer or --class");
    says(&["units", "s", "--top", "3"], "--top: give --layer or --class");
    says(&["units", "s", "middle:0", "--model", "net.onnx"], "--model: the network is needed for");
    let overview = place.json(&["units", "s", "--json"]);
    assert_eq!((overview["images"].as_u64(), overview["accuracy"]["known"].as_u64()), (Some(18), Some(18)));
}

#[test]
fn copies_count_for_their_own_class() {
    let place = place();
    for i in [1, 4, 7] {
        place.write(&format!("photos/fox/{i}.png"), photo(i));
    }
    scan(&place, &[]);
    for unit in units_of(&place, &["--layer", "middle"]) {
        let of = |class: &str, key: &str| unit["classes"][class][key].as_f64();
        assert!(of("fox", "mean").is_some() && of("fox", "maximum") <= of("dog", "maximum"), "{unit}");
    }
    place.succeed(&["units", "s", "class-best:fox@middle"]);
}

#[test]
fn images_that_were_replaced_are_not_shown_as_examples() {
    let place = place();
    scan(&place, &[]);
    let best = units_of(&place, &["middle:0"]);
    let file = format!("photos/{}", files(&best[0], "best")[0]);
    place.write(&file, crate::files::picture(24, 24));
    let outcome = place.run(&["units", "s", "middle:0", "--out", "u.png"]);
    assert!(outcome.stderr.contains("or have changed"), "{outcome:?}");
    // A part that was made from other files is made again.
    let before = place.read("s/scan.sqlite");
    scan(&place, &[]);
    assert_ne!(before, place.read("s/scan.sqlite"));
}

#[test]
fn relevance_ranks_by_the_class_of_the_image() {
    let place = place();
    scan(&place, &["--by", "relevance", "--layers", "right.conv"]);
    // Only images of the class itself have a gradient at its channel; all other images have relevance 0.
    let unit = &units_of(&place, &["right.conv:1"])[0];
    let classes: Vec<&str> =
        unit["best"].as_array().unwrap().iter().map(|example| example["class"].as_str().unwrap()).collect();
    assert!(values(unit, "best").iter().any(|value| *value != 0.0));
    for (class, value) in classes.iter().zip(values(unit, "best")) {
        assert!(*class == "dog" || value == 0.0, "{class} {value}");
    }
}

#[test]
fn errors_name_the_thing() {
    let place = place();
    scan(&place, &[]);
    place.write("old.sqlite", "not a database at all, whatever it is called");
    let says = |args: &[&str], words: &str| {
        let outcome = place.run(args);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    };
    says(&["units", "nowhere"], "nowhere: there is no scan here; make one with `oneiro scan MODEL DATA");
    says(&["units", "s", "class:fox"], "the network has no class \"fox\"; there are ");
    says(&["units", "old.sqlite"], "old.sqlite: there is no scan here");
    says(&["units", "s", "middle:99"], "has 6 channels");
    says(&["units", "s", "muddle:1"], "layer \"muddle\" is not in this scan");
    says(&["units", "s", "--class", "cow"], "have no class \"cow\"");
    says(&["units", "s", "middle"], "a scan knows units LAYER:CHANNEL");
    says(&["scan", "net.onnx", "photos", "--layers", "muddle", "--out", "t"], "muddle");
    let other = Network { channels: 3, dense: true, ..Network::default() };
    place.write("other.onnx", other.bytes());
    place.write("other.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    says(&["render", "other.onnx", "--unit", "middle:1", "--data", "s"], "the scan is of another network");
}

/// The top-10 lists of trained networks with known ("planted") behaviour, compared with PyTorch's.
#[test]
fn scans_find_what_is_planted() {
    for (network, file) in
        [("shapes_biased", "final.legacy-op17.bn.onnx"), ("sick_filters", "final.dynamo.onnx")]
    {
        let Some(folder) = outside::shared(&format!("models/planted/{network}")) else { return };
        let Some(photos) = outside::shared("models/planted/shapes_biased/images") else { return };
        let truth: Value =
            serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
        let truth = &truth["dataset_scan"];
        let place = Place::new();
        let model = folder.join(file);
        place.succeed(&["scan", model.to_str().unwrap(), photos.to_str().unwrap(), "--out", "s"]);
        let compare = |name: &str, unit: &Value, list: &str, expected: &Value| {
            for (found, expected) in unit[list].as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
                let file = found["file"].as_str().unwrap().trim_end_matches(".png");
                let (value, truth) = (found["value"].as_f64().unwrap(), expected[1].as_f64().unwrap());
                assert_eq!(file, expected[0], "{network} {name}");
                assert!(
                    (value - truth).abs() < 2e-4 * truth.abs().max(1.0),
                    "{network} {name}: {value} {truth}"
                );
            }
        };
        let units = units_of(&place, &["--layer", truth["layer"].as_str().unwrap()]);
        for (kind, list) in
            [("channel_top10_by_spatial_max", "best"), ("channel_top10_by_spatial_mean", "best_by_mean")]
        {
            for (channel, expected) in truth[kind].as_object().unwrap() {
                compare(channel, &units[channel.parse::<usize>().unwrap()], list, expected);
            }
        }
        for (class, expected) in truth["logit_top10"].as_object().unwrap() {
            compare(class, &units_of(&place, &[&format!("class:{class}")])[0], "best", expected);
        }
    }
}
