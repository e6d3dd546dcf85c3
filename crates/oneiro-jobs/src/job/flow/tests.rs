use std::path::{Path, PathBuf};

use oneiro_media::flow::{FlowScaling, Luminance, flow_colors, flow_of_frames, read_flow, write_flow};
use oneiro_media::{Film, FrameRate, Image, PngText, VideoReader};

use super::*;
use crate::again::{Again, Difference, Kinds, Original};
use crate::error::Error;
use crate::job::{Kept, NewFolder, Place, Role};
use crate::observer::{Cancelled, Observer, Silent};
use crate::{Context, Folder};

/// Returns a frame of a texture that is shifted `moved` pixels to the right and half as many down.
fn frame(moved: f32) -> Image {
    let (width, height) = (40, 32);
    let value = |x: f32, y: f32| 0.5 + 0.2 * (0.4 * x).sin() + 0.2 * (0.3 * y + 0.1 * x).cos();
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)));
    let plane: Vec<f32> = pixels.map(|(x, y)| value(x - moved, y - 0.5 * moved)).collect();
    Image::rgb(width, height, [plane.clone(), plane.clone(), plane].concat()).unwrap()
}

/// Writes a lossless film of a texture whose motion speeds up; returns the film's path.
fn video(folder: &Path, frames: usize) -> String {
    let mut film = Film::at_rate(FrameRate::new(10.0).unwrap());
    (0..frames).for_each(|t| film.push(&frame((t * t) as f32 / 4.0), 1).unwrap());
    // In a WebP film the still image is the first frame; a PNG film stores a separate one.
    let bytes = film.to_webp(&PngText::default()).unwrap();
    let path = folder.join(format!("video{frames}.webp"));
    std::fs::write(&path, bytes).unwrap();
    path.to_string_lossy().into_owned()
}

fn run(job: &FlowJob, threads: usize) -> Result<(FlowReport, Vec<u8>)> {
    let context = Context::new(Some(threads), Silent)?;
    let mut kept = Kept::all();
    let report = job.run(&Run::without_model(&context), &mut kept)?;
    let place = if job.output.is_film() { Place::film(0) } else { Place::first(Role::Flow) };
    Ok((report, kept.take(place).unwrap()))
}

/// Writes a file into a new temporary folder; returns both.
fn saved(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn chosen_frames_give_the_flow_of_the_library_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let input = video(folder.path(), 7);
    let read = VideoReader::open(&input, &Default::default()).unwrap();
    let frames: Vec<Luminance> =
        read.map(|frame| Luminance::from_rgb8(40, 32, &frame.unwrap().to_rgb8()).unwrap()).collect();
    for (range, indices) in [
        (FrameRange::default(), &[0, 1, 2, 3, 4, 5, 6][..]),
        (FrameRange { start: 2, count: Some(3), every: 1 }, &[2, 3, 4]),
        (FrameRange { start: 1, count: None, every: 2 }, &[1, 3, 5]),
        (FrameRange { start: 0, count: Some(9), every: 3 }, &[0, 3, 6]),
    ] {
        let chosen: Vec<Luminance> = indices.iter().map(|&i| frames[i].clone()).collect();
        let expected = flow_of_frames(&chosen, &Default::default()).unwrap();
        let job = FlowJob { frames: range, ..FlowJob::new(&input, FlowOutput::Npy) };
        for threads in [1, 2, 3] {
            let (report, bytes) = run(&job, threads).unwrap();
            let (_folder, path) = saved("a.npy", &bytes);
            assert_eq!(read_flow(path).unwrap(), expected, "{range:?}, {threads} threads");
            assert_eq!((report.fields, report.height, report.width), (indices.len() - 1, 32, 40));
            assert_eq!(report.largest, expected.largest());
            assert!(report.mean > 0.0 && report.mean < f64::from(report.largest));
        }
    }
}

