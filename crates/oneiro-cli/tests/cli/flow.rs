//! `oneiro flow`: its file formats, films that are made again, errors.

use oneiro_media::flow::{encode_npy, read_flow};
use oneiro_media::{Film, FilmFormat, FrameRate, Image, PngText, read_text};

use crate::bad_input::refuse_all;
use crate::place::Place;

/// Returns a film of a texture that moves one pixel to the right per frame.
fn film(frames: usize) -> Film {
    let mut film = Film::at_rate(FrameRate::new(10.0).unwrap());
    for t in 0..frames {
        let value = |x: usize, y: usize| {
            let (x, y) = (x as f32 - t as f32, y as f32);
            0.5 + 0.2 * (0.4 * x).sin() + 0.2 * (0.3 * y + 0.1 * x).cos()
        };
        let plane: Vec<f32> = (0..24).flat_map(|y| (0..32).map(move |x| value(x, y))).collect();
        film.push(&Image::rgb(32, 24, [plane.clone(), plane.clone(), plane].concat()).unwrap(), 1).unwrap();
    }
    film
}

fn place() -> Place {
    let place = Place::new();
    place.write("video.webp", film(5).to_webp(&PngText::default()).unwrap());
    place
}

#[test]
fn films_say_how_they_were_made_and_are_made_again() {
    let place = place();
    for (name, colors) in
        [("a.png", "channels"), ("a.apng", "joint"), ("a.gif", "wheel"), ("a.webp", "arrows")]
    {
        let args =
            ["flow", "video.webp", "--out", name, "--colors", colors, "--start", "1", "--set", "lambda=0.3"];
        let stdout = place.succeed(&args);
        assert!(stdout.starts_with("3 fields of 24x32, "), "{stdout}");
        assert!(stdout.ends_with(&format!("written to {name}\n")), "{stdout}");
        let info = place.succeed(&["info", name]);
        assert!(info.contains("flow: video.webp\n") && info.contains("3 frames at 10 per second"), "{info}");
        let described = place.json(&["info", name, "--json"]);
        assert_eq!(described["job"]["job"]["style"], colors);
        assert_eq!(described["job"]["job"]["tvl1"]["lambda"], 0.3);
        let said = place.succeed(&["again", name, "--threads", "1"]);
        assert!(said.contains(&format!("identical to {name}, byte for byte")), "{said}");
    }
}

