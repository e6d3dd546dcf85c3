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
    /// Red is horizontal flow, green is vertical flow, and blue is the magnitude. Each is scaled from its
    /// smallest to its largest value over the sequence (Feichtenhofer et al. 2020, §4).
    #[default]
    Channels,
    /// Like `Channels`, but with one common scale for all three channels.
    Joint,
    /// The colour wheel of the Middlebury benchmark: the hue shows the direction.
    Wheel,
    /// Arrows, drawn over the rendered image if the network has an image input.
    Arrows,
}

impl FlowLook {
    /// Names of the drawing styles on the command line.
    pub const NAMES: [&'static str; 4] = ["channels", "joint", "wheel", "arrows"];

    /// Returns the drawing style with this name.
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

    /// Draws the picture of one of a unit's inputs: flow as colours or arrows, other inputs as they are.
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
