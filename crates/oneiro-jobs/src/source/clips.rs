//! Reads clips from videos in the form in which a network's inputs take them.
//!
//! Interface: [`find`] lists clips and their flow files. A [`ClipReader`] is made for the inputs of a
//! network. It reads from a video, for each of several clips, one display image an input:
//!
//! | kind of input | display image |
//! |---|---|
//! | `image` | one frame, the middle one |
//! | `clip` | T frames, `stride` apart |
//! | `flow` | L fields, `stride` apart, each from a frame to the next one of the video |
//!
//! All inputs are centred in a common [`Span`]. Frames are scaled and cropped as [`framed`] does with photos.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use oneiro::card::InputKind;
use oneiro::input::PictureInput;
use oneiro_media::flow::{Flow, Luminance};
use oneiro_media::{Ffmpeg, Image, MediaError, choose_frames};
use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::framing::{Framing, check_crop, framed};
use crate::error::Result;

mod cache;
mod fields;
pub mod find;
mod span;

use cache::Cache;
pub use span::{Part, Span};

/// How clips are taken from a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipSampling {
    /// Distance, in frames of the video, between two frames or flow fields of a clip.
    pub stride: usize,
    /// Number of clips, spread evenly over the video.
    pub clips: usize,
    /// Share of the scaled frame's shorter side that the centre crop keeps; `None` uses the default of
    /// [`framed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
}

impl Default for ClipSampling {
    fn default() -> Self {
        Self { stride: 1, clips: 1, crop: None }
    }
}

impl ClipSampling {
    /// Returns an error if the stride or number of clips is 0, or the crop's share is out of range.
    ///
    /// # Errors
    /// [`SourceError::Zero`]; [`crate::error::JobError::Crop`].
    pub fn check(&self) -> Result<()> {
        let zero = [(self.stride, "the stride of frames"), (self.clips, "the number of clips")];
        if let Some((_, what)) = zero.into_iter().find(|(number, _)| *number == 0) {
            return Err(SourceError::Zero { what }.into());
        }
        check_crop(self.crop)
    }
}

/// The clips of one video, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoClips {
    /// For each clip, a display image for each input of the network.
    pub clips: Vec<Vec<Image>>,
    /// Index of the first frame of each clip's span in the video.
    pub starts: Vec<usize>,
    /// Index of the middle frame of each clip's span in the video.
    pub middles: Vec<usize>,
    /// Height and width of the video's frames in the file.
    pub size: [usize; 2],
    /// How frames were cropped and resized for the first input.
    pub framing: Framing,
    /// Number of frames of the whole video.
    pub frames: usize,
    /// How many frames of the span the video is too short for; its last frame is repeated in their place.
    pub missing: usize,
    /// How the video is damaged, as a part of a sentence, if frames up to the damage could be read.
    pub damage: Option<String>,
}

/// Reads clips for the inputs of a network.
#[derive(Debug, Clone)]
pub struct ClipReader {
    inputs: Vec<PictureInput>,
    sampling: ClipSampling,
    span: Span,
    ffmpeg: Ffmpeg,
    /// Folder in which computed flow is cached.
    cache: Option<PathBuf>,
}

/// A video frame in the form that one input of the network needs.
enum Seen {
    Picture(Image),
    /// The frame's luminance, for the computation of optical flow.
    Luminance(Luminance),
}

/// A video frame in the forms that all inputs of the network need.
struct Frame {
    size: [usize; 2],
    framing: Framing,
    seen: BTreeMap<usize, Seen>,
}

impl ClipReader {
    /// Creates a reader for inputs of photographs, clips in colour, and flow.
    ///
    /// # Errors
    /// The errors of [`ClipSampling::check`]; [`SourceError::ManyClips`] beyond 128 megapixels.
    pub fn new(inputs: Vec<PictureInput>, sampling: &ClipSampling) -> Result<Self> {
        sampling.check()?;
        let parts = inputs.iter().map(|input| match input.kind {
            InputKind::Flow => Part::Fields(input.extent.frames),
            _ => Part::Frames(input.extent.frames),
        });
        let span = Span::new(parts.collect(), sampling.stride);
        for input in &inputs {
            let ([height, width], frames) = (input.extent.size(), input.extent.frames);
            let pixels = [height, width, frames, sampling.clips].into_iter().fold(1, usize::saturating_mul);
            if pixels as u64 > oneiro_media::MAX_PIXELS {
                return Err(SourceError::ManyClips { clips: sampling.clips, frames, height, width }.into());
            }
        }
        Ok(Self { inputs, sampling: sampling.clone(), span, ffmpeg: Ffmpeg::default(), cache: None })
    }

