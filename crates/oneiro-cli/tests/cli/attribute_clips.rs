//! `attribute` for networks of clips and optical flow: films of heat maps, and what they add up to.

use std::path::Path;

use oneiro_media::VideoReader;
use serde_json::{Value, json};

use crate::bad_input::refuse_all;
use crate::clips::{clips, of_clips, two_streams};
use crate::files::read_safetensors;
use crate::outside;
use crate::place::{Place, Report, check};

/// Height, width and frames of the tiny networks, as `clips` makes them.
const SIZE: [usize; 2] = [24, 32];
const FRAMES: usize = 4;
const FIELDS: usize = 3;

fn place() -> Place {
    let place = Place::new();
    of_clips(&place);
    two_streams(&place);
    clips(&place, 8, SIZE);
    place
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum()
}

/// The maps of an input in a report, by method.
fn map_of<'v>(said: &'v Value, input: usize, method: &str) -> &'v Value {
    let maps = said["inputs"][input]["maps"].as_array().unwrap();
    maps.iter().find(|map| map["method"] == method).unwrap_or_else(|| panic!("{method}: {said}"))
}

#[test]
fn every_method_has_maps_over_time() {
    let place = place();
    let args = ["attribute", "clip.onnx", "clips/right/a.gif", "--method", "all"];
    let more = ["--steps", "60", "--samples", "3", "--out", "a.webp", "--raw", "a.st", "--json"];
    let said = place.json(&[&args[..], &more].concat());
    assert_eq!((&said["frames"], &said["start"], &said["span"]), (&json!(8), &json!(2), &json!(4)));
    let (tensors, metadata) = read_safetensors(&place.read("a.st"));
    assert_eq!(serde_json::from_str::<Value>(&metadata["clip"]).unwrap()["inputs"], said["inputs"]);
    let [h, w] = SIZE;
    assert_eq!(tensors["clip"].0, [3, FRAMES, h, w]);
    let mut report = Report::default();
    let maps = said["inputs"][0]["maps"].as_array().unwrap();
    assert_eq!(maps.len(), 10);
    for map in maps {
        let method = map["method"].as_str().unwrap();
        let (shape, data) = &tensors[&format!("clip/{method}/map")];
        report.case(method, check(*shape == [FRAMES, h, w], || format!("{shape:?}")));
        let total: f64 = data.iter().map(|&v| f64::from(v.abs())).sum();
        if method == "vargrad" && total == 0.0 {
            // Noise switches no ReLU of this network, so its gradient has no variance.
            continue;
        }
        report.case(method, check(total > 0.0, || "empty".into()));
        let of_frame = |frame: &[f32]| frame.iter().map(|&v| f64::from(v.abs())).sum::<f64>() / total;
        let shares: Vec<f64> = data.chunks_exact(h * w).map(of_frame).collect();
        for (share, said) in shares.iter().zip(map["frame_shares"].as_array().unwrap()) {
            report.case(method, check((share - said.as_f64().unwrap()).abs() < 1e-9, || said.to_string()));
        }
    }
    report.finish();
    // Integrated gradients are the class's rise from black, whichever way it is computed.
    let (_, values) = &tensors["clip/integrated-gradients/values"];
    let map = map_of(&said, 0, "integrated-gradients");
    let rise = said["value"].as_f64().unwrap() - map["baseline_value"].as_f64().unwrap();
    assert!((sum(values) - rise).abs() < 1e-3 * rise.abs(), "{} for {rise}", sum(values));
    assert!(rise.abs() > 1e-3);
    let reader = VideoReader::open(place.path("a.webp"), &Default::default()).unwrap();
    assert_eq!(reader.count(), FRAMES);
}

#[test]
fn each_input_has_its_share() {
    let place = place();
    let args = ["attribute", "two.onnx", "clips/right/a.gif", "--unit", "class:right"];
    let methods = ["--method", "integrated-gradients,gradient,occlusion"];
    let more = ["--raw", "a.st", "--out", "a.png", "--json"];
    let said = place.json(&[&args[..], &methods, &more].concat());
    // The class sees flow alone, and is linear: u of all fields.
    let map = map_of(&said, 1, "integrated-gradients");
    assert_eq!(map["input_share"], 1.0, "{said}");
    assert_eq!(map_of(&said, 0, "integrated-gradients")["input_share"], 0.0);
    assert!(map_of(&said, 1, "gradient").get("input_share").is_none());
    let (tensors, _) = read_safetensors(&place.read("a.st"));
    let [h, w] = SIZE;
    let (shape, values) = &tensors["flow/integrated-gradients/values"];
    assert_eq!(*shape, [2, FIELDS, h, w]);
    let (_, flow) = &tensors["flow"];
    let [u, v] = [&values[..FIELDS * h * w], &values[FIELDS * h * w..]];
    assert!(v.iter().all(|&v| v == 0.0) && u.iter().any(|&u| u > 0.0));
    // 100 for the mean of a field's pixels, in the units of the card's range.
    let factor = 100.0 / (h * w) as f32 / 20.0;
    for (value, flow) in u.iter().zip(flow) {
        assert!((value - factor * flow).abs() < 1e-4 * factor, "{value} for {flow}");
    }
    let (_, gradient) = &tensors["flow/gradient/map"];
    assert!(gradient.iter().all(|g| (g - factor).abs() < 1e-4 * factor));
    assert_eq!(tensors["rgb/gradient/map"].0, [h, w], "a still has no time");
}

