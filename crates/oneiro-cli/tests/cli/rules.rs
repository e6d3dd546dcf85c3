//! Gradient rules take effect on pictures, in the recorded settings, and in `oneiro run --grad`.

use crate::bad_input::refuse_all;
use crate::files::{npy, read_safetensors, text_of, wave};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

const SQUEEZENET: &[&str] =
    &["render", "squeezenet1_1", "--unit", "fire5.expand3x3:5", "--size", "40", "--steps", "4", "--out"];

#[test]
fn rules_change_pictures_and_stand_in_their_settings() {
    let place = Place::new();
    let mut report = Report::default();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (flags, settings) in [
        (&[][..], "relu = \"redirected\"\nrelu_steps = 16\nmax_pool = \"exact\""),
        (&["--relu-rule", "guided"], "relu = \"guided\"\nmax_pool = \"exact\""),
        (
            &["--relu-rule", "guided", "--relu-steps", "2"],
            "relu = \"guided\"\nrelu_steps = 2\nmax_pool = \"exact\"",
        ),
        (&["--relu-rule", "deconv"], "relu = \"deconv\""),
        (&["--relu-rule", "leaky(0.25)"], "relu = \"leaky(0.25)\""),
        (&["--max-pool-rule", "smoothed"], "relu_steps = 16\nmax_pool = \"smoothed\""),
    ] {
        place.succeed(&[SQUEEZENET, &["unit.png"], flags].concat());
        let stored = text_of(&place.path("unit.png")).get("settings").unwrap().to_owned();
        report.case(&format!("{flags:?}"), check(stored.contains(settings), || stored.clone()));
        let bytes = place.read("unit.png");
        let new = !seen.contains(&bytes);
        report.case(&format!("{flags:?}"), check(new, || "the same picture as under another rule".into()));
        seen.push(bytes);
    }
    report.finish();
}

#[test]
fn run_differentiates_under_the_rules_given() {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("x.npy", npy(&[1, 3, 12, 12], &wave(3 * 12 * 12)));
    let base = ["run", "net.onnx", "--input", "x=x.npy", "--grad", "channel(right.conv,1)", "--out", "r.st"];
    let gradient = |flags: &[&str]| {
        place.succeed(&[&base, flags].concat());
        read_safetensors(&place.read("r.st")).0["grad/x"].1.clone()
    };
    let exact = gradient(&[]);
    assert_eq!(gradient(&["--relu-rule", "exact", "--max-pool-rule", "exact"]), exact);
    // A leaky ReLU with slope 0 has the exact derivative; with slope 1 it is no ReLU at all.
    assert_eq!(gradient(&["--relu-rule", "leaky(0)"]), exact);
    assert_ne!(gradient(&["--relu-rule", "leaky(1)"]), exact);
    assert_ne!(gradient(&["--relu-rule", "guided"]), exact);
}

#[test]
fn rules_that_mean_nothing_are_errors() {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("x.npy", npy(&[1, 3, 12, 12], &wave(3 * 12 * 12)));
    refuse_all(
        &place,
        &[
            (
                "no rule for ReLUs",
                "render squeezenet1_1 --unit conv1:1 --relu-rule soft",
                &["leaky(SLOPE)", "guided"],
            ),
            (
                "no rule for max-pooling",
                "render squeezenet1_1 --unit conv1:1 --max-pool-rule soft",
                &["exact, smoothed"],
            ),
            (
                "steps of the derivative",
                "render squeezenet1_1 --unit conv1:1 --relu-rule exact --relu-steps 3",
                &["--relu-steps 3", "--relu-rule"],
            ),
            (
                "a rule without gradient",
                "run net.onnx --input x=x.npy --capture left.conv --out r.st --relu-rule guided",
                &["--relu-rule", "--grad"],
            ),
        ],
    );
}
