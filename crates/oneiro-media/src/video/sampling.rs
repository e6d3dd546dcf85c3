//! Samples frames of a video as a network's input: one frame, a clip, or several clips.
//!
//! A clip of `frames` frames at distance `stride` spans `(frames - 1) * stride + 1` frames of the video. It
//! thus has `P = max(1, total - span + 1)` possible starts. The k-th of K clips starts at `P * (2k + 1) /
//! (2K)`, rounded down: the middle of the k-th of K equal parts. A single clip is in the middle of the video,
//! and a single frame is the frame `total / 2`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{VideoInfo, VideoReader, count_frames};
use crate::ffmpeg::Ffmpeg;
use crate::{Image, MAX_PIXELS, MediaError, Result};

/// The most frames that all clips together may have.
const MAX_FRAMES: usize = 1 << 20;

/// Which frames of a video to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// A single frame, as a still.
    Frame(FrameChoice),
    /// A single clip.
    Clip {
        /// How many frames the clip has.
        frames: usize,
        /// Distance in the video between two frames of the clip; 1 takes consecutive frames.
        stride: usize,
        /// Where in the video the clip begins.
        start: ClipStart,
    },
    /// Several clips, spread evenly over the video.
    Clips {
        /// How many clips to take.
        count: usize,
        /// How many frames each clip has.
        frames: usize,
        /// Distance in the video between two frames of a clip.
        stride: usize,
    },
}

/// Which frame of a video to take as a still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FrameChoice {
    /// The video's first frame.
    First,
    /// The middle frame of the video, `total / 2`.
    #[default]
    Middle,
    /// The frame with this index, from 0.
    At(usize),
}

/// Which frame of a video a clip begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClipStart {
    /// The clip lies in the middle of the video.
    #[default]
    Center,
    /// The frame with this index, from 0.
    At(usize),
}

/// The frames that were sampled from a video.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledVideo {
    /// The clips: one, unless [`Sampling::Clips`] asked for several.
    pub clips: Vec<SampledClip>,
    /// The video file's description.
    pub info: VideoInfo,
    /// The exact number of the video's frames, if the sampling had to know it.
    pub total: Option<usize>,
    /// How the file is damaged, as a part of a sentence, if frames up to the damage could be read.
    pub damage: Option<String>,
}

/// One clip or still sampled from a video.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledClip {
    /// The frames, `[3, frames, height, width]`, values 0–1; a still for a single frame.
    pub image: Image,
    /// The index in the video of each frame of the clip.
    pub indices: Vec<usize>,
    /// How many frames at the clip's end repeat the video's last frame, because the video is too short.
    pub repeated: usize,
}

impl Sampling {
    /// Returns the number of frames of a clip, their distance, and the number of clips.
    fn shape(&self) -> (usize, usize, usize) {
        match *self {
            Self::Frame(_) => (1, 1, 1),
            Self::Clip { frames, stride, .. } => (frames, stride, 1),
            Self::Clips { count, frames, stride } => (frames, stride, count),
        }
    }

    /// Returns the index of the first frame if it is given, whatever the video's length.
    fn fixed_start(&self) -> Option<usize> {
        match *self {
            Self::Frame(FrameChoice::First) => Some(0),
            Self::Frame(FrameChoice::At(index)) => Some(index),
            Self::Clip { start: ClipStart::At(index), .. } => Some(index),
            _ => None,
        }
    }

    /// Returns for each clip of a video with `total` frames the frame indices, and how many at the end repeat
    /// the last frame. Starts beyond the end are moved to the last frame.
    pub fn indices(&self, total: usize) -> Vec<(Vec<usize>, usize)> {
        let (frames, stride, count) = self.shape();
        let last = total.saturating_sub(1);
        let span = frames.saturating_sub(1).saturating_mul(stride).saturating_add(1);
        let starts = total.saturating_sub(span) + 1;
        let start = |k: usize| match self.fixed_start() {
            Some(start) => start.min(last),
            // The product is taken in 128 bits, because it might overflow 64.
            None => (starts as u128 * (2 * k as u128 + 1) / (2 * count as u128)) as usize,
        };
        let clip = |k: usize| {
            let wanted = (0..frames).map(|i| start(k).saturating_add(i.saturating_mul(stride)));
            let repeated = wanted.clone().filter(|&index| index > last).count();
            (wanted.map(|index| index.min(last)).collect(), repeated)
        };
        (0..count).map(clip).collect()
    }

