//! Networks whose input is video clips or optical flow.

use std::path::Path;

use oneiro_media::flow::{Flow, write_flow};
use oneiro_media::{Film, FrameRate, Image, PngText, encode_png};

use crate::bad_input::refuse_all;
use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::outside;
use crate::place::Place;

/// Height and width of the test networks' inputs.
const SIZE: [usize; 2] = [24, 32];
/// Number of frames in a clip, and of optical flow fields.
const FRAMES: usize = 4;
const FIELDS: usize = 3;

/// Returns an ONNX file with these inputs, nodes and constants. Its output `output` has `classes` values.
fn file(content: &[Vec<u8>], classes: usize) -> Vec<u8> {
    let graph = [content.concat(), text(2, "tiny"), value(12, "output", &[Some(1), Some(classes)])].concat();
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph)].concat()
}

/// Writes a network of clips: a 3-D convolution with two channels, a ReLU, and the mean of each channel.
pub fn of_clips(place: &Place) {
    let [h, w] = SIZE;
    let content = [
        value(11, "clip", &[Some(1), Some(3), Some(FRAMES), Some(h), Some(w)]),
        tensor("weight", &[2, 3, 3, 3, 3], &weights(2 * 81, 1)),
        node("Conv", "/conv/Conv", &["clip", "weight"], "/conv/out", &[ints("kernel_shape", &[3; 3])]),
        node("Relu", "/relu/Relu", &["/conv/out"], "/relu/out", &[]),
        node("GlobalAveragePool", "/pool/Mean", &["/relu/out"], "/mean", &[]),
        node("Flatten", "/Flatten", &["/mean"], "output", &[]),
    ];
    place.write("clip.onnx", file(&content, 2));
    place.write(
        "clip.toml",
        format!("[[input]]\nname = \"clip\"\nkind = \"clip\"\nsize = [{h}, {w}]\nframes = {FRAMES}\n"),
    );
}

/// Writes a network of a frame and optical flow. Four classes are motion to the right, to the left, down and
/// up, by the mean over all flow fields; a fifth is a white frame.
pub fn two_streams(place: &Place) {
    let [h, w] = SIZE;
    let inputs = 3 + 2 * FIELDS;
    let mut head = vec![0.0; 5 * inputs];
    for field in 0..FIELDS {
        for (class, (component, sign)) in [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)].into_iter().enumerate() {
            head[class * inputs + 3 + 2 * field + component] = 100.0 * sign;
        }
    }
    head[4 * inputs..][..3].fill(30.0);
    let content = [
        value(11, "rgb", &[Some(1), Some(3), Some(h), Some(w)]),
        value(11, "flow", &[Some(1), Some(2 * FIELDS), Some(h), Some(w)]),
        tensor("head", &[5, inputs], &head),
        node("GlobalAveragePool", "/rgb/Mean", &["rgb"], "/rgb/mean", &[]),
        node("GlobalAveragePool", "/flow/Mean", &["flow"], "/flow/mean", &[]),
        node("Concat", "/Concat", &["/rgb/mean", "/flow/mean"], "/both", &[concat_axis()]),
        node("Flatten", "/Flatten", &["/both"], "/flat", &[]),
        node("Gemm", "/head/Gemm", &["/flat", "head"], "output", &[transposed()]),
    ];
    place.write("two.onnx", file(&content, 5));
    place.write(
        "two.toml",
        format!(
            "labels = \"labels.txt\"\n\
             [[input]]\nname = \"rgb\"\nsize = [{h}, {w}]\nmean = [1.0, 1.0, 1.0]\nstd = [1.0, 1.0, 1.0]\n\
             [[input]]\nname = \"flow\"\nkind = \"flow\"\nsize = [{h}, {w}]\nframes = {FIELDS}\nrange = 20.0\n"
        ),
    );
    place.write("labels.txt", "right\nleft\ndown\nup\nwhite\n");
}

fn concat_axis() -> Vec<u8> {
    attribute("axis")
}

fn transposed() -> Vec<u8> {
    attribute("transB")
}

/// Returns an ONNX attribute whose value is the integer 1.
fn attribute(name: &str) -> Vec<u8> {
    /// The value `INT` of ONNX's `AttributeProto.AttributeType`.
    const INT: u64 = 2;
    message(5, &[text(1, name), number(3, 1), number(20, INT)].concat())
}

