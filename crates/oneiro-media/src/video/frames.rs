//! Reads frames of a video whose choice depends on the video's length.

use std::collections::BTreeMap;
use std::path::Path;

use super::{VideoInfo, VideoReader};
use crate::ffmpeg::Ffmpeg;
use crate::{Image, MediaError};

/// How many bytes of frames are kept while a video's length is unknown. A video that fits is decoded only
/// once.
const KEPT_BYTES: usize = 64 << 20;

/// The frames that were chosen from a video.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenFrames<T> {
    /// The prepared frames by their index in the video.
    pub frames: BTreeMap<usize, T>,
    /// The exact number of the video's frames.
    pub total: usize,
    /// The video file's description.
    pub info: VideoInfo,
    /// How the file is damaged, as a part of a sentence, if frames up to the damage could be read.
    pub damage: Option<String>,
}

/// Reads the frames that `choose` selects for a video with a given number of frames, each with a note on its
/// use. `prepare` gets the note and the frame (an RGB still, 0–1) in the video's order. Only its results are
/// kept.
///
/// All frames are decoded to count them, because headers may be wrong. A video of more than 64 MiB of frames
/// is decoded a second time, up to the last chosen frame.
///
/// # Errors
/// The errors of [`VideoReader::open`] and [`VideoReader::next_rgb8`], those of `prepare`, and
/// [`MediaError::Video`] if a chosen frame lies beyond the end.
pub fn choose_frames<N, T, E: From<MediaError>>(
    path: impl AsRef<Path>,
    ffmpeg: &Ffmpeg,
    choose: impl Fn(usize) -> BTreeMap<usize, N>,
    mut prepare: impl FnMut(&N, Image) -> Result<T, E>,
) -> Result<ChosenFrames<T>, E> {
    let path = path.as_ref();
    let mut reader = VideoReader::open(path, ffmpeg)?;
    let info = reader.info().clone();
    let most = KEPT_BYTES / (3 * info.width * info.height).max(1);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    while kept.len() < most
        && let Some(frame) = reader.next_rgb8()
    {
        kept.push(frame?.to_vec());
    }
    let is_whole = kept.len() < most;
    let mut total = kept.len() + reader.skip_frames(usize::MAX)?;
    let mut damage = reader.damage().map(str::to_owned);
    if is_whole {
        let mut frames = BTreeMap::new();
        for (index, note) in choose(total) {
            let frame = kept.get(index).ok_or_else(|| beyond(path, total))?;
            let frame = Image::from_rgb8(info.width, info.height, frame).map_err(MediaError::from)?;
            frames.insert(index, prepare(&note, frame)?);
        }
        return Ok(ChosenFrames { frames, total, info, damage });
    }
    drop((kept, reader));
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
            return Err(beyond(path, total).into());
        }
        // This decoding ended earlier than the last one, so the length is corrected. The loop ends, since the
        // length only shrinks.
        total = read;
    }
}

fn beyond(path: &Path, total: usize) -> MediaError {
    let reason = format!("it has {total} frames, and a later one is needed");
    MediaError::Video { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::is_animation;
    use crate::{Film, FrameRate, PngText, encode_png};

    /// A clip whose frame t is grey of level 10·t out of 255.
    fn clip(frames: usize) -> Image {
        let plane = |t: usize| [10.0 * t as f32 / 255.0; 4];
        let data = (0..3).flat_map(|_| (0..frames).flat_map(plane)).collect();
        Image::new([3, frames, 2, 2], data).unwrap()
    }

    #[test]
    fn frames_are_chosen_by_the_length() {
        let folder = tempfile::tempdir().unwrap();
        let film = Film::from_clip(&clip(7), FrameRate::new(10.0).unwrap(), 1).unwrap();
        let video = folder.path().join("v.png");
        std::fs::write(&video, film.to_apng(&PngText::default()).unwrap()).unwrap();
        let choose = |total: usize| BTreeMap::from([(total / 2, 'm'), (total - 1, 'l')]);
        let prepare = |note: &char, frame: Image| Ok::<_, MediaError>((*note, frame.to_rgb8()[0]));
        let found = choose_frames(&video, &Ffmpeg::default(), choose, prepare).unwrap();
        assert_eq!(found.total, 7);
        assert_eq!(found.frames, BTreeMap::from([(3, ('m', 30)), (6, ('l', 60))]));
        let beyond = |total: usize| BTreeMap::from([(total, 'b')]);
        let error = choose_frames(&video, &Ffmpeg::default(), beyond, prepare).unwrap_err().to_string();
        assert!(error.contains("7 frames"), "{error}");
    }

    #[test]
    fn long_videos_are_decoded_again() {
        let folder = tempfile::tempdir().unwrap();
        // Frames of 12 MB each, so that the video exceeds the memory for kept frames.
        let side = 2000;
        for t in 0..8 {
            let frame = Image::filled(side, side, [t as f32 / 10.0; 3]);
            std::fs::write(
                folder.path().join(format!("{t}.png")),
                encode_png(&frame, &PngText::default()).unwrap(),
            )
            .unwrap();
        }
        let choose = |total: usize| BTreeMap::from([(total / 2, ()), (total - 1, ())]);
        let prepare = |(): &(), frame: Image| Ok::<_, MediaError>((10.0 * frame.data[0]).round() as usize);
        let found = choose_frames(folder.path(), &Ffmpeg::default(), choose, prepare).unwrap();
        assert_eq!((found.total, found.frames), (8, BTreeMap::from([(4, 4), (7, 7)])));
    }

    #[test]
    fn stills_are_no_animations() {
        let folder = tempfile::tempdir().unwrap();
        let film = |frames| Film::from_clip(&clip(frames), FrameRate::new(10.0).unwrap(), 1).unwrap();
        let still = encode_png(&Image::filled(2, 2, [0.5; 3]), &PngText::default()).unwrap();
        for (name, bytes, expected) in [
            ("a.gif", film(3).to_gif(&PngText::default()).unwrap(), true),
            ("b.png", film(3).to_apng(&PngText::default()).unwrap(), true),
            ("c.webp", film(3).to_webp(&PngText::default()).unwrap(), true),
            ("d.gif", film(1).to_gif(&PngText::default()).unwrap(), false),
            ("e.png", still, false),
            ("f.txt", b"no picture".to_vec(), false),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(is_animation(&path), expected, "{name}");
        }
        assert!(!is_animation(folder.path().join("nowhere.gif")));
    }
}
