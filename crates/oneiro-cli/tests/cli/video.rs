//! `oneiro video`: clips and optical flow that units respond to.

use oneiro_media::VideoReader;
use safetensors::SafeTensors;

use crate::bad_input::refuse_all;
use crate::clips::{of_clips, two_streams};
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    two_streams(&place);
    of_clips(&place);
    place
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// Returns the shape and the values of a tensor in a safetensors file.
fn tensor(bytes: &[u8], name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (view.shape().to_vec(), values)
}

#[test]
fn classes_of_motion_have_their_motion() {
    let place = place();
    let args = ["video", "two.onnx", "--class", "right,left,down,up", "--steps", "48", "--gamma", "0,5"];
    let report = place
        .json(&[&args[..], &["--out", "v", "--raw", "v.safetensors", "--html", "v.html", "--json"]].concat());
    let units = report["units"].as_array().unwrap();
    assert_eq!(units.len(), 8);
    assert_eq!((units[1]["kappa"].as_f64(), units[1]["gamma"].as_f64()), (Some(1.0), Some(5.0)));
    let raw = place.read("v.safetensors");
    for (i, (component, sign)) in [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)].into_iter().enumerate() {
        for variant in 0..2 {
            let (shape, flow) = tensor(&raw, &format!("flow/{}", 2 * i + variant));
            assert_eq!(shape, [6, 24, 32]);
            let planes: Vec<f32> = flow.chunks_exact(24 * 32).map(mean).collect();
            let of = |c: usize| (planes[c] + planes[2 + c] + planes[4 + c]) / 3.0;
            assert!(
                sign * of(component) > 1.0 && of(1 - component).abs() < of(component).abs() / 2.0,
                "{planes:?}"
            );
        }
    }
    assert_eq!(report["files"].as_array().unwrap().len(), 18, "{}", report["files"]);
    let film = place.path("v/class-right-flow-g5.apng");
    let reader = VideoReader::open(&film, &Default::default()).unwrap();
    assert_eq!(
        reader.map(|frame| frame.unwrap().width).collect::<Vec<_>>(),
        [352; 3],
        "three fields, enlarged"
    );
    let page = String::from_utf8(place.read("v.html")).unwrap();
    assert_eq!(page.matches("class=\"film").count(), 8);
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn results_say_how_they_were_made_and_are_made_again() {
    let place = place();
    let args = ["video", "two.onnx", "--unit", "class:right", "--steps", "6", "--gamma", "1,10"];
    place.succeed(&[&args[..], &["--out", "v.gif"]].concat());
    place.succeed(&["video", "clip.onnx", "--unit", "relu:1", "--steps", "6", "--out", "clip.webp"]);
    for name in ["v-rgb-g1.png", "v-flow-g1.gif", "v-flow-g10.gif", "clip.webp"] {
        assert!(place.succeed(&["info", name]).contains("seed"), "{name}");
        place.succeed(&["again", name, "--out", "again.bin"]);
        assert_eq!(place.read("again.bin"), place.read(name), "{name}");
    }
}

#[test]
fn threads_and_shards_change_no_byte() {
    let place = place();
    let args = ["video", "two.onnx", "--class", "right,up", "--steps", "6", "--gamma", "1,10"];
    let to = |out: &'static str, more: &[&'static str]| [&args[..], &["--out", out], more].concat();
    place.succeed(&to("one", &["--threads", "1"]));
    place.succeed(&to("three", &["--threads", "3"]));
    let said = place.succeed(&to("parts", &["--shard", "1/2"]));
    assert!(said.contains("2 of 4 parts are done"), "{said}");
    place.succeed(&to("parts", &["--shard", "2/2"]));
    place.succeed(&to("parts", &[]));
    for name in ["class-right-flow-g10.apng", "class-up-rgb-g1.png"] {
        let one = place.read(&format!("one/{name}"));
        assert_eq!(place.read(&format!("three/{name}")), one, "{name}");
        assert_eq!(place.read(&format!("parts/{name}")), one, "{name}");
    }
}

#[test]
fn what_cannot_be_made_is_named() {
    refuse_all(
        &place(),
        &[
            ("no unit", "video two.onnx", &["--unit", "--class"]),
            ("negative gamma", "video two.onnx --class right --gamma -1", &["gamma", "0 or more"]),
            ("frames", "video two.onnx --class right --frames 8", &["8 frames", "no clips"]),
            ("format", "video two.onnx --class right --out v.avi", &["v.avi", ".mp4"]),
            ("rate", "video two.onnx --class right --fps 0", &["frames per second"]),
            (
                "no regularizer",
                "video two.onnx --class right --preset lucid --gamma 1",
                &["lucid", "no regularizer"],
            ),
            (
                "a still of flow",
                "render two.onnx --unit class:right",
                &["\"flow\"", "optical flow", "oneiro video"],
            ),
            ("a still of a clip", "render clip.onnx --unit relu:1", &["\"clip\"", "clips", "oneiro video"]),
        ],
    );
}
