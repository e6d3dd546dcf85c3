//! Help texts, the page of `oneiro demo`, and the output of quiet runs.

use crate::contracts::place;
use crate::files::{npy, picture, wave};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

#[test]
fn quiet_runs_say_nothing_but_results() {
    let place = place();
    place.write("bare.onnx", Network::default().bytes());
    place.write("photo.png", picture(24, 24));
    place.write("x.npy", npy(&[1, 3, 8, 8], &wave(192)));
    let mut report = Report::default();
    // Guesses about a model without a card are reported only by commands that prepare images.
    for (guesses, args) in [
        (false, &["layers", "bare.onnx"][..]),
        (true, &["classify", "bare.onnx", "photo.png"]),
        (true, &["render", "bare.onnx", "-u", "left.conv:1", "--size", "16", "--steps", "1"]),
        (true, &["sheet", "bare.onnx", "-l", "left.conv", "--size", "16", "--steps", "1"]),
        (false, &["run", "bare.onnx", "--input", "x=x.npy", "--capture", "left.conv", "--out", "a.st"]),
    ] {
        let quiet = place.run(&[args, &["--quiet"]].concat());
        let right = quiet.code == Some(0) && quiet.stderr.is_empty() && !quiet.stdout.is_empty();
        report.case(args[0], check(right, || format!("{quiet:#?}")));
        let loud = place.run(args);
        let right =
            loud.code == Some(0) && loud.stderr.contains("nothing says how images are prepared") == guesses;
        report.case(args[0], check(right && loud.stdout == quiet.stdout, || format!("{loud:#?}")));
    }
    report.finish();
}

#[test]
fn the_page_of_the_demo_shows_its_pictures_and_how_to_make_them() {
    let place = Place::new();
    let stdout = place.succeed(&["demo", "--steps", "1", "--out", "new/demo"]);
    assert!(stdout.contains("index.html"), "{stdout}");
    let page = String::from_utf8(place.read("new/demo/index.html")).unwrap();
    let mut files = place.listing();
    files.retain(|_, content| content.is_some());
    // The page contains its pictures, which also lie beside it.
    let shown = page.matches("<img src=\"data:image/png;base64,").count();
    assert!(shown >= 12 && files.len() == shown + 1, "{shown} {:?}", files.keys());
    let again = place.json(&["again", "new/demo/index.html", "--json"]);
    assert_eq!(again["identical"], true, "{again}");
    assert!(place.succeed(&["info", "new/demo/index.html"]).contains("steps"));
    // The command shown beside a picture makes the same bytes.
    let commands: Vec<String> = page
        .split("<code>")
        .skip(1)
        .map(|c| c.split("</code>").next().unwrap().replace("&quot;", "\"").replace("&#34;", "\""))
        .collect();
    assert_eq!(commands.len(), shown);
    let mut report = Report::default();
    for command in [&commands[0], &commands[commands.len() / 2], &commands[commands.len() - 1]] {
        // In the shown commands, only the unit is in quotes.
        let parts: Vec<&str> = command.split('"').collect();
        assert_eq!(parts.len(), 3, "{command}");
        let args: Vec<&str> =
            parts[0].split_whitespace().chain([parts[1]]).chain(parts[2].split_whitespace()).collect();
        assert_eq!(args[0], "oneiro");
        place.succeed(&args[1..]);
        let file = args[args.len() - 1];
        let same = place.read(file) == place.read(&format!("new/demo/{file}"));
        report.case(command, check(same, || "makes other bytes than the demo".into()));
    }
    report.finish();
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let place = Place::new();
    let mut report = Report::default();
    for command in ["demo", "classify", "layers", "render", "sheet", "run", "check", "bench"] {
        let outcome = place.run(&[command, "--help"]);
        let right = outcome.code == Some(0)
            && outcome.stderr.is_empty()
            && outcome.stdout.contains("Example")
            && outcome.stdout.contains(&format!("oneiro {command}"));
        report.case(command, check(right, || format!("{outcome:#?}")));
    }
    report.finish();
    assert_eq!(place.succeed(&["--version"]).trim(), concat!("oneiro ", env!("CARGO_PKG_VERSION")));
    let outcome = place.run(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(outcome.stderr.contains("Usage"), "{}", outcome.stderr);
}
