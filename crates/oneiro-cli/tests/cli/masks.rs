//! `--mask` of `render` and `sheet`: it covers the same part of the picture, whatever the picture's final
//! size.

use crate::files::{picture, read_safetensors};
use crate::onnx::Network;
use crate::place::Place;

/// A new folder with a photo, and a mask that is white in its left quarter.
fn place() -> Place {
    let place = Place::new();
    place.write("photo.png", picture(60, 60));
    let rgb = (0..3 * 40 * 40).map(|i| if i % 40 < 10 { 1.0 } else { 0.0 }).collect();
    let quarter = oneiro_media::Image::rgb(40, 40, rgb).unwrap();
    place
        .write("quarter.png", oneiro_media::encode_png(&quarter, &oneiro_media::PngText::default()).unwrap());
    place
}

/// Runs a command with zero steps and with some; returns how much each picture changed inside and outside the
/// mask.
fn moved(place: &Place, args: &[&str]) -> Vec<[f32; 2]> {
    let from = ["--from", "photo.png", "--mask", "quarter.png", "--param", "pixel", "--optimizer", "adam"];
    let pictures = |steps: &str| {
        let out = ["--steps", steps, "--out", "a.png", "--raw", "r.safetensors", "-q"];
        place.succeed(&[args, &from, &out].concat());
        read_safetensors(&place.read("r.safetensors")).0
    };
    let (before, after) = (pictures("0"), pictures("2"));
    let pairs = before.iter().map(|(name, picture)| (picture, &after[name]));
    let sides = pairs.map(|((shape, before), (_, after))| {
        let width = shape[2];
        let side = |columns: std::ops::Range<usize>| {
            let inside = (0..before.len()).filter(|i| columns.contains(&(i % width)));
            inside.map(|i| (before[i] - after[i]).abs()).fold(0.0, f32::max)
        };
        // Pixels near the mask's edge are left out, because enlarging the mask blurs it.
        [side(0..width / 4 - 3), side(width / 4 + 3..width)]
    });
    sides.collect()
}

#[test]
fn a_mask_follows_the_picture_to_the_size_that_the_network_takes() {
    let place = place();
    place.write("net.onnx", Network { dense: true, ..Network::default() }.bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    let unit = moved(&place, &["render", "net.onnx", "--unit", "class:1"]);
    assert_eq!(unit.len(), 1);
    assert!(unit[0][0] > 1e-3 && unit[0][1] < 1e-6, "{unit:?}");
    place.succeed(&["again", "a.png", "--out", "again.png"]);
    assert_eq!(place.read("a.png"), place.read("again.png"));
}

#[test]
fn recipes_of_different_sizes_change_the_same_part() {
    let place = place();
    let mut recipes = Vec::new();
    for (name, size) in [("small.toml", "40"), ("large.toml", "64")] {
        let args = ["render", "squeezenet1_1", "--unit", "fire2:3", "--size", size, "--steps", "0", "-q"];
        place.succeed(&[&args[..], &["--save-preset", name, "--out", "saved.png"]].concat());
        recipes.push(name);
    }
    let recipes = recipes.join(",");
    let sheet = ["sheet", "squeezenet1_1", "--layer", "fire2", "--units", "3", "--presets", &recipes];
    let units = moved(&place, &sheet);
    assert_eq!(units.len(), 2);
    assert!(units.iter().all(|[inside, outside]| *inside > 1e-3 && *outside < 1e-6), "{units:?}");
}
