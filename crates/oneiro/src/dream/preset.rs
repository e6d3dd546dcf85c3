//! Presets of dreams, and the zoom of a film: settings that can be stored and read back.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::range::Range;

/// From which picture each larger octave starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OctaveStart {
    /// The start image at this size, plus the enlarged difference between the dream and the start image.
    Detail,
    /// The current dream, enlarged to the octave's size.
    Enlarge,
}

/// How a gradient is normalized to a step, in units of 0–255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Normalize {
    /// The gradient divided by its mean absolute value, g / mean |g|.
    MeanAbs,
    /// The gradient divided by its standard deviation, g / (σ + 1e-8).
    Deviation,
    /// Each level of a Laplacian pyramid divided by its root mean square.
    Laplacian,
}

/// How the optimised values are converted to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DreamDisplay {
    /// Values are clipped: 0 is black and 255 white.
    Clip,
    /// Values are standardized, (x − μ) / max(σ, 1e-4) · 0.3 + 0.5, and then clipped.
    Standardize,
}

/// All settings of a dream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamPreset {
    /// Name of the preset.
    pub name: String,
    /// Height and width of the result. An image is scaled to fit into it, keeping its aspect ratio. By
    /// default it keeps its size.
    pub size: Option<[usize; 2]>,
    /// Number of octaves: sizes of the picture, from small to large.
    pub octaves: usize,
    /// Ratio of the sizes of two consecutive octaves.
    pub octave_scale: f64,
    /// From which picture each larger octave starts.
    pub octave_start: OctaveStart,
    /// Number of gradient steps in each octave.
    pub steps: usize,
    /// Length of a step, in units of 0–255.
    pub step_size: f64,
    /// How a gradient is normalized to a step.
    pub normalize: Normalize,
    /// Number of splits of the Laplacian pyramid, which has one more level: the remaining low frequencies.
    pub levels: usize,
    /// Largest shift in pixels, in either direction, by which the picture is rolled before each step.
    pub jitter: usize,
    /// Side in pixels of the largest tile that the network sees.
    pub tile: usize,
    /// Pixels that neighbouring tiles share. A quarter at each end is discarded, and the middle half is
    /// blended.
    pub overlap: usize,
    /// Whether values are clipped to 0–255 after each step.
    pub clip: bool,
    /// How the optimised values are converted to a picture.
    pub display: DreamDisplay,
    /// Share of the dream in the result. The rest is the start image.
    pub strength: f64,
}

/// Default side in pixels of a dream that starts from noise.
pub const DEFAULT_NOISE_SIZE: usize = 512;
/// Default tile, as in the TensorFlow notebook and in Conveiro (`calc_grad_tiled`).
const TILE: usize = 512;
/// Default overlap: an eighth of [`TILE`], enough to hide the zero padding inside a network.
const OVERLAP: usize = TILE / 8;
/// Ratio of octaves in all three programs from which presets are taken.
const OCTAVE_SCALE: f64 = 1.4;
/// Number of steps in each octave, in all three programs from which presets are taken.
const STEPS: usize = 10;
/// Splits of the Laplacian pyramid (`lap_normalize`, Conveiro's `deep_dream.py`).
const LEVELS: usize = 4;

/// The smallest side that a result may have.
const MIN_SIDE: usize = 16;
/// Largest numbers of octaves, steps, pixels of a tile and splits: limits that catch typing errors.
const MAX_OCTAVES: usize = 32;
const MAX_STEPS: usize = 1_000_000;
const MAX_TILE: usize = 4096;
const MIN_TILE: usize = 32;
const MAX_LEVELS: usize = 12;
/// The longest side of a dream that is allowed, in pixels.
pub const MAX_SIDE: usize = 16384;

