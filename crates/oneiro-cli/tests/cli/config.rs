//! The configuration file, and completions for shells.

use crate::bad_input::refuse_all;
use crate::files::text_of;
use crate::onnx::Network;
use crate::place::{Outcome, Place};

const RENDER: &[&str] = &["render", "net.onnx", "-u", "left.conv:1"];

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\n");
    place
}

/// Runs the program with a configuration folder that belongs to this test.
fn run(place: &Place, args: &[&str]) -> Outcome {
    let mut command = place.command(args);
    command.env_remove("ONEIRO_CONFIG").env("XDG_CONFIG_HOME", place.path("home"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn the_file_gives_defaults_that_flags_override_and_pictures_keep() {
    let place = place();
    place.write(
        "home/oneiro/config.toml",
        "preset = \"conveiro\"\nsize = \"24x20\"\nsteps = 2\nout = \"../../pictures\"\n",
    );
    let outcome = run(&place, RENDER);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    for part in ["preset conveiro", "size 24x20", "steps 2", "home/oneiro/config.toml"] {
        assert!(outcome.stderr.contains(part), "{outcome:#?}");
    }
    let text = text_of(&place.path("pictures/left.conv-1.png"));
    assert_eq!((text.get("preset"), text.get("steps")), (Some("conveiro"), Some("2")));
    assert!(text.get("settings").unwrap().contains("size = [24, 20]"));
    // A picture made with the configuration file can be made again without it.
    let again = place.succeed(&["again", "pictures/left.conv-1.png"]);
    assert!(again.contains("byte for byte"), "{again}");

    let flags = ["--preset", "lucid", "--size", "16", "--steps", "1", "--out", "b.png"];
    let outcome = run(&place, &[RENDER, &flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(!outcome.stderr.contains("config.toml"), "{outcome:#?}");
    let text = text_of(&place.path("b.png"));
    assert_eq!((text.get("preset"), text.get("steps")), (Some("lucid"), Some("1")));
    let outcome =
        run(&place, &[RENDER, &["--no-config", "--size", "16", "--steps", "0", "--out", "c.png"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(text_of(&place.path("c.png")).get("preset"), Some("oneiro"));
    let sheet = run(&place, &["sheet", "net.onnx", "-l", "left.conv", "--units", "0"]);
    assert_eq!(sheet.code, Some(0), "{sheet:#?}");
    assert!(place.path("pictures/sheet.png").exists());
}

#[test]
fn another_file_may_be_named_by_flag_or_environment_and_quiet_and_threads_are_kept() {
    let place = place();
    place.write("mine.toml", "quiet = true\nthreads = 1\n");
    let outcome = place.run(&["layers", "net.onnx", "--config", "mine.toml"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let bench = place.json(&["bench", "net.onnx", "--size", "16", "--json", "--config", "mine.toml"]);
    assert_eq!(bench["threads"], 1);
    let output = place
        .command(&["bench", "net.onnx", "--size", "16", "--json"])
        .env("ONEIRO_CONFIG", "mine.toml")
        .output();
    let bench: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(bench["threads"], 1);
    let bench = place.json(&[
        "bench",
        "net.onnx",
        "--size",
        "16",
        "--json",
        "--config",
        "mine.toml",
        "--threads",
        "2",
    ]);
    assert_eq!(bench["threads"], 2);
}

#[test]
fn a_file_that_is_wrong_is_one_clear_error() {
    let place = place();
    place.write("unknown.toml", "presets = \"lucid\"\n");
    place.write("bad.toml", "preset = \"best\"\n");
    place.write("broken.toml", "preset = \n");
    refuse_all(
        &place,
        &[
            (
                "an unknown key",
                "layers net.onnx --config unknown.toml",
                &["unknown.toml", "presets", "`preset`", "`out`"],
            ),
            ("an unknown preset", "layers net.onnx --config bad.toml", &["bad.toml", "lucid, conveiro"]),
            ("no TOML", "layers net.onnx --config broken.toml", &["broken.toml", "--no-config"]),
            ("no such file", "layers net.onnx --config none.toml", &["--config none.toml", "--no-config"]),
            ("both", "layers net.onnx --config bad.toml --no-config", &["--no-config"]),
        ],
    );
    let outcome = run(&place, &["layers", "net.onnx"]);
    assert_eq!(outcome.code, Some(0), "no file in the usual place is no error: {outcome:#?}");
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.succeed(&["completions", shell]);
        for word in ["render", "again", "max-pool-rule"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    refuse_all(&place, &[("no shell", "completions csh", &["csh", "bash"])]);
}
