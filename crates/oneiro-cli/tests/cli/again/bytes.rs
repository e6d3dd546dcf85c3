//! Every kind of result is made again byte for byte, also with settings that change its bytes.

use serde_json::{Value, json};

use crate::again::{MADE, place};
use crate::files::text_of;
use crate::place::{Report, check};

#[test]
fn everything_that_is_made_is_made_again_byte_for_byte_though_card_and_labels_changed() {
    let mut report = Report::default();
    for (name, args) in MADE {
        let place = place();
        place.succeed(args);
        // The picture's own record counts, and not the card beside the model, which now differs.
        place.write(
            "models/net.toml",
            "labels = \"gone.txt\"\n[[input]]\nname = \"x\"\nmean = [0.9, 0.9, 0.9]\n",
        );
        let out = format!("again.{}", name.rsplit('.').next().unwrap_or_default());
        let said = place.json(&["again", name, "--out", &out, "--json", "--threads", "3"]);
        let same = place.read(&out) == place.read(name);
        report.case(name, check(same, || format!("other bytes; {said}")));
        report.case(name, check(said["identical"] == json!(true), || said.to_string()));
    }
    report.finish();
}

/// Returns a PNG without its record of the job, as version 0.1.0 wrote it.
fn without_job(png: &[u8]) -> Vec<u8> {
    const SIGNATURE: usize = 8;
    let mut out = png[..SIGNATURE].to_vec();
    let mut at = SIGNATURE;
    while at < png.len() {
        // A PNG chunk: length, type, data, checksum.
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        let chunk = &png[at..at + 12 + length];
        if !chunk[8..].starts_with(b"oneiro:job\0") {
            out.extend_from_slice(chunk);
        }
        at += chunk.len();
    }
    assert!(out.len() < png.len(), "it has no job");
    out
}

#[test]
fn files_of_version_0_1_0_are_made_again_byte_for_byte() {
    let place = place();
    let mut report = Report::default();
    for (name, args) in MADE.iter().filter(|(name, _)| !name.ends_with("gif")) {
        place.succeed(args);
        place.write("old.png", without_job(&place.read(name)));
        place.succeed(&["again", "old.png", "--out", "again.png"]);
        let same = place.read("old.png") == place.read("again.png");
        report.case(name, check(same, || "other bytes".into()));
    }
    report.finish();
}

#[test]
fn another_version_or_kernel_family_is_said() {
    let place = place();
    place.succeed(MADE[0].1);
    let mut text = text_of(&place.path("unit.png"));
    for (key, value) in &mut text.0 {
        if key == "version" {
            *value = "0.0.9".into();
        }
    }
    let image = oneiro_media::read_image(place.path("unit.png")).unwrap();
    oneiro_media::write_png(place.path("old.png"), &image, &text).unwrap();
    let outcome = place.run(&["again", "old.png"]);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(
        outcome.stderr.contains("version 0.0.9") && outcome.stderr.contains("may differ"),
        "{outcome:#?}"
    );
    assert!(outcome.stdout.contains("its pixels are those of old.png"), "{outcome:#?}");
}

#[test]
fn info_prints_what_the_picture_carries_for_people_and_scripts() {
    let place = place();
    place.succeed(MADE[1].1);
    let text = place.succeed(&["info", "flags.png"]);
    for part in
        ["unit: class:red fox", "objective: logit(2)", "seed: 9", "model: models/net.onnx", "  steps = 4"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let object = place.json(&["info", "flags.png", "--json"]);
    assert_eq!((&object["seed"], &object["unit"]), (&json!(9), &json!("class:red fox")));
    assert_eq!(object["settings"]["gradients"]["max_pool"], "smoothed");
    assert_eq!(object["preparation"]["input"][0]["order"], "bgr");
    assert!(object["value"].is_f64() && object["model_sha256"].is_string(), "{object:#}");
    place.succeed(MADE[3].1);
    let sheet = place.json(&["info", "sheet.png", "--json"]);
    assert_eq!(sheet["units"].as_array().map(Vec::len), Some(5));
    assert_eq!(sheet["layout"]["rows"][0]["captions"], json!(["channel 0", "channel 2"]));
    place.succeed(MADE[6].1);
    let film: Value = place.json(&["info", "film.gif", "--json"]);
    assert!(film["film"].as_str().is_some_and(|f| f.starts_with("10 frames")), "{film:#}");
}