/// Returns a clip of a texture that moves by a constant vector per frame, `[3, frames, height, width]`.
fn moving(frames: usize, [height, width]: [usize; 2], [u, v]: [f32; 2]) -> Image {
    let texture = |x: f32, y: f32| 0.5 + 0.2 * (0.5 * x).sin() + 0.2 * (0.4 * y + 0.2 * x).cos();
    let mut data = Vec::new();
    for _ in 0..3 {
        for t in 0..frames {
            for y in 0..height {
                data.extend((0..width).map(|x| texture(x as f32 - u * t as f32, y as f32 - v * t as f32)));
            }
        }
    }
    Image::new([3, frames, height, width], data).unwrap()
}

fn film(clip: &Image) -> Film {
    Film::from_clip(clip, FrameRate::new(10.0).unwrap(), 1).unwrap()
}

/// Four animated pictures in class folders: GIF and PNG.
pub fn clips(place: &Place, frames: usize, size: [usize; 2]) {
    for (class, motion) in
        [("right", [1.5, 0.0]), ("left", [-1.5, 0.0]), ("down", [0.0, 1.0]), ("up", [0.0, -1.0])]
    {
        let film = film(&moving(frames, size, motion));
        place.write(&format!("clips/{class}/a.gif"), film.to_gif(&PngText::default()).unwrap());
        place.write(&format!("clips/{class}/b.png"), film.to_apng(&PngText::default()).unwrap());
    }
}