#[test]
fn a_film_has_the_colours_of_the_whole_stack_and_the_rate_of_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let input = video(folder.path(), 5);
    let (_, numbers) = run(&FlowJob::new(&input, FlowOutput::Npy), 2).unwrap();
    let (_folder, path) = saved("a.npy", &numbers);
    let stack = read_flow(&path).unwrap();
    for (style, scaling) in
        [(FlowStyle::Channels, FlowScaling::Channels), (FlowStyle::Joint, FlowScaling::Joint)]
    {
        let clip = flow_colors(&stack, scaling).unwrap();
        let job = FlowJob { style, enlarge: Some(2), ..FlowJob::new(&input, FlowOutput::Apng) };
        let (_, film) = run(&job, 1).unwrap();
        assert_eq!(run(&job, 3).unwrap().1, film);
        let (_folder, path) = saved("a.png", &film);
        let reader = VideoReader::open(path, &Default::default()).unwrap();
        assert!((reader.info().frames_per_second.unwrap() - 10.0).abs() < 1e-3);
        let mut count = 0;
        for (t, frame) in reader.enumerate() {
            let frame = frame.unwrap();
            assert_eq!((frame.height, frame.width), (64, 80));
            for channel in 0..3 {
                let plane = clip.plane(channel * stack.frames + t);
                let levels = |values: &[f32]| values.iter().map(|v| (v * 255.0).round()).collect::<Vec<_>>();
                let every_other =
                    frame.plane(channel).chunks(80).step_by(2).flat_map(|row| row.iter().step_by(2));
                assert_eq!(levels(&every_other.copied().collect::<Vec<_>>()), levels(plane), "{t} {channel}");
            }
            count += 1;
        }
        assert_eq!(count, 4);
    }
}

#[test]
fn films_in_every_format_and_style_are_made_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new(Some(2), Silent).unwrap();
    let inputs = [video(folder.path(), 4), {
        let frames = folder.path().join("frames");
        std::fs::create_dir(&frames).unwrap();
        for t in 0..4 {
            let name = format!("{t}.png");
            oneiro_media::write_png(frames.join(name), &frame(t as f32), &PngText::default()).unwrap();
        }
        frames.to_string_lossy().into_owned()
    }];
    let styles = [FlowStyle::Channels, FlowStyle::Joint, FlowStyle::Wheel, FlowStyle::Arrows];
    let outputs = [FlowOutput::Apng, FlowOutput::Gif, FlowOutput::Webp];
    for (at, (style, output)) in styles.iter().flat_map(|s| outputs.map(|o| (*s, o))).enumerate() {
        let job = FlowJob {
            style,
            compensate_camera: at == 0,
            size: (at == 1).then_some(FlowSize::Shorter(24)),
            ..FlowJob::new(&inputs[at % 2], output)
        };
        let (report, bytes) = run(&job, 1).unwrap();
        assert_eq!(report.fields, 3);
        let name = format!("film.{}", output.film().unwrap().extension());
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let original = Original::read(&path).unwrap();
        assert!(original.text.get("film").unwrap().starts_with("3 frames at "), "{job:?}");
        let again = Again::find(&context, original, &Kinds::default(), None, &[], false).unwrap();
        assert!(again.is_film());
        assert_eq!(again.sources(), [PathBuf::from(&job.input)]);
        let remade = again.run(&context).unwrap();
        assert_eq!((remade.difference, remade.bytes == bytes), (Some(Difference::None), true), "{job:?}");
    }
}

#[test]
fn a_folder_of_frames_that_has_moved_is_found_and_a_changed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new(Some(2), Silent).unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    std::fs::create_dir(&before).unwrap();
    for t in 0..3 {
        oneiro_media::write_png(before.join(format!("{t}.png")), &frame(t as f32), &PngText::default())
            .unwrap();
    }
    let job = FlowJob::new(before.to_string_lossy(), FlowOutput::Gif);
    let path = folder.path().join("flow.gif");
    std::fs::write(&path, run(&job, 1).unwrap().1).unwrap();
    std::fs::rename(&before, &after).unwrap();
    // A file that is no picture must not count as a frame.
    std::fs::write(after.join("notes.txt"), "of no matter").unwrap();
    let find = |given: &[PathBuf]| {
        Again::find(&context, Original::read(&path).unwrap(), &Kinds::default(), None, given, false)
    };
    assert!(find(&[]).is_err());
    let remade = find(std::slice::from_ref(&after)).unwrap().run(&context).unwrap();
    assert_eq!(remade.difference, Some(Difference::None));
    oneiro_media::write_png(after.join("1.png"), &frame(0.0), &PngText::default()).unwrap();
    assert!(find(&[after]).is_err());
}

