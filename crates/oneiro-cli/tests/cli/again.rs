//! Pictures that say how they were made, and are made again byte for byte.

use serde_json::{Value, json};

use crate::bad_input::refuse_all;
use crate::files::{picture, text_of};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

/// The tiny network with card and labels in a folder of its own.
fn place() -> Place {
    let place = Place::new();
    place.write("models/net.onnx", Network::default().bytes());
    place.write(
        "models/net.toml",
        "name = \"tiny\"\nlabels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\nmean = [0.4, 0.5, 0.6]\n\
         [layers]\nearly = \"left.conv\"\n",
    );
    place.write("models/classes.txt", "cat\ndog\nred fox\nowl\n");
    place
}

/// What is made, with everything that changes bytes: flags of the model, settings, several units, films,
/// robustness.
const MADE: &[(&str, &[&str])] = &[
    (
        "unit.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "3",
            "--out",
            "unit.png",
        ],
    ),
    (
        "flags.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "class:red fox",
            "--steps",
            "4",
            "--size",
            "24x20",
            "--seed",
            "9",
            "--mean",
            "0.1,0.2,0.3",
            "--std",
            "0.5,0.5,0.4",
            "--order",
            "bgr",
            "--preset",
            "conveiro",
            "--optimizer",
            "accumulated-squares",
            "--learning-rate",
            "0.1",
            "--momentum",
            "0.8",
            "--schedule",
            "steps(0.5@0.5)",
            "--param",
            "pixel",
            "--transform",
            "jitter(3)",
            "--relu-rule",
            "leaky(0.2)",
            "--max-pool-rule",
            "smoothed",
            "--until-converged",
            "0.5",
            "--robustness",
            "--out",
            "flags.png",
        ],
    ),
    (
        "many/1-layer-early.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--objective",
            "-1*layer(early)",
            "--size",
            "20",
            "--steps",
            "3",
            "--out",
            "many",
        ],
    ),
    (
        "sheet.png",
        &[
            "sheet",
            "models/net.onnx",
            "--layer",
            "early",
            "--layer",
            "right.conv",
            "--units",
            "0,2",
            "--class",
            "owl",
            "--size",
            "20",
            "--steps",
            "2",
            "--columns",
            "2",
            "--out",
            "sheet.png",
        ],
    ),
    (
        "robust.png",
        &[
            "sheet",
            "models/net.onnx",
            "--class",
            "cat",
            "--size",
            "20",
            "--steps",
            "2",
            "--robustness",
            "--out",
            "robust.png",
        ],
    ),
    (
        "film.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "9",
            "--out",
            "still.png",
            "--film",
            "film.png",
        ],
    ),
    (
        "film.gif",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "9",
            "--out",
            "still.png",
            "--film",
            "film.gif",
        ],
    ),
];

