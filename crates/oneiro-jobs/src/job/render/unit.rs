//! Units that are to be rendered, and their results.

use oneiro::objective::{Objective, Reference};
use oneiro::preset::Preset;
use oneiro::render::Rendered;
use oneiro_media::{Image, PngText};
use serde::{Deserialize, Serialize};

use super::display::Display;
use super::report::UnitReport;
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::film_kind::FilmKind;

/// A unit to render: its name, objective, start picture and setting.
#[derive(Debug, Clone)]
pub struct RenderUnit {
    /// Name of the unit.
    pub unit: String,
    /// The objective that is maximised for the unit.
    pub objective: Objective,
    /// The start picture; noise if there is none.
    pub start: Option<Reference>,
    /// Where the start picture may change; everywhere if there is no mask.
    pub mask: Option<Reference>,
    /// The index among units of the same objective. Each has its own random noise.
    pub copy: usize,
    /// Index of the unit's setting among those of the job.
    pub setting: usize,
}

impl RenderUnit {
    /// Creates a unit that starts from noise, with the first setting.
    pub fn new(unit: impl Into<String>, objective: Objective) -> Self {
        Self { unit: unit.into(), objective, start: None, mask: None, copy: 0, setting: 0 }
    }
}

/// A setting of a rendering: a preset with a random seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The preset with which units are rendered.
    pub preset: Preset,
    /// The random seed of the rendering.
    pub seed: u64,
}

impl Setting {
    /// Returns a preset by its name, with a random seed.
    ///
    /// # Errors
    /// If there is no preset of this name.
    pub fn named(preset: &str, seed: u64) -> Result<Self> {
        let preset = Preset::named(preset).ok_or_else(|| JobError::UnknownRecipe {
            name: preset.to_owned(),
            known: Preset::all().into_iter().map(|p| p.name).collect(),
        })?;
        Ok(Self { preset, seed })
    }
}

/// A unit that has been rendered.
pub struct Finished {
    pub rendered: Rendered,
    pub report: UnitReport,
    /// The drawn channels of the picture, clipped and rounded to 8 bits. They are shown unless another
    /// display is requested.
    pub picture: Image,
    /// All channels that the network reads, in 8-bit levels.
    pub levels: Vec<f32>,
    /// The opacity of the picture, if it has transparency.
    pub alpha: Option<Vec<f32>>,
    /// The film of the optimisation as bytes, if one was requested.
    pub film: Option<Vec<u8>>,
}

impl Finished {
    /// Encodes the picture as a PNG with metadata.
    pub fn encode(&self, text: &PngText) -> Result<Vec<u8>> {
        Ok(match &self.alpha {
            Some(alpha) => oneiro_media::encode_png_alpha(&self.shown()?, alpha, text)?,
            None => oneiro_media::encode_png(&self.shown()?, text)?,
        })
    }
}

/// What to compute in addition to pictures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to measure the objective's values after disturbances.
    pub robustness: bool,
    /// The format of films, if films are requested.
    pub film: Option<FilmKind>,
    /// How values become colours.
    pub display: Display,
    /// Whether the results of all inputs are drawn, not of the first alone.
    pub all_inputs: bool,
}
