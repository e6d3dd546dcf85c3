//! Reads video files with the program `ffmpeg`.

use std::fs;
use std::path::{Path, PathBuf};

use oneiro_media::{
    ClipStart, Ffmpeg, FilmFormat, FilmOptions, FrameChoice, FrameRate, Image, MediaError, PngText, Sampling,
    VideoReader, VideoWriter, count_frames, sample_video,
};

use crate::{film_of, frame, moving, outside};

/// Returns the bytes of a video of a moving square.
fn video(ffmpeg: &Ffmpeg, format: FilmFormat, frames: usize, width: usize, height: usize) -> Vec<u8> {
    let options = FilmOptions { ffmpeg: ffmpeg.clone(), ..FilmOptions::default() };
    film_of(&moving(frames, width, height)).encode(format, &PngText::default(), &options).unwrap()
}

fn written(folder: &Path, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn read_all(path: &Path, ffmpeg: &Ffmpeg) -> (usize, Option<String>) {
    let mut reader = VideoReader::open(path, ffmpeg).unwrap();
    let frames = reader.by_ref().map(Result::unwrap).count();
    (frames, reader.damage().map(str::to_owned))
}

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
    }
}

#[test]
fn clips_of_a_trained_network_have_sixteen_frames() {
    let Some(program) = outside::ffmpeg() else { return };
    let Some(folder) = outside::shared("models/planted/data/clips") else { return };
    let whole = Sampling::Clip { frames: 16, stride: 1, start: ClipStart::Center };
    for class in ["circle-up", "triangle-right"] {
        let path = folder.join(class).join("03.mp4");
        let sampled = sample_video(path, &whole, &Ffmpeg::at(&program)).unwrap();
        let clip = &sampled.clips[0];
        assert_eq!((clip.image.shape(), clip.repeated, sampled.total), (vec![3, 16, 64, 64], 0, Some(16)));
    }
}

#[test]
fn names_of_files_have_no_meaning() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    let bytes = video(&ffmpeg, FilmFormat::Mp4, 2, 16, 16);
    #[allow(unused_mut)]
    let mut names: Vec<std::ffi::OsString> = [
        "-i.mp4",
        "a b 'c' \"d\".mp4",
        "http:x.mp4",
        "frame_%03d.mp4",
        "a.txt",
        "a.m3u8",
        "pipe:0",
        "ünï|c*ode?.mp4",
    ]
    .map(Into::into)
    .into();
    #[cfg(target_os = "linux")]
    names.push(std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe.mp4".to_vec()));
    for name in names {
        let path = written(folder.path(), &name, &bytes);
        assert_eq!(read_all(&path, &ffmpeg), (2, None), "{name:?}");
        assert_eq!(count_frames(&path, &ffmpeg).unwrap(), (2, None), "{name:?}");
    }
}

#[test]
fn a_single_frame_is_a_video() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    for format in [FilmFormat::Mp4, FilmFormat::WebM] {
        let path = written(folder.path(), "one", &video(&ffmpeg, format, 1, 16, 16));
        let clip = Sampling::Clip { frames: 4, stride: 2, start: ClipStart::Center };
        let sampled = sample_video(&path, &clip, &ffmpeg).unwrap();
        assert_eq!((sampled.total, sampled.clips[0].repeated), (Some(1), 3), "{format:?}");
        assert_eq!(sampled.clips[0].indices, [0; 4]);
    }
}

#[test]
fn rotated_videos_are_turned_upright_and_their_size_with_them() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = video(&ffmpeg, FilmFormat::Mp4, 2, 32, 16);
    // The matrix in the track's header (ISO/IEC 14496-12, 8.3.2) is set to a quarter turn.
    let at = bytes.windows(4).position(|name| name == b"tkhd").unwrap() + 4 + 40;
    for (k, value) in [0_i32, 1 << 16, 0, -1 << 16, 0, 0].into_iter().enumerate() {
        bytes[at + 4 * k..at + 4 * k + 4].copy_from_slice(&value.to_be_bytes());
    }
    let path = written(folder.path(), "turned.mp4", &bytes);
    let mut reader = VideoReader::open(&path, &ffmpeg).unwrap();
    assert_eq!((reader.info().width, reader.info().height), (16, 32));
    let first = reader.next().unwrap().unwrap();
    assert_eq!((first.width, first.height), (16, 32));
    // Red increases with the columns of the stored frame, so after the rotation it changes with the rows.
    let upright = [first.pixel(14, 2)[0], first.pixel(14, 30)[0]];
    assert!((upright[0] - upright[1]).abs() > 0.5, "{upright:?}");
}