#[test]
fn everything_that_is_made_is_made_again_byte_for_byte_though_card_and_labels_changed() {
    let mut report = Report::default();
    for (name, args) in MADE {
        let place = place();
        place.succeed(args);
        // Not the card beside the model counts, but what the picture says.
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

#[test]
fn a_model_that_moved_is_named_and_one_beside_the_picture_is_found() {
    let place = place();
    place.succeed(MADE[0].1);
    let moved = place.read("models/net.onnx");
    std::fs::remove_file(place.path("models/net.onnx")).unwrap();
    place.write("elsewhere.onnx", &moved);
    let stdout = place.succeed(&["again", "unit.png", "--model", "elsewhere.onnx"]);
    assert!(stdout.contains("unit.again.png: identical to unit.png"), "{stdout}");
    assert_eq!(place.read("unit.again.png"), place.read("unit.png"));
    // A folder with pictures and models together may move as a whole.
    place.write("moved/models/net.onnx", &moved);
    place.write("moved/unit.png", place.read("unit.png"));
    let stdout = place.succeed(&["again", "moved/unit.png"]);
    assert!(stdout.contains("moved/unit.again.png: identical"), "{stdout}");
}

#[test]
fn another_model_is_refused_unless_any_will_do() {
    let place = place();
    place.succeed(&["render", "models/net.onnx", "-u", "right.conv:1", "--steps", "3", "--out", "unit.png"]);
    place.write("other.onnx", Network { middle: "Sigmoid", ..Network::default() }.bytes());
    let refused = place.run(&["again", "unit.png", "--model", "other.onnx"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    for part in ["other.onnx is not the model", "--any-model", "SHA-256"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert!(!place.path("unit.again.png").exists());
    let stdout = place.succeed(&["again", "unit.png", "--model", "other.onnx", "--any-model"]);
    assert!(stdout.contains("of its pixels differ from unit.png"), "{stdout}");
    assert_eq!(text_of(&place.path("unit.again.png")).get("model"), Some("other.onnx"));
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

/// A PNG without its job, as version 0.1.0 wrote it.
fn without_job(png: &[u8]) -> Vec<u8> {
    const SIGNATURE: usize = 8;
    let mut out = png[..SIGNATURE].to_vec();
    let mut at = SIGNATURE;
    while at < png.len() {
        // Length, type, data, checksum.
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
fn pictures_that_cannot_be_made_again_are_refused_by_name() {
    let place = place();
    place.succeed(MADE[0].1);
    place.succeed(MADE[6].1);
    let bytes = place.read("unit.png");
    place.write("cut.png", &bytes[..bytes.len() - 40]);
    place.write("head.png", &bytes[..200]);
    let film = place.read("film.gif");
    place.write("cut.gif", &film[..film.len() / 2]);
    place.write("plain.png", picture(8, 8));
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/../oneiro-media/tests/data/upright.jpg");
    place.write("photo.jpg", std::fs::read(photo).unwrap());
    let with = |change: fn(&mut oneiro_media::PngText), name: &str| {
        let mut text = text_of(&place.path("unit.png"));
        change(&mut text);
        let image = oneiro_media::read_image(place.path("unit.png")).unwrap();
        oneiro_media::write_png(place.path(name), &image, &text).unwrap();
    };
    // Version 0.1.0 wrote no job.
    with(|text| text.0.retain(|(key, _)| key != "settings" && key != "job"), "without.png");
    with(
        |text| {
            text.0.retain(|(key, _)| key != "job");
            text.0.iter_mut().filter(|(k, _)| k == "settings").for_each(|(_, v)| v.push_str("more = 1\n"));
        },
        "more.png",
    );
    with(
        |text| {
            text.0.retain(|(key, _)| key != "job");
            text.0.iter_mut().filter(|(k, _)| k == "objective").for_each(|(_, v)| *v = "5 +".into());
        },
        "odd.png",
    );
    with(
        |text| {
            text.0.retain(|(key, _)| key != "job");
            let settings = text.0.iter_mut().filter(|(k, _)| k == "settings");
            settings.for_each(|(_, v)| *v = v.replace("steps = 3", "steps = 9999999999999"));
        },
        "long.png",
    );
    let replaced = |from: &'static str, to: &'static str, name: &str| {
        let mut text = text_of(&place.path("unit.png"));
        let job = text.0.iter_mut().find(|(key, _)| key == "job").unwrap();
        assert!(job.1.contains(from), "{from}: {}", job.1);
        job.1 = job.1.replace(from, to);
        let image = oneiro_media::read_image(place.path("unit.png")).unwrap();
        oneiro_media::write_png(place.path(name), &image, &text).unwrap();
    };
    replaced("\"schema\":1", "\"schema\":2", "newer.png");
    replaced("\"kind\":\"render\"", "\"kind\":\"séance\"", "strange.png");
    replaced("{\"schema\"", "{{\"schema\"", "torn.png");
    replaced("\"steps\":3", "\"steps\":9999999999999", "job-long.png");
    replaced("\"keep_size\"", "\"keep_the_size\"", "job-more.png");
    replaced("\"index\":0", "\"index\":7", "other.png");
    refuse_all(
        &place,
        &[
            ("a newer schema", "again newer.png", &["newer.png", "version 2 of the schema"]),
            (
                "a kind that is none",
                "again strange.png",
                &["strange.png", "séance", "it knows render, sheet"],
            ),
            ("a job that is no JSON", "again torn.png", &["torn.png", "job cannot be read"]),
            ("a job without end", "again job-long.png", &["job-long.png", "steps is 9999999999999"]),
            ("a setting of the future", "again job-more.png", &["job-more.png", "keep_the_size"]),
            ("a result that the job has not", "again other.png", &["render", "picture 7"]),
            ("no such picture", "again none.png", &["none.png", "no such file"]),
            ("no such picture to describe", "info none.png", &["none.png", "no such file"]),
            ("not ours", "again plain.png", &["plain.png", "does not say how it was made"]),
            ("not ours to describe", "info plain.png", &["plain.png", "does not say how it was made"]),
            ("a photo", "again photo.jpg", &["photo.jpg", "does not say how it was made"]),
            ("a photo to describe", "info photo.jpg", &["photo.jpg", "does not say how it was made"]),
            ("cut off", "again cut.png", &["cut.png", "cut off"]),
            ("cut off to describe", "info cut.png", &["cut.png", "cut off"]),
            ("cut within its text", "info head.png", &["head.png"]),
            ("a film cut off", "info cut.gif", &["cut.gif", "cut off"]),
            ("a folder", "info models", &["models", "folder"]),
            ("without settings", "again without.png", &["without.png", "\"settings\""]),
            ("settings of the future", "again more.png", &["more.png", "settings cannot be read", "more"]),
            ("steps without end", "again long.png", &["long.png", "steps is 9999999999999"]),
            ("an odd objective", "again odd.png", &["objective", "5 +"]),
            ("over the original", "again unit.png --out unit.png", &["--out unit.png", "original"]),
            ("over the original by another way", "again unit.png --out ./models/../unit.png", &["original"]),
            ("into a folder that is none", "again unit.png --out none/a.png", &["none", "does not exist"]),
            ("a model that is none", "again unit.png --model none.onnx", &["none.onnx"]),
        ],
    );
    std::fs::remove_file(place.path("models/net.onnx")).unwrap();
    refuse_all(&place, &[("the model is gone", "again unit.png", &["models/net.onnx", "--model"])]);
}

#[test]
fn what_a_picture_was_made_from_is_found_beside_it_or_where_image_says() {
    let place = Place::new();
    place.write("made/cat.png", picture(60, 50));
    place.write("made/half.png", picture(50, 60));
    let small = ["--size", "32", "--steps", "2", "-q"];
    let commands: [&[&str]; 5] = [
        &["invert", "squeezenet1_1", "cat.png", "--layer", "fire2", "--out", "invert.png"],
        &[
            "render",
            "squeezenet1_1",
            "-u",
            "fire2:1",
            "--from",
            "cat.png",
            "--mask",
            "half.png",
            "--out",
            "from.png",
        ],
        &["render", "squeezenet1_1", "--objective", "style(fire2,cat.png)", "--out", "style.png"],
        &[
            "attribute",
            "squeezenet1_1",
            "cat.png",
            "-u",
            "fire2:1",
            "--method",
            "gradient",
            "--out",
            "map.png",
        ],
        &["dream", "squeezenet1_1", "cat.png", "--layer", "fire2", "--out", "dream.png"],
    ];
    let inside = |args: &[&str]| {
        let mut command = place.command(args);
        command.current_dir(place.path("made"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for (i, command) in commands.iter().enumerate() {
        let flags: &[&str] = match i {
            3 => &[],
            4 => &["--steps", "1", "--octaves", "1"],
            _ => &small,
        };
        inside(&[command, flags].concat());
    }
    let pictures = ["invert.png", "from.png", "style.png", "map.png", "dream.png"];
    // Another folder, the photo beside the picture.
    for name in pictures {
        let again = place.json(&["again", &format!("made/{name}"), "--out", "x.png", "--json", "-q"]);
        assert_eq!(again["identical"], true, "{name}");
    }
    // The photos elsewhere, under other names.
    std::fs::rename(place.path("made/cat.png"), place.path("a.png")).unwrap();
    std::fs::rename(place.path("made/half.png"), place.path("b.png")).unwrap();
    for name in pictures {
        let path = format!("made/{name}");
        let outcome = place.run(&["again", &path, "--out", "y.png"]);
        assert_eq!(outcome.code, Some(1), "{name}");
        assert!(outcome.stderr.contains("--image"), "{name}: {}", outcome.stderr);
        let mut moved = vec!["again", &path, "--out", "x.png", "--json", "-q", "--image", "a.png"];
        if name == "from.png" {
            moved.extend(["--image", "b.png"]);
        }
        assert_eq!(place.json(&moved)["identical"], true, "{name}");
    }
}
