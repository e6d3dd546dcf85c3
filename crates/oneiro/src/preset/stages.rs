//! Stages of a preset besides the main loop: jitter by stride, final steps, and changes of the picture
//! between steps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Largest random shift of a picture that is larger than the network's input. With j pixels the
/// picture is j − 1 larger along both axes, and the network sees a random part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Jitter {
    /// The picture is not shifted.
    #[default]
    None,
    /// A jitter of this number of pixels.
    Pixels(usize),
    /// A jitter of max(round(stride/4), 1) pixels, for the layer's accumulated stride (Mahendran & Vedaldi
    /// 2016, §4).
    QuarterStride,
    /// A jitter of the layer's accumulated stride (Feichtenhofer et al. 2020).
    Stride,
}

/// The largest jitter that is allowed, in pixels.
const MAX_JITTER: usize = 4096;

impl Jitter {
    /// Returns the jitter j in pixels for a layer of this stride.
    pub fn pixels(self, stride: usize) -> usize {
        match self {
            Self::None => 1,
            Self::Pixels(n) => n.max(1),
            Self::QuarterStride => ((stride + 2) / 4).max(1),
            Self::Stride => stride.max(1),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Pixels(n) => write!(f, "{n}"),
            Self::QuarterStride => write!(f, "stride/4"),
            Self::Stride => write!(f, "stride"),
        }
    }
}

/// The error for a text that names no jitter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("\"{0}\" is no jitter; it is a number of pixels up to {MAX_JITTER}, stride/4, stride or none")]
pub struct UnknownJitter(String);

impl FromStr for Jitter {
    type Err = UnknownJitter;

    fn from_str(text: &str) -> Result<Self, UnknownJitter> {
        Ok(match text {
            "none" => Self::None,
            "stride/4" => Self::QuarterStride,
            "stride" => Self::Stride,
            _ => {
                let pixels = text.parse().ok().filter(|n| *n <= MAX_JITTER);
                Self::Pixels(pixels.ok_or_else(|| UnknownJitter(text.to_owned()))?)
            }
        })
    }
}

impl TryFrom<String> for Jitter {
    type Error = UnknownJitter;

    fn try_from(text: String) -> Result<Self, UnknownJitter> {
        text.parse()
    }
}

impl From<Jitter> for String {
    fn from(jitter: Jitter) -> String {
        jitter.to_string()
    }
}

/// Final steps without transforms, at a smaller learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The number of final steps.
    pub steps: usize,
    /// The learning rate relative to that of the other steps.
    pub rate: f32,
}

/// Changes of the picture after steps, which suppress high frequencies and irrelevant pixels (Yosinski et al.
/// 2015, §3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Upkeep {
    /// Standard deviation of a Gaussian blur, in pixels; 0 for none.
    pub blur: f32,
    /// Number of steps between two blurs.
    pub blur_every: usize,
    /// Percentage of pixels that are set to the mean colour because their norm is smallest.
    pub small_values: f32,
    /// Percentage of pixels that are set to the mean colour because they contribute least to the objective.
    /// The contribution is the absolute value of Σ over channels of value times gradient.
    pub small_contributions: f32,
    /// Whether pixels are clipped to the range from black to white.
    pub clip: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_reads_and_prints() {
        for text in ["none", "7", "stride/4", "stride"] {
            assert_eq!(text.parse::<Jitter>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "stride/2", "99999"] {
            assert!(text.parse::<Jitter>().unwrap_err().to_string().contains("stride/4"), "{text}");
        }
    }

    #[test]
    fn a_quarter_of_the_stride_is_at_least_one_pixel() {
        let j: Vec<usize> = [1, 2, 4, 8, 16, 32].map(|s| Jitter::QuarterStride.pixels(s)).to_vec();
        assert_eq!(j, [1, 1, 1, 2, 4, 8]);
    }
}