#[test]
fn films_and_strips_say_how_they_were_made_and_are_made_again() {
    let place = place();
    let args = ["attribute", "two.onnx", "clips/up/a.gif", "--method", "gradient,occlusion"];
    for out in ["a.apng", "a.gif", "a.webp", "a.png"] {
        place.succeed(&[&args[..], &["--out", out, "--fps", "5"]].concat());
        let said = place.succeed(&["info", out]);
        assert!(said.contains("unit: class:up") && said.contains("frame_shares"), "{said}");
        place.succeed(&["again", out, "--out", "again.bin"]);
        assert_eq!(place.read("again.bin"), place.read(out), "{out}");
    }
    let frames = |name: &str| VideoReader::open(place.path(name), &Default::default()).unwrap().count();
    assert_eq!([frames("a.apng"), frames("a.gif"), frames("a.png")], [FIELDS, FIELDS, 1]);
    for threads in ["1", "3"] {
        place.succeed(&[&args[..], &["--out", "t.webp", "--fps", "5", "--threads", threads]].concat());
        assert_eq!(place.read("t.webp"), place.read("a.webp"), "{threads} threads");
    }
    // The stride of frames, and flow from a file.
    let strided = ["--stride", "2", "--out", "s.apng", "--json"];
    assert_eq!(place.json(&[&args[..], &strided].concat())["span"], 6);
}

#[test]
fn clips_that_cannot_be_attributed_are_named() {
    let place = place();
    place.write("net.onnx", crate::onnx::Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("photo.png", crate::files::picture(24, 24));
    let one = "clips/up/a.gif";
    refuse_all(
        &place,
        &[
            ("several clips", "attribute clip.onnx clips", &["one clip", "8"]),
            ("a network of images", &format!("attribute net.onnx {one}"), &["takes images", "a.gif"]),
            ("no film", &format!("attribute clip.onnx {one} --out a.txt"), &["a.txt", ".webp", "strips"]),
            ("a size", &format!("attribute clip.onnx {one} --size 32"), &["--size", "takes clips"]),
            ("no rate", &format!("attribute clip.onnx {one} --fps 0"), &["frames per second"]),
            ("a rate of images", "attribute net.onnx photo.png --fps 3", &["--fps", "takes images"]),
            ("flow of images", "attribute net.onnx photo.png --flow f", &["--flow", "takes images"]),
            (
                "an unread flag",
                &format!("attribute clip.onnx {one} --method gradient --window-frames 2"),
                &["--window-frames", "occlusion"],
            ),
            (
                "no map",
                &format!("attribute clip.onnx {one} --cam-layer /mean --method grad-cam"),
                &["height and width"],
            ),
        ],
    );
}

/// Where the shape of a planted clip moves: field by field, whether the exact flow differs from that of the
/// background, which most pixels have.
fn moving(flow: &Path) -> Vec<bool> {
    let flow = oneiro_media::flow::read_flow(flow).unwrap();
    let median = |values: &[f32]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f32::total_cmp);
        sorted[sorted.len() / 2]
    };
    let moves = |t: usize| {
        let [u, v] = [flow.u(t), flow.v(t)];
        let background = [median(u), median(v)];
        u.iter().zip(v).map(move |(u, v)| (u - background[0]).abs() + (v - background[1]).abs() > 0.25)
    };
    (0..flow.frames).flat_map(moves).collect()
}

#[test]
fn heat_lies_on_the_shape_that_moves() {
    let (Some(_), Some(planted)) = (outside::ffmpeg(), outside::shared("models/planted")) else { return };
    let place = Place::new();
    let model = planted.join("c3d_small/final.legacy-op17.folded.onnx");
    let mut report = Report::default();
    for class in ["circle-left", "square-up", "triangle-right", "cross-down"] {
        let folder = planted.join("data/clips").join(class);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let clip = &files[0];
        let flow = planted.join("data/flows").join(class).join(clip.file_stem().unwrap());
        let moving = moving(&flow.with_extension("npz"));
        let unit = format!("class:{class}");
        let [model, clip] = [model.as_path(), clip].map(|path| path.to_str().unwrap());
        let args = ["attribute", model, clip, "--unit", &unit, "--raw", "a.st", "--out", "a.png"];
        // How many times the share of the area. The least of twelve clips was 2.8, 1.9, 3.4 and 1.2.
        let methods = [("integrated-gradients", 2.0), ("gradient", 1.5), ("guided", 2.0), ("grad-cam", 1.1)];
        let names = methods.map(|(method, _)| method).join(",");
        place.succeed(&[&args[..], &["--method", &names, "--baseline", "blur", "--steps", "20"]].concat());
        let (tensors, _) = read_safetensors(&place.read("a.st"));
        let area = moving.iter().filter(|moves| **moves).count() as f64 / moving.len() as f64;
        assert!((0.02..0.2).contains(&area), "{class}: {area}");
        for (method, least) in methods {
            let map = &tensors[&format!("clip/{method}/map")].1;
            // Frame t moves by field t; the last frame has none.
            let positive = map[..moving.len()].iter().map(|&v| f64::from(v.max(0.0)));
            let (mut on, mut all) = (0.0, 0.0);
            for (v, moves) in positive.zip(&moving) {
                all += v;
                on += if *moves { v } else { 0.0 };
            }
            let words =
                || format!("{:.1} % of the heat on {:.1} % of the area", 100.0 * on / all, 100.0 * area);
            report.case(&format!("{class}, {method}"), check(on / all / area > least, words));
        }
    }
    report.finish();
}
