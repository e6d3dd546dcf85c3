//! Chooses the layers of a scan.

use oneiro::model::unit_layers::{Form, UnitLayer};
use oneiro_net::analysis::ReceptiveField;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::store::read::LayerForm;

/// What the units of a scanned layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Channels of a hidden layer.
    Features,
    /// The network's classes; their activations are the logits.
    Classes,
    /// Directions in the space of a layer's channels, from a file.
    Directions,
}

/// A layer of the network that a scan records.
#[derive(Debug, Clone)]
pub struct ScannedLayer {
    /// The network's values that are read as the layer's units.
    pub unit: UnitLayer,
    /// The layer's name.
    pub name: String,
    /// The layer's other names.
    pub aliases: Vec<String>,
    /// Names of earlier forms of the layer's values, such as the convolution before its ReLU. Each has the
    /// layer's channel to which the form's first channel corresponds.
    pub forms: Vec<LayerForm>,
    /// What the layer's units are: channels, classes or directions.
    pub kind: LayerKind,
    /// The receptive field, in the input picture, of the layer's positions.
    pub field: Option<ReceptiveField>,
}

/// Returns the layers with these names; without names, all layers that have units, and the classes.
///
/// # Errors
/// If a name matches no layer, or the number of its channels is not known.
pub(crate) fn chosen(model: &LoadedModel, names: &[String]) -> Result<Vec<ScannedLayer>> {
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
            let of = |name| LayerForm { name, first: form.first, channels: form.channels };
            of_names.of(form.value).into_iter().map(of).collect::<Vec<_>>()
        };
        let forms = unit.forms.iter().flat_map(names).collect();
        ScannedLayer { unit, name, aliases, forms, kind, field }
    };
    Ok(units.into_iter().map(layer).chain(directions).collect())
}

/// The name by which users refer to the layer of class logits.
pub const CLASSES: &str = "class";