#[test]
fn flow_is_converted_and_drawn_without_being_computed() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new(Some(2), Silent).unwrap();
    let input = video(folder.path(), 4);
    let (_, numbers) = run(&FlowJob::new(&input, FlowOutput::Npy), 2).unwrap();
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::write(file("a.npy"), &numbers).unwrap();
    let (report, again) = run(&FlowJob::new(file("a.npy"), FlowOutput::Npy), 2).unwrap();
    assert_eq!((again, report.computing_seconds), (numbers, None));
    let one = FrameRange { start: 1, count: Some(1), every: 1 };
    let (_, flo) = run(&FlowJob { frames: one, ..FlowJob::new(file("a.npy"), FlowOutput::Flo) }, 2).unwrap();
    std::fs::write(file("a.flo"), &flo).unwrap();
    let stack = read_flow(file("a.npy")).unwrap();
    assert_eq!(read_flow(file("a.flo")).unwrap(), stack.field(1));
    let pairs = FlowJob { bound: Some(10.0), ..FlowJob::new(file("a.npy"), FlowOutput::Pairs) };
    let mut sink = NewFolder::new(&folder.path().join("pairs")).unwrap();
    pairs.run(&Run::without_model(&context), &mut sink).unwrap();
    sink.finish().unwrap();
    let back = FlowJob { bound: Some(10.0), ..FlowJob::new(file("pairs"), FlowOutput::Npy) };
    std::fs::write(file("b.npy"), run(&back, 1).unwrap().1).unwrap();
    let read = read_flow(file("b.npy")).unwrap();
    assert_eq!((read.frames, read.height, read.width), (3, 32, 40));
    // The tolerance covers gray steps of 20/255 pixels and the losses of JPEG.
    let largest = read.data.iter().zip(&stack.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 0.5, "{largest}");
    let arrows = FlowJob { style: FlowStyle::Arrows, ..FlowJob::new(file("a.flo"), FlowOutput::Apng) };
    let (_folder, path) = saved("a.png", &run(&arrows, 1).unwrap().1);
    let still = oneiro_media::read_image(path).unwrap();
    assert_eq!((still.height, still.width), (256, 320));
}

