//! Decides whether the pictures of a batch may go through the network together. A network with statistics
//! over its batch would mix them.

use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::objective_session::ObjectiveSession;
use crate::preset::Preset;

/// Whether the network mixes the pictures of a batch before the values that these objectives read. Then each
/// picture has to be rendered separately.
///
/// # Errors
/// If an objective names a layer that does not exist.
pub fn mixes_pictures(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<bool> {
    let terms = objectives.iter().flat_map(Objective::terms).filter(|t| t.reads() != Reads::Input);
    let mut values = terms.map(|t| model.value_of(t)).collect::<Result<Vec<_>>>()?;
    values.sort_unstable();
    values.dedup();
    Ok(!model.keeps_pictures_apart(&values, preset.size))
}

/// Returns the number of views of each picture that go through the network together: all, or one. It is one
/// if pictures of a batch depend on each other, or the network does not accept a larger batch.
///
/// # Errors
/// If pictures that should be independent would be mixed; also the errors of [`mixes_pictures`].
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

/// Repeats each objective for every view of its picture in a batch.
pub(super) fn repeated(objectives: &[Objective], views: usize) -> Vec<Objective> {
    objectives.iter().flat_map(|o| std::iter::repeat_n(o, views)).cloned().collect()
}
