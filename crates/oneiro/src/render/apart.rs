//! Whether the pictures of a batch may share a pass of the network: one that takes statistics over its batch
//! mixes them.

use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::preset::Preset;

/// Whether the network mixes the pictures of a batch, on the way to what these objectives read. Then each
/// picture has to be made by itself, and with one view.
///
/// # Errors
/// If an objective names a layer that the network does not have.
pub fn mixes_pictures(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<bool> {
    let terms = objectives.iter().flat_map(Objective::terms).filter(|t| t.reads() != Reads::Input);
    let mut values = terms.map(|t| model.value_of(t)).collect::<Result<Vec<_>>>()?;
    values.sort_unstable();
    values.dedup();
    Ok(!model.keeps_pictures_apart(&values, preset.size))
}

/// An error if pictures that should be independent would not be.
pub(super) fn check(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<()> {
    let views = preset.views.max(1);
    let alone = objectives.len() == 1 && views == 1;
    let coupled = views == 1 && objectives.iter().any(Objective::couples);
    if alone || coupled || !mixes_pictures(model, preset, objectives)? {
        return Ok(());
    }
    Err(Error::MixesPictures { pictures: objectives.len(), views })
}
