use std::io::Cursor;

use image::AnimationDecoder;

use super::encode_gif::bayer;
use super::*;

/// A film of five frames: a disk that grows on a background with a colour gradient.
fn film() -> Film {
    let mut film = Film::new();
    for step in 0..5 {
        let rgb = (0..3 * 20 * 24).map(|i| {
            let (channel, y, x) = (i / 480, i / 24 % 20, i % 24);
            let inside = (x as i32 - 12).pow(2) + (y as i32 - 10).pow(2) < 4 * step * step;
            if inside { [0.9, 0.1, 0.3][channel] } else { (x + y * channel) as f32 / 64.0 }
        });
        film.push(&Image::rgb(24, 20, rgb.collect()).unwrap(), 5).unwrap();
    }
    film.set_times(7, 150);
    film
}

fn text() -> PngText {
    PngText(vec![
        ("model".into(), "a\nb".into()),
        ("unit".into(), "Übung: 猫".into()),
        ("empty".into(), "".into()),
    ])
}

#[test]
fn an_animated_png_keeps_every_frame_and_ends_still_on_the_last() {
    let (film, bytes) = (film(), film().to_apng(&text()).unwrap());
    let decoder = image::codecs::png::PngDecoder::new(Cursor::new(&bytes)).unwrap();
    let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 5);
    for (i, (frame, (ours, ticks))) in frames.iter().zip(&film.frames).enumerate() {
        let rgb: Vec<u8> = frame.buffer().pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect();
        assert_eq!(&rgb, ours, "frame {i}");
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        assert_eq!(numerator / denominator, 10 * u32::from(*ticks), "frame {i}");
    }
    let still = crate::decode_image(&bytes, "film.png").unwrap();
    assert_eq!(still.to_rgb8(), film.frames[4].0);
}

#[test]
fn a_gif_has_the_frames_in_one_palette_near_their_colours() {
    let (film, bytes) = (film(), film().to_gif(&text()).unwrap());
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(&bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 5);
    for (frame, (ours, _)) in frames.iter().zip(&film.frames) {
        let rgb = frame.buffer().pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]);
        let error: f64 = rgb.zip(ours).map(|(a, &b)| f64::from(a.abs_diff(b))).sum();
        assert!(error / (ours.len() as f64) < 12.0, "mean error {}", error / ours.len() as f64);
    }
}

#[test]
fn both_formats_say_how_they_were_made_and_have_the_same_bytes_every_time() {
    for (name, encode) in [
        ("a.png", Film::to_apng as fn(&Film, &PngText) -> Result<Vec<u8>>),
        ("a.gif", Film::to_gif as fn(&Film, &PngText) -> Result<Vec<u8>>),
    ] {
        let bytes = encode(&film(), &text()).unwrap();
        assert_eq!(bytes, encode(&film(), &text()).unwrap());
        let mut found = crate::decode_text(&bytes, name).unwrap().0;
        let mut wanted = text().0;
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{name}");
        // A file that is cut off anywhere gives an error or no text, never a panic.
        for length in 0..bytes.len().min(1200) {
            if let Ok(text) = crate::decode_text(&bytes[..length], name) {
                assert!(name == "a.png", "{name} of {length} bytes: {text:?}");
            }
        }
    }
}

#[test]
fn the_dither_is_even_and_has_no_mean() {
    let values: Vec<f32> = (0..64).map(|i| bayer(i % 8, i / 8)).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    sorted.dedup();
    assert_eq!(sorted.len(), 64);
    assert!(values.iter().sum::<f32>().abs() < 1e-4);
}

#[test]
fn films_without_frames_and_frames_of_another_size_are_errors() {
    assert!(Film::new().to_apng(&PngText::default()).is_err());
    assert!(Film::new().to_gif(&PngText::default()).is_err());
    assert!(film().push(&Image::filled(24, 21, [0.0; 3]), 5).is_err());
}
