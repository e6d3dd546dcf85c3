//! Inputs of an optimisation other than its preset: a start picture, a mask, image statistics.

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
