//! Networks whose preprocessing turns pictures to grey.

use crate::onnx::Network;
use crate::place::Place;

/// Returns a photo whose colour channels are different gradients.
fn photo() -> Vec<u8> {
    let value = |i: usize| {
        let (c, y, x) = (i / 4800, i / 80 % 60, i % 80);
        [x as f32 / 80.0, y as f32 / 60.0, 1.0 - x as f32 / 80.0][c]
    };
    let image = oneiro_media::Image::rgb(80, 60, (0..3 * 4800).map(value).collect()).unwrap();
    oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap()
}

#[test]
fn the_noise_of_an_inversion_is_counted_without_the_colours_that_the_network_does_not_see() {
    let place = Place::new();
    place.write("photo.png", photo());
    let args = ["invert", "hog", "photo.png", "--layer", "hog", "--from", "photo.png", "--size", "48"];
    let said = place.json(&[&args[..], &["--steps", "0", "--out", "a.png", "--json", "-q"]].concat());
    // After zero steps, the result is the photo, except for rounding to 8 bits.
    let psnr = said["units"][0]["psnr"].as_f64().unwrap_or(f64::INFINITY);
    assert!(psnr > 50.0, "{psnr}");
}

#[test]
fn statistics_of_grey_pictures_are_for_a_network_that_reads_one_band() {
    let place = Place::new();
    place.write("photos/a.png", photo());
    place.write("photos/b.png", crate::files::picture(50, 50));
    place.write("net.onnx", Network { channels: 1, ..Network::default() }.bytes());
    place.succeed(&["statistics", "photos", "--gray", "--size", "16", "--out", "grey.safetensors"]);
    let args =
        ["render", "net.onnx", "--unit", "left.conv:1", "--size", "24", "--steps", "1", "--out", "a.png"];
    let read = ["--mean", "0.5", "--std", "0.5", "--statistics", "grey.safetensors", "--order"];
    let outcome = place.run(&[&args[..], &read, &["gray"]].concat());
    assert!(outcome.code == Some(1) && outcome.stderr.contains("--order bands"), "{outcome:?}");
    place.succeed(&[&args[..], &read, &["bands", "--show", "0"]].concat());
}
