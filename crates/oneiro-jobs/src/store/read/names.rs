//! Finds layers, units and classes of a scan by their names.

use oneiro::objective::{Unit, UnitTarget};
use oneiro_zoo::labels::LabelError;

use super::{DataClass, LayerForm, LayerRecord, ScanFile, Strength, UnitRecord};
use crate::error::Result;
use crate::model::unit_list::CLASS_BEST;
use crate::store::error::StoreError;

/// A layer of the scan that was found by its name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The layer that was found.
    pub layer: &'a LayerRecord,
    /// The earlier form of the layer's values, such as the convolution before its ReLU, if the name is its.
    pub form: Option<&'a LayerForm>,
}

impl ScanFile {
    /// Finds a layer by its name, by an alias, by an earlier form of its values, or by the end of its name.
    /// The name `class` means the layer of the network's classes.
    ///
    /// # Errors
    /// If the name fits no layer of the scan, or several layers.
    pub fn layer(&self, name: &str) -> Result<Named<'_>> {
        let layers = self.layers();
        let find = |fits: &dyn Fn(&LayerRecord) -> bool| {
            let mut found = layers.iter().filter(|layer| fits(layer));
            found.next().filter(|_| found.next().is_none())
        };
        let ends = |known: &String| known.strip_suffix(name).is_some_and(|rest| rest.ends_with(['/', '.']));
        let own = find(&|layer| layer.name == name)
            .or_else(|| find(&|layer| layer.aliases.iter().any(|alias| alias == name)))
            .or_else(|| find(&|layer| name == "class" && layer.is_classes));
        if let Some(layer) = own {
            return Ok(Named { layer, form: None });
        }
        if let Some(layer) = find(&|layer| layer.forms.iter().any(|form| form.name == name)) {
            return Ok(Named { layer, form: layer.forms.iter().find(|form| form.name == name) });
        }
        if let Some(layer) = find(&|layer| ends(&layer.name) || layer.aliases.iter().any(ends)) {
            return Ok(Named { layer, form: None });
        }
        let known = nearest(name, layers.iter().map(|layer| layer.name.clone()));
        Err(StoreError::Layer { name: name.to_owned(), known }.into())
    }

    /// Returns a unit's name as users write it: `LAYER:CHANNEL`, or `class:NAME` for a class.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn name_of(&self, unit: &UnitRecord, layer: &LayerRecord) -> Result<String> {
        Ok(match layer.is_classes {
            true => format!("class:{}", self.label(unit.channel)?),
            false => format!("{}:{}", layer.name, unit.channel),
        })
    }

    /// Finds a unit of the scan by its name: `LAYER:CHANNEL`, `class:NAME`, or `class-best:CLASS@LAYER`. The
    /// last one is the unit of a layer with the largest activation in images of a class.
    ///
    /// # Errors
    /// If the text names no channel of a scanned layer.
    pub fn unit_named(&self, text: &str) -> Result<(UnitRecord, Named<'_>)> {
        if let Some(rest) = text.strip_prefix(CLASS_BEST) {
            return self.class_best(text, rest);
        }
        let bad = |why: String| StoreError::Unit { unit: text.to_owned(), why };
        let unit: Unit = text.parse().map_err(|error| bad(format!("; {error}")))?;
        let (name, channel) = match &unit.target {
            UnitTarget::Channel(layer, channel) => (layer.clone(), *channel),
            UnitTarget::Class(class) => ("class".to_owned(), self.label_index(class)?),
            _ => return Err(bad(String::new()).into()),
        };
        let named = self.layer(&name)?;
        if let Some(&LayerForm { first, channels, .. }) = named.form.filter(|form| channel >= form.channels) {
            let layer = named.layer.name.clone();
            return Err(StoreError::FormChannel { form: name, layer, first, channels, channel }.into());
        }
        Ok((self.unit(named.layer, channel + named.form.map_or(0, |form| form.first))?, named))
    }

    /// Finds the unit of a layer with the largest activation in images of a class. `rest` is `CLASS@LAYER`.
    fn class_best(&self, text: &str, rest: &str) -> Result<(UnitRecord, Named<'_>)> {
        let bad = |why: &str| StoreError::Unit { unit: text.to_owned(), why: why.to_owned() };
        let (class, layer) = rest.rsplit_once('@').ok_or_else(|| bad(", and class-best:CLASS@LAYER"))?;
        let (number, _) = self.class(class)?;
        let layer = self.layer(layer)?.layer;
        let order = self.strongest(layer, Some(number), Strength::Maximum)?;
        let (channel, _) = order.first().ok_or_else(|| bad("; no image of this class was seen"))?;
        Ok((self.unit(layer, *channel)?, Named { layer, form: None }))
    }

    /// Returns the index of one of the network's classes, by name or index.
    fn label_index(&self, name: &str) -> Result<usize> {
        let labels = oneiro_zoo::labels::Labels { names: self.labels()? };
        match name.parse::<usize>() {
            Ok(index) if labels.names.is_empty() => Ok(index),
            _ => match labels.find(name) {
                Err(LabelError::Unknown { .. }) => {
                    let known = nearest(name, labels.names.into_iter());
                    Err(StoreError::Label { name: name.to_owned(), known }.into())
                }
                found => Ok(found?),
            },
        }
    }

    /// Finds a class of the scanned images: by its name, by the name without a leading WordNet id, or by the
    /// network's class that it corresponds to.
    ///
    /// # Errors
    /// If the name fits no class, or several classes.
    pub fn class(&self, name: &str) -> Result<(usize, &DataClass)> {
        let classes = self.classes()?;
        let exact = classes.iter().position(|class| class.name == name);
        let known =
            oneiro_zoo::labels::Labels { names: classes.iter().map(|class| class.name.clone()).collect() };
        let found = exact.or_else(|| known.find(name).ok()).or_else(|| {
            let label = self.label_index(name).ok()?;
            let mut of_label = (0..classes.len()).filter(|&i| classes[i].label == Some(label));
            of_label.next().filter(|_| of_label.next().is_none())
        });
        match found {
            Some(class) => Ok((class, &classes[class])),
            None => {
                let known = nearest(name, classes.iter().map(|class| class.name.clone()));
                Err(StoreError::Class { name: name.to_owned(), known }.into())
            }
        }
    }
}

/// Returns names ordered by their similarity to a name, most similar first.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let likeness = |known: String| (strsim::jaro_winkler(name, &known), known);
    let mut known: Vec<(f64, String)> = known.map(likeness).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    known.into_iter().map(|(_, name)| name).collect()
}
