//! The layers of a scan.

use oneiro::model::unit_layers::{Form, UnitLayer};
use oneiro_net::analysis::ReceptiveField;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::job::error::JobError;
use crate::model::LoadedModel;

/// What the units of a layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Channels of features.
    Features,
    /// The network's classes, by their logits.
    Classes,
    /// Directions in the channels of a layer.
    Directions,
}

/// A layer of a scan.
#[derive(Debug, Clone)]
pub struct ScannedLayer {
    /// What is read.
    pub unit: UnitLayer,
    /// Its name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Names of values of which it is the last form, such as the convolution in front of its ReLU, each
    /// with the layer's channel that its first channel is.
    pub forms: Vec<(String, usize)>,
    /// Its kind.
    pub kind: LayerKind,
    /// The receptive field of its positions in the picture.
    pub field: Option<ReceptiveField>,
}

/// The layers of these names; without names, all with units and the classes.
///
/// # Errors
/// If a name means no layer, or its channels are not known.
pub(super) fn chosen(model: &LoadedModel, names: &[String]) -> Result<Vec<ScannedLayer>> {
    let shapes = model.model.input_shapes(1, None)?;
    let layered = model.model.all_layered(&shapes)?;
    let fields = model.layers()?.layers;
    let classes = model.model.class_count().and_then(|_| model.model.logits().ok());
    let mut units = Vec::new();
    if names.is_empty() {
        units = model.model.unit_layers()?;
        let known = |value| layered.map(value).is_some_and(|map| map.shape().get(1) > Some(&1));
        if let Some(value) = classes.filter(|&value| known(value))
            && !units.iter().any(|unit| unit.value == value)
        {
            units.push(model.model.unit_layer(&layered, value));
        }
        if units.is_empty() {
            return Err(JobError::NoUnits.into());
        }
    }
    let mut directions = Vec::new();
    for (_, name) in names.iter().enumerate().filter(|(i, name)| !names[..*i].contains(name)) {
        if let Some((layer, file)) = model.directions_of(name) {
            let read = model.directions(file)?;
            let value = model.model.resolve(layer)?;
            let unit = model.model.direction_layer(value, read.encoder.clone(), read.is_rectified);
            let found = fields.iter().find(|layer| layer.value == value);
            let field = found.and_then(|layer| layer.fields.first()).map(|(_, field)| field.clone());
            directions.push(ScannedLayer {
                unit,
                name: name.clone(),
                aliases: Vec::new(),
                forms: Vec::new(),
                kind: LayerKind::Directions,
                field,
            });
            continue;
        }
        let value = if name == CLASSES { model.model.logits()? } else { model.model.resolve(name)? };
        if !units.iter().any(|unit: &UnitLayer| unit.value == value) {
            model.model.map_of(value, &shapes)?;
            units.push(model.model.unit_layer(&layered, value));
        }
    }
    let of_names = model.model.names();
    let layer = |unit: UnitLayer| {
        let mut aliases = of_names.of(unit.value);
        let name = if aliases.is_empty() { String::new() } else { aliases.remove(0) };
        let found = fields.iter().find(|layer| layer.value == unit.value);
        let field = found.and_then(|layer| layer.fields.first()).map(|(_, field)| field.clone());
        let kind = if Some(unit.value) == classes { LayerKind::Classes } else { LayerKind::Features };
        let names = |form: &Form| {
            of_names.of(form.value).into_iter().map(|name| (name, form.first)).collect::<Vec<_>>()
        };
        let forms = unit.forms.iter().flat_map(names).collect();
        ScannedLayer { unit, name, aliases, forms, kind, field }
    };
    Ok(units.into_iter().map(layer).chain(directions).collect())
}

/// The name under which the class logits are asked for.
pub const CLASSES: &str = "class";