    /// Caches computed flow in a folder, from which later runs read it.
    #[must_use]
    pub fn with_cache(self, folder: Option<PathBuf>) -> Self {
        Self { cache: folder, ..self }
    }

    /// Returns the range of frames that all inputs of a clip cover together.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Whether any input of the network takes optical flow.
    pub fn needs_flow(&self) -> bool {
        self.inputs.iter().any(|input| input.kind == InputKind::Flow)
    }

    /// Reads the clips of a video, a GIF, an animated PNG or WebP, or a folder of frames. Optical flow is
    /// read from `flow`, or computed by TV-L1. Runs on the current pool of `rayon`.
    ///
    /// # Errors
    /// The errors of [`choose_frames`], and [`SourceError::Flow`] if the given flow does not fit the video.
    pub fn read(&self, video: &Path, flow: Option<&Path>) -> Result<VideoClips> {
        let given = match flow.filter(|_| self.needs_flow()) {
            Some(file) => Some((file, oneiro_media::flow::read_flow(file)?)),
            None => None,
        };
        let cache = self.cache.as_ref().filter(|_| self.needs_flow() && given.is_none());
        let cache = cache.map(|folder| Cache::new(folder, video, &self.inputs, &self.sampling));
        let kept = cache.as_ref().and_then(Cache::read);
        let choose = |total: usize| self.frames_of(total, given.is_some() || kept.is_some());
        let read = choose_frames(video, &self.ffmpeg, choose, |inputs: &BTreeSet<usize>, frame| {
            self.prepared(inputs, &frame)
        })?;
        let (frames, total) = (&read.frames, read.total);
        let first = frames.values().next().ok_or(SourceError::Zero { what: "the number of frames" })?;
        if total == 1 && self.needs_flow() && given.is_none() {
            return Err(SourceError::NoMotion { clip: video.display().to_string() }.into());
        }
        if let Some((file, given)) = &given {
            fields::check(given, file, video, total, first.size)?;
        }
        let starts = self.span.starts(total, self.sampling.clips);
        let mut of_input: Vec<std::vec::IntoIter<Image>> = Vec::new();
        for at in 0..self.inputs.len() {
            let of_clips = match (&given, self.inputs[at].kind) {
                (Some((_, given)), InputKind::Flow) => {
                    // A still goes with flow of any length.
                    let total = if total == 1 { given.frames + 1 } else { total };
                    self.given_flow(at, given, &starts, total)?
                }
                (None, InputKind::Flow) => match kept.as_ref().and_then(|kept| kept.get(&at)) {
                    Some(kept) => kept.clone(),
                    None => {
                        let computed = self.computed_flow(at, frames, &starts, total)?;
                        cache.iter().try_for_each(|cache| cache.write(at, &computed))?;
                        computed
                    }
                },
                _ => starts
                    .iter()
                    .map(|&start| self.stacked(at, frames, start, total))
                    .collect::<Result<_>>()?,
            };
            of_input.push(of_clips.into_iter());
        }
        let clips = starts.iter().map(|_| of_input.iter_mut().filter_map(Iterator::next).collect()).collect();
        Ok(VideoClips {
            clips,
            middles: starts.iter().map(|&start| self.span.middle(start, total)).collect(),
            starts,
            size: first.size,
            framing: first.framing,
            frames: total,
            missing: self.span.frames().saturating_sub(total),
            damage: read.damage,
        })
    }

