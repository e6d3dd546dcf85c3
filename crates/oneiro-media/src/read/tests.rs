use super::*;

/// A test file, made by `tests/data/make.py`: 12 × 8 pixels, left half red, right half blue, unless said
/// otherwise.
macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/data/", $name)) as &[u8]
    };
}

const RED: [f32; 3] = [1.0, 0.0, 0.0];
const BLUE: [f32; 3] = [0.0, 0.0, 1.0];

fn assert_near(got: [f32; 3], expected: [f32; 3], what: &str) {
    let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02);
    assert!(near, "{what}: {got:?} is not {expected:?}");
}

#[test]
fn every_format_gives_the_same_picture() {
    let cases = [
        ("rgb.png", file!("rgb.png")),
        ("palette.png", file!("palette.png")),
        ("rgb.webp", file!("rgb.webp")),
        ("rgb.bmp", file!("rgb.bmp")),
        ("rgb.tif", file!("rgb.tif")),
        ("first.gif", file!("first.gif")),
        ("upright.jpg", file!("upright.jpg")),
    ];
    for (name, bytes) in cases {
        let image = decode_image(bytes, name).unwrap();
        assert_eq!((image.width, image.height, image.data.len()), (12, 8, 3 * 96), "{name}");
        assert_near(image.pixel(0, 0), RED, name);
        assert_near(image.pixel(11, 7), BLUE, name);
    }
}

#[test]
fn a_photo_is_turned_as_its_exif_orientation_says() {
    let image = decode_image(file!("turned.jpg"), "turned.jpg").unwrap();
    assert_eq!((image.width, image.height), (8, 12));
    assert_near(image.pixel(4, 1), RED, "top");
    assert_near(image.pixel(4, 10), BLUE, "bottom");
}

#[test]
fn sixteen_bits_keep_their_depth_and_grey_becomes_three_channels() {
    let image = decode_image(file!("grey16.png"), "grey16.png").unwrap();
    assert_eq!(decode_image(file!("grey16.tif"), "grey16.tif").unwrap(), image);
    for (i, (x, y)) in [(1, 0), (7, 3), (11, 7)].into_iter().enumerate() {
        let value = (f64::from(y * 12 + x) * 65535.0 / 95.0).round() / 65535.0;
        let [red, green, blue] = image.pixel(x as usize, y as usize);
        assert!((f64::from(red) - value).abs() < 1e-6, "pixel {i}: {red} is not {value}");
        assert_eq!((red, red), (green, blue));
    }
    let image = decode_image(file!("grey8.jpg"), "grey8.jpg").unwrap();
    assert_near(image.pixel(11, 7), [1.0; 3], "white");
}

#[test]
fn transparency_is_composited_on_black() {
    let image = decode_image(file!("alpha.png"), "alpha.png").unwrap();
    assert_near(image.pixel(0, 0), [0.2, 0.0, 0.0], "a fifth of red");
    assert_near(image.pixel(11, 7), BLUE, "opaque");
}

#[test]
fn transparency_is_handed_over_beside_the_colours_if_asked_for() {
    let (image, alpha) = decode_image_alpha(file!("alpha.png"), "alpha.png").unwrap();
    let alpha = alpha.unwrap();
    assert_eq!((image.pixel(0, 0), image.pixel(11, 7)), (RED, BLUE));
    assert_eq!((alpha.len(), alpha[0], alpha[47], alpha[48]), (96, 0.2, 0.2, 1.0));
    for bytes in [file!("rgb.png"), file!("palette.png"), file!("grey16.png"), file!("first.gif")] {
        let (image, alpha) = decode_image_alpha(bytes, "opaque").unwrap();
        assert_eq!((image, alpha), (decode_image(bytes, "opaque").unwrap(), None));
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_and_never_a_panic() {
    let cases = [
        ("rgb.png", file!("rgb.png")),
        ("rgb.webp", file!("rgb.webp")),
        ("first.gif", file!("first.gif")),
        ("turned.jpg", file!("turned.jpg")),
        ("rgb.bmp", file!("rgb.bmp")),
        ("rgb.tif", file!("rgb.tif")),
    ];
    for (name, bytes) in cases {
        for length in 0..bytes.len() {
            // Decoding needs neither the final chunk of a PNG, nor a WebP's padding, nor the later frames of
            // a GIF.
            let complete_enough = match name {
                "rgb.png" => length >= bytes.len() - 16,
                "rgb.webp" => length == bytes.len() - 1,
                "first.gif" => length > 40,
                _ => false,
            };
            let result = decode_image(&bytes[..length], name);
            assert!(
                result.is_err() || complete_enough,
                "{name}: {length} of {} bytes were enough",
                bytes.len()
            );
        }
    }
    let jpeg = file!("turned.jpg");
    let error = decode_image(&jpeg[..jpeg.len() - 20], "photos/turned.jpg").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read `photos/turned.jpg`: the JPEG file is cut off; copy or download it again"
    );
    for (name, bytes) in cases {
        let error = decode_image(&bytes[..bytes.len() / 2], name).unwrap_err();
        assert!(matches!(error, MediaError::Truncated { .. }) || name == "first.gif", "{name}: {error:?}");
    }
}

#[test]
fn a_damaged_file_is_an_error_or_a_picture_but_never_a_panic() {
    for bytes in [
        file!("rgb.png"),
        file!("rgb.webp"),
        file!("first.gif"),
        file!("turned.jpg"),
        file!("alpha.png"),
        file!("rgb.bmp"),
        file!("rgb.tif"),
    ] {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= flip;
                let _ = decode_image(&damaged, "damaged");
            }
        }
    }
}

#[test]
fn a_header_that_promises_a_giant_is_refused_before_anything_is_allocated() {
    let mut png = file!("rgb.png").to_vec();
    for (width, height) in [(1u32 << 30, 1u32 << 30), (60_000, 60_000)] {
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = decode_image(&png, "giant.png").unwrap_err();
        assert!(matches!(error, MediaError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains("giant.png"), "{error}");
    }
}

/// Returns the CRC-32 of PNG chunks, computed bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn files_that_are_no_pictures_are_named_in_the_message() {
    let message = |bytes: &[u8]| decode_image(bytes, "x.jpg").unwrap_err().to_string();
    assert!(message(b"").contains("`x.jpg`: it is empty"), "{}", message(b""));
    assert!(message(b"not a picture").contains("unknown format"));
    assert!(message(b"qoif0000000000000000").contains("format Qoi"));

    let folder = read_image(env!("CARGO_MANIFEST_DIR")).unwrap_err();
    assert!(folder.to_string().contains("it is a folder; name a file in it"), "{folder}");
    let missing = read_image("no/such/file.png").unwrap_err();
    assert!(
        missing.to_string().starts_with("cannot read `no/such/file.png`: there is no such file"),
        "{missing}"
    );
    let found = read_image(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rgb.png")).unwrap();
    assert_eq!(found.pixel(0, 0), RED);
}
