//! Files by the program `ffmpeg`.

use oneiro_media::{Ffmpeg, FrameChoice, Sampling, VideoReader, count_frames, sample_video};

use crate::outside;

#[test]
fn videos_of_data_sets_have_the_frames_that_their_headers_claim() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    for (name, frames, size, rate) in [
        ("bikes.mp4", 250, (640, 272), 25.0),
        ("carphone_pristine.mp4", 120, (176, 144), 30000.0 / 1001.0),
        ("cup.mp4", 217, (640, 480), 26.777),
    ] {
        let Some(path) = outside::shared(&format!("data/video/{name}")) else { return };
        let mut reader = VideoReader::open(&path, &ffmpeg).unwrap();
        let info = reader.info().clone();
        assert_eq!((info.width, info.height), size, "{name}");
        assert!((info.frames_per_second.unwrap() - rate).abs() < 1e-3, "{name}");
        assert_eq!(reader.skip_frames(usize::MAX).unwrap(), frames, "{name}");
        assert_eq!((info.frames, reader.damage()), (Some(frames), None), "{name}");
        assert_eq!(count_frames(&path, &ffmpeg).unwrap(), (frames, None), "{name}");
        let middle = sample_video(&path, &Sampling::Frame(FrameChoice::Middle), &ffmpeg).unwrap();
        assert_eq!(middle.clips[0].indices, [frames / 2], "{name}");
    }
}
