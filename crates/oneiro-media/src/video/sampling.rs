//! Frames of a video for a network: one, a clip, or several clips.
//!
//! Starts of clips follow one rule. A clip of `frames` frames, `stride` apart, spans `(frames - 1) * stride +
//! 1` frames, so it has `P = max(1, total - span + 1)` possible starts. The k-th of K clips starts at `P *
//! (2k + 1) / (2K)`, rounded down: the middle of the k-th of K equal parts. One clip is thus in the middle of
//! the video, and one frame is the frame `total / 2`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{VideoInfo, VideoReader, count_frames};
use crate::ffmpeg::Ffmpeg;
use crate::{Image, MAX_PIXELS, MediaError, Result};

/// The most frames of all clips together.
const MAX_FRAMES: usize = 1 << 20;

/// The frames to take of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// One frame, as a still.
    Frame(FrameChoice),
    /// A clip.
    Clip {
        /// How many frames.
        frames: usize,
        /// The distance of two frames of the clip in the video; 1 takes consecutive frames.
        stride: usize,
        /// Where it begins.
        start: ClipStart,
    },
    /// Several clips, spread evenly over the video.
    Clips {
        /// How many clips.
        count: usize,
        /// How many frames each has.
        frames: usize,
        /// The distance of two frames of a clip in the video.
        stride: usize,
    },
}

/// A frame of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FrameChoice {
    /// The first.
    First,
    /// The frame `total / 2`.
    #[default]
    Middle,
    /// The frame of this index, from 0.
    At(usize),
}

/// The first frame of a clip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClipStart {
    /// The clip lies in the middle of the video.
    #[default]
    Center,
    /// The frame of this index, from 0.
    At(usize),
}

/// Frames of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledVideo {
    /// The clips; one, unless [`Sampling::Clips`] asks for several.
    pub clips: Vec<SampledClip>,
    /// The file's description.
    pub info: VideoInfo,
    /// The exact number of the video's frames, where it had to be known.
    pub total: Option<usize>,
    /// How the file is damaged, in a sentence's part, if frames up to the damage were read.
    pub damage: Option<String>,
}

/// A clip, or a still.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledClip {
    /// `[3, frames, height, width]`, values 0–1; a still for one frame.
    pub image: Image,
    /// The index of each frame in the video.
    pub indices: Vec<usize>,
    /// How many frames at the end repeat the video's last frame, because the video is too short.
    pub repeated: usize,
}

impl Sampling {
    /// How many frames a clip has, how far apart they are, and how many clips there are.
    fn shape(&self) -> (usize, usize, usize) {
        match *self {
            Self::Frame(_) => (1, 1, 1),
            Self::Clip { frames, stride, .. } => (frames, stride, 1),
            Self::Clips { count, frames, stride } => (frames, stride, count),
        }
    }

    /// The start that does not depend on the number of frames.
    fn fixed_start(&self) -> Option<usize> {
        match *self {
            Self::Frame(FrameChoice::First) => Some(0),
            Self::Frame(FrameChoice::At(index)) => Some(index),
            Self::Clip { start: ClipStart::At(index), .. } => Some(index),
            _ => None,
        }
    }

    /// The frames of each clip of a video of `total` frames, and how many at the end repeat the last frame.
    /// Starts beyond the end are moved to the last frame.
    pub fn indices(&self, total: usize) -> Vec<(Vec<usize>, usize)> {
        let (frames, stride, count) = self.shape();
        let last = total.saturating_sub(1);
        let span = frames.saturating_sub(1).saturating_mul(stride).saturating_add(1);
        let starts = total.saturating_sub(span) + 1;
        let start = |k: usize| match self.fixed_start() {
            Some(start) => start.min(last),
            // In 128 bits, lest the product overflows.
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

/// Reads the frames of a video that a network sees. A video that is too short repeats its last frame, as
/// [`SampledClip::repeated`] says.
///
/// Where the place of a clip depends on the number of frames, the video is decoded twice: once to count its
/// frames, since headers may be wrong, and once up to the last frame that is needed. Only these are kept.
///
/// # Errors
///
/// As [`VideoReader::open`] and [`VideoReader::next_rgb8`]; [`MediaError::Video`] for an index beyond the
/// last frame; [`MediaError::Shape`] for no frames or no stride; [`MediaError::TooLarge`] for more than 128
/// megapixels in all clips together.
pub fn sample_video(path: impl AsRef<Path>, sampling: &Sampling, ffmpeg: &Ffmpeg) -> Result<SampledVideo> {
    sample_video_with(path, sampling, ffmpeg, Ok)
}

/// [`sample_video`] with a change of each frame, such as a crop, before it is kept. All changed frames need
/// one size.
///
/// # Errors
///
/// As [`sample_video`], and those of the change.
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
        // The video has ended early, so its number of frames is known now. It gets less every time.
        if sampling.fixed_start().is_some_and(|start| start >= read) {
            let reason = format!("it has {read} frames, so the last has the index {}", read - 1);
            return Err(MediaError::Video { path: path.to_owned(), reason }.into());
        }
        total = Some(read);
    }
}

/// Frames that were read, by index.
struct Kept {
    frames: BTreeMap<usize, Image>,
    /// How many frames all clips have.
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

/// Stills of one size as a clip.
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
