//! Still pictures as PNG, JPEG and WebP files.

use crate::bad_input::refuse_all;
use crate::files::{picture, text_of};
use crate::onnx::Network;
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place
}

const SHEET: &[&str] = &["sheet", "net.onnx", "--layer", "left.conv", "--steps", "2"];
const RENDER: &[&str] = &["render", "net.onnx", "--size", "20", "--steps", "5", "-u", "left.conv:1"];

#[test]
fn the_ending_says_the_format_and_every_format_is_made_again() {
    let place = place();
    for name in ["a.png", "a.webp", "a.jpg", "b.JPEG"] {
        let stdout = place.succeed(&[RENDER, &["--out", name]].concat());
        assert!(stdout.contains(name), "{stdout}");
    }
    let image = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_eq!(image("a.webp"), image("a.png"));
    let [near, exact] = ["a.jpg", "a.png"].map(image);
    let most = near.data.iter().zip(&exact.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most > 0.0 && most < 0.2, "{most}");
    assert_eq!(place.read("a.jpg"), place.read("b.JPEG"));

    let job = |name: &str| text_of(&place.path(name)).get("job").unwrap().to_owned();
    for name in ["a.webp", "a.jpg"] {
        assert_eq!(job(name), job("a.png"), "{name}");
        let said = place.succeed(&["again", name]);
        assert!(said.contains(&format!("identical to {name}, byte for byte")), "{said}");
        assert!(place.succeed(&["info", name]).contains("left.conv:1"));
    }
    refuse_all(
        &place,
        &[
            ("a JPEG again as PNG", "again a.jpg --out b.png", &["it ends as a PNG", "is a JPEG"]),
            ("a WebP again as GIF", "again a.webp --out b.gif", &["it ends as a GIF", "is a WebP"]),
        ],
    );
}

#[test]
fn sheets_go_into_every_format_and_transparency_into_webp() {
    let place = place();
    for name in ["a.webp", "a.png"] {
        place.succeed(&[SHEET, &["--size", "20", "--out", name]].concat());
    }
    let image = |name: &str| oneiro_media::read_image_alpha(place.path(name)).unwrap();
    assert_eq!(image("a.webp"), image("a.png"));
    for name in ["clear.png", "clear.webp"] {
        place.succeed(&[RENDER, &["--alpha", "--out", name]].concat());
    }
    assert!(image("clear.webp").1.is_some());
    assert_eq!(image("clear.webp"), image("clear.png"));
}

#[test]
fn a_sheet_that_its_format_cannot_hold_is_kept_as_png() {
    let place = place();
    // A WebP has at most 16384 pixels a side; this sheet is higher, with one unit in each row.
    let tall =
        ["--units", "0-2", "--columns", "1", "--size", "5600x20", "--steps", "0", "--out", "tall.webp"];
    let outcome = place.run(&[&SHEET[..4], &tall].concat());
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let stderr = outcome.stderr;
    assert!(stderr.contains("16384") && stderr.contains("written to tall.png instead"), "{stderr}");
    assert!(oneiro_media::read_image(place.path("tall.png")).unwrap().height > 16_384);
    assert!(!place.path("tall.webp").exists());
}

#[test]
fn a_photo_is_read_from_every_format() {
    let place = Place::new();
    place.write("a.png", picture(30, 20));
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../oneiro-media/tests/data/");
    for name in ["rgb.png", "rgb.bmp", "rgb.tif", "rgb.webp"] {
        place.write(name, std::fs::read(format!("{data}{name}")).unwrap());
    }
    let scores = |name: &str| place.json(&["classify", "squeezenet1_1", name, "--json"])[0]["top"].clone();
    let expected = scores("rgb.png");
    for name in ["rgb.bmp", "rgb.tif", "rgb.webp"] {
        assert_eq!(scores(name), expected, "{name}");
    }
}
