//! Wrong expressions that compare features with pictures or penalise the input.

use crate::bad_input::refuse_all;
use crate::files::{npy, wave};
use crate::place::Place;

/// Side in pixels of the embedded network's pictures in these tests.
const SIDE: usize = 48;

#[test]
fn expressions_that_cannot_be_computed_are_one_message_that_names_them() {
    let place = Place::new();
    place.write("x.npy", npy(&[1, 3, SIDE, SIDE], &wave(3 * SIDE * SIDE)));
    place.write("short.npy", npy(&[7], &wave(7)));
    std::fs::create_dir(place.path("folder")).unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        ("no picture", "inversion(fire2,none.png)", &["none.png"]),
        ("a folder", "inversion(fire2,folder)", &["folder"]),
        ("no layer", "inversion(fire22,x.npy)", &["x.npy"]),
        ("unknown layer", "channel(fire22,3) - tv", &["fire22", "fire2"]),
        ("wrong length", "direction(fire2,short.npy)", &["short.npy", "7", "128"]),
        ("penalties alone", "tv", &["tv"]),
        ("unknown term", "channel(fire2,3) - tw", &["tw"]),
        ("cut off", "channel(fire2,3) -", &["channel(fire2,3) -"]),
    ];
    let commands: Vec<String> = cases
        .iter()
        .map(|(_, e, _)| format!("run squeezenet1_1 --input x=x.npy --out g.safetensors --grad '{e}'"))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .zip(&commands)
        .map(|((name, _, says), command)| (*name, command.as_str(), *says))
        .collect();
    refuse_all(&place, &cases);
}
