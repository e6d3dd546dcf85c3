//! Small conveniences and messages that users meet first.

use crate::bad_input::refuse_all;
use crate::files::{npy, picture, read_safetensors, text_of, wave};
use crate::onnx::{CLASSES, Network};
use crate::place::{Place, Report, check};

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("classes.txt", "goldfish\ncrane\nred fox\ncrane\n");
    place
}

#[test]
fn objectives_name_classes_by_their_labels() {
    let place = place();
    let picture = |expression: &str| {
        place.succeed(&[
            "render",
            "net.onnx",
            "--objective",
            expression,
            "--steps",
            "2",
            "--size",
            "16",
            "--out",
            "a.png",
        ]);
        place.read("a.png")
    };
    let mut report = Report::default();
    for (named, numbered) in [
        ("logit(goldfish)", "logit(0)"),
        ("logit(red fox) - 0.5*prob(\"goldfish\")", "logit(2) - 0.5*prob(0)"),
        ("prob( \"red fox\" )", "prob(2)"),
    ] {
        report.case(named, check(picture(named) == picture(numbered), || "another picture".into()));
    }
    report.finish();
    let args = [
        "render",
        "net.onnx",
        "--objective",
        "logit(2) - 0.5*prob(0)",
        "--steps",
        "2",
        "--size",
        "16",
        "--json",
    ];
    let said = place.json(&args);
    assert_eq!(said["units"][0]["unit"], "logit(red_fox) - 0.5*prob(goldfish)");
    assert_eq!(said["units"][0]["objective"], "logit(2) - 0.5*prob(0)");
    // Of two classes with one name, each keeps its index.
    let said = place.json(&[
        "render",
        "net.onnx",
        "--objective",
        "logit(1)",
        "--steps",
        "2",
        "--size",
        "16",
        "--json",
    ]);
    assert_eq!(said["units"][0]["unit"], "logit(1)");
    place.write("x.npy", npy(&[1, 3, 24, 24], &wave(3 * 24 * 24)));
    let value = |expression: &str| {
        place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--grad", expression, "--out", "r.st"]);
        read_safetensors(&place.read("r.st")).0["value"].1[0]
    };
    assert_eq!(value("logit(red fox)"), value("logit(2)"));
    refuse_all(
        &place,
        &[
            ("no such class", "render net.onnx --objective logit(goldfinch)", &["goldfinch"]),
            ("two of a name", "render net.onnx --objective logit(crane)", &["crane", "1", "3"]),
            ("no class at all", "render net.onnx --objective logit()", &["logit"]),
            (
                "an expression with a hole",
                "render net.onnx --objective '1 + logit(red fox'",
                &["logit(", "closed"],
            ),
        ],
    );
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    refuse_all(
        &place,
        &[("without labels", "render net.onnx --objective logit(goldfish)", &["goldfish", "--labels"])],
    );
}