    /// Returns the indices of all frames that the clips of a video need, each with the inputs that need it.
    /// Middle frames are always included, so that the frames' size becomes known.
    fn frames_of(&self, total: usize, has_flow: bool) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut chosen: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for start in self.span.starts(total, self.sampling.clips) {
            chosen.entry(self.span.middle(start, total)).or_default();
            for (at, input) in self.inputs.iter().enumerate() {
                let is_flow = input.kind == InputKind::Flow;
                if is_flow && has_flow {
                    continue;
                }
                for index in self.span.indices(at, start, total) {
                    chosen.entry(index).or_default().insert(at);
                    if is_flow && index + 1 < total {
                        chosen.entry(index + 1).or_default().insert(at);
                    }
                }
            }
        }
        chosen
    }

    fn prepared(&self, inputs: &BTreeSet<usize>, frame: &Image) -> Result<Frame> {
        let size = [frame.height, frame.width];
        let mut seen = BTreeMap::new();
        for &at in inputs {
            let (input, crop) = (&self.inputs[at], self.sampling.crop);
            let shown = match input.kind {
                InputKind::Flow => Seen::Luminance(fields::luminance(frame, input.extent.size(), crop)?),
                _ => Seen::Picture(framed(frame, input.extent.size(), crop)?.0),
            };
            seen.insert(at, shown);
        }
        let of = self.inputs.first().map_or(size, |input| input.extent.size());
        Ok(Frame { size, framing: Framing::of(size, of, self.sampling.crop), seen })
    }

    /// Returns a clip's frames for an input of pictures: `[3, T, H, W]`, or `[3, H, W]` for a single frame.
    fn stacked(
        &self,
        at: usize,
        frames: &BTreeMap<usize, Frame>,
        start: usize,
        total: usize,
    ) -> Result<Image> {
        let pictures: Vec<&Image> = self
            .span
            .indices(at, start, total)
            .into_iter()
            .filter_map(|index| match frames.get(&index)?.seen.get(&at)? {
                Seen::Picture(picture) => Some(picture),
                Seen::Luminance(_) => None,
            })
            .collect();
        let mut data = Vec::with_capacity(self.inputs[at].extent.values());
        for channel in 0..self.inputs[at].extent.channels {
            pictures.iter().for_each(|picture| data.extend_from_slice(picture.plane(channel)));
        }
        Ok(Image::new(self.inputs[at].extent, data).map_err(MediaError::from)?)
    }

    /// Returns flow from a file for an input: for each clip, its fields scaled and cropped to the input's
    /// size.
    fn given_flow(&self, at: usize, given: &Flow, starts: &[usize], total: usize) -> Result<Vec<Image>> {
        let size = self.inputs[at].extent.size();
        let stack = |&start: &usize| {
            let indices = self.span.indices(at, start, total).into_iter();
            let chosen: Vec<Flow> = indices.map(|t| given.field(t.min(given.frames - 1))).collect();
            Ok(fields::framed(&Flow::stack(&chosen)?, size, self.sampling.crop)?)
        };
        starts.iter().map(stack).collect()
    }

    /// Returns flow computed by TV-L1 for an input, a stack for each clip. A video of one frame has no
    /// motion.
    fn computed_flow(
        &self,
        at: usize,
        frames: &BTreeMap<usize, Frame>,
        starts: &[usize],
        total: usize,
    ) -> Result<Vec<Image>> {
        let luminance = |index: usize| match frames.get(&index)?.seen.get(&at)? {
            Seen::Luminance(luminance) => Some(luminance),
            Seen::Picture(_) => None,
        };
        let size = self.inputs[at].extent.size();
        let wanted: BTreeSet<usize> =
            starts.iter().flat_map(|&start| self.span.indices(at, start, total)).collect();
        let computed = fields::computed(&wanted, luminance)?;
        let stack = |&start: &usize| {
            let indices = self.span.indices(at, start, total).into_iter();
            let chosen: Vec<Flow> = indices.filter_map(|t| computed.get(&t).cloned()).collect();
            Ok(fields::framed_at(&Flow::stack(&chosen)?, size, self.sampling.crop, frames_size(frames))?)
        };
        starts.iter().map(stack).collect()
    }
}

/// Reads the middle frame of a video's only clip, a clip of `span` frames. It is the picture that stands for
/// the video.
///
/// # Errors
/// The errors of [`choose_frames`].
pub fn middle_frame(video: &Path, span: usize) -> Result<Image> {
    let span = Span::new(vec![Part::Frames(span)], 1);
    let middle = |total: usize| span.middle(span.starts(total, 1)[0], total);
    let choose = |total: usize| BTreeMap::from([(middle(total), ())]);
    let read = choose_frames(video, &Ffmpeg::default(), choose, |(), frame| Ok::<_, MediaError>(frame))?;
    let frame = read.frames.into_values().next();
    Ok(frame.ok_or(SourceError::Zero { what: "the number of frames" })?)
}

/// Scales flow until it just covers a size, and crops it about its centre. Vectors are scaled with the field.
/// Returns `[2, T, H, W]`, all fields' u first.
///
/// # Errors
/// If the flow is empty.
pub(crate) fn framed_flow(flow: &Flow, size: [usize; 2]) -> Result<Image> {
    Ok(fields::framed(flow, size, Some(1.0))?)
}

/// Height and width of a video's frames.
fn frames_size(frames: &BTreeMap<usize, Frame>) -> [usize; 2] {
    frames.values().next().map_or([0, 0], |frame| frame.size)
}

#[cfg(test)]
mod tests;
