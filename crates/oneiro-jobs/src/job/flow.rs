//! Optical flow of a video, as a film or as numbers.
//!
//! Flow is computed pair by pair and kept in a temporary file, since colours are scaled by the lowest and
//! highest values of all fields. A video of any length needs the memory of a few frames.

use oneiro_media::MAX_PIXELS;
use oneiro_media::flow::{ArrowOptions, FLOW_BOUND};
use serde::{Deserialize, Serialize};

use super::error::{JobError, Large, Setting};
use super::render::film::MAX_PIXELS as MAX_FILM_PIXELS;
use super::{Job, Run, Sink};
use crate::error::Result;
use fields::Fields;

mod drawing;
mod fields;
mod film_writer;
mod settings;
mod spool;
mod written;

pub use settings::{FlowOutput, FlowSize, FlowStyle, FrameRange, TvL1Settings};

/// Computes the optical flow of a video by TV-L1, or reads flow, and writes it as a film or as numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowJob {
    /// A video, an animation, a folder of frames, or flow: `.flo`, `.npy`, `.npz`, a folder of picture pairs.
    pub input: String,
    /// The frames whose flow is computed. Of flow, the fields that are written.
    #[serde(default)]
    pub frames: FrameRange,
    /// Size to which frames are scaled before flow is computed; their own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<FlowSize>,
    /// Parameters of TV-L1.
    #[serde(default)]
    pub tvl1: TvL1Settings,
    /// Whether the camera's motion is taken off ([`oneiro_media::flow::compensated_flow`]).
    #[serde(default)]
    pub compensate_camera: bool,
    /// The form in which flow is written.
    pub output: FlowOutput,
    /// What a film shows.
    #[serde(default)]
    pub style: FlowStyle,
    /// Pixels of a film's side for each pixel of flow. By default 1, and of arrows such that the shorter side
    /// has at least 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<usize>,
    /// Frames per second of a film. By default those of the video, or 25 where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Motion in pixels per frame that white stands for in folders of picture pairs, read and written;
    /// [`FLOW_BOUND`] by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f32>,
}

/// The report on flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowReport {
    /// The video or flow.
    pub input: String,
    /// Number of flow fields.
    pub fields: usize,
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// Mean length of the finite vectors, in pixels per field.
    pub mean: f64,
    /// Length of the longest finite vector, in pixels per field.
    pub largest: f32,
    /// Seconds in which flow was computed, without reading and writing; `None` if it was read.
    pub computing_seconds: Option<f64>,
    /// Fields that were computed in a second.
    pub fields_per_second: Option<f64>,
}

impl FlowJob {
    /// A job with default settings.
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

    /// Motion that white stands for in pictures of flow.
    fn bound(&self) -> f32 {
        self.bound.unwrap_or(FLOW_BOUND)
    }

    /// Pixels of a film's side for each pixel of flow of this size.
    fn enlargement(&self, height: usize, width: usize) -> usize {
        match self.style {
            FlowStyle::Arrows => self.arrows().enlargement_of(height, width),
            _ => self.enlarge.unwrap_or(1),
        }
    }

    fn arrows(&self) -> ArrowOptions {
        ArrowOptions { enlargement: self.enlarge, ..ArrowOptions::default() }
    }

    /// Refuses flow that the output cannot hold, before it is computed.
    fn check_output(&self, fields: usize, height: usize, width: usize) -> Result<()> {
        if self.output == FlowOutput::Flo && fields > 1 {
            return Err(JobError::SeveralFields { fields }.into());
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
            return Err(JobError::Bound { bound: self.bound() }.into());
        }
        Ok(self.tvl1.options().check()?)
    }
}

#[cfg(test)]
mod tests;
