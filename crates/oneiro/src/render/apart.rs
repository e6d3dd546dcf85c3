//! Whether the pictures of a batch may share a pass of the network: one that takes statistics over its batch
//! mixes them.

use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::objective_session::ObjectiveSession;
use crate::preset::Preset;

/// Whether the network mixes the pictures of a batch, on the way to what these objectives read. Then each
/// picture has to be made by itself.
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

/// Views of each picture that go through the network at once: all, or one where pictures of a batch depend on
/// each other or the network takes no larger batch.
///
/// # Errors
/// If pictures that should be independent would not be; as [`mixes_pictures`].
pub(super) fn views_at_once(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<usize> {
    let views = preset.views.max(1);
    let is_alone = objectives.len() == 1;
    if objectives.iter().any(Objective::couples) || is_alone && views == 1 {
        return Ok(1);
    }
    if mixes_pictures(model, preset, objectives)? {
        return if is_alone { Ok(1) } else { Err(Error::MixesPictures { pictures: objectives.len() }) };
    }
    if views == 1 {
        return Ok(1);
    }
    let shapes = model.input_shapes(objectives.len() * views, preset.size);
    let accepts =
        shapes.and_then(|shapes| ObjectiveSession::accepts(model, &repeated(objectives, views), shapes));
    Ok(if accepts.is_ok() { views } else { 1 })
}

/// Each objective as often as a batch has views of its picture.
pub(super) fn repeated(objectives: &[Objective], views: usize) -> Vec<Objective> {
    objectives.iter().flat_map(|o| std::iter::repeat_n(o, views)).cloned().collect()
}