#[test]
fn files_that_are_cut_off_yield_the_frames_before_the_cut() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    for format in [FilmFormat::Mp4, FilmFormat::WebM] {
        let bytes = video(&ffmpeg, format, 60, 64, 64);
        let path = written(folder.path(), "cut", &bytes[..bytes.len() * 3 / 5]);
        let (frames, damage) = read_all(&path, &ffmpeg);
        assert!((5..60).contains(&frames), "{format:?}: {frames}");
        assert!(damage.as_deref().is_some_and(|damage| damage.starts_with("ffmpeg says: ")), "{damage:?}");
        let (counted, damage) = count_frames(&path, &ffmpeg).unwrap();
        assert!(counted == frames && damage.is_some(), "{format:?}: {counted} and {frames}");
        let sampled = sample_video(&path, &Sampling::Frame(FrameChoice::Middle), &ffmpeg).unwrap();
        assert!(sampled.total == Some(frames) && sampled.damage.is_some(), "{format:?}");
    }
}

#[test]
fn what_is_no_video_says_so() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    // A WAVE file: one second of silence in 8 bits.
    let silence = [
        &b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x40\x1f\0\0"[..],
        &[128; 8000],
    ];
    let list = format!("ffconcat version 1.0\nfile '{}'\n", folder.path().join("a.mp4").display());
    let header = &video(&ffmpeg, FilmFormat::Mp4, 2, 16, 16)[..200];
    for (name, bytes, part) in [
        ("sound.wav", silence.concat(), "perhaps only sound"),
        ("notes.txt", b"Not a video, but a text of a few words.\n".to_vec(), "it is no video"),
        ("words.mp4", b"Not a video, but a text of a few words.\n".to_vec(), "it is no video"),
        ("list.ffconcat", list.into_bytes(), "it is no video"),
        ("header.mp4", header.to_vec(), "it has no pictures"),
    ] {
        let path = written(folder.path(), name, &bytes);
        let error = VideoReader::open(&path, &ffmpeg).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, MediaError::Video { .. }) && error.to_string().contains(part),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_video_of_ten_thousand_frames_is_counted_and_sampled() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.mp4");
    let options = FilmOptions { ffmpeg: ffmpeg.clone(), ..FilmOptions::default() };
    let rate = FrameRate::new(25.0).unwrap();
    let mut writer =
        VideoWriter::new(FilmFormat::Mp4, (16, 16), rate, &PngText::default(), &options).unwrap();
    let frames = [0.2, 0.4, 0.6].map(|value| Image::filled(16, 16, [value; 3]));
    (0..10_000).for_each(|t| writer.push(&frames[t % 3]).unwrap());
    writer.finish(&mut fs::File::create(&path).unwrap()).unwrap();
    let clips = Sampling::Clips { count: 2, frames: 3, stride: 1 };
    let sampled = sample_video(&path, &clips, &ffmpeg).unwrap();
    assert_eq!((sampled.total, sampled.damage), (Some(10_000), None));
    assert_eq!(sampled.clips[1].indices, [7498, 7499, 7500]);
    for (t, index) in sampled.clips[1].indices.iter().enumerate() {
        let value = frame(&sampled.clips[1].image, t).pixel(8, 8)[0];
        assert!((value - frames[index % 3].data[0]).abs() < 0.02, "{index}: {value}");
    }
}

#[test]
fn a_variable_rate_drops_and_doubles_no_frame() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(&program);
    let folder = tempfile::tempdir().unwrap();
    let even = written(folder.path(), "even.mp4", &video(&ffmpeg, FilmFormat::Mp4, 12, 16, 16));
    let path = folder.path().join("odd.mkv");
    // Frame N is shown at N²/50 seconds, so the frame rate is variable.
    let status = std::process::Command::new(program)
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(even)
        .args(["-vf", "setpts=N*N/(50*TB)"])
        .arg(&path)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(read_all(&path, &ffmpeg), (12, None));
    assert_eq!(count_frames(&path, &ffmpeg).unwrap(), (12, None));
}

#[test]
fn damaged_videos_end_or_are_errors() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    for format in [FilmFormat::Mp4, FilmFormat::WebM] {
        let bytes = video(&ffmpeg, format, 8, 32, 32);
        for k in 0..12 {
            let mut damaged = bytes.clone();
            damaged[k * bytes.len() / 12..][..4].fill(0xa5);
            let path = written(folder.path(), "damaged", &damaged);
            if let Ok(reader) = VideoReader::open(&path, &ffmpeg) {
                assert!(reader.take(100).count() < 100, "{format:?} {k}");
            }
        }
    }
}
