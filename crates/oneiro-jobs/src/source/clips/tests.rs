use oneiro::Model;
use oneiro::card::Card;
use oneiro_media::{Film, FrameRate, PngText};
use oneiro_net::graph::{Builder, Dim};

use super::*;

const CARD: &str = r#"
    [[input]]
    name = "rgb"
    kind = "image"
    size = [6, 8]
    [[input]]
    name = "clip"
    kind = "clip"
    size = [6, 8]
    frames = 4
    [[input]]
    name = "flow"
    kind = "flow"
    size = [6, 8]
    frames = 3
    range = 20.0
"#;

/// Returns the three inputs of a network that takes an image, a clip and flow.
fn inputs() -> Vec<PictureInput> {
    let mut net = Builder::new();
    let mut input = |name, shape: &[usize]| {
        let dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        net.input(name, &dims).unwrap()
    };
    let values = [input("rgb", &[1, 3, 6, 8]), input("clip", &[1, 3, 4, 6, 8]), input("flow", &[1, 6, 6, 8])];
    let means: Vec<_> = ["a", "b", "c"]
        .iter()
        .zip(values)
        .map(|(name, x)| net.node("GlobalAveragePool", name, &[x], vec![]).unwrap())
        .collect();
    let model = Model::new(net.finish(&means), Card::parse(CARD).unwrap()).unwrap();
    let shapes = model.input_shapes(1, None).unwrap();
    (0..3).map(|index| PictureInput::new(&model, index, &shapes).unwrap()).collect()
}

/// Returns the bytes of a film whose frames are uniform: frame t has the value t / 20.
fn film(frames: usize, height: usize, width: usize) -> Vec<u8> {
    let plane = |t: usize| vec![t as f32 / 20.0; height * width];
    let data: Vec<f32> = (0..3).flat_map(|_| (0..frames).flat_map(plane)).collect();
    let clip = Image::new([3, frames, height, width], data).unwrap();
    let film = Film::from_clip(&clip, FrameRate::new(10.0).unwrap(), 1).unwrap();
    film.to_apng(&PngText::default()).unwrap()
}

#[test]
fn a_video_gives_every_input_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("v.png");
    std::fs::write(&video, film(9, 6, 8)).unwrap();
    let reader = ClipReader::new(inputs(), &ClipSampling { clips: 2, ..ClipSampling::default() }).unwrap();
    assert!(reader.needs_flow());
    let read = reader.read(&video, None).unwrap();
    assert_eq!((read.frames, read.missing, read.size), (9, 0, [6, 8]));
    // There are six possible starts; the two clips start in the middles of the two halves.
    assert_eq!(read.starts, [1, 4]);
    assert_eq!(read.middles, [3, 6]);
    for (clip, start) in read.clips.iter().zip([1, 4]) {
        let [still, frames, flow] = &clip[..] else { panic!("{} inputs", clip.len()) };
        let near = |value: f32, t: usize| (value - t as f32 / 20.0).abs() < 0.01;
        assert_eq!(still.shape(), [3, 6, 8]);
        assert!(near(still.data[0], start + 2));
        assert_eq!(frames.shape(), [3, 4, 6, 8]);
        for (plane, value) in frames.data.chunks(48).enumerate() {
            assert!(near(value[5], start + plane % 4), "{plane}");
        }
        assert_eq!(flow.shape(), [2, 3, 6, 8]);
    }
}

#[test]
fn flow_from_a_file_is_taken_around_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (video, file) = (folder.path().join("v.png"), folder.path().join("f.npy"));
    std::fs::write(&video, film(9, 6, 8)).unwrap();
    let fields: Vec<f32> = (0..16).flat_map(|plane| vec![plane as f32; 48]).collect();
    let flow = Flow::new(8, 6, 8, fields).unwrap();
    oneiro_media::flow::write_flow(&file, &flow).unwrap();
    let only = vec![inputs().swap_remove(2)];
    let reader = ClipReader::new(only.clone(), &ClipSampling::default()).unwrap();
    let read = reader.read(&video, Some(&file)).unwrap();
    let values: Vec<f32> = read.clips[0][0].data.chunks(48).map(|plane| plane[0]).collect();
    // A clip of four frames in a video of nine begins at frame 3: fields 3, 4 and 5, with their u before
    // their v.
    assert_eq!(values, [6.0, 8.0, 10.0, 7.0, 9.0, 11.0]);
    let strided = ClipSampling { stride: 2, ..ClipSampling::default() };
    let read = ClipReader::new(only, &strided).unwrap().read(&video, Some(&file)).unwrap();
    let values: Vec<f32> = read.clips[0][0].data.chunks(48).map(|plane| plane[0]).collect();
    assert_eq!(values[..3], [4.0, 8.0, 12.0]);
}

#[test]
fn short_videos_say_how_many_frames_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("v.png");
    let reader = ClipReader::new(inputs(), &ClipSampling::default()).unwrap();
    for frames in [2, 3] {
        std::fs::write(&video, film(frames, 6, 8)).unwrap();
        let read = reader.read(&video, None).unwrap();
        assert_eq!((read.frames, read.missing), (frames, 4 - frames));
        let shapes: Vec<usize> = read.clips[0].iter().map(|image| image.data.len()).collect();
        assert_eq!(shapes, [3 * 48, 12 * 48, 6 * 48]);
    }
    std::fs::write(&video, film(1, 6, 8)).unwrap();
    let still = reader.read(&video, None).map(|_| ()).unwrap_err().to_string();
    assert!(still.contains("one frame, which shows no motion"), "{still}");
}

#[test]
fn numbers_out_of_range_are_errors() {
    for sampling in [
        ClipSampling { stride: 0, ..ClipSampling::default() },
        ClipSampling { clips: 0, ..ClipSampling::default() },
        ClipSampling { crop: Some(0.0), ..ClipSampling::default() },
        ClipSampling { clips: usize::MAX, ..ClipSampling::default() },
    ] {
        assert!(ClipReader::new(inputs(), &sampling).is_err(), "{sampling:?}");
    }
}
