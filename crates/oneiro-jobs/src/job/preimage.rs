//! Natural pre-images of photos: inversions, caricatures, accentuations.

use oneiro::objective::{AnyNames, Objective};
use serde::{Deserialize, Serialize};

use super::render::Setting;
use super::render::work::Work;
use super::sheet::layout::SheetPhoto;
use super::sheet::{Made, Row};
use crate::error::Result;
use crate::source::stem;

pub mod accentuation;
pub mod caricature;
pub mod inversion;

pub use accentuation::AccentuationJob;
pub use caricature::CaricatureJob;
pub use inversion::InversionJob;

/// How the pictures on the sheet are rendered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rendering {
    /// The title above the sheet; by default the network's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Settings of the rendering. It has no units yet.
    pub work: Work,
}

impl Rendering {
    /// Returns the rendering as it was done, with the sizes that the network accepts.
    fn done(&self, made: &Made<'_>) -> Self {
        let settings = made.work.settings.clone();
        let work = Work { settings, keep_size: true, ..self.work.clone() };
        Self { title: Some(made.layout.title.clone()), work }
    }
}

/// What captions of cells contain in addition to the picture's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captions {
    /// Whether captions contain the preset's weight.
    pub strengths: bool,
    /// Whether captions contain the random seed.
    pub seeds: bool,
}

impl Captions {
    /// Returns the lines of a cell's caption: picture, weight and seed. Each is included only if the sheet
    /// has several.
    fn of(self, image: Option<&str>, setting: &Setting) -> String {
        let mut lines: Vec<String> = image.map(stem).into_iter().collect();
        if self.strengths || (lines.is_empty() && !self.seeds) {
            lines.push(format!("C = {}", setting.preset.weight));
        }
        if self.seeds {
            lines.push(format!("seed {}", setting.seed));
        }
        lines.join("\n")
    }
}

/// Returns a row of a sheet with the unchanged photos.
fn originals(images: &[String]) -> Row {
    Row {
        title: "original".into(),
        photos: images.iter().map(|image| photo(image)).collect(),
        cells: Vec::new(),
    }
}

fn photo(path: &str) -> SheetPhoto {
    SheetPhoto { path: path.to_owned(), caption: stem(path) }
}

/// Removes repeated names and keeps the order of the others.
fn each_once<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    once
}

/// Returns an error if the objective's text could not be parsed again, for instance because a picture's name
/// contains a quote.
fn readable(objective: &Objective) -> Result<()> {
    Objective::parse(&objective.to_string(), &AnyNames)?;
    Ok(())
}