#[test]
fn motion_is_seen_by_computed_flow() {
    let place = Place::new();
    two_streams(&place);
    for size in [SIZE, [48, 64], [30, 60]] {
        clips(&place, 8, size);
        let outcome = place.run(&["classify", "two.onnx", "clips"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("right at first 8 of 8"), "{size:?}: {}", outcome.stdout);
        assert!(outcome.stderr.contains("computed by TV-L1"), "{}", outcome.stderr);
    }
    let verdicts = place.json(&["classify", "two.onnx", "clips/right/a.gif", "--json", "--clips", "2"]);
    let video = &verdicts[0]["video"];
    assert_eq!(video["frames"], 8);
    assert_eq!(video["span"], FIELDS + 1);
    assert_eq!(video["starts"], serde_json::json!([1, 3]));
    assert_eq!(video["flow"], "tv-l1");
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let place = Place::new();
    two_streams(&place);
    clips(&place, 6, [30, 40]);
    let json = |threads: &str| {
        place.succeed(&["classify", "two.onnx", "clips", "--json", "--clips", "3", "--threads", threads])
    };
    assert_eq!(json("1"), json("3"));
}

#[test]
fn flow_is_read_from_files() {
    let place = Place::new();
    two_streams(&place);
    clips(&place, 8, SIZE);
    let [h, w] = SIZE;
    let even = |[u, v]: [f32; 2]| {
        let fields = (0..7).flat_map(|_| [u, v].map(|value| vec![value; h * w])).flatten().collect();
        Flow::new(7, h, w, fields).unwrap()
    };
    // The flow files contradict the videos, which shows that the files are used.
    for (class, motion) in
        [("right", [-2.0, 0.0]), ("left", [2.0, 0.0]), ("down", [0.0, -2.0]), ("up", [0.0, 2.0])]
    {
        for file in ["a", "b"] {
            std::fs::create_dir_all(place.path(&format!("flows/{class}"))).unwrap();
            write_flow(place.path(&format!("flows/{class}/{file}.npy")), &even(motion)).unwrap();
        }
    }
    let outcome = place.run(&["classify", "two.onnx", "clips", "--flow", "flows"]);
    assert!(outcome.stdout.contains("right at first 0 of 8"), "{outcome:?}");
    assert!(outcome.stderr.contains("read from files"), "{}", outcome.stderr);
    let first = |args: &[&str]| {
        let verdicts = place.json(&[&["classify", "two.onnx", "clips/right/a.gif", "--json"], args].concat());
        verdicts[0]["top"][0]["label"].as_str().unwrap().to_owned()
    };
    assert_eq!(first(&["--flow", "flows/down/b.npy"]), "up");
    assert_eq!(first(&["--flow", "flows/right"]), "left");
    assert_eq!(first(&[]), "right");
    // A flow file beside the clip is used, unless the user forbids it.
    std::fs::copy(place.path("flows/left/a.npy"), place.path("clips/right/a.npy")).unwrap();
    assert_eq!(first(&[]), "right");
    std::fs::copy(place.path("flows/up/a.npy"), place.path("clips/right/a.npy")).unwrap();
    assert_eq!(first(&[]), "down");
    assert_eq!(first(&["--flow", "tv-l1"]), "right");
    std::fs::remove_file(place.path("flows/up/b.npy")).unwrap();
    let outcome = place.run(&["classify", "two.onnx", "clips", "--flow", "flows"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("1 of 8 clips") && outcome.stderr.contains("b.npz"), "{outcome:?}");
    // A still has no motion of its own, and goes with flow of any length.
    let still = encode_png(&Image::filled(w, h, [0.4; 3]), &PngText::default()).unwrap();
    place.write("still.png", still);
    let verdicts =
        place.json(&["classify", "two.onnx", "still.png", "--flow", "flows/right/a.npy", "--json"]);
    assert_eq!(verdicts[0]["top"][0]["label"], "left");
    let outcome = place.run(&["classify", "two.onnx", "still.png"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("one frame, which shows no motion"), "{outcome:?}");
    write_flow(place.path("short.npy"), &even([1.0, 1.0]).field(0)).unwrap();
    refuse_all(
        &place,
        &[
            (
                "one flow for many",
                "classify two.onnx clips --flow flows/up/a.npy",
                &["flow of one clip", "8"],
            ),
            ("flow that is not there", "classify two.onnx clips --flow nowhere", &["nowhere"]),
            (
                "too few fields",
                "classify two.onnx clips/up/b.png --flow short.npy",
                &["1 fields", "8 frames"],
            ),
            ("scan with one flow", "scan two.onnx clips --flow short.npy --out s", &["flow of one clip"]),
        ],
    );
}

#[test]
fn folders_of_frames_and_short_videos_are_clips() {
    let place = Place::new();
    of_clips(&place);
    let clip = moving(5, SIZE, [1.0, 0.0]);
    place.write("five.png", film(&clip).to_apng(&PngText::default()).unwrap());
    for t in 0..5 {
        let planes: Vec<f32> = (0..3).flat_map(|channel| clip.plane(channel * 5 + t).to_vec()).collect();
        let frame = Image::rgb(SIZE[1], SIZE[0], planes).unwrap();
        place.write(
            &format!("five/frame_{t}.png"),
            oneiro_media::encode_png(&frame, &PngText::default()).unwrap(),
        );
    }
    place.write("two.gif", film(&moving(2, SIZE, [1.0, 0.0])).to_gif(&PngText::default()).unwrap());
    let top = |path: &str, more: &[&str]| {
        let verdicts = place.json(&[&["classify", "clip.onnx", path, "--json"], more].concat());
        verdicts[0].clone()
    };
    let [film, frames] = ["five.png", "five"].map(|path| top(path, &[]));
    assert_eq!(film["top"], frames["top"]);
    assert_eq!(film["video"]["frames"], 5);
    assert!(film["video"].get("missing").is_none() && film["video"].get("flow").is_none());
    // With stride 2, the clip's frames are 1, 3, 4 and 4, instead of 0 to 3.
    let strided = top("five", &["--stride", "2"]);
    assert_eq!(strided["video"]["missing"], 2);
    assert_ne!(strided["top"], film["top"]);
    let outcome = place.run(&["classify", "clip.onnx", "two.gif"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("two.gif has 2 frames, and the network sees 4"), "{}", outcome.stderr);
}

#[test]
fn clips_that_cannot_be_used_are_named() {
    let place = Place::new();
    of_clips(&place);
    place.write("net.onnx", crate::onnx::Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("a.gif", film(&moving(4, SIZE, [1.0, 0.0])).to_gif(&PngText::default()).unwrap());
    place.write("bad.gif", "GIF89a and no more");
    std::fs::create_dir(place.path("empty")).unwrap();
    refuse_all(
        &place,
        &[
            ("no clips", "classify clip.onnx empty", &["no clip in empty", "folders of frames"]),
            ("no such clip", "classify clip.onnx nowhere.mp4", &["nowhere.mp4"]),
            ("damaged", "classify clip.onnx bad.gif", &["bad.gif"]),
            ("clips of an image network", "classify net.onnx a.gif --clips 2", &["--clips", "takes images"]),
            ("flow of an image network", "classify net.onnx a.gif --flow f", &["--flow", "takes images"]),
            ("a scan of an image network", "scan net.onnx . --stride 2 --out s", &["takes images"]),
            ("too many clips", "classify clip.onnx a.gif --clips 1000000", &["1000000 clips", "fewer"]),
            ("heat maps of a clip that is not there", "attribute clip.onnx b.mp4", &["b.mp4"]),
            ("a crop out of range", "classify clip.onnx a.gif --crop 2", &["crop is 2"]),
        ],
    );
    // A bad clip among others is reported, and the others are classified.
    let outcome = place.run(&["classify", "clip.onnx", "a.gif", "bad.gif"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("a.gif") && outcome.stderr.contains("1 of 2 clips"), "{outcome:?}");
}

#[test]
fn scans_of_clips_have_times_and_keep_computed_flow() {
    let place = Place::new();
    of_clips(&place);
    two_streams(&place);
    clips(&place, 8, SIZE);
    place.succeed(&["scan", "clip.onnx", "clips", "--out", "s"]);
    let units = place.json(&["units", "s", "/relu/out:1", "--json"]);
    let best = &units[0]["best"][0];
    assert!(best["t"].is_u64() && best["y"].is_u64() && best["x"].is_u64(), "{best}");
    assert_eq!(units[0]["best"].as_array().unwrap().len(), 8);

    // Activations over the frame of the largest one, of the network of clips.
    place.succeed(&["units", "s", "/relu/out:1", "--heat", "--out", "heat.png"]);
    place.succeed(&["units", "s", "/relu/out:1", "--out", "plain.png"]);
    let height = |name: &str| oneiro_media::read_image(place.path(name)).unwrap().height;
    assert!(height("heat.png") > height("plain.png"));

    let said =
        place.succeed(&["scan", "two.onnx", "clips", "--thumbnails", "--by", "relevance", "--out", "t"]);
    assert!(said.contains("right at first: 8 of 8"), "{said}");
    let kept = || std::fs::read_dir(place.path("t/flow")).unwrap().count();
    assert_eq!(kept(), 8);
    // A second scan, with cached flow, gives the same numbers.
    let best = |scan: &str| place.json(&["units", scan, "class:right", "--json"])[0]["best"].clone();
    let first = best("t");
    std::fs::remove_file(place.path("t/scan.sqlite")).unwrap();
    place.succeed(&["scan", "two.onnx", "clips", "--thumbnails", "--by", "relevance", "--out", "t"]);
    assert_eq!(best("t"), first);
    assert_eq!(kept(), 8);
}

/// Tests on trained networks with a known ("planted") behaviour, whose `truth.json` has the expected
/// accuracy.
mod planted {
    use super::*;

    fn truth(model: &Path) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(model.join("truth.json")).unwrap()).unwrap()
    }

    /// Returns the share of the test clips that the program classifies correctly.
    fn right(place: &Place, model: &Path, more: &[&str]) -> f64 {
        let clips = model.parent().unwrap().join("data/clips");
        let file = model.join("final.legacy-op17.bn.onnx");
        // The card of the two-stream network names no labels.
        let labels = model.join("labels.txt");
        let [clips, file, labels] = [&clips, &file, &labels].map(|path| path.to_str().unwrap());
        let args = ["classify", file, clips, "--labels", labels, "--json"];
        let verdicts = place.json(&[&args, more].concat());
        let verdicts = verdicts.as_array().unwrap();
        let is_right = |v: &&serde_json::Value| v["truth"] == v["top"][0]["class"];
        verdicts.iter().filter(is_right).count() as f64 / verdicts.len() as f64
    }

    #[test]
    fn planted_clips_are_named_as_often_as_in_training() {
        let (Some(_), Some(planted)) = (outside::ffmpeg(), outside::shared("models/planted")) else { return };
        let place = Place::new();
        let flows = planted.join("data/flows");
        for (name, key, more) in [
            ("c3d_small", "160_eval_clips_mp4", vec![]),
            (
                "two_stream_fusion",
                "160_eval_clips_mp4_and_exact_flow",
                vec!["--flow", flows.to_str().unwrap()],
            ),
        ] {
            let model = planted.join(name);
            let wanted = truth(&model)["accuracy"][key]["accuracy"].as_f64().unwrap();
            let found = right(&place, &model, &more);
            // Video decoders differ slightly in colours: two of 160 clips get another class.
            assert!((found - wanted).abs() <= 3.0 / 160.0, "{name}: {found}, not {wanted}");
        }
    }
}
