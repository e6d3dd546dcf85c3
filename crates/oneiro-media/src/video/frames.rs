//! Frames of a video that are chosen once its length is known.

use std::collections::BTreeMap;
use std::path::Path;

use super::{VideoInfo, VideoReader, count_frames};
use crate::ffmpeg::Ffmpeg;
use crate::{Image, MediaError};

/// Chosen frames of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenFrames<T> {
    /// The frames as they were prepared, by index.
    pub frames: BTreeMap<usize, T>,
    /// The exact number of the video's frames.
    pub total: usize,
    /// The file's description.
    pub info: VideoInfo,
    /// How the file is damaged, in a sentence's part, if frames up to the damage were read.
    pub damage: Option<String>,
}

/// Reads the frames that `choose` names for a video of a number of frames, each with a note on its use.
/// `prepare` gets note and frame (a still in RGB, 0–1), in the order of the video. Only what it returns is
/// kept.
///
/// The video is decoded twice: once to count its frames, since headers may be wrong, and once up to the last
/// chosen frame.
///
/// # Errors
/// As [`VideoReader::open`] and [`VideoReader::next_rgb8`], those of `prepare`, and [`MediaError::Video`] if
/// a chosen frame lies behind the end.
pub fn choose_frames<N, T, E: From<MediaError>>(
    path: impl AsRef<Path>,
    ffmpeg: &Ffmpeg,
    choose: impl Fn(usize) -> BTreeMap<usize, N>,
    mut prepare: impl FnMut(&N, Image) -> Result<T, E>,
) -> Result<ChosenFrames<T>, E> {
    let path = path.as_ref();
    let (mut total, mut damage) = count_frames(path, ffmpeg)?;
    loop {
        let mut reader = VideoReader::open(path, ffmpeg)?;
        let chosen = choose(total);
        let mut frames = BTreeMap::new();
        for (&index, note) in &chosen {
            let missing = index - reader.position();
            if reader.skip_frames(missing)? < missing {
                break;
            }
            let Some(frame) = reader.next() else { break };
            frames.insert(index, prepare(note, frame?)?);
        }
        damage = reader.damage().map(str::to_owned).or(damage);
        if frames.len() == chosen.len() {
            return Ok(ChosenFrames { frames, total, info: reader.info().clone(), damage });
        }
        let read = reader.position();
        if read >= total {
            let reason = format!("it has {total} frames, and a later one is needed");
            return Err(MediaError::Video { path: path.to_owned(), reason }.into());
        }
        // The video has ended early, so its number of frames is known now. It gets less every time.
        total = read;
    }
}
