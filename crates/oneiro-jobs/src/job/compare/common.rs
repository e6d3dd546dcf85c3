//! Layers that several networks have in common.

use oneiro_net::ValueId;

use super::error::CompareError;
use crate::error::{During as _, Result, Step};
use crate::job::scan::layers::{ScannedLayer, chosen};
use crate::model::LoadedModel;

/// A layer of several networks, with one number of channels in all of them.
pub(super) struct CommonLayer<'m> {
    pub name: String,
    /// Each network with the layer's value in it.
    pub values: Vec<(&'m LoadedModel, ValueId)>,
    pub channels: usize,
}

/// The layers with these names; without names, all layers of the first network that have units and are
/// alike in the others. Also returns the names of layers that are not.
///
/// # Errors
/// If a named layer is not in a network, or has another number of channels; or if no layer is common.
pub(super) fn common_layers<'m>(
    models: &[&'m LoadedModel],
    names: &[String],
    titles: &[String],
) -> Result<(Vec<CommonLayer<'m>>, Vec<String>)> {
    let mut found: Vec<CommonLayer<'m>> = Vec::new();
    for name in names {
        let layer = in_all(models, name)?;
        if let Some(i) = layer.iter().position(|(_, channels)| *channels != layer[0].1) {
            let (layer, channels) = (name.clone(), [layer[0].1, layer[i].1]);
            let models = [titles[0].clone(), titles[i].clone()];
            return Err(CompareError::LayersDiffer { layer, models, channels }.into());
        }
        // A layer that is named twice, or by two names, is one.
        if !found.iter().any(|known| known.values[0].1 == layer[0].0) {
            found.push(common(models, name, &layer));
        }
    }
    if !names.is_empty() {
        return Ok((found, Vec::new()));
    }
    let layers = chosen(models[0], &[]).during(|| Step::Use { model: models[0].source.clone() })?;
    let mut left_out = Vec::new();
    for layer in layers.iter().filter(|layer| !is_form(layer, &layers)) {
        let mut names = std::iter::once(&layer.name).chain(&layer.aliases);
        let alike = names.find_map(|name| {
            let found = in_all(models, name).ok()?;
            let is_alike = found.iter().all(|(_, channels)| *channels == found[0].1);
            (is_alike && found[0].0 == layer.unit.value).then(|| common(models, name, &found))
        });
        match alike {
            Some(layer) => found.push(layer),
            None => left_out.push(layer.name.clone()),
        }
    }
    if found.is_empty() {
        return Err(CompareError::NoCommonLayers { models: titles.to_vec() }.into());
    }
    Ok((found, left_out))
}

/// Whether a layer is an earlier form of another one, such as a normalization before its activation function.
fn is_form(layer: &ScannedLayer, all: &[ScannedLayer]) -> bool {
    all.iter().any(|other| other.unit.forms.iter().any(|form| form.value == layer.unit.value))
}

/// The value of a layer in each network, and its number of channels.
fn in_all(models: &[&LoadedModel], name: &str) -> Result<Vec<(ValueId, usize)>> {
    let of = |model: &&LoadedModel| -> Result<(ValueId, usize)> {
        let using = || Step::Use { model: model.source.clone() };
        let value = model.model.resolve(name).during(using)?;
        let map = model.model.map_of(value, &model.model.input_shapes(1, None)?).during(using)?;
        Ok((value, map.shape()[1]))
    };
    models.iter().map(of).collect()
}

fn common<'m>(models: &[&'m LoadedModel], name: &str, found: &[(ValueId, usize)]) -> CommonLayer<'m> {
    let values = models.iter().zip(found).map(|(model, (value, _))| (*model, *value)).collect();
    CommonLayer { name: name.to_owned(), values, channels: found[0].1 }
}
