//! Settings of flow jobs.

use std::path::Path;

use oneiro_media::FilmFormat;
use oneiro_media::flow::TvL1Options;
use serde::{Deserialize, Serialize};

/// A part of a video: every `every`-th frame from `start` on, at most `count` of them. If the input is flow,
/// it selects flow fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameRange {
    /// Index of the first frame or flow field, from 0.
    pub start: usize,
    /// Largest number of frames or flow fields; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Step from each selected frame to the next. Flow is the motion over the whole step.
    pub every: usize,
}

impl Default for FrameRange {
    fn default() -> Self {
        Self { start: 0, count: None, every: 1 }
    }
}

impl FrameRange {
    /// Returns how many of `frames` frames the range selects.
    pub fn chosen_of(&self, frames: usize) -> usize {
        let rest = frames.saturating_sub(self.start).div_ceil(self.every.max(1));
        self.count.map_or(rest, |count| count.min(rest))
    }
}

/// The size to which a video's frames are scaled before flow is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowSize {
    /// The shorter side in pixels; the aspect ratio is kept.
    Shorter(usize),
    /// Height and width in pixels.
    Exact([usize; 2]),
}

impl FlowSize {
    /// Returns the scaled height and width for frames of this height and width.
    pub fn of(self, height: usize, width: usize) -> [usize; 2] {
        match self {
            Self::Exact(size) => size,
            Self::Shorter(side) => {
                let (shorter, longer) = (height.min(width).max(1) as u64, height.max(width) as u64);
                let other = (longer.saturating_mul(side as u64) + shorter / 2) / shorter;
                let other = usize::try_from(other).unwrap_or(usize::MAX);
                if height <= width { [side, other] } else { [other, side] }
            }
        }
    }
}

/// How a film shows flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FlowStyle {
    /// Horizontal motion, vertical motion and length as red, green and blue, each scaled by its lowest and
    /// highest value in all fields ([`oneiro_media::flow::flow_colors`]).
    #[default]
    Channels,
    /// Like `Channels`, but with one common scale for all three channels.
    Joint,
    /// Middlebury's colour wheel: the hue is the direction ([`oneiro_media::flow::flow_wheel`]).
    Wheel,
    /// Arrows over the dimmed frames, or over a dark background if the input is flow.
    Arrows,
}

/// The file format in which flow is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FlowOutput {
    /// A film as animated PNG.
    Apng,
    /// A film as GIF.
    Gif,
    /// A film as animated WebP.
    Webp,
    /// A film as MP4.
    Mp4,
    /// A film as WebM.
    Webm,
    /// A NumPy array `[T, 2, H, W]` of float32.
    Npy,
    /// A single flow field in Middlebury's `.flo` format.
    Flo,
    /// A gray JPEG for each component of each field: `flow_x_00001.jpg`, `flow_y_00001.jpg`, ….
    Pairs,
}

impl FlowOutput {
    /// Returns the output format for a file name's ending, or `None`.
    pub fn of_name(path: &Path) -> Option<Self> {
        match FilmFormat::of_name(path) {
            Some(FilmFormat::Apng) => Some(Self::Apng),
            Some(FilmFormat::Gif) => Some(Self::Gif),
            Some(FilmFormat::WebP) => Some(Self::Webp),
            Some(FilmFormat::Mp4) => Some(Self::Mp4),
            Some(FilmFormat::WebM) => Some(Self::Webm),
            Some(_) => None,
            None => match path.extension()?.to_string_lossy().to_lowercase().as_str() {
                "npy" => Some(Self::Npy),
                "flo" => Some(Self::Flo),
                _ => None,
            },
        }
    }

    /// Returns the film format of this output; `None` if the output is no film.
    pub fn film(self) -> Option<FilmFormat> {
        match self {
            Self::Apng => Some(FilmFormat::Apng),
            Self::Gif => Some(FilmFormat::Gif),
            Self::Webp => Some(FilmFormat::WebP),
            Self::Mp4 => Some(FilmFormat::Mp4),
            Self::Webm => Some(FilmFormat::WebM),
            Self::Npy | Self::Flo | Self::Pairs => None,
        }
    }

    /// Whether the output is a film.
    pub fn is_film(self) -> bool {
        self.film().is_some()
    }
}

/// Parameters of TV-L1 optical flow, as jobs store them. The defaults are OpenCV's; [`TvL1Options`] explains
/// each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct TvL1Settings {
    pub tau: f32,
    pub lambda: f32,
    pub theta: f32,
    pub scales: usize,
    pub scale_step: f64,
    pub warps: usize,
    pub epsilon: f64,
    pub inner_iterations: usize,
    pub outer_iterations: usize,
    pub median: usize,
}

impl Default for TvL1Settings {
    fn default() -> Self {
        let TvL1Options {
            tau,
            lambda,
            theta,
            scales,
            scale_step,
            warps,
            epsilon,
            inner_iterations,
            outer_iterations,
            median,
        } = TvL1Options::default();
        Self {
            tau,
            lambda,
            theta,
            scales,
            scale_step,
            warps,
            epsilon,
            inner_iterations,
            outer_iterations,
            median,
        }
    }
}

impl TvL1Settings {
    /// Returns the parameters in the type that the TV-L1 implementation takes.
    pub fn options(&self) -> TvL1Options {
        let Self {
            tau,
            lambda,
            theta,
            scales,
            scale_step,
            warps,
            epsilon,
            inner_iterations,
            outer_iterations,
            median,
        } = *self;
        TvL1Options {
            tau,
            lambda,
            theta,
            scales,
            scale_step,
            warps,
            epsilon,
            inner_iterations,
            outer_iterations,
            median,
        }
    }
}
