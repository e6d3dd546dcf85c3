//! Interrupted sheets continue, and shards make a sheet together, with the same bytes as an undisturbed run.

use std::time::Duration;

use crate::onnx::Network;
use crate::place::Place;

/// A command for a sheet of all channels of two layers, with few steps each.
const SHEET: [&str; 12] = [
    "sheet",
    "net.onnx",
    "-l",
    "left.conv",
    "-l",
    "right.conv",
    "--units",
    "0-1",
    "--size",
    "64",
    "--steps",
    "60",
];

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place
}

fn to(out: &str) -> Vec<&str> {
    [&SHEET[..], &["--out", out]].concat()
}

#[test]
fn a_sheet_that_was_killed_goes_on() {
    let place = place();
    place.succeed(&to("whole.png"));
    assert!(!place.path("whole.png.parts").exists(), "parts were left behind");
    for kills in 0..6 {
        let mut child = place.command(&to("sheet.png")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 * kills));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.succeed(&to("sheet.png"));
    assert_eq!(place.read("sheet.png"), place.read("whole.png"));
    assert!(!place.path("sheet.png.parts").exists(), "parts were left behind");
}

#[test]
fn shards_make_a_sheet_together() {
    let place = place();
    place.succeed(&to("whole.png"));
    let said = place.succeed(&[&to("sheet.png")[..], &["--shard", "2/2"]].concat());
    assert!(said.contains("2 of 4 parts are done, in sheet.png.parts"), "{said}");
    assert!(!place.path("sheet.png").exists());
    // A shard made elsewhere, as on another machine; its folder of parts is then copied here.
    place.succeed(&[&to("other.png")[..], &["--shard", "1/2"]].concat());
    for entry in std::fs::read_dir(place.path("other.png.parts")).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, place.path("sheet.png.parts").join(from.file_name().unwrap())).unwrap();
    }
    let outcome = place.run(&to("sheet.png"));
    assert!(outcome.stderr.contains("4 of 4 parts are done already"), "{}", outcome.stderr);
    assert_eq!(place.read("sheet.png"), place.read("whole.png"));
}

#[test]
fn parts_of_other_settings_are_not_taken() {
    let place = place();
    let other = |seed: &'static str, out: &'static str| [&to(out)[..], &["--seed", seed]].concat();
    place.succeed(&[&other("1", "sheet.png")[..], &["--shard", "1/2"]].concat());
    place.succeed(&other("2", "sheet.png"));
    place.succeed(&other("2", "whole.png"));
    assert_eq!(place.read("sheet.png"), place.read("whole.png"));
}

#[test]
fn a_shard_is_written_as_one_of_several() {
    let place = place();
    for bad in ["0/2", "3/2", "2", "a/b", "1/0"] {
        let outcome = place.run(&[&to("sheet.png")[..], &["--shard", bad]].concat());
        assert_eq!(outcome.code, Some(2), "{bad}");
        assert!(outcome.stderr.contains("1/4"), "{}", outcome.stderr);
    }
}
