//! Baselines: images with which attribution methods compare an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::preprocess::Preprocess;
use crate::rng::Stream;
use crate::transform::blur::Blur;

/// Standard deviation of the blur as a share of the shorter side: 10 pixels of 224 (Fong & Vedaldi 2017,
/// section 4.1).
const BLUR: f64 = 10.0 / 224.0;
/// Number of the random stream for the noise baseline. The samples of SmoothGrad use streams from 0 on.
const NOISE_STREAM: u64 = u64::MAX;

/// An image without the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Baseline {
    /// Black everywhere (Sundararajan et al. 2017). Pixels that are black in the image get no attribution.
    Black,
    /// The mean colour, which becomes zero after preprocessing.
    Mean,
    /// The image, blurred (Fong & Vedaldi 2017).
    Blur,
    /// Uniform noise, drawn with the random seed of the settings.
    Noise,
}

impl Baseline {
    /// All baselines.
    pub const ALL: [Baseline; 4] = [Self::Black, Self::Mean, Self::Blur, Self::Noise];

    /// Returns the baseline of a display image, `[3, H, W]`.
    pub(super) fn of(self, image: &[f32], size: [usize; 2], preprocess: &Preprocess, seed: u64) -> Vec<f32> {
        match self {
            Self::Black => vec![0.0; image.len()],
            Self::Mean => {
                let plane = size[0] * size[1];
                preprocess.mean_color().iter().flat_map(|&m| std::iter::repeat_n(m, plane)).collect()
            }
            Self::Blur => blurred(image, size),
            Self::Noise => {
                let mut stream = Stream::new(seed, NOISE_STREAM);
                (0..image.len()).map(|_| stream.uniform() as f32).collect()
            }
        }
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

/// Blurs every plane of an image with a Gaussian.
fn blurred(image: &[f32], size: [usize; 2]) -> Vec<f32> {
    let [h, w] = size;
    let mut blur = Blur::new(BLUR * h.min(w) as f64, size);
    let mut out = image.to_vec();
    out.chunks_exact_mut(h * w).for_each(|plane| blur.apply(plane));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
