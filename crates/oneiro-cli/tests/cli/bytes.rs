//! Equal seeds give equal bytes: with any number of threads, whatever else is rendered in the same run, every
//! time.

use std::collections::BTreeMap;

use crate::onnx::Network;
use crate::place::{Place, Report, check};

/// Units of the embedded network at several depths, each with the name of its picture file.
const UNITS: [(&str, &str); 4] = [
    ("conv1:5", "conv1-5.png"),
    ("fire3.expand3x3:8@center", "fire3.expand3x3-8-center.png"),
    ("fire5", "fire5.png"),
    ("class:goldfish", "class-goldfish.png"),
];

/// The card of the tiny network that the tests write.
const CARD: &str = "[[input]]\nname = \"x\"\n";

/// Flags for few steps on a small picture.
const SETTINGS: [&str; 4] = ["--size", "40", "--steps", "3"];

/// Renders units of a model and returns the picture files by name.
fn render(model: &str, units: &[&str], settings: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let place = Place::new();
    place.write("tiny.onnx", Network::default().bytes());
    place.write("tiny.toml", CARD);
    // With a slash at its end, `--out` is a folder even for a single unit.
    let mut args = vec!["render", model, "--out", "pictures/"];
    args.extend(settings);
    units.iter().for_each(|unit| args.extend(["--unit", unit]));
    place.succeed(&args);
    let files = place.listing().into_iter();
    files.filter_map(|(name, bytes)| Some((name.strip_prefix("pictures/")?.to_owned(), bytes?))).collect()
}

/// Renders units of the embedded network with [`SETTINGS`] and more flags, and returns the picture files.
fn render_embedded(units: &[&str], more: &[&str]) -> BTreeMap<String, Vec<u8>> {
    render("squeezenet1_1", units, &[&SETTINGS[..], more].concat())
}

fn names() -> Vec<&'static str> {
    UNITS.map(|(unit, _)| unit).to_vec()
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let one = render_embedded(&names(), &["--threads", "1"]);
    assert_eq!(one.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut files = UNITS.map(|(_, file)| file);
        files.sort_unstable();
        files
    });
    let mut report = Report::default();
    for threads in ["2", "8"] {
        let many = render_embedded(&names(), &["--threads", threads]);
        for (file, bytes) in &one {
            let same = many.get(file) == Some(bytes);
            report.case(file, check(same, || format!("differs with {threads} threads")));
        }
    }
    report.finish();
}

#[test]
fn a_second_run_gives_the_same_bytes_and_another_seed_others() {
    let first = render_embedded(&names(), &[]);
    let again = render_embedded(&names(), &[]);
    let other = render_embedded(&names(), &["--seed", "1"]);
    let mut report = Report::default();
    for (file, bytes) in &first {
        report.case(file, check(again[file] == *bytes, || "a second run differs".into()));
        report.case(file, check(other[file] != *bytes, || "another seed makes no difference".into()));
    }
    report.finish();
}

#[test]
fn company_changes_no_byte_of_a_picture() {
    // Other units of the run: enough channels of one layer to exceed a batch, other layers, and classes.
    let same_layer = ["conv1:0", "conv1:63", "conv1:5", "conv1:17", "conv1:18", "conv1:19", "conv1:20"];
    let mut report = Report::default();
    for (unit, file) in UNITS {
        let alone = render_embedded(&[unit], &[]);
        for (company, others) in [
            ("channels of one layer", &same_layer[..]),
            ("other layers", &["fire2.squeeze1x1:3", "fire4:100@1,2", "fire9"]),
            ("classes", &["class:daisy", "class:1", "class:zebra", "class:macaw", "class:999"]),
        ] {
            let mut units = others.to_vec();
            units.retain(|other| *other != unit);
            units.insert(units.len() / 2, unit);
            let together = render_embedded(&units, &["--threads", "2"]);
            let same = together.get(file) == alone.get(file) && alone.contains_key(file);
            report.case(unit, check(same, || format!("differs among {company}")));
        }
    }
    report.finish();
}

#[test]
fn every_setting_keeps_pictures_the_same_in_any_company() {
    let units = ["left.conv:1", "left.conv:2", "right.conv:0@1,1", "class:3", "left.conv:5", "left.conv:0"];
    let mut report = Report::default();
    for settings in [
        &["--preset", "conveiro"][..],
        &["--param", "pixel"],
        &["--optimizer", "sgd", "--learning-rate", "0.3", "--momentum", "0.5", "--schedule", "cosine(0.1)"],
        &["--optimizer", "lbfgs"],
        &["--transform", "none"],
        &["--transform", "pad(3,reflect)|roll(2)|scale(0.8..1.2)|rotate(-30..30)|fill(0.2,0.4,0.6)"],
        &["--steps", "0"],
        &["--steps", "70", "--until-converged", "0.5"],
        &["--robustness"],
    ] {
        let mut args = settings.to_vec();
        // A flag that is given twice is an error, so size and steps of `SETTINGS` are left out where the case
        // has its own.
        let steps = args.iter().position(|a| *a == "--steps");
        let base: &[&str] = if steps.is_some() { &SETTINGS[..2] } else { &SETTINGS };
        args.splice(0..0, base.iter().copied());
        let together = render("tiny.onnx", &units, &[&args[..], &["--threads", "8"]].concat());
        for unit in units {
            for (file, bytes) in render("tiny.onnx", &[unit], &[&args[..], &["--threads", "1"]].concat()) {
                let same = together.get(&file) == Some(&bytes);
                report.case(&settings.join(" "), check(same, || format!("{file} differs")));
            }
        }
    }
    report.finish();
}

#[test]
fn a_network_for_single_images_gives_the_same_bytes_as_one_for_batches() {
    // If the network does not accept a batch, pictures are made one by one.
    let units = ["left.conv:0", "left.conv:1", "left.conv:2"];
    let mut pictures = Vec::new();
    for batch in [None, Some(1)] {
        let place = Place::new();
        place.write("tiny.onnx", Network { batch, ..Network::default() }.bytes());
        place.write("tiny.toml", CARD);
        let mut args = vec!["render", "tiny.onnx", "--raw", "raw.safetensors", "--out", "pictures/"];
        args.extend(SETTINGS);
        units.iter().for_each(|unit| args.extend(["--unit", unit]));
        place.succeed(&args);
        pictures.push(place.read("raw.safetensors"));
    }
    assert!(pictures[0] == pictures[1], "the pictures differ");
}

#[test]
fn a_sheet_shows_the_pictures_that_render_makes() {
    let place = Place::new();
    let settings = ["--size", "40", "--steps", "2", "--raw", "raw.safetensors"];
    let sheet = ["sheet", "squeezenet1_1", "--layer", "conv1", "--units", "3,5", "--class", "goldfish"];
    for threads in ["1", "2"] {
        place.succeed(
            &[&sheet[..], &settings, &["--threads", threads, "--out", &format!("{threads}.png")]].concat(),
        );
        std::fs::rename(place.path("raw.safetensors"), place.path(&format!("{threads}.safetensors")))
            .unwrap();
    }
    assert!(place.read("1.png") == place.read("2.png"), "the sheet depends on the number of threads");
    let render = ["render", "squeezenet1_1", "-u", "conv1:3", "-u", "conv1:5", "-u", "class:goldfish"];
    place.succeed(&[&render[..], &settings, &["--out", "pictures"]].concat());
    let raw = |name: &str| crate::files::read_safetensors(&place.read(name)).0;
    assert!(raw("1.safetensors") == raw("raw.safetensors"), "a sheet's pictures are not those of render");
}
