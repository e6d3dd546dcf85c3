//! `dream` on videos: frame by frame through a network of images, as a whole through one of clips.

use oneiro_media::{Image, VideoReader};
use serde_json::Value;

use crate::bad_input::refuse_all;
use crate::clips::{clips, of_clips, two_streams};
use crate::files::read_safetensors;
use crate::outside;
use crate::place::Place;

/// Height and width of the videos.
const SIZE: [usize; 2] = [24, 32];

fn place() -> Place {
    let place = Place::new();
    of_clips(&place);
    place.write("net.onnx", crate::onnx::Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 32]\n");
    clips(&place, 6, SIZE);
    place
}

fn frames(place: &Place, name: &str) -> Vec<Image> {
    let reader = VideoReader::open(place.path(name), &Default::default()).unwrap();
    reader.map(Result::unwrap).collect()
}

/// The root mean square of the differences of two pictures.
fn distance(a: &Image, b: &Image) -> f64 {
    let squares = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / a.data.len() as f64).sqrt()
}

fn rise(said: &Value) -> f64 {
    let unit = &said["units"][0];
    unit["value"].as_f64().unwrap() - unit["value_at_start"].as_f64().unwrap()
}

const DREAM: [&str; 6] = ["--octaves", "2", "--steps", "3", "--seed", "4"];

#[test]
fn a_network_of_clips_dreams_on_the_whole_clip() {
    let place = place();
    // Six frames for a network that sees four: two windows.
    let args = ["dream", "clip.onnx", "clips/right/b.png", "--layer", "/relu/out"];
    let said = place.json(&[&args[..], &DREAM, &["--out", "d.webp", "--raw", "d.st", "--json"]].concat());
    assert!(rise(&said) > 0.0, "{said}");
    let [before, after] = [frames(&place, "clips/right/b.png"), frames(&place, "d.webp")];
    assert_eq!(after.len(), 6);
    for (t, (before, after)) in before.iter().zip(&after).enumerate() {
        assert!(distance(before, after) > 0.01, "frame {t} is as it was");
    }
    let (tensors, _) = read_safetensors(&place.read("d.st"));
    let (shape, data) = &tensors["clip/0"];
    assert_eq!(*shape, [3, 6, 24, 32]);
    let written = data[..32].iter().zip(&after[0].data).map(|(raw, saved)| (raw - saved).abs());
    assert!(written.fold(0.0, f32::max) < 1.0 / 255.0);
    place.succeed(&["again", "d.webp", "--out", "again.webp"]);
    assert_eq!(place.read("again.webp"), place.read("d.webp"));
    place.succeed(&[&args[..], &DREAM, &["--out", "t.webp", "--threads", "3"]].concat());
    assert_eq!(place.read("t.webp"), place.read("d.webp"));
    // From noise, as many frames as the network sees.
    place.succeed(
        &[&["dream", "clip.onnx", "noise", "--layer", "/relu/out", "--size", "24x32"], &DREAM[..]].concat(),
    );
    assert_eq!(frames(&place, "noise.dream.apng").len(), 4);
}

#[test]
fn a_network_of_images_dreams_on_each_frame_and_carries_the_dream_along() {
    let place = place();
    let args = ["dream", "net.onnx", "clips/right/b.png", "--layer", "left.conv"];
    let dream = |out: &str, more: &[&str]| {
        let said = place.json(&[&args[..], &DREAM, &["--json", "--out", out], more].concat());
        assert!(rise(&said) > 0.0, "{said}");
        frames(&place, out)
    };
    let [carried, alone] = [dream("d.apng", &[]), dream("a.apng", &["--blend", "0"])];
    let before = frames(&place, "clips/right/b.png");
    assert_eq!((carried.len(), alone.len()), (6, 6));
    assert_eq!(carried[0], alone[0]);
    // What is dreamt of each frame is larger where dreams are carried.
    let strength = |dreamt: &[Image]| (3..6).map(|t| distance(&dreamt[t], &before[t])).sum::<f64>();
    assert!(strength(&carried) > 1.1 * strength(&alone), "{} {}", strength(&carried), strength(&alone));
    // A frame alone is dreamt as it is from a picture: rolls are the same for all.
    place.write("third.png", oneiro_media::encode_png(&before[2], &Default::default()).unwrap());
    place.succeed(
        &[
            &["dream", "net.onnx", "third.png", "--layer", "left.conv", "--out", "third.dream.png"],
            &DREAM[..],
        ]
        .concat(),
    );
    assert_eq!(frames(&place, "third.dream.png")[0], alone[2]);
    place.succeed(&["again", "d.apng", "--out", "again.apng"]);
    assert_eq!(place.read("again.apng"), place.read("d.apng"));
    let three = dream("three.gif", &["--frames", "3", "--fps", "5", "--threads", "3"]);
    assert_eq!(three.len(), 3);
}