impl DreamPreset {
    /// DeepDream (Mordvintsev, Olah & Tyka 2015, notebook `dream.ipynb`): 4 octaves, steps of 1.5 mean
    /// magnitudes.
    pub fn deepdream() -> Self {
        Self {
            name: "deepdream".into(),
            size: None,
            octaves: 4,
            octave_scale: OCTAVE_SCALE,
            octave_start: OctaveStart::Detail,
            steps: STEPS,
            step_size: 1.5,
            normalize: Normalize::MeanAbs,
            levels: LEVELS,
            jitter: 32,
            tile: TILE,
            overlap: OVERLAP,
            clip: true,
            display: DreamDisplay::Clip,
            strength: 1.0,
        }
    }

    /// Conveiro's `render_multiscale` (Showmax, github.com/Showmax/conveiro): the dream is enlarged from
    /// octave to octave.
    pub fn conveiro_multiscale() -> Self {
        Self {
            name: "conveiro-multiscale".into(),
            octaves: 3,
            octave_start: OctaveStart::Enlarge,
            step_size: 1.0,
            normalize: Normalize::Deviation,
            // A random roll by up to half a tile in either direction.
            jitter: TILE / 2,
            clip: false,
            display: DreamDisplay::Standardize,
            ..Self::deepdream()
        }
    }

    /// Conveiro's `render_lapnorm`: like `render_multiscale`, with all frequencies of the gradient equally
    /// strong.
    pub fn conveiro_laplacian() -> Self {
        Self {
            name: "conveiro-laplacian".into(),
            normalize: Normalize::Laplacian,
            ..Self::conveiro_multiscale()
        }
    }

    /// Returns all named presets of dreams.
    pub fn all() -> Vec<Self> {
        vec![Self::deepdream(), Self::conveiro_multiscale(), Self::conveiro_laplacian()]
    }

    /// Returns the preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|p| p.name == name)
    }

    /// Checks every number of the preset.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] with the setting and its allowed values.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, range: Range| match range.contains(value) {
            true => Ok(()),
            false => Err(Error::out_of_range(name, value, range.words())),
        };
        let whole = |name: &str, value: usize, low: usize, high: usize| {
            within(name, value as f64, Range::Within(low as f64, high as f64))
        };
        let real = |name: &str, value: f64, low: f64, high: f64| within(name, value, Range::Above(low, high));
        for side in self.size.iter().flatten() {
            whole("a side of the size", *side, MIN_SIDE, MAX_SIDE)?;
        }
        whole("octaves", self.octaves, 1, MAX_OCTAVES)?;
        real("octave_scale", self.octave_scale, 1.0, 16.0)?;
        whole("steps", self.steps, 0, MAX_STEPS)?;
        real("step_size", self.step_size, 0.0, 1e4)?;
        whole("levels", self.levels, 0, MAX_LEVELS)?;
        whole("jitter", self.jitter, 0, MAX_TILE)?;
        whole("tile", self.tile, MIN_TILE, MAX_TILE)?;
        if self.overlap > self.tile / 2 {
            let needed = format!("at most half the tile of {}", self.tile);
            return Err(Error::out_of_range("overlap", self.overlap, needed));
        }
        real("strength", self.strength, 0.0, 1.0)
    }

    /// Height and width of the result for a start image of this size, or for noise.
    ///
    /// # Errors
    /// If a side is below or above the limits.
    pub fn final_size(&self, image: Option<[usize; 2]>) -> Result<[usize; 2]> {
        let size = match (image, self.size) {
            (None, size) => size.unwrap_or([DEFAULT_NOISE_SIZE; 2]),
            (Some(size), None) => size,
            (Some([h, w]), Some([bh, bw])) => {
                let ratio = (bh as f64 / h as f64).min(bw as f64 / w as f64);
                [h, w].map(|n| ((n as f64 * ratio).round() as usize).max(1))
            }
        };
        match size.iter().find(|n| !(MIN_SIDE..=MAX_SIDE).contains(n)) {
            None => Ok(size),
            Some(_) => Err(Error::out_of_range(
                "the size of the picture",
                format!("{}x{}", size[0], size[1]),
                format!("a side of {MIN_SIDE} to {MAX_SIDE} pixels"),
            )),
        }
    }

    /// Height and width of every octave, from the smallest to the result.
    pub fn octave_sizes(&self, last: [usize; 2]) -> Vec<[usize; 2]> {
        (0..self.octaves)
            .rev()
            .map(|k| {
                let ratio = self.octave_scale.powi(k as i32);
                last.map(|n| ((n as f64 / ratio).round() as usize).max(1))
            })
            .collect()
    }
}

