use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{decode_text, read_text};

fn text(entries: &[(&str, &str)]) -> PngText {
    PngText(entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn a_picture_comes_back_with_its_text() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let image = Image::from_rgb8(3, 2, &(0..18).map(|i| i * 14).collect::<Vec<u8>>()).unwrap();
    let how = text(&[
        ("model", "squeezenet1_1"),
        ("unit", "fire8:12"),
        ("empty", ""),
        ("lines", "one\ntwo"),
        ("latin", "Größe ±½"),
        ("greek", "κ = 0.5, γ → 10 ✓"),
    ]);
    write_png(&path, &image, &how).unwrap();
    assert_eq!(crate::read_image(&path).unwrap(), image);
    assert_eq!(read_text(&path).unwrap(), how);
    assert_eq!(how.get("unit"), Some("fire8:12"));
    assert_eq!(how.get("seed"), None);

    let bytes = fs::read(&path).unwrap();
    let chunks = |kind: &[u8]| bytes.windows(4).filter(|window| *window == kind).count();
    assert_eq!((chunks(b"tEXt"), chunks(b"iTXt"), chunks(b"tIME")), (5, 1, 0));
    assert!(bytes.windows(12).any(|window| window == b"oneiro:model"));
}

#[test]
fn a_transparent_picture_comes_back_with_its_colours_and_text() {
    let image = Image::from_rgb8(3, 2, &(0..18).map(|i| i * 14).collect::<Vec<u8>>()).unwrap();
    let alpha = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let how = text(&[("seed", "7")]);
    let bytes = encode_png_alpha(&image, &alpha, &how).unwrap();
    assert_eq!(crate::decode_image_alpha(&bytes, "a.png").unwrap(), (image.clone(), Some(alpha.to_vec())));
    assert_eq!(decode_text(&bytes, "a.png").unwrap(), how);
    assert_eq!(bytes[25], 6, "the colour type RGBA");
    let clamped = encode_png_alpha(&image, &[-1.0, 2.0, f32::NAN, 1.0, 1.0, 1.0], &how).unwrap();
    let (_, alpha) = crate::decode_image_alpha(&clamped, "b.png").unwrap();
    assert_eq!(alpha.unwrap()[..3], [0.0, 1.0, 0.0]);
    let error = encode_png_alpha(&image, &[1.0; 5], &how).unwrap_err().to_string();
    assert_eq!(error, "an image of 3×2 pixels needs one alpha value a pixel; 5 were given");
}

#[test]
fn the_same_picture_and_text_give_the_same_bytes() {
    let image = Image::rgb(32, 32, (0..3 * 1024).map(|i| (i * 37 % 256) as f32 / 255.0).collect()).unwrap();
    let how = text(&[("seed", "7")]);
    assert_eq!(encode_png(&image, &how).unwrap(), encode_png(&image, &how).unwrap());
}

#[test]
fn keywords_and_texts_that_png_cannot_hold_are_errors() {
    let image = Image::filled(1, 1, [0.0; 3]);
    let long = "k".repeat(73);
    for (key, value) in
        [("", "x"), (long.as_str(), "x"), ("größe", "x"), ("a  b", "x"), ("a ", "x"), ("a", "x\0y")]
    {
        let error = encode_png(&image, &text(&[(key, value)])).unwrap_err();
        assert!(matches!(error, MediaError::Text { .. }), "{key}: {error:?}");
    }
    assert!(encode_png(&image, &text(&[(&long[..72], "x")])).is_ok());
    assert!(encode_png(&Image::filled(0, 0, [0.0; 3]), &PngText::default()).is_err());
}

#[test]
fn text_is_read_from_files_that_carry_it_alone() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    assert_eq!(read_text(format!("{data}rgb.png")).unwrap(), PngText::default());
    let error = read_text(format!("{data}rgb.bmp")).unwrap_err().to_string();
    assert!(
        error.contains(
            "rgb.bmp` was made: it is no PNG, GIF, JPEG, WebP, MP4, WebM or HTML file; only pictures"
        ),
        "{error}"
    );

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.png");
    fs::write(&path, &fs::read(format!("{data}rgb.png")).unwrap()[..30]).unwrap();
    assert!(matches!(read_text(&path), Err(MediaError::NoText { .. })));
}
