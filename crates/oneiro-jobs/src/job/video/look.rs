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

    /// Draws what each motion looks like: up to a length of 1 in all directions, right of the middle to the
    /// right, below it down. Arrows need none.
    pub(super) fn legend(self) -> Result<Option<Image>> {
        const SIDE: usize = 120;
        let of = |at: usize| 2.0 * at as f32 / (SIDE - 1) as f32 - 1.0;
        let motion = |y: usize, x: usize| {
            let [u, v] = [of(x), of(y)];
            if u.hypot(v) <= 1.0 { [u, v] } else { [0.0; 2] }
        };
        let at = || (0..SIDE * SIDE).map(|i| motion(i / SIDE, i % SIDE));
        let data = at().map(|[u, _]| u).chain(at().map(|[_, v]| v)).collect();
        let flow = Flow::new(1, SIDE, SIDE, data)?;
        Ok(match self {
            Self::Channels => Some(flow_colors(&flow, FlowScaling::Channels)?),
            Self::Joint => Some(flow_colors(&flow, FlowScaling::Joint)?),
            Self::Wheel => Some(flow_wheel(&flow, None)?),
            Self::Arrows => None,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legend_is_redder_to_the_right_and_greener_below() {
        let legend = FlowLook::Channels.legend().unwrap().unwrap();
        let [middle, near, far] = [60, 10, 110];
        assert!(legend.pixel(far, middle)[0] > legend.pixel(near, middle)[0] + 0.5);
        assert!(legend.pixel(middle, far)[1] > legend.pixel(middle, near)[1] + 0.5);
        assert!(FlowLook::Wheel.legend().unwrap().is_some());
        assert!(FlowLook::Arrows.legend().unwrap().is_none());
    }
}