/// A film in which each frame starts from an enlarged crop of the previous frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zoom {
    /// Number of frames of the film.
    pub frames: usize,
    /// Magnification from one frame to the next.
    pub factor: f64,
    /// Rotation anticlockwise from one frame to the next, in degrees.
    pub rotate: f64,
}

/// The most frames that a zoom may have.
const MAX_FRAMES: usize = 10_000;

impl Zoom {
    /// Checks every number of the zoom.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] with the setting and its allowed values.
    pub fn check(&self) -> Result<()> {
        let numbers = [
            ("the zoom's number of frames", self.frames as f64, Range::Within(1.0, MAX_FRAMES as f64), ""),
            ("the zoom factor", self.factor, Range::Within(0.5, 2.0), ""),
            ("the zoom's rotation", self.rotate, Range::Within(-180.0, 180.0), " degrees"),
        ];
        for (name, value, range, unit) in numbers {
            if !range.contains(value) {
                return Err(Error::out_of_range(name, value, range.words() + unit));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_survive_toml_and_pass_their_own_check() {
        for preset in DreamPreset::all() {
            preset.check().unwrap();
            let text = toml::to_string(&preset).unwrap();
            assert_eq!(toml::from_str::<DreamPreset>(&text).unwrap(), preset, "{text}");
            assert_eq!(DreamPreset::named(&preset.name), Some(preset));
        }
        assert_eq!(DreamPreset::named("lucid"), None);
    }

    #[test]
    fn octaves_grow_by_their_ratio_to_the_result() {
        let preset = DreamPreset::deepdream();
        assert_eq!(preset.octave_sizes([480, 640]), [[175, 233], [245, 327], [343, 457], [480, 640]]);
        assert_eq!(DreamPreset { octaves: 1, ..preset.clone() }.octave_sizes([9, 7]), [[9, 7]]);
        assert_eq!(DreamPreset { octaves: 9, ..preset }.octave_sizes([16, 700])[0], [1, 47]);
    }

    #[test]
    fn an_image_is_fitted_into_the_size() {
        let sized = |size| DreamPreset { size, ..DreamPreset::deepdream() };
        assert_eq!(sized(None).final_size(Some([300, 400])).unwrap(), [300, 400]);
        assert_eq!(sized(Some([100, 100])).final_size(Some([300, 400])).unwrap(), [75, 100]);
        assert_eq!(sized(Some([100, 900])).final_size(Some([300, 400])).unwrap(), [100, 133]);
        assert_eq!(sized(Some([100, 90])).final_size(None).unwrap(), [100, 90]);
        assert_eq!(sized(None).final_size(None).unwrap(), [DEFAULT_NOISE_SIZE; 2]);
        assert!(sized(None).final_size(Some([1, 1])).unwrap_err().to_string().contains("1x1"));
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        let base = DreamPreset::deepdream;
        for (preset, word) in [
            (DreamPreset { octaves: 0, ..base() }, "octaves is 0"),
            (DreamPreset { octave_scale: 1.0, ..base() }, "octave_scale is 1"),
            (DreamPreset { step_size: f64::NAN, ..base() }, "step_size is NaN"),
            (DreamPreset { tile: 8, ..base() }, "tile is 8"),
            (DreamPreset { tile: 64, ..base() }, "overlap is 64"),
            (DreamPreset { strength: 2.0, ..base() }, "strength is 2"),
            (DreamPreset { size: Some([4, 400]), ..base() }, "size is 4"),
        ] {
            let error = preset.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(Zoom { frames: 0, factor: 1.05, rotate: 0.0 }.check().is_err());
        assert!(Zoom { frames: 2, factor: f64::NAN, rotate: 0.0 }.check().is_err());
        assert!(Zoom { frames: 2, factor: 1.05, rotate: 1e9 }.check().is_err());
    }
}
