//! Draws a flow field as a frame of a film.

use oneiro_media::flow::{ArrowOptions, FlowScaling, draw_arrows, flow_colors_within, flow_wheel};
use oneiro_media::{Image, enlarge_pixels};

use super::fields::Fields;
use super::spool::Spooled;
use super::{FlowJob, FlowStyle};
use crate::error::Result;

/// Draws flow fields with colours or arrows scaled by the extremes of all fields.
pub struct Drawing<'j> {
    job: &'j FlowJob,
    range: oneiro_media::flow::FlowRange,
    largest: f32,
    longest_arrow: f32,
}

impl<'j> Drawing<'j> {
    pub fn new(job: &'j FlowJob, fields: &Fields) -> Self {
        let (range, largest) = (fields.range, fields.largest());
        Self { job, range, largest, longest_arrow: fields.longest_arrow }
    }

    /// Returns the picture of one flow field.
    pub fn of(&self, spooled: &Spooled) -> Result<Image> {
        let field = &spooled.field;
        let colors = match self.job.style {
            FlowStyle::Channels => flow_colors_within(field, FlowScaling::Channels, self.range)?,
            FlowStyle::Joint => flow_colors_within(field, FlowScaling::Joint, self.range)?,
            FlowStyle::Wheel => flow_wheel(field, Some(self.largest))?,
            FlowStyle::Arrows => {
                let rgb = spooled.rgb.as_deref();
                let frame = rgb.map(|rgb| Image::from_rgb8(field.width, field.height, rgb)).transpose()?;
                let options = ArrowOptions { longest: Some(self.longest_arrow), ..self.job.arrows() };
                return Ok(draw_arrows(field, frame.as_ref(), &options)?);
            }
        };
        Ok(enlarge_pixels(&colors, self.job.enlargement(field.height, field.width))?)
    }
}