#[test]
fn one_bad_image_does_not_end_a_classification() {
    let place = place();
    place.write("a.png", picture(30, 30));
    place.write("bad.png", "no picture");
    place.write("c.png", picture(40, 30));
    let outcome = place.run(&["classify", "net.onnx", "a.png", "bad.png", "c.png", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let verdicts: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let files: Vec<&str> = verdicts.as_array().unwrap().iter().map(|v| v["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["a.png", "c.png"]);
    assert_eq!(verdicts[0]["top"].as_array().map(Vec::len), Some(CLASSES));
    assert!(outcome.stderr.contains("bad.png") && outcome.stderr.contains("1 of 3 images"), "{outcome:#?}");
}

#[test]
fn files_of_other_frameworks_and_files_that_flags_name_are_told_what_to_do() {
    let place = place();
    for name in ["net.pth", "net.keras"] {
        place.write(name, "weights");
    }
    refuse_all(
        &place,
        &[
            ("weights of PyTorch", "layers net.pth", &["net.pth", "ONNX", "docs/"]),
            ("a Keras model", "layers net.keras", &["net.keras", "ONNX", "docs/"]),
            (
                "no such card",
                "classify net.onnx --card none.toml a.png",
                &["--card none.toml", "no such file"],
            ),
            ("no such golden", "check net.onnx none.st", &["none.st", "no such file"]),
            (
                "units without a layer",
                "sheet net.onnx --class goldfish --units 0-3",
                &["--units", "--layer", "--unit LAYER:0-15"],
            ),
        ],
    );
}

#[test]
fn several_units_make_the_folder_they_go_to_with_or_without_a_slash() {
    for out in ["new", "new/", "a/b", "v1.2"] {
        let place = place();
        place.succeed(&[
            "render",
            "net.onnx",
            "-u",
            "left.conv:0",
            "-u",
            "left.conv:1",
            "--steps",
            "0",
            "--size",
            "16",
            "--out",
            out,
        ]);
        assert!(place.path(out).join("left.conv-1.png").exists(), "{out}");
    }
}

#[test]
fn numbers_that_are_none_are_called_so() {
    let place = Place::new();
    place.write("p.png", picture(40, 40));
    refuse_all(
        &place,
        &[
            (
                "a number",
                "invert squeezenet1_1 p.png -l fire2 --strength abc",
                &["abc", "a number is needed"],
            ),
            ("a seed", "render squeezenet1_1 -u fire2:1 --seed -1", &["-1", "a whole number is needed"]),
            (
                "a setting of another kind",
                "render squeezenet1_1 -u fire2:1 --set param.cppn.hidden=10",
                &["fourier", "--param cppn"],
            ),
            ("too large a dream", "dream squeezenet1_1 p.png -l fire2 --size 20000", &["16384"]),
        ],
    );
}

#[test]
fn results_that_nobody_named_are_named_after_what_they_are_of() {
    let place = place();
    place.write("my cat.png", picture(24, 24));
    place.write("dog.png", picture(24, 24));
    let quick = ["--steps", "1", "--size", "24", "--json"];
    let mut report = Report::default();
    for (command, args, file) in [
        (
            "interpolate",
            &["--from-unit", "left.conv:1", "--to-unit", "class:red fox", "--frames", "2"][..],
            "left.conv-1.class-red-fox.interpolation.png",
        ),
        ("accentuate", &["my cat.png", "-u", "class:goldfish"][..], "my-cat.class-goldfish.accentuation.png"),
        (
            "accentuate",
            &["my cat.png", "dog.png", "-u", "left.conv:1", "-u", "left.conv:2"][..],
            "my-cat-and-1-more.left.conv-1-and-1-more.accentuation.png",
        ),
    ] {
        let said = place.json(&[&[command, "net.onnx"], args, &quick].concat());
        let right = said["files"] == serde_json::json!([file]) && place.path(file).exists();
        report.case(file, check(right, || said["files"].to_string()));
    }
    report.finish();
}

#[test]
fn drawings_say_what_they_are_of_and_are_made_again() {
    let place = place();
    std::fs::create_dir(place.path("photos")).unwrap();
    place.write("photos/p.png", picture(40, 30));
    let measured = ["statistics", "photos", "--size", "32", "--out", "own.safetensors", "--picture", "s.png"];
    place.succeed(&measured);
    let text = text_of(&place.path("s.png"));
    for (key, value) in
        [("folder", "photos"), ("images", "1"), ("size", "32x32"), ("statistics", "own.safetensors")]
    {
        assert_eq!(text.get(key), Some(value), "{key}");
    }
    assert!(place.succeed(&["info", "s.png"]).contains("spectrum: logarithms"));
    let inverted =
        ["invert", "net.onnx", "photos/p.png", "-l", "left.conv", "--steps", "1", "--plot", "e.png"];
    place.succeed(&inverted);
    assert!(place.succeed(&["info", "e.png"]).contains("plot: relative errors"));
    // Plots and sheets are made again from their metadata, but files of version 0.1.0 do not record enough.
    for drawing in ["s.png", "e.png"] {
        place.succeed(&["again", drawing, "--out", "again.png"]);
        assert_eq!(place.read(drawing), place.read("again.png"), "{drawing}");
        let mut text = text_of(&place.path(drawing));
        text.0.retain(|(key, _)| key != "job");
        let image = oneiro_media::read_image(place.path(drawing)).unwrap();
        oneiro_media::write_png(place.path(&format!("old-{drawing}")), &image, &text).unwrap();
    }
    refuse_all(
        &place,
        &[
            ("a spectrum", "again old-s.png", &["old-s.png", "`oneiro statistics … --picture`"]),
            ("a plot", "again old-e.png", &["old-e.png", "`oneiro invert … --plot`"]),
        ],
    );
}
