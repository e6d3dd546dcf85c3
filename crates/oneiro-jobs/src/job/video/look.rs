//! How clips and flow are drawn.

use oneiro::card::InputKind;
use oneiro::render::Picture;
use oneiro_media::Image;
use oneiro_media::flow::{ArrowOptions, Flow, FlowScaling, draw_arrows, flow_colors, flow_wheel};
use serde::{Deserialize, Serialize};

use super::colors_of;
use crate::error::Result;

/// How flow is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowLook {
    /// Red is horizontal, green vertical flow and blue the magnitude, each scaled from its least to its
    /// largest value over the sequence (Feichtenhofer et al. 2020, §4).
    #[default]
    Channels,
    /// The same with one scale for both components.
    Joint,
    /// The colour wheel of the Middlebury benchmark.
    Wheel,
    /// Arrows, over the image if the network takes one.
    Arrows,
}

impl FlowLook {
    /// The names on the command line.
    pub const NAMES: [&'static str; 4] = ["channels", "joint", "wheel", "arrows"];

    /// Returns the look with a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "channels" => Self::Channels,
            "joint" => Self::Joint,
            "wheel" => Self::Wheel,
            "arrows" => Self::Arrows,
            _ => return None,
        })
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Draws a picture of one of a unit's inputs: flow as colours or arrows, others as they are.
    pub(super) fn drawn(self, picture: &Picture, all: &[Picture]) -> Result<Image> {
        if picture.kind != InputKind::Flow {
            return colors_of(picture);
        }
        let image = &picture.image;
        let flow = Flow::new(image.frames, image.height, image.width, picture.raw_data())?;
        Ok(match self {
            Self::Channels => flow_colors(&flow, FlowScaling::Channels)?,
            Self::Joint => flow_colors(&flow, FlowScaling::Joint)?,
            Self::Wheel => flow_wheel(&flow, None)?,
            Self::Arrows => {
                let same = |p: &&Picture| {
                    p.kind == InputKind::Image && p.image.extent().size() == image.extent().size()
                };
                let ground = all.iter().find(same).map(colors_of).transpose()?;
                draw_arrows(&flow, ground.as_ref(), &ArrowOptions::default())?
            }
        })
    }
}
