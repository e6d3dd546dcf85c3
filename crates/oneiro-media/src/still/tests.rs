use super::*;
use crate::{Image, decode_image, decode_image_alpha, decode_text, encode_png, encode_png_alpha};

fn slope() -> Image {
    let rgb =
        (0..3 * 48 * 40).map(|i| ((i % 48) as f32 / 47.0 + (i / 48 % 40) as f32 / 39.0) / 2.0).collect();
    Image::rgb(48, 40, rgb).unwrap()
}

fn how() -> PngText {
    let entries = [("model", "a.onnx"), ("job", "{\n  \"κ\": 0.5\n}"), ("empty", "")];
    PngText(entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn endings_and_first_bytes_tell_formats() {
    let cases = [
        ("a.png", Some(StillFormat::Png)),
        ("b/a.JPG", Some(StillFormat::Jpeg)),
        ("a.jpeg", Some(StillFormat::Jpeg)),
        ("a.webp", Some(StillFormat::WebP)),
        ("a.gif", None),
        ("png", None),
    ];
    for (name, format) in cases {
        assert_eq!(StillFormat::of_name(name), format, "{name}");
    }
    let png = encode_png(&slope(), &how()).unwrap();
    for format in [StillFormat::Png, StillFormat::Jpeg, StillFormat::WebP] {
        assert_eq!(StillFormat::of_bytes(&format.transcode(&png).unwrap()), Some(format));
    }
    assert_eq!(StillFormat::of_bytes(b"GIF89a"), None);
}

#[test]
fn every_format_holds_the_picture_and_its_text_and_always_the_same_bytes() {
    let (image, how) = (slope(), how());
    let png = encode_png(&image, &how).unwrap();
    let kept = decode_image(&png, "a.png").unwrap();
    for format in [StillFormat::Png, StillFormat::Jpeg, StillFormat::WebP] {
        let bytes = format.transcode(&png).unwrap();
        assert_eq!(bytes, format.transcode(&png).unwrap(), "{format:?}");
        let mut text = decode_text(&bytes, "a").unwrap();
        text.0.sort();
        let mut expected = how.clone();
        expected.0.sort();
        assert_eq!(text, expected, "{format:?}");
        let back = decode_image(&bytes, "a").unwrap();
        let most = back.data.iter().zip(&kept.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let allowed = if format == StillFormat::Jpeg { 0.03 } else { 0.0 };
        assert!(most <= allowed, "{format:?}: {most}");
    }
}

#[test]
fn a_text_of_any_length_is_held() {
    let length = (0..5).map(|i| 65_533 * i / 2);
    for length in length.chain([65_500, 65_514, 65_515, 65_516]) {
        let mut how = how();
        how.push("long", "x".repeat(length));
        let png = encode_png(&slope(), &how).unwrap();
        for format in [StillFormat::Jpeg, StillFormat::WebP] {
            let text = decode_text(&format.transcode(&png).unwrap(), "a").unwrap();
            assert_eq!(text.get("long").map(str::len), Some(length), "{format:?}");
        }
    }
}

#[test]
fn webp_keeps_transparency_and_jpeg_refuses_it() {
    let alpha: Vec<f32> = (0..48 * 40).map(|i| (i % 6) as f32 / 5.0).collect();
    let png = encode_png_alpha(&slope(), &alpha, &how()).unwrap();
    let webp = StillFormat::WebP.transcode(&png).unwrap();
    let of = |bytes: &[u8]| decode_image_alpha(bytes, "a").unwrap();
    assert_eq!(of(&webp), of(&png));
    let error = StillFormat::Jpeg.transcode(&png).unwrap_err().to_string();
    assert!(error.contains("transparent, which JPEG cannot hold"), "{error}");
}

#[test]
fn sides_that_a_format_cannot_hold_are_errors() {
    let cases = [
        (StillFormat::Jpeg, 65_536, "65536×1 pixels, and a JPEG file at most 65535 a side"),
        (StillFormat::WebP, 16_385, "16385×1 pixels, and a WebP file at most 16384 a side"),
    ];
    for (format, width, expected) in cases {
        let png = encode_png(&Image::filled(width, 1, [0.5; 3]), &PngText::default()).unwrap();
        let error = format.transcode(&png).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_damaged_text_of_ours_is_an_error() {
    let png = encode_png(&slope(), &how()).unwrap();
    for format in [StillFormat::Jpeg, StillFormat::WebP] {
        let mut bytes = format.transcode(&png).unwrap();
        let at = bytes.windows(7).position(|part| part == b"oneiro:").unwrap();
        // Damages the file: the line with the first entry's keyword and length no longer ends.
        let end = at + 8 + bytes[at + 8..].iter().position(|&byte| byte == b'\n').unwrap();
        bytes[end] = b'9';
        let error = decode_text(&bytes, "damaged").unwrap_err().to_string();
        assert!(error.contains("damaged"), "{}: {error}", format.name());
    }
}

#[test]
fn files_of_other_programs_and_damaged_ones_say_nothing_and_never_panic() {
    for name in ["upright.jpg", "turned.jpg", "rgb.webp"] {
        let bytes = std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(decode_text(&bytes, name).unwrap(), PngText::default(), "{name}");
    }
    let png = encode_png(&slope(), &how()).unwrap();
    for format in [StillFormat::Jpeg, StillFormat::WebP] {
        let bytes = format.transcode(&png).unwrap();
        for at in 0..bytes.len().min(400) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = decode_text(&damaged, "damaged");
            let _ = decode_text(&bytes[..at], "cut");
        }
    }
}
