//! Settings of the methods.

use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

use super::{Baseline, Method};
use crate::error::{Error, Result};

/// Settings of all methods; each method uses some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Number of points on the path of integrated gradients.
    pub steps: usize,
    /// The baseline of integrated gradients and gradient × input.
    pub baseline: Baseline,
    /// Number of noisy copies of the image.
    pub samples: usize,
    /// Standard deviation of the noise, as a share of the image's range.
    pub noise: f64,
    /// Height and width of the occluding window in pixels; by default an eighth of an image's, and a quarter
    /// of a clip's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<[usize; 2]>,
    /// Frames, or flow fields, of the occluding window; by default a quarter of the input's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_frames: Option<usize>,
    /// Distance in pixels between windows; by default half a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// The image that fills an occluding window.
    pub fill: Baseline,
    /// The layer of Grad-CAM; by default the last convolution before the objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cam_layer: Option<String>,
    /// Random seed of all noise.
    pub seed: u64,
}

/// Default number of points on the path: 20 to 300 are enough for most networks (Sundararajan et al. 2017,
/// section 5).
const STEPS: usize = 50;
/// Default number of noisy copies: little changes beyond 50 (Smilkov et al. 2017, section 3.2).
const SAMPLES: usize = 50;
/// Default noise: 10 % to 20 % of the range keeps the structure of the image (Smilkov et al. 2017, section
/// 3.2).
const NOISE: f64 = 0.15;

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: STEPS,
            baseline: Baseline::Black,
            samples: SAMPLES,
            noise: NOISE,
            window: None,
            window_frames: None,
            stride: None,
            fill: Baseline::Mean,
            cam_layer: None,
            seed: 0,
        }
    }
}

/// Fewest samples that have a variance.
const LEAST_FOR_VARIANCE: usize = 2;

impl Settings {
    /// Sizes of the occluding window and its strides, along time, y and x, for an input of this extent.
    pub fn windows(&self, extent: Extent) -> ([usize; 3], [usize; 3]) {
        /// Number of half windows along the side of a still. Window sizes are even, so that windows overlap
        /// by exactly half.
        const HALF_WINDOWS: usize = 16;
        /// The same for clips: windows in time as well as space would be too many.
        const HALF_WINDOWS_OF_CLIPS: usize = 8;
        let is_still = extent.frames == 1;
        let halves = if is_still { HALF_WINDOWS } else { HALF_WINDOWS_OF_CLIPS };
        let [h, w] = self.window.unwrap_or(extent.size().map(|n| 2 * n.div_ceil(halves)));
        let frames = self.window_frames.unwrap_or(2 * extent.frames.div_ceil(halves));
        let frames = if is_still { 1 } else { frames };
        let [down, along] = [h, w].map(|side| self.stride.unwrap_or(side.div_ceil(2)));
        ([frames, h, w], [frames.div_ceil(2), down, along])
    }

    /// Checks every number that its type does not restrict.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a count or extent of 0, and for noise that is not between 0 and 1.
    pub fn check(&self) -> Result<()> {
        let positive = |n: usize, what: &str| match n {
            0 => Err(Error::out_of_range(what, 0, "at least 1")),
            _ => Ok(()),
        };
        positive(self.steps, "steps of integrated gradients")?;
        positive(self.samples, "samples of smoothgrad")?;
        for side in self.window.unwrap_or([1; 2]) {
            positive(side, "the side of the occluding window")?;
        }
        positive(self.window_frames.unwrap_or(1), "the frames of the occluding window")?;
        positive(self.stride.unwrap_or(1), "the stride of the occluding window")?;
        if !(self.noise > 0.0 && self.noise.is_finite()) {
            let needed = "a share of the image's range above 0, usually 0.1 to 0.2,";
            return Err(Error::out_of_range("noise", self.noise, needed));
        }
        Ok(())
    }

    /// Checks the settings as [`Settings::check`] does, and whether these methods can use them.
    ///
    /// # Errors
    /// Those of [`Settings::check`], and an error for a variance of fewer than two samples.
    pub fn check_for(&self, methods: &[Method]) -> Result<()> {
        self.check()?;
        match methods.contains(&Method::VarGrad) && self.samples < LEAST_FOR_VARIANCE {
            true => Err(Error::out_of_range(
                "samples of vargrad, a variance,",
                self.samples,
                format!("at least {LEAST_FOR_VARIANCE}"),
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_no_use_are_refused() {
        let usual = Settings::default();
        usual.check().unwrap();
        for (bad, says) in [
            (Settings { steps: 0, ..usual.clone() }, "steps"),
            (Settings { samples: 0, ..usual.clone() }, "samples"),
            (Settings { window: Some([3, 0]), ..usual.clone() }, "window"),
            (Settings { stride: Some(0), ..usual.clone() }, "stride"),
            (Settings { noise: f64::NAN, ..usual.clone() }, "noise is NaN"),
            (Settings { noise: 0.0, ..usual }, "noise is 0"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
