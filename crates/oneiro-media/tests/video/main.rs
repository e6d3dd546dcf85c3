//! Reads and writes videos: animated pictures, folders of frames, and files that `ffmpeg` decodes or encodes.

#![allow(clippy::unwrap_used)]

use oneiro_media::{Film, FrameRate, Image, PngText};

mod animations;
#[cfg(unix)]
mod child;
#[path = "../../../oneiro-net/tests/outside/mod.rs"]
mod outside;
mod reading;
mod writing;

/// Returns a clip of a bright square that moves one pixel per frame over a colour gradient; `[3, frames,
/// height, width]`.
fn moving(frames: usize, width: usize, height: usize) -> Image {
    let values = (0..3).flat_map(move |channel| {
        (0..frames).flat_map(move |t| {
            (0..height * width).map(move |i| {
                let (y, x) = (i / width, i % width);
                let inside = x.abs_diff(t % width + 2) < 4 && y.abs_diff(height / 2) < 4;
                match channel {
                    _ if inside => [0.9, 0.8, 0.2][channel],
                    0 => x as f32 / width as f32,
                    1 => y as f32 / height as f32,
                    _ => 0.5,
                }
            })
        })
    });
    // Values are rounded to whole levels, which 8 bits hold exactly.
    let values = values.map(|value: f32| (255.0 * value).round() / 255.0);
    Image::new([3, frames, height, width], values.collect()).unwrap()
}

fn film_of(clip: &Image) -> Film {
    Film::from_clip(clip, FrameRate::new(12.5).unwrap(), 1).unwrap()
}

/// Returns one frame of a clip as a still.
fn frame(clip: &Image, t: usize) -> Image {
    let planes = (0..3).flat_map(|channel| clip.plane(channel * clip.frames + t)).copied();
    Image::rgb(clip.width, clip.height, planes.collect()).unwrap()
}

/// Returns the mean absolute difference of two pictures, in levels of 255.
fn difference(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let sum: f64 = a.data.iter().zip(&b.data).map(|(a, b)| f64::from((a - b).abs())).sum();
    255.0 * sum / a.data.len() as f64
}

fn text() -> PngText {
    PngText(vec![
        ("model".into(), "a=b;c#d\\e\nf 'g' \"h\" %i".into()),
        ("unit".into(), "Übung: 猫".into()),
        ("empty".into(), "".into()),
        ("job".into(), format!("{{\"values\": [{}]}}", "0.125, ".repeat(40_000))),
    ])
}
