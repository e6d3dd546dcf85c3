//! Units to render, and their results.

use oneiro::objective::{Objective, Reference};
use oneiro::preset::Preset;
use oneiro::render::Rendered;
use oneiro_media::{Image, PngText};
use serde::{Deserialize, Serialize};

use super::display::Display;
use super::film::Format;
use super::report::UnitReport;
use crate::error::Result;
use crate::job::error::JobError;

/// A unit to render: what to call it, what is maximised, from where, and how.
#[derive(Debug, Clone)]
pub struct RenderUnit {
    /// What it is called.
    pub unit: String,
    /// The objective that is maximised.
    pub objective: Objective,
    /// The picture to start from; noise if none.
    pub start: Option<Reference>,
    /// Where the picture to start from may change; everywhere if none.
    pub mask: Option<Reference>,
    /// Its number among jobs of the same objective, which have noise of their own.
    pub copy: usize,
    /// Which of the settings.
    pub setting: usize,
}

impl RenderUnit {
    /// From noise, by the first settings.
    pub fn new(unit: impl Into<String>, objective: Objective) -> Self {
        Self { unit: unit.into(), objective, start: None, mask: None, copy: 0, setting: 0 }
    }
}

/// A recipe with the seed of its random numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The recipe.
    pub preset: Preset,
    /// The seed.
    pub seed: u64,
}

impl Setting {
    /// A recipe by its name.
    ///
    /// # Errors
    /// If there is no such recipe.
    pub fn named(preset: &str, seed: u64) -> Result<Self> {
        let preset = Preset::named(preset).ok_or_else(|| JobError::UnknownRecipe {
            name: preset.to_owned(),
            known: Preset::all().into_iter().map(|p| p.name).collect(),
        })?;
        Ok(Self { preset, seed })
    }
}

/// A finished unit.
pub struct Finished {
    pub rendered: Rendered,
    pub report: UnitReport,
    /// The drawn channels of the picture, clipped and rounded to 8 bits; shown unless another display is
    /// requested.
    pub picture: Image,
    /// All that the network reads of it, in 8-bit levels.
    pub levels: Vec<f32>,
    /// Its opacity, if it has one.
    pub alpha: Option<Vec<f32>>,
    /// The way there as the bytes of a film, if one was wanted.
    pub film: Option<Vec<u8>>,
}

impl Finished {
    /// The picture as a PNG that says how it was made.
    pub fn encode(&self, text: &PngText) -> Result<Vec<u8>> {
        Ok(match &self.alpha {
            Some(alpha) => oneiro_media::encode_png_alpha(&self.shown()?, alpha, text)?,
            None => oneiro_media::encode_png(&self.shown()?, text)?,
        })
    }
}

/// Results to make in addition to pictures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to measure what survives disturbances.
    pub robustness: bool,
    /// Whether to keep a film, and as what.
    pub film: Option<Format>,
    /// How pictures are shown.
    pub display: Display,
}