    fn check(&self) -> Result<()> {
        let (frames, stride, count) = self.shape();
        let zero =
            [(frames, "frames"), (stride, "a stride"), (count, "clips")].into_iter().find(|(n, _)| *n == 0);
        let (what, limit) = match zero {
            Some((_, "a stride")) => ("a stride of 0 frames".to_owned(), "at least 1".to_owned()),
            Some((_, name)) => (format!("0 {name} of a video"), "at least 1".to_owned()),
            None if frames.saturating_mul(count) > MAX_FRAMES => {
                (format!("{count} clips of {frames} frames"), format!("at most {MAX_FRAMES} frames in all"))
            }
            None => return Ok(()),
        };
        Err(MediaError::Shape { what: format!("{what}; choose {limit}") })
    }
}

/// Reads the frames of a video that a network will see. If the video is too short, its last frame is
/// repeated, as [`SampledClip::repeated`] says.
///
/// If a clip's start depends on the number of frames, the video is decoded twice: to count its frames,
/// because headers may be wrong, and up to the last frame needed. Only the needed frames are kept.
///
/// # Errors
///
/// The errors of [`VideoReader::open`] and [`VideoReader::next_rgb8`]; [`MediaError::Video`] for an index
/// beyond the last frame; [`MediaError::Shape`] for no frames or no stride; [`MediaError::TooLarge`] for more
/// than 128 megapixels in all clips together.
pub fn sample_video(path: impl AsRef<Path>, sampling: &Sampling, ffmpeg: &Ffmpeg) -> Result<SampledVideo> {
    sample_video_with(path, sampling, ffmpeg, Ok)
}

/// Does what [`sample_video`] does, and changes each frame by `prepare`, such as a crop, before it is kept.
/// All changed frames must have the same size.
///
/// # Errors
///
/// The errors of [`sample_video`], and those of `prepare`.
pub fn sample_video_with<E: From<MediaError>>(
    path: impl AsRef<Path>,
    sampling: &Sampling,
    ffmpeg: &Ffmpeg,
    mut prepare: impl FnMut(Image) -> Result<Image, E>,
) -> Result<SampledVideo, E> {
    let path = path.as_ref();
    sampling.check()?;
    let (frames, _, count) = sampling.shape();
    let wanted = (frames * count) as u64;
    let (mut total, mut damage) = (None, None);
    if sampling.fixed_start().is_none() {
        let counted = count_frames(path, ffmpeg)?;
        (total, damage) = (Some(counted.0), counted.1);
    }
    loop {
        let mut reader = VideoReader::open(path, ffmpeg)?;
        let plan = sampling.indices(total.unwrap_or(usize::MAX));
        let mut kept = Kept { frames: BTreeMap::new(), wanted };
        let needed: BTreeSet<usize> = plan.iter().flat_map(|(indices, _)| indices.iter().copied()).collect();
        for &index in &needed {
            let missing = index - reader.position();
            if reader.skip_frames(missing)? < missing {
                break;
            }
            let Some(frame) = reader.next() else { break };
            kept.add(path, index, prepare(frame?)?)?;
        }
        damage = reader.damage().map(str::to_owned).or(damage);
        let read = reader.position();
        if needed.last().is_none_or(|&last| last < read) {
            let clips = plan.into_iter().map(|(indices, repeated)| kept.clip(indices, repeated));
            let clips = clips.collect::<Result<_>>()?;
            return Ok(SampledVideo { clips, info: reader.info().clone(), total, damage });
        }
        // This decoding ended earlier than expected, so the length is corrected. The loop ends, since the
        // length only shrinks.
        if sampling.fixed_start().is_some_and(|start| start >= read) {
            let reason = format!("it has {read} frames, so the last has the index {}", read - 1);
            return Err(MediaError::Video { path: path.to_owned(), reason }.into());
        }
        total = Some(read);
    }
}

/// The frames read so far, by their index in the video.
struct Kept {
    frames: BTreeMap<usize, Image>,
    /// Number of frames of all clips together.
    wanted: u64,
}

