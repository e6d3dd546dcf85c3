//! Describes video files with the program `ffprobe`.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use super::{VideoInfo, reading};
use crate::ffmpeg::{Ffmpeg, file_argument, only_local};
use crate::{MAX_PIXELS, MediaError, Result};

/// Formats of `ffmpeg` that are no video: text drawn as pictures, and lists that name other files.
const REFUSED_FORMATS: [&str; 10] =
    ["tty", "bin", "xbin", "adf", "idf", "concat", "hls", "dash", "image2", "webvtt"];
/// The most bytes of `ffprobe`'s description that are read.
const MAX_DESCRIPTION: u64 = 1 << 20;
/// The entries of a description that `ffprobe` is asked for.
const ENTRIES: &str = "stream=width,height,avg_frame_rate,nb_frames,duration:format=format_name,duration";

/// Describes a file's first video stream with `ffprobe`.
pub fn probe(path: &Path, ffmpeg: &Ffmpeg) -> Result<VideoInfo> {
    let mut args: Vec<OsString> = only_local().into();
    // The stream specifier `V` leaves out the cover pictures of audio files.
    args.extend(["-select_streams", "V:0", "-show_entries", ENTRIES, "-of", "flat", "-i"].map(Into::into));
    args.push(file_argument(path));
    let mut child = ffmpeg.probe(&reading(path), &args)?;
    let mut text = Vec::new();
    let read = child.output.by_ref().take(MAX_DESCRIPTION).read_to_end(&mut text);
    read.map_err(|source| MediaError::Read { path: path.to_owned(), source })?;
    let ending = child.finish();
    let no_video = |reason: String| MediaError::Video { path: path.to_owned(), reason };
    if ending.was_killed {
        return Err(MediaError::Ffmpeg { what: reading(path), reason: ending.words() });
    }
    if !ending.is_success {
        let words = ending.words();
        return Err(no_video(format!(
            "it is no video that ffmpeg reads, or it is damaged ({words}); play it in a video player, or copy it again"
        )));
    }
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"'))
    };
    let number =
        |key: &str| value(key)?.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    let format = value("format.format_name").unwrap_or_default();
    if format.split(',').any(|name| REFUSED_FORMATS.contains(&name) || name.ends_with("_pipe")) {
        return Err(no_video(format!("it is no video (a file of kind {format}); name a video file")));
    }
    let side = |key: &str| value(key)?.parse::<u64>().ok();
    let Some((width, height)) = side("streams.stream.0.width").zip(side("streams.stream.0.height")) else {
        return Err(no_video(
            "it has no pictures, perhaps only sound; name a file with a video stream".into(),
        ));
    };
    if width.saturating_mul(height) > MAX_PIXELS {
        let what = format!(
            "frames are {width}×{height} pixels, and the limit is {} million",
            MAX_PIXELS / 1_000_000
        );
        return Err(MediaError::TooLarge { path: path.to_owned(), what });
    }
    Ok(VideoInfo {
        width: width as usize,
        height: height as usize,
        frames: value("streams.stream.0.nb_frames").and_then(|count| count.parse().ok()),
        frames_per_second: value("streams.stream.0.avg_frame_rate").and_then(ratio),
        duration: number("streams.stream.0.duration").or_else(|| number("format.duration")),
    })
}

/// Parses a ratio such as "30000/1001"; `None` for "0/0".
fn ratio(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let ratio = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}
