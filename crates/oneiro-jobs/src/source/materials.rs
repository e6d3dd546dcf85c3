//! Inputs of an optimisation other than its recipe: a start picture, a mask, statistics of pictures.

use std::sync::Arc;

use oneiro::objective::Reference;
use oneiro::preset::Preset;
use oneiro::render::Materials;
use oneiro::statistics::Statistics;

use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;
use crate::source::references::{Files, picture_size};

/// The materials common to all units.
#[derive(Clone, Default)]
pub struct Extras {
    /// What was read.
    pub materials: Materials,
    /// The file of the statistics.
    pub statistics_path: Option<String>,
}

/// A picture to start from, at the size of the result.
pub fn start(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).reference(path)
}

fn size_of_result(model: &LoadedModel, preset: &Preset) -> Result<[usize; 2]> {
    preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)
}

/// A picture that is white where the result may change, at the size of the result.
pub fn mask(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).mask(path)
}

/// Statistics by their path.
pub fn extras(model: &LoadedModel, statistics: Option<String>) -> Result<Extras> {
    let read = |path: &String| -> Result<Arc<Statistics>> {
        let bytes = oneiro_media::read_bytes(model.places.of(path))?;
        Ok(Arc::new(Statistics::from_bytes(&bytes).during(|| Step::Statistics { path: path.clone() })?))
    };
    let statistics_read = statistics.as_ref().map(read).transpose()?;
    let materials = Materials { statistics: statistics_read, ..Materials::default() };
    Ok(Extras { materials, statistics_path: statistics })
}