#[test]
fn films_of_all_formats() {
    let place = place();
    place.write("photo.png", crate::files::picture(32, 24));
    let zoom = [
        "dream",
        "net.onnx",
        "photo.png",
        "--layer",
        "left.conv",
        "--frames",
        "3",
        "--octaves",
        "1",
        "--steps",
        "1",
    ];
    let mut formats = vec!["webp"];
    if outside::ffmpeg().is_some() {
        formats.extend(["mp4", "webm"]);
    }
    for format in formats {
        let [zoomed, film] = [format!("z.{format}"), format!("f.{format}")];
        place.succeed(&[&zoom[..], &["--out", "z.png", "--zoom", &zoomed]].concat());
        assert_eq!(frames(&place, &zoomed).len(), 3, "{format}");
        assert!(place.succeed(&["info", &zoomed]).contains("unit: left.conv"), "{format}");
        place.succeed(&["again", &zoomed, "--out", "again.bin"]);
        assert_eq!(place.read("again.bin"), place.read(&zoomed), "{format}");
        let render = [
            "render",
            "net.onnx",
            "--unit",
            "left.conv:0",
            "--steps",
            "4",
            "--out",
            "r.png",
            "--film",
            &film,
        ];
        place.succeed(&render);
        assert!(frames(&place, &film).len() >= 5, "{format}");
        place.succeed(&["again", &film, "--out", "again.bin"]);
        assert_eq!(place.read("again.bin"), place.read(&film), "{format}");
    }
    let without = |args: &[&str]| {
        let output = place.command(args).env("PATH", "").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    for args in [
        [&zoom[..], &["--out", "no.png", "--zoom", "no.mp4"]].concat(),
        vec![
            "render",
            "net.onnx",
            "--unit",
            "left.conv:0",
            "--steps",
            "2",
            "--out",
            "no.png",
            "--film",
            "no.webm",
        ],
        vec!["attribute", "clip.onnx", "clips/up/a.gif", "--out", "no.mp4"],
        vec!["video", "clip.onnx", "--unit", "relu:1", "--steps", "2", "--out", "no.mp4"],
    ] {
        let said = without(&args);
        assert!(said.contains("ffmpeg"), "{said}");
    }
    assert!(!place.path("no.png").exists(), "the program is asked for before the work");
}

#[test]
fn dreams_that_cannot_be_are_named() {
    let place = place();
    two_streams(&place);
    place.write("photo.png", crate::files::picture(32, 24));
    let clip = "clips/up/a.gif";
    refuse_all(
        &place,
        &[
            (
                "a zoom of a video",
                &format!("dream net.onnx {clip} --layer left.conv --zoom z.gif"),
                &["--zoom", "video"],
            ),
            ("a still", &format!("dream net.onnx {clip} --layer left.conv --out d.jpg"), &["d.jpg", ".mp4"]),
            ("raw frames", &format!("dream net.onnx {clip} --layer left.conv --raw d.st"), &["--raw"]),
            ("a blend of clips", &format!("dream clip.onnx {clip} --layer relu --blend 0.5"), &["--blend"]),
            ("a blend of one", &format!("dream net.onnx {clip} --layer left.conv --blend 1"), &["below 1"]),
            (
                "a blend of a picture",
                "dream net.onnx photo.png --layer left.conv --blend 0.2",
                &["--blend", "videos"],
            ),
            (
                "frames of a picture",
                "dream net.onnx photo.png --layer left.conv --frames 4",
                &["--frames", "--zoom"],
            ),
            ("no frames", &format!("dream net.onnx {clip} --layer left.conv --frames 0"), &["at least one"]),
            ("two streams", &format!("dream two.onnx {clip} --layer /both"), &["several pictures"]),
            ("no video", "dream net.onnx nowhere.mp4 --layer left.conv", &["nowhere.mp4"]),
        ],
    );
}