#[test]
fn unknown_flow_is_left_out_of_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let flow = oneiro_media::flow::Flow::new(1, 3, 3, [vec![f32::NAN], vec![3.0; 8], vec![4.0; 9]].concat())
        .unwrap();
    write_flow(&path, &flow).unwrap();
    for style in [FlowStyle::Channels, FlowStyle::Joint, FlowStyle::Wheel, FlowStyle::Arrows] {
        let job = FlowJob { style, ..FlowJob::new(path.to_string_lossy(), FlowOutput::Gif) };
        let (report, _) = run(&job, 1).unwrap();
        assert_eq!((report.mean, report.largest), (5.0, 5.0));
    }
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (one, three) = (video(folder.path(), 1), video(folder.path(), 3));
    let path = folder.path().join("a.flo");
    let flow = oneiro_media::flow::Flow::new(1, 3, 3, vec![1.0; 18]).unwrap();
    write_flow(&path, &flow).unwrap();
    let flo = path.to_string_lossy().into_owned();
    let of = |input: &str| FlowJob::new(input, FlowOutput::Npy);
    let from = |start, count| FrameRange { start, count, every: 1 };
    let cases = [
        (of(&one), "optical flow needs two frames, and there is one of it; name a video with more"),
        (FlowJob { frames: from(2, None), ..of(&three) }, "there is one of it; choose more of its frames"),
        (FlowJob { frames: from(9, None), ..of(&three) }, "there are 0 of it; choose more"),
        (FlowJob { frames: from(0, Some(1)), ..of(&three) }, "there is one of it; choose more"),
        (FlowJob { frames: from(0, Some(0)), ..of(&three) }, "the number of frames is 0"),
        (
            FlowJob { frames: FrameRange { every: 0, ..from(0, None) }, ..of(&three) },
            "the step between frames is 0",
        ),
        (
            FlowJob::new(&three, FlowOutput::Flo),
            "a .flo file holds one flow field, and there are 2; write .npy",
        ),
        (of("gone.gif"), "gone.gif"),
        (FlowJob { enlarge: Some(0), ..FlowJob::new(&three, FlowOutput::Gif) }, "the enlargement is 0"),
        (FlowJob { enlarge: Some(1 << 20), ..FlowJob::new(&three, FlowOutput::Gif) }, "too much for a film"),
        (FlowJob { enlarge: Some(400), ..FlowJob::new(&three, FlowOutput::Gif) }, "too much for a film"),
        (
            FlowJob { enlarge: Some(300), ..FlowJob::new(video(folder.path(), 6), FlowOutput::Gif) },
            "too much for a GIF",
        ),
        (
            FlowJob { enlarge: Some(300), ..FlowJob::new(video(folder.path(), 6), FlowOutput::Webp) },
            "a WebP film",
        ),
        (FlowJob { size: Some(FlowSize::Shorter(2)), ..of(&three) }, "a side of the size is 2"),
        (
            FlowJob { bound: Some(0.0), ..FlowJob::new(&three, FlowOutput::Pairs) },
            "the bound of the motion is 0",
        ),
        (FlowJob { frames_per_second: Some(0.0), ..of(&three) }, "0 frames per second"),
        (FlowJob { tvl1: TvL1Settings { tau: 1.0, ..Default::default() }, ..of(&three) }, "tau is 1"),
        (FlowJob { size: Some(FlowSize::Shorter(9)), ..of(&flo) }, "optical flow already"),
        (FlowJob { compensate_camera: true, ..of(&flo) }, "leave out the compensation"),
        (FlowJob { frames: FrameRange { every: 2, ..from(0, None) }, ..of(&flo) }, "leave out the step"),
        (FlowJob { frames: from(1, None), ..of(&flo) }, "it has 1 flow fields, and those from 1 on"),
    ];
    for (job, expected) in cases {
        let error = run(&job, 2).map(|(report, _)| report).unwrap_err().to_string();
        assert!(error.contains(expected), "{job:?}\n{error}");
    }
}

#[test]
fn a_cancelled_job_leaves_nothing() {
    /// An observer that cancels after this many requests. Nine come before the film of five frames is
    /// written.
    struct After(std::sync::atomic::AtomicUsize);
    impl Observer for After {
        fn is_cancelled(&self) -> bool {
            self.0.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(1))).unwrap() == 0
        }
    }
    use std::sync::atomic::Ordering::Relaxed;
    let folder = tempfile::tempdir().unwrap();
    let input = video(folder.path(), 5);
    for (output, checks) in [(FlowOutput::Apng, 3), (FlowOutput::Apng, 11), (FlowOutput::Npy, 11)] {
        let out = folder.path().join("out");
        let context = Context::new(Some(1), After(checks.into())).unwrap();
        let job = FlowJob::new(&input, output);
        let cancelled = job.run(&Run::without_model(&context), &mut Folder::new(&out)).unwrap_err();
        assert!(matches!(cancelled, Error::Cancelled(Cancelled)), "{cancelled}");
        assert_eq!(std::fs::read_dir(&out).map(Iterator::count).unwrap_or(0), 0);
    }
}

#[test]
fn a_size_keeps_the_aspect() {
    assert_eq!(FlowSize::Shorter(100).of(200, 301), [100, 151]);
    assert_eq!(FlowSize::Shorter(100).of(301, 200), [151, 100]);
    assert_eq!(FlowSize::Shorter(400).of(200, 300), [400, 600]);
    assert_eq!(FlowSize::Exact([7, 9]).of(1, 1), [7, 9]);
}
