//! Reads inputs of an optimisation besides its preset: a start picture, a mask, image statistics.

use std::sync::Arc;

use oneiro::card::InputKind;
use oneiro::objective::Reference;
use oneiro::preset::Preset;
use oneiro::render::Materials;
use oneiro::statistics::Statistics;

use crate::error::{During as _, Result, Step};
use crate::job::JobError;
use crate::model::LoadedModel;
use crate::source::references::{Files, picture_size};

/// Inputs of an optimisation that all units share.
#[derive(Clone, Default)]
pub struct Extras {
    /// The start picture, mask and statistics that were read.
    pub materials: Materials,
    /// Path of the file with image statistics.
    pub statistics_path: Option<String>,
}

/// Reads the start picture, scaled to the size of the rendered picture.
pub fn start(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).reference(path)
}

fn size_of_result(model: &LoadedModel, preset: &Preset) -> Result<[usize; 2]> {
    preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)
}

/// Reads a mask, scaled to the rendered picture; the optimisation may change the picture where the mask is
/// white.
pub fn mask(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).mask(path)
}

/// Reads image statistics from a file, if one is given.
pub fn extras(model: &LoadedModel, statistics: Option<String>) -> Result<Extras> {
    let read = |path: &String| -> Result<Arc<Statistics>> {
        let bytes = oneiro_media::read_bytes(model.places.of(path))?;
        Ok(Arc::new(Statistics::from_bytes(&bytes).during(|| Step::Statistics { path: path.clone() })?))
    };
    let read = statistics.as_ref().map(read).transpose()?;
    let (flow_statistics, statistics_read) = match read {
        Some(of_flow) if of_flow.is_flow() => (Some(of_flow), None),
        others => (None, others),
    };
    let takes_flow = model.model.card.input.iter().any(|input| input.kind == InputKind::Flow);
    if let (Some(path), Some(_), false) = (&statistics, &flow_statistics, takes_flow) {
        return Err(JobError::FlowStatistics { path: path.clone() }.into());
    }
    let materials = Materials { statistics: statistics_read, flow_statistics, ..Materials::default() };
    Ok(Extras { materials, statistics_path: statistics })
}
