//! `oneiro grid`: activation grids and semantic dictionaries.

use serde_json::Value;

use crate::bad_input::refuse_all;
use crate::files::picture;
use crate::onnx::{LEFT, Network};
use crate::place::Place;

/// A new folder with the tiny network, a photo, and a grey photo.
fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place.write("classes.txt", "goldfish\ncrane\nmacaw\ncrane\n");
    place.write("photo.png", picture(40, 36));
    place
}

const GRID: &[&str] = &["grid", "net.onnx", "photo.png", "--cell-size", "16", "--steps", "6"];

/// Runs `oneiro grid` and returns its JSON.
fn run(place: &Place, args: &[&str]) -> Value {
    place.json(&[GRID, args, &["--json"]].concat())
}

/// Makes a picture again and checks that the bytes are equal.
fn again(place: &Place, file: &str) {
    let said = place.succeed(&["again", file, "--out", "again.png"]);
    assert!(said.contains("identical"), "{said}");
    assert_eq!(place.read(file), place.read("again.png"), "{file}");
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no {key}: {value:#}"))
}

#[test]
fn a_grid_has_a_cell_for_each_part_of_the_map_and_is_made_again() {
    let place = place();
    let said =
        run(&place, &["-l", "left.conv", "--cells", "3x4", "--out", "a.png", "--raw", "r.safetensors"]);
    let cells = said["cells"].as_array().unwrap();
    // The cells merge eight of 24 rows and five of 20 columns of positions.
    assert_eq!(cells.len(), 12, "{said:#}");
    assert_eq!((number(&cells[7], "y"), number(&cells[7], "x")), (1.0, 3.0));
    for cell in cells {
        assert!(number(cell, "value") > number(cell, "value_at_start"), "{cell:#}");
        let top = cell["top"].as_array().unwrap();
        let activations: Vec<f64> = top.iter().map(|t| number(t, "activation")).collect();
        assert!(activations.windows(2).all(|w| w[0] >= w[1]) && activations[0] > 0.0, "{cell:#}");
        let square: f64 = activations.iter().map(|a| a * a).sum();
        assert!(square.sqrt() <= number(cell, "magnitude") * 1.0001, "{cell:#}");
    }
    assert_eq!(said["files"], serde_json::json!(["a.png", "r.safetensors"]));
    let raw = place.read("r.safetensors");
    let raw = safetensors::SafeTensors::deserialize(&raw).unwrap();
    // A cell's tile has margins that fade into its neighbours, and margins that are cut off.
    assert_eq!(raw.tensor("x/11").unwrap().shape(), [3, 26, 26]);
    let sheet = oneiro_media::read_image(place.path("a.png")).unwrap();
    assert!(sheet.width >= 2 * 4 * 16 && sheet.height >= 3 * 16, "{}x{}", sheet.width, sheet.height);
    again(&place, "a.png");
    let saved = ["--save-preset", "mine.toml"];
    run(
        &place,
        &[&["-l", "left.conv", "--cells", "3x4", "--out", "b.png", "--threads", "3"][..], &saved].concat(),
    );
    assert!(String::from_utf8(place.read("mine.toml")).unwrap().contains("[param.shared]"));
    assert_eq!(place.read("a.png"), place.read("b.png"));
    let info = place.json(&["info", "a.png", "--json"]);
    assert_eq!(info["grid"]["layer"], "left.conv");
    assert_eq!(info["cells"].as_array().unwrap().len(), 12);
}

#[test]
fn cells_may_be_drawn_by_what_they_count() {
    let place = place();
    let args = ["-l", "left.conv", "--cells", "2"];
    run(&place, &[&args[..], &["--out", "plain.png"]].concat());
    for (how, file) in [("--scale-by-magnitude", "size.png"), ("--scale-by-magnitude=opacity", "pale.png")] {
        run(&place, &[&args[..], &[how, "--out", file]].concat());
        assert_ne!(place.read("plain.png"), place.read(file));
        again(&place, file);
    }
}

#[test]
fn only_the_channel_of_a_class_has_a_share_in_its_mean() {
    let place = place();
    // After the last convolution, with 11x9 positions, only a mean follows, so the attributions are known
    // exactly.
    let said = run(&place, &["-l", "right.conv", "--signed", "--toward", "class:macaw", "--out", "a.png"]);
    let cells = said["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 99);
    let mut found = 0;
    for cell in cells {
        for top in cell["top"].as_array().unwrap() {
            found += 1;
            assert_eq!(top["channel"], 2, "{cell:#}");
            let expected = number(top, "activation") / 99.0;
            assert!((number(cell, "attribution") - expected).abs() < 1e-5 * expected.abs(), "{cell:#}");
            assert_eq!(top["attribution"], cell["attribution"]);
        }
    }
    assert!(found > 0, "{said:#}");
    again(&place, "a.png");
}

#[test]
fn a_dictionary_has_the_loudest_channels_of_the_strongest_positions() {
    let place = place();
    let said = run(&place, &["-l", "left.conv", "--dictionary", "3", "--top", "2", "--out", "d.png"]);
    let cells = said["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3, "{said:#}");
    let magnitudes: Vec<f64> = cells.iter().map(|c| number(c, "magnitude")).collect();
    assert!(magnitudes.windows(2).all(|w| w[0] >= w[1]), "{magnitudes:?}");
    assert!(cells.iter().all(|c| (1..=2).contains(&c["top"].as_array().unwrap().len())), "{said:#}");
    again(&place, "d.png");
    // That position, requested by its coordinates.
    let at = format!("{},{}", cells[0]["y"], cells[0]["x"]);
    let args =
        ["-l", "left.conv", "--dictionary", &at, "--top", "2", "--out", "one.png", "--raw", "r.safetensors"];
    let one = run(&place, &args);
    assert_eq!(one["cells"].as_array().unwrap().len(), 1);
    assert_eq!(one["cells"][0], cells[0]);
    // An icon of the dictionary is the picture of the channel as `oneiro render` makes it.
    let raw = place.read("r.safetensors");
    let raw = safetensors::SafeTensors::deserialize(&raw).unwrap();
    assert!(raw.len() <= 2.min(LEFT));
    again(&place, "one.png");
}

#[test]
fn a_grid_of_a_changed_photo_is_not_made_again() {
    let place = place();
    run(&place, &["-l", "left.conv", "--cells", "2", "--out", "a.png"]);
    place.write("photo.png", picture(41, 36));
    refuse_all(&place, &[("changed", "again a.png", &["photo.png", "not what the picture was made from"])]);
    std::fs::remove_file(place.path("photo.png")).unwrap();
    refuse_all(&place, &[("gone", "again a.png", &["photo.png", "not there"])]);
}

#[test]
fn grids_that_cannot_be_are_errors() {
    let place = place();
    refuse_all(
        &place,
        &[
            ("no photo", "grid net.onnx none.png -l left.conv", &["none.png", "no such file"]),
            ("no layer", "grid net.onnx photo.png -l nowhere", &["nowhere"]),
            ("no map", "grid net.onnx photo.png -l output", &["output", "no map", "convolution"]),
            ("no cells", "grid net.onnx photo.png -l left.conv --cells 0", &["--cells", "1 to"]),
            ("tiny cells", "grid net.onnx photo.png -l left.conv --cell-size 4", &["--cell-size", "8"]),
            ("power", "grid net.onnx photo.png -l left.conv --power -1", &["--power -1", "0 to 20"]),
            ("size", "grid net.onnx photo.png -l left.conv --size 64", &["--size 64x64", "--cell-size"]),
            ("how", "grid net.onnx photo.png -l left.conv --scale-by-magnitude=x", &["opacity"]),
            ("places", "grid net.onnx photo.png -l left.conv --dictionary x", &["--dictionary x", "Y,X"]),
            (
                "outside",
                "grid net.onnx photo.png -l left.conv --dictionary 24,0",
                &["24,0", "24 rows", "20 columns"],
            ),
            ("top alone", "grid net.onnx photo.png -l left.conv --top 3", &["--dictionary"]),
            ("class", "grid net.onnx photo.png -l left.conv --toward class:zebra", &["zebra"]),
            (
                "behind",
                "grid net.onnx photo.png -l right.conv --toward left.conv:1",
                &["does not depend", "right.conv"],
            ),
            (
                "same file",
                "grid net.onnx photo.png -l left.conv --out a.png --raw a.png",
                &["a.png", "another result"],
            ),
            (
                "over the photo",
                "grid net.onnx photo.png -l left.conv --out photo.png",
                &["photo.png", "made from"],
            ),
            ("another format", "grid net.onnx photo.png -l left.conv --out a.tif", &["--out a.tif", ".png"]),
            (
                "too many",
                "grid net.onnx photo.png -l left.conv --cells 24x20 --cell-size 1024",
                &["480 cells", "--cell-size"],
            ),
        ],
    );
    assert!(!place.path("grid.png").exists());
}
