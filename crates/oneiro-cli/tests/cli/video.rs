//! `oneiro video`: clips and optical flow that units respond to.

use oneiro_media::VideoReader;
use oneiro_media::flow::{Flow, write_flow};
use safetensors::SafeTensors;

use crate::bad_input::refuse_all;
use crate::clips::{clips, of_clips, two_streams};
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
fn classes_and_units_of_a_layer_stand_side_by_side() {
    let place = place();
    let page = |model: &str, args: &[&str]| {
        place.succeed(&[&["video", model, "--steps", "1", "--out", "v", "--html", "v.html"], args].concat());
        String::from_utf8(place.read("v.html")).unwrap()
    };
    let html = page("two.onnx", &["--class", "all"]);
    assert_eq!(html.matches("<section").count(), 2, "the classes, and how flow is drawn");
    assert!(html.contains("<h2>classes</h2>") && html.contains("All 5 classes."), "{html}");
    assert_eq!(html.matches("class=\"group\"").count(), 5, "an image and its flow each");
    assert!(html.contains("mean flow") && html.contains("colours of motion"), "{html}");
    let report =
        place.json(&["video", "two.onnx", "--class", "left", "--steps", "24", "--out", "w", "--json"]);
    assert_eq!(report["units"][0]["named"], "left");
    // Folders of the films that are written by default are clips.
    let outcome = place.run(&["video", "clip.onnx", "--class", "all", "--steps", "1", "--out", "films"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let films = place.json(&["classify", "clip.onnx", "films", "--json"]);
    assert_eq!(films.as_array().unwrap().len(), 2);
    let html = page("clip.onnx", &["--layer", "/relu/out", "--units", "1"]);
    assert!(html.contains("<h2>/relu/out</h2>") && html.contains("1 of 2 channels."), "{html}");
    assert!(html.contains("A unit sees 3 by 3 pixels of 3 frames."), "{html}");
    let report =
        place.json(&["video", "clip.onnx", "--layer", "/relu/out", "--steps", "1", "--out", "w", "--json"]);
    assert_eq!(report["units"].as_array().unwrap().len(), 2, "all of a layer with few");
    // Each value of gamma fills the unit's own row.
    let html = page("two.onnx", &["--class", "right,left", "--gamma", "0,1"]);
    assert!(html.contains("<h2>class:right</h2>") && html.contains("<h2>class:left</h2>"), "{html}");
    let outcome = place.run(&["video", "two.onnx", "--units", "0-3", "--class", "0", "--out", "w"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
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
fn data_tells_the_largest_activation_and_shows_its_clips() {
    let place = place();
    clips(&place, 6, [24, 32]);
    place.succeed(&["scan", "clip.onnx", "clips", "--out", "s"]);
    let unit = &place.json(&["units", "s", "class-best:right@/relu/out", "--json"])[0];
    let name = format!("/relu/out:{}", unit["channel"]);
    let largest = unit["best_by_mean"][0]["value"].as_f64().unwrap();
    let args = ["video", "clip.onnx", "--preset", "feichtenhofer20", "--steps", "4", "--gamma", "1,5"];
    let outcome = place.run(
        &[
            &args[..],
            &["--unit", "class-best:right@/relu/out", "--data", "s", "--out", "v", "--html", "v.html"],
        ]
        .concat(),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the largest value of") && !outcome.stderr.contains("unknown"));
    let listing = place.listing();
    let film = listing.keys().find(|file| file.starts_with("v/") && file.ends_with("g5.apng")).unwrap();
    let info = place.json(&["info", film, "--json"]);
    let preset = &info["job"]["job"]["work"]["settings"][0]["preset"];
    let told = preset["max_activation"].as_f64().unwrap();
    assert!((told - largest).abs() < 1e-6 * largest, "{told} for {largest}");
    place.succeed(&["again", film, "--out", "again.bin"]);
    assert_eq!(place.read("again.bin"), place.read(film));
    let page = String::from_utf8(place.read("v.html")).unwrap();
    assert!(page.contains("clips: ") && page.matches("class=\"film").count() == 2);
    // A folder is scanned for the unit; its name alone names it.
    place.succeed(&[&args[..], &["--unit", &name, "--data", "clips", "--out", "w"]].concat());
    let of = |folder: &str| -> Vec<Option<Vec<u8>>> {
        let files = place.listing().into_iter().filter(|(file, _)| file.starts_with(folder));
        files.filter(|(file, _)| file.ends_with(".apng")).map(|(_, bytes)| bytes).collect()
    };
    let frames = |name: &str| VideoReader::open(place.path(name), &Default::default()).unwrap().count();
    assert_eq!(of("w/").len(), 2);
    assert_eq!(frames(film), 4);
    refuse_all(
        &place,
        &[
            ("no scan", "video clip.onnx --unit class-best:right@/relu/out", &["class-best"]),
            ("another network's scan", "video two.onnx --class right --data s", &["another network"]),
            ("no data", "video clip.onnx --unit relu:1 --data nowhere", &["nowhere"]),
        ],
    );
}

/// Flow whose components are nearly equal, and on average 2 and 2 pixels per frame.
fn diagonal(seed: usize) -> Flow {
    let [fields, side] = [3, 20];
    let wave = |t: usize, i: usize| {
        let (x, y) = ((i % side) as f32, (i / side) as f32);
        2.0 + 4.0 * (0.9 * x + 0.3 * seed as f32).sin() * (0.7 * y + t as f32).cos()
    };
    let planes = (0..2 * fields).flat_map(|plane| {
        let small = if plane % 2 == 0 { 1.0 } else { 0.98 };
        (0..side * side).map(move |i| small * wave(plane / 2, i))
    });
    Flow::new(fields, side, side, planes.collect()).unwrap()
}

#[test]
fn flow_is_decorrelated_by_its_data() {
    let place = place();
    std::fs::create_dir_all(place.path("flows/deep")).unwrap();
    for (seed, name) in ["flows/a.npy", "flows/deep/b.npy", "flows/deep/c.npy"].into_iter().enumerate() {
        write_flow(place.path(name), &diagonal(seed)).unwrap();
    }
    let args = ["statistics", "flows", "--flow", "--size", "20", "--out", "f.safetensors", "--json"];
    let said = place.json(&args);
    assert_eq!(said["images"], 9);
    let average = said["mean"][0].as_f64().unwrap();
    assert!((1.0..3.0).contains(&average), "pixels per frame: {average}");
    // Of the noise that an optimisation starts from, both components are nearly equal, too.
    let correlation = |more: &[&str]| {
        let args = ["video", "two.onnx", "--unit", "class:right", "--param", "fourier3d", "--steps", "1"];
        let outcome = place.run(&[&args[..], &["--out", "v", "--raw", "v.safetensors"], more].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(
            outcome.stderr.contains("flow is decorrelated by"),
            !more.is_empty(),
            "{}",
            outcome.stderr
        );
        let (_, flow) = tensor(&place.read("v.safetensors"), "flow/0");
        let planes: Vec<&[f32]> = flow.chunks_exact(24 * 32).collect();
        let of = |component: usize| -> Vec<f32> {
            planes.iter().skip(component).step_by(2).flat_map(|plane| plane.iter().copied()).collect()
        };
        let [u, v] = [of(0), of(1)].map(|values| {
            let middle = mean(&values);
            values.iter().map(|value| value - middle).collect::<Vec<f32>>()
        });
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        product(&u, &v) / (product(&u, &u) * product(&v, &v)).sqrt()
    };
    let [without, with] = [correlation(&[]), correlation(&["--statistics", "f.safetensors"])];
    assert!(with > 0.9 && without < 0.7, "{with} {without}");
    let film = "v/class-right-flow.apng";
    place.succeed(&["again", film, "--out", "again.bin"]);
    assert_eq!(place.read("again.bin"), place.read(film));
    std::fs::create_dir(place.path("none")).unwrap();
    refuse_all(
        &place,
        &[
            ("no flow", "statistics none --flow --out g.safetensors", &["none"]),
            ("pixels", "video two.onnx --class right --statistics f.safetensors", &["--statistics", "pixel"]),
            (
                "a network without flow",
                "video clip.onnx --unit relu:1 --param fourier3d --statistics f.safetensors",
                &["f.safetensors", "optical flow"],
            ),
        ],
    );
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
