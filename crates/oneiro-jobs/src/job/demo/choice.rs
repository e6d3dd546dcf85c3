//! Chooses the units of a network that the demo's page shows: channels of a few layers, shallow to deep, and
//! classes.

use std::path::Path;

use oneiro::objective::{Objective, Unit, UnitTarget};
use oneiro_net::analysis::Layer;

use super::DemoSection;
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::render::work::UnitRequest;
use crate::job::scan::examples::is_scan;
use crate::model::layer_grid::{note, shown, spread};
use crate::model::unit_list::CLASSES;
use crate::model::{Layers, LoadedModel};
use crate::source::listing::entries;
use crate::store::ScanFile;

/// Number of layers that the demo's page shows.
const LAYERS: usize = 5;
/// Number of units that the page shows of each layer.
const UNITS: usize = 6;
/// Number of classes that the demo's page shows.
const SHOWN_CLASSES: usize = 12;
/// The smallest number of channels of a layer of features. Layers with fewer hold scores or intermediate
/// values.
const FEW_CHANNELS: usize = 4;

/// Returns the sections of a page about a network.
///
/// # Errors
/// If the network's layers are not known, or if there are no units to show.
pub(super) fn sections(model: &LoadedModel, data: Option<&str>) -> Result<Vec<DemoSection>> {
    let known = model.layers()?;
    let classes = model.model.class_count().filter(|count| *count > 1);
    let has_features = |layer: &&Layer| layer.channels >= FEW_CHANNELS && layer.shape.len() > 2;
    let units = model.model.unit_layers()?;
    let scan = data.filter(|data| is_scan(Path::new(data))).map(|data| ScanFile::open(Path::new(data)));
    let scan = scan.transpose()?;
    let is_of_units = |layer: &&Layer| {
        let is_scanned = scan.as_ref().is_none_or(|scan| scan.layer(&layer.name).is_ok());
        is_scanned && units.iter().any(|of| of.value == layer.value)
    };
    let mut found: Vec<&Layer> = known.layers.iter().filter(has_features).filter(is_of_units).collect();
    // A last layer with a channel for each class shows what the classes show.
    found.pop_if(|last| Some(last.channels) == classes);
    let chosen = spread(found.len(), LAYERS).into_iter().map(|i| found[i]);
    let mut sections: Vec<DemoSection> = chosen.map(|layer| of_layer(&known, layer)).collect();
    if let Some(classes) = classes {
        let chosen = match data {
            Some(data) => of_data(model, data, scan.as_ref())?,
            None => Vec::new(),
        };
        let chosen = if chosen.is_empty() { spread(classes, SHOWN_CLASSES) } else { chosen };
        let units = chosen.into_iter().map(|class| {
            // If several classes have the same name, only the index identifies the class.
            let name = model.class_name(class);
            let short = name.split(',').next().unwrap_or(&name).trim().to_owned();
            let is_it = model.class_index(&short).is_ok_and(|found| found == class);
            let unit = if is_it { format!("class:{short}") } else { format!("class:{class}") };
            UnitRequest { objective: Some(Objective::logit(class).to_string()), ..UnitRequest::new(unit) }
        });
        let units: Vec<UnitRequest> = units.collect();
        let note = shown(units.len(), classes, "classes");
        sections.push(DemoSection { heading: CLASSES.to_owned(), note, units });
    }
    if sections.is_empty() { Err(JobError::NoUnits.into()) } else { Ok(sections) }
}

/// Returns classes that the data has images of, evenly spread.
pub(super) fn of_data(model: &LoadedModel, data: &str, scan: Option<&ScanFile>) -> Result<Vec<usize>> {
    let mut found: Vec<usize> = match (scan, &model.labels) {
        (Some(scan), _) => scan.classes()?.iter().filter_map(|class| class.label).collect(),
        (None, Some(labels)) => {
            let folders = entries(Path::new(data)).unwrap_or_default();
            let folders = folders.iter().filter(|path| path.is_dir());
            let names = folders.filter_map(|path| path.file_name().map(|name| name.to_string_lossy()));
            names.filter_map(|name| labels.find(&name).ok()).collect()
        }
        (None, None) => Vec::new(),
    };
    found.sort_unstable();
    found.dedup();
    Ok(spread(found.len(), SHOWN_CLASSES).into_iter().map(|i| found[i]).collect())
}

fn of_layer(known: &Layers, layer: &Layer) -> DemoSection {
    let unit = |channel| {
        UnitRequest::new(Unit { target: UnitTarget::Channel(layer.name.clone(), channel) }.to_string())
    };
    let units: Vec<UnitRequest> = spread(layer.channels, UNITS).into_iter().map(unit).collect();
    DemoSection { heading: layer.name.clone(), note: note(known, layer, units.len()), units }
}