#[test]
fn numbers_are_written_in_every_form_and_read_again() {
    let place = place();
    let said = place.json(&["flow", "video.webp", "--out", "a.npy", "--json"]);
    assert_eq!((&said["fields"], &said["height"], &said["width"]), (&4.into(), &24.into(), &32.into()));
    assert!((said["mean"].as_f64().unwrap() - 1.0).abs() < 0.3, "{said}");
    assert!(said["fields_per_second"].as_f64().unwrap() > 0.0 && said["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(said["files"][0], "a.npy");
    let whole = read_flow(place.path("a.npy")).unwrap();
    place.succeed(&["flow", "video.webp", "--out", "a.flo", "--start", "2", "--count", "2"]);
    assert_eq!(read_flow(place.path("a.flo")).unwrap(), whole.field(2));
    place.succeed(&["flow", "a.npy", "--out", "b.flo", "--start", "2", "--count", "1"]);
    assert_eq!(place.read("a.flo"), place.read("b.flo"));
    place.succeed(&["flow", "a.npy", "--out", "pairs/", "--bound", "3"]);
    let names: Vec<String> = place.listing().into_keys().filter(|name| name.starts_with("pairs/")).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(names.contains(&"pairs/flow_y_00004.jpg".into()));
    let said = place.json(&["flow", "pairs", "--bound", "3", "--out", "c.npy", "--json"]);
    assert_eq!(said["computing_seconds"], serde_json::Value::Null);
    let back = read_flow(place.path("c.npy")).unwrap();
    let off = back.data.iter().zip(&whole.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 0.2, "{off}");
    place.succeed(&["flow", "a.npy", "--out", "arrows.png", "--colors", "arrows"]);
    let hidden: Vec<String> = place.listing().into_keys().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [""; 0]);
}

#[test]
fn the_camera_is_taken_off() {
    let place = place();
    let mean = |more: &[&str]| {
        let args = [&["flow", "video.webp", "--out", "a.npy", "--json"], more].concat();
        place.json(&args)["mean"].as_f64().unwrap()
    };
    let (with, without) = (mean(&[]), mean(&["--compensate-camera"]));
    assert!(without < 0.5 * with, "{without} of {with}");
}

#[test]
fn requests_that_mean_nothing_are_refused() {
    let place = place();
    place.write("one.webp", film(1).to_webp(&PngText::default()).unwrap());
    place.write("a.npy", encode_npy(&oneiro_media::flow::Flow::new(2, 4, 4, vec![1.0; 64]).unwrap()));
    place.write(
        "frames/1.png",
        oneiro_media::encode_png(&Image::filled(8, 8, [0.0; 3]), &PngText::default()).unwrap(),
    );
    place.write("empty/notes.txt", "none");
    refuse_all(
        &place,
        &[
            (
                "one frame",
                "flow one.webp --out o.gif",
                &["optical flow needs two frames, and there is one of it"],
            ),
            ("a folder of one frame", "flow frames --out o.gif", &["needs two frames"]),
            ("no frames", "flow empty --out o.gif", &["the folder has no pictures"]),
            ("no file", "flow gone.mp4 --out o.gif", &["there is no such file"]),
            ("another ending", "flow video.webp --out o.jpg", &["films end in .png, .apng"]),
            ("several fields", "flow video.webp --out o.flo", &["there are 4; write .npy"]),
            ("over the video", "flow video.webp --out video.webp", &["that is what the result is made from"]),
            ("no folder", "flow video.webp --out gone/o.gif", &["gone"]),
            ("a folder with files", "flow video.webp --out empty/", &["is not empty"]),
            ("among the frames", "flow frames --out frames/o.gif", &["one of the frames"]),
            ("colours of numbers", "flow video.webp --out o.npy --colors wheel", &["--colors is for films"]),
            ("the rate of numbers", "flow video.webp --out o.npy --fps 5", &["--fps is for films"]),
            ("a bound of no pictures", "flow video.webp --out o.npy --bound 5", &["--bound is for folders"]),
            ("no rate", "flow video.webp --out o.gif --fps 0", &["0 frames per second"]),
            (
                "an unknown parameter",
                "flow video.webp --out o.gif --set lamda=1",
                &["--set lamda=1: unknown field `lamda`"],
            ),
            ("no value", "flow video.webp --out o.gif --set lambda", &["KEY=VALUE"]),
            ("a word", "flow video.webp --out o.gif --set lambda=much", &["--set lambda=much"]),
            ("a value out of range", "flow video.webp --out o.gif --set lambda=-1", &["lambda is -1"]),
            ("no step", "flow video.webp --out o.gif --every 0", &["--every 0"]),
            ("one frame is left", "flow video.webp --out o.gif --start 4", &["(--start, --count, --every)"]),
            ("flow has its size", "flow a.npy --out o.gif --size 9", &["optical flow already"]),
            ("no such field", "flow a.npy --out o.gif --start 2", &["it has 2 flow fields"]),
            ("too large", "flow video.webp --out o.gif --enlarge 9999", &["too much for a film"]),
            ("a bad size", "flow video.webp --out o.gif --size 0", &["--size"]),
        ],
    );
}

#[test]
fn a_missing_ffmpeg_is_named_before_any_work() {
    let place = place();
    place.write("video.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomiso2");
    for args in [&["flow", "video.webp", "--out", "a.mp4"], &["flow", "video.mp4", "--out", "a.gif"]] {
        let output = place.command(args).env("PATH", "").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("install ffmpeg"), "{stderr}");
        assert!(!place.path(args[3]).exists());
    }
}

#[test]
fn mp4_and_webm_are_made_again() {
    // Both formats need the program `ffmpeg`; without it the test is skipped, unless data is required.
    if oneiro_media::Ffmpeg::default().version().is_err() {
        assert!(std::env::var_os("ONEIRO_REQUIRE_DATA").is_none(), "ffmpeg is missing");
        return;
    }
    let place = place();
    for name in ["a.mp4", "a.webm"] {
        place.succeed(&["flow", "video.webp", "--out", name, "--enlarge", "2"]);
        assert!(FilmFormat::of_bytes(&place.read(name)).unwrap().needs_ffmpeg());
        let text = read_text(place.path(name)).unwrap();
        assert!(text.get("ffmpeg").unwrap().starts_with("ffmpeg version"));
        let info = place.succeed(&["info", name]);
        assert!(info.contains("flow: video.webp\n"), "{info}");
        let said = place.succeed(&["again", name]);
        assert!(said.contains("byte for byte"), "{said}");
        // The written video can be read again.
        let said = place.json(&["flow", name, "--out", "b.npy", "--json"]);
        assert_eq!((&said["fields"], &said["height"]), (&3.into(), &48.into()));
    }
}
