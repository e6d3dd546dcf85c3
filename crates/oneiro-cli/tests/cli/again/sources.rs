//! Models and photos that were moved, and pictures that cannot be made again.

use crate::again::{MADE, place};
use crate::bad_input::refuse_all;
use crate::files::{picture, text_of};
use crate::onnx::Network;
use crate::place::Place;

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
    // A folder that contains both pictures and models may be moved as a whole.
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
    // Version 0.1.0 did not record the job.
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
    // The program runs in another folder; the photo lies beside the picture.
    for name in pictures {
        let again = place.json(&["again", &format!("made/{name}"), "--out", "x.png", "--json", "-q"]);
        assert_eq!(again["identical"], true, "{name}");
    }
    // The photos lie elsewhere, under other names.
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
