//! A job that writes the optical flow of a video as a film or as numbers.
//!
//! Flow is computed from one pair of frames after the other and kept in a temporary file, because colours are
//! scaled by the lowest and highest values of all fields. A video of any length needs the memory of a few
//! frames.

use oneiro_media::MAX_PIXELS;
use oneiro_media::flow::{ArrowOptions, FLOW_BOUND};
use serde::{Deserialize, Serialize};

use super::error::{JobError, Large, Setting};
use super::render::film::MAX_PIXELS as MAX_FILM_PIXELS;
use super::{Job, Run, Sink};
use crate::error::Result;
use error::FlowError;
use fields::Fields;

mod drawing;
pub(crate) mod error;
mod fields;
mod film_writer;
mod settings;
mod spool;
mod written;

pub use settings::{FlowOutput, FlowSize, FlowStyle, FrameRange, TvL1Settings};

/// A job that computes a video's optical flow by TV-L1, or reads flow, and writes it as a film or as numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowJob {
    /// Path of a video, animated picture or folder of frames, or of flow: `.flo`, `.npy`, `.npz`, a folder of
    /// picture pairs.
    pub input: String,
    /// The video's frames whose flow is computed. If the input is flow: the flow fields that are written.
    #[serde(default)]
    pub frames: FrameRange,
    /// Size to which frames are scaled before flow is computed; by default their own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<FlowSize>,
    /// Parameters of TV-L1.
    #[serde(default)]
    pub tvl1: TvL1Settings,
    /// Whether the camera's motion is removed from the flow ([`oneiro_media::flow::compensated_flow`]).
    #[serde(default)]
    pub compensate_camera: bool,
    /// The file format in which flow is written.
    pub output: FlowOutput,
    /// How a film shows flow: as colours or as arrows.
    #[serde(default)]
    pub style: FlowStyle,
    /// Pixels of the film for each pixel of flow along each side. The default is 1; for arrows it makes the
    /// film's shorter side at least 256 pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<usize>,
    /// Frames per second of the film. By default those of the video, or 25 if the video has no frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// In folders of picture pairs, read or written: the motion in pixels per frame that white stands for.
    /// The default is [`FLOW_BOUND`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f32>,
}

/// The report of a flow job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowReport {
    /// Path of the video or flow that was given.
    pub input: String,
    /// Number of flow fields.
    pub fields: usize,
    /// Rows of each flow field.
    pub height: usize,
    /// Pixels in each row of a flow field.
    pub width: usize,
    /// Mean length of the finite vectors, in pixels per field.
    pub mean: f64,
    /// Length of the longest finite vector, in pixels per field.
    pub largest: f32,
    /// Seconds for computing flow, without reading and writing; `None` if flow was read from a file.
    pub computing_seconds: Option<f64>,
    /// How many flow fields were computed per second.
    pub fields_per_second: Option<f64>,
}

impl FlowJob {
    /// Creates a job with default settings for an input and an output format.
    pub fn new(input: impl Into<String>, output: FlowOutput) -> Self {
        Self {
            input: input.into(),
            frames: FrameRange::default(),
            size: None,
            tvl1: TvL1Settings::default(),
            compensate_camera: false,
            output,
            style: FlowStyle::default(),
            enlarge: None,
            frames_per_second: None,
            bound: None,
        }
    }

    /// Returns the motion in pixels per frame that white stands for in pictures of flow.
    fn bound(&self) -> f32 {
        self.bound.unwrap_or(FLOW_BOUND)
    }

    /// Returns how many pixels of the film each pixel of flow gets along each side.
    fn enlargement(&self, height: usize, width: usize) -> usize {
        match self.style {
            FlowStyle::Arrows => self.arrows().enlargement_of(height, width),
            _ => self.enlarge.unwrap_or(1),
        }
    }

    fn arrows(&self) -> ArrowOptions {
        ArrowOptions { enlargement: self.enlarge, ..ArrowOptions::default() }
    }

    /// Returns an error before flow is computed if the output format cannot hold it.
    fn check_output(&self, fields: usize, height: usize, width: usize) -> Result<()> {
        if self.output == FlowOutput::Flo && fields > 1 {
            return Err(FlowError::SeveralFields { fields }.into());
        }
        if !self.output.is_film() {
            return Ok(());
        }
        let enlargement = self.enlargement(height, width);
        let size = [height, width].map(|side| side.saturating_mul(enlargement));
        let pixels = size[0].saturating_mul(size[1]);
        let too_large = |result| JobError::TooLarge { count: fields, things: "frames", size, result };
        if pixels as u64 > MAX_PIXELS {
            return Err(too_large(Large::Film).into());
        }
        let result = match self.output {
            FlowOutput::Gif => Large::Gif,
            FlowOutput::Webp => Large::WebP,
            _ => return Ok(()),
        };
        if pixels.saturating_mul(fields) > MAX_FILM_PIXELS {
            return Err(too_large(result).into());
        }
        Ok(())
    }
}

impl Job for FlowJob {
    const KIND: &'static str = "flow";
    type Report = FlowReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<FlowReport> {
        self.check()?;
        let text = written::Text::new(self)?;
        let mut fields = Fields::of(run, self)?;
        self.check_output(fields.spool.len(), fields.spool.height(), fields.spool.width())?;
        written::write(run, self, &mut fields, text, sink)?;
        Ok(fields.report(self))
    }

    fn sources(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn check(&self) -> Result<()> {
        let at_least = |setting, value: usize, least: usize| match value < least {
            true => {
                let needed = format!("a number from {least} on");
                Err(JobError::Setting { setting, value, needed })
            }
            false => Ok(()),
        };
        at_least(Setting::Stride, self.frames.every, 1)?;
        at_least(Setting::Count, self.frames.count.unwrap_or(1), 1)?;
        at_least(Setting::Enlargement, self.enlarge.unwrap_or(1), 1)?;
        match self.size {
            None => {}
            Some(FlowSize::Shorter(side)) => at_least(Setting::Side, side, 3)?,
            Some(FlowSize::Exact(sides)) => {
                sides.into_iter().try_for_each(|side| at_least(Setting::Side, side, 3))?;
            }
        }
        if let Some(rate) = self.frames_per_second {
            oneiro_media::FrameRate::new(rate)?;
        }
        if !(self.bound().is_finite() && self.bound() > 0.0) {
            return Err(FlowError::Bound { bound: self.bound() }.into());
        }
        Ok(self.tvl1.options().check()?)
    }
}

#[cfg(test)]
mod tests;
