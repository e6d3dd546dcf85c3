//! Baselines: images with which attribution methods compare an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::rng::Stream;
use crate::transform::blur::Blur;

/// Standard deviation of the blur as a share of the shorter side: 10 pixels of 224 (Fong & Vedaldi 2017,
/// section 4.1).
const BLUR: f64 = 10.0 / 224.0;
/// Number of the random stream for the noise baseline. The samples of SmoothGrad use streams from 0 on.
const NOISE_STREAM: u64 = u64::MAX;

/// An image, or a clip and flow, without the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Baseline {
    /// Black everywhere (Sundararajan et al. 2017), and flow without motion. Pixels that are black in the
    /// image, or do not move, get no attribution.
    Black,
    /// The mean colour, which becomes zero after preprocessing.
    Mean,
    /// The image, or each frame or flow field, blurred (Fong & Vedaldi 2017).
    Blur,
    /// Uniform noise, drawn with the random seed of the settings.
    Noise,
}

impl Baseline {
    /// All baselines.
    pub const ALL: [Baseline; 4] = [Self::Black, Self::Mean, Self::Blur, Self::Noise];

    /// Writes the baseline of an input's display values, `[C, T, H, W]`. `stream` is that of the noise.
    pub(super) fn write(self, input: &PictureInput, display: &[f32], stream: &mut Stream, out: &mut [f32]) {
        match self {
            Self::Black => out.fill(0.0),
            Self::Mean => {
                let mean = input.preprocess.mean_color();
                let of_one = out.len() / mean.len();
                out.chunks_exact_mut(of_one).zip(&mean).for_each(|(out, &m)| out.fill(m));
            }
            Self::Blur => blur(display, input.extent.size(), out),
            // Flow has both signs.
            Self::Noise => {
                let (span, is_flow) = (input.preprocess.span(), input.kind == InputKind::Flow);
                let middle = if is_flow { 0.5 } else { 0.0 };
                out.iter_mut().for_each(|v| *v = span * (stream.uniform() as f32 - middle));
            }
        }
    }

    /// The stream of the noise of all inputs, from the random seed.
    pub(super) fn stream(seed: u64) -> Stream {
        Stream::new(seed, NOISE_STREAM)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Black => "black",
            Self::Mean => "mean",
            Self::Blur => "blur",
            Self::Noise => "noise",
        })
    }
}

impl FromStr for Baseline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|b| b.to_string() == text);
        found.ok_or_else(|| {
            let known = vec!["black", "mean", "blur", "noise"];
            Error::UnknownName { what: "baseline", name: text.into(), known }
        })
    }
}

/// Blurs every plane with a Gaussian.
fn blur(display: &[f32], [h, w]: [usize; 2], out: &mut [f32]) {
    let mut blur = Blur::new(BLUR * h.min(w) as f64, [h, w]);
    out.copy_from_slice(display);
    out.chunks_exact_mut(h * w).for_each(|plane| blur.apply(plane));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blurred(display: &[f32], size: [usize; 2]) -> Vec<f32> {
        let mut out = vec![0.0; display.len()];
        blur(display, size, &mut out);
        out
    }

    #[test]
    fn a_blur_keeps_even_areas_and_spreads_a_dot() {
        let even = blurred(&[0.25; 3 * 40 * 30], [40, 30]);
        assert!(even.iter().all(|v| (v - 0.25).abs() < 1e-6));
        let mut dot = vec![0.0; 3 * 64 * 64];
        dot[32 * 64 + 32] = 1.0;
        let soft = blurred(&dot, [64, 64]);
        let (sum, peak) = (soft.iter().sum::<f32>(), soft[32 * 64 + 32]);
        assert!((sum - 1.0).abs() < 1e-4 && peak < 0.03 && peak > soft[32 * 64 + 34], "{sum} {peak}");
        assert!(soft[64 * 64..].iter().all(|&v| v == 0.0), "colours mix");
    }

    #[test]
    fn a_picture_of_one_pixel_has_a_blur() {
        assert_eq!(blurred(&[0.1, 0.2, 0.3], [1, 1]), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn baselines_read_and_print() {
        for baseline in Baseline::ALL {
            assert_eq!(baseline.to_string().parse::<Baseline>().unwrap(), baseline);
        }
        assert!("white".parse::<Baseline>().unwrap_err().to_string().contains("blur, noise"));
    }
}
