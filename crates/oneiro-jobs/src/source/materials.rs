//! Inputs of an optimisation other than its preset: a start picture, a mask, image statistics.

use std::sync::Arc;

use oneiro::objective::Reference;
use oneiro::preset::Preset;
use oneiro::render::Materials;
use oneiro::statistics::Statistics;

use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;
use crate::source::references::{Files, picture_size};

/// Inputs that all units share.
#[derive(Clone, Default)]
pub struct Extras {
    /// The inputs that were read.
    pub materials: Materials,
    /// The statistics file.
    pub statistics_path: Option<String>,
}

/// Reads the start picture, at the size of the result.
pub fn start(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).reference(path)
}

fn size_of_result(model: &LoadedModel, preset: &Preset) -> Result<[usize; 2]> {
    preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)
}

/// Reads a mask, white where the result may change, at the size of the result.
pub fn mask(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).mask(path)
}

/// Reads statistics.
pub fn extras(model: &LoadedModel, statistics: Option<String>) -> Result<Extras> {
    let read = |path: &String| -> Result<Arc<Statistics>> {
        let bytes = oneiro_media::read_bytes(model.places.of(path))?;
        Ok(Arc::new(Statistics::from_bytes(&bytes).during(|| Step::Statistics { path: path.clone() })?))
    };
    let statistics_read = statistics.as_ref().map(read).transpose()?;
    let materials = Materials { statistics: statistics_read, ..Materials::default() };
    Ok(Extras { materials, statistics_path: statistics })
}