impl Kept {
    fn add(&mut self, path: &Path, index: usize, frame: Image) -> Result<()> {
        let size = |image: &Image| (image.channels, image.frames, image.height, image.width, image.has_alpha);
        if let Some(first) = self.frames.values().next().filter(|first| size(first) != size(&frame)) {
            let what = format!(
                "frames of {} and {} in a clip; make them of one size",
                first.extent(),
                frame.extent()
            );
            return Err(MediaError::Shape { what });
        }
        if self.wanted.saturating_mul(frame.extent().positions() as u64) > MAX_PIXELS {
            let what = format!(
                "{} frames of {}×{} pixels have more than {} million pixels; take fewer or smaller frames",
                self.wanted,
                frame.width,
                frame.height,
                MAX_PIXELS / 1_000_000
            );
            return Err(MediaError::TooLarge { path: path.to_owned(), what });
        }
        self.frames.insert(index, frame);
        Ok(())
    }

    fn clip(&self, indices: Vec<usize>, repeated: usize) -> Result<SampledClip> {
        let frames: Vec<&Image> = indices.iter().filter_map(|index| self.frames.get(index)).collect();
        Ok(SampledClip { image: stack(&frames)?, indices, repeated })
    }
}

/// Joins stills of one size to a clip.
fn stack(frames: &[&Image]) -> Result<Image> {
    let Some(first) = frames.first() else {
        return Err(MediaError::Shape { what: "a clip needs at least one frame".into() });
    };
    let channels =
        (0..first.channels).flat_map(|channel| frames.iter().map(move |frame| frame.plane(channel)));
    let data: Vec<f32> = channels.flatten().copied().collect();
    Ok(Image::new([first.channels, frames.len(), first.height, first.width], data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_lie_in_the_middle_of_equal_parts() {
        let clip = |frames, stride, start| Sampling::Clip { frames, stride, start };
        let cases = [
            (Sampling::Frame(FrameChoice::First), 9, vec![(vec![0], 0)]),
            (Sampling::Frame(FrameChoice::Middle), 9, vec![(vec![4], 0)]),
            (Sampling::Frame(FrameChoice::Middle), 16, vec![(vec![8], 0)]),
            (Sampling::Frame(FrameChoice::Middle), 1, vec![(vec![0], 0)]),
            (Sampling::Frame(FrameChoice::At(3)), 9, vec![(vec![3], 0)]),
            (clip(3, 2, ClipStart::Center), 9, vec![(vec![2, 4, 6], 0)]),
            (clip(3, 2, ClipStart::At(5)), 9, vec![(vec![5, 7, 8], 1)]),
            (clip(4, 1, ClipStart::Center), 2, vec![(vec![0, 1, 1, 1], 2)]),
            (clip(4, 1, ClipStart::Center), 1, vec![(vec![0, 0, 0, 0], 3)]),
            (
                Sampling::Clips { count: 3, frames: 2, stride: 1 },
                10,
                vec![(vec![1, 2], 0), (vec![4, 5], 0), (vec![7, 8], 0)],
            ),
            (Sampling::Clips { count: 2, frames: 2, stride: 3 }, 3, vec![(vec![0, 2], 1), (vec![0, 2], 1)]),
        ];
        for (sampling, total, wanted) in cases {
            assert_eq!(sampling.indices(total), wanted, "{sampling:?} of {total}");
        }
    }

    #[test]
    fn every_index_lies_in_the_video() {
        for total in 1..40 {
            for (count, frames, stride) in [(1, 1, 1), (3, 4, 2), (5, 16, 4), (7, 2, usize::MAX)] {
                let plan = Sampling::Clips { count, frames, stride }.indices(total);
                assert!(plan.iter().all(|(indices, _)| indices.iter().all(|&index| index < total)));
                assert!(plan.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            }
        }
    }

    #[test]
    fn no_frames_and_no_stride_are_errors() {
        for sampling in [
            Sampling::Clips { count: 0, frames: 1, stride: 1 },
            Sampling::Clips { count: 1, frames: 0, stride: 1 },
            Sampling::Clip { frames: 1, stride: 0, start: ClipStart::Center },
            Sampling::Clips { count: usize::MAX, frames: 2, stride: 1 },
        ] {
            let error = sample_video("nothing.gif", &sampling, &Ffmpeg::default()).unwrap_err();
            assert!(matches!(error, MediaError::Shape { .. }), "{error}");
        }
    }
}
