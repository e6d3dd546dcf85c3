//! The health of a network's filters: which are dead, always on, copies of others, or only chase noise.
//!
//! Each unit gets a verdict with the numbers behind it. The numbers come from a scan of a data set, and from
//! runs on some of its images, on white noise, and with the layers' inputs shuffled. Without data, synthetic
//! pictures take the place of images.

use std::path::Path;

use oneiro::filters::FilterLayer;
use oneiro_zoo::labels::Labels;
use serde::{Deserialize, Serialize};

use tempfile::TempDir;

use super::error::JobError;
use super::scan::examples::is_scan;
use super::scan::layers::CLASSES;
use super::scan::{RankedBy, ScanJob, ScannedClips};
use super::{Folder, Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::model::ModelSpec;
use crate::provenance::{seal, text_of_model};
use crate::store::ScanFile;

mod bias;
mod duplicates;
mod facts;
pub mod fail_on;
mod optimum;
mod page;
mod pictures;
mod report;
pub mod table;
mod units;
mod verdict;
mod words;

pub use bias::{ClassHealth, WithoutColor};
pub use report::{ClassConfusion, HealthReport, LayerHealth, LayerSummary, UnitHealth};
pub use verdict::Verdict;

/// Images in each list of a unit, in a scan that is made for a report.
const EXAMPLES: usize = 32;

/// Judges the filters of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthJob {
    /// A scan, or a folder or list of images; none to judge by synthetic pictures alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Names of the layers; without any, all with filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Whether a picture is made of every filter, to tag those that the optimiser cannot excite beyond
    /// images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optimise: bool,
    /// Whether filters alone are judged, and no classes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filters_only: bool,
    /// The names of the network's classes, by which folders are found to be of a class: results keep them,
    /// as the file of labels may be gone when they are made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// A layer that is judged, with its name if it is one of directions.
struct Chosen {
    layer: FilterLayer,
    name: Option<String>,
}

impl Job for HealthJob {
    const KIND: &'static str = "health";
    type Report = HealthReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<HealthReport> {
        let model = run.model()?;
        if model.labels.is_some() || self.labels.is_empty() {
            return self.judge(run, sink);
        }
        let prepared = Some(model.recorded_card());
        let spec = ModelSpec { model: model.source.clone(), prepared, ..ModelSpec::default() };
        let mut named = spec.load(run.context)?;
        named.labels = Some(Labels { names: self.labels.clone() });
        named.places = model.places.clone();
        self.judge(&Run::new(&named, run.context).with_parts(run.parts()), sink)
    }
}

impl HealthJob {
    fn judge(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<HealthReport> {
        let layers = self.chosen(run)?;
        let scan = self.scan(run)?;
        let scan = scan.as_ref().map(|(scan, _)| scan);
        let mut report = units::judge(run, &layers, scan)?;
        let judged = match self.filters_only {
            true => bias::Judged::nothing("classes: only filters were to be judged"),
            false => bias::judge(run, scan)?,
        };
        let bias::Judged { classes, changed, not_judged, without_color } = judged;
        report.classes = classes;
        report.without_color = without_color;
        report.not_judged.extend(not_judged);
        if self.optimise {
            optimum::tag(run, &mut report, scan)?;
        }
        let place = Place::first(Role::Table);
        if sink.wants(place) {
            sink.take_bytes(place, "health.json", &serde_json::to_vec_pretty(&report)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = text_of_model(run.model()?)?;
            seal(run, &mut text, self, place)?;
            let page = page::page(run, &report, &changed, scan, text)?;
            sink.take_bytes(place, "health.html", page.to_html().as_bytes())?;
        }
        Ok(report)
    }

    /// The layers that are judged.
    fn chosen(&self, run: &Run<'_>) -> Result<Vec<Chosen>> {
        let model = run.model()?;
        let all = model.model.filter_layers()?;
        if self.layers.is_empty() {
            let chosen = all.into_iter().map(|layer| Chosen { layer, name: None }).collect::<Vec<_>>();
            return if chosen.is_empty() { Err(JobError::NoFilters.into()) } else { Ok(chosen) };
        }
        let mut chosen: Vec<Chosen> = Vec::new();
        for name in &self.layers {
            if let Some((layer, file)) = model.directions_of(name) {
                let read = model.directions(file)?;
                let value = model.model.resolve(layer)?;
                let layer = FilterLayer::of_directions(value, read.encoder.clone(), read.is_rectified);
                chosen.push(Chosen { layer, name: Some(name.clone()) });
                continue;
            }
            let value = model.model.resolve(name)?;
            let is_it = |layer: &FilterLayer| layer.value == value || layer.forms.contains(&value);
            if chosen.iter().any(|known| known.name.is_none() && is_it(&known.layer)) {
                continue;
            }
            let layer = all.iter().find(|layer| is_it(layer)).cloned();
            let layer = layer.ok_or_else(|| JobError::NotFilters { layer: name.clone() })?;
            chosen.push(Chosen { layer, name: None });
        }
        Ok(chosen)
    }

    /// The scan of the data, made now if the data is none, with the folder that holds it for this run alone.
    fn scan(&self, run: &Run<'_>) -> Result<Option<(ScanFile, Option<TempDir>)>> {
        let Some(data) = &self.data else { return Ok(None) };
        let places = run.places();
        let path = places.of(data);
        if is_scan(path) {
            let scan = ScanFile::open(path)?.with_images(self.images.as_deref())?;
            scan.check_model(run.model()?)?;
            return Ok(Some((scan, None)));
        }
        // Without names a scan sees all layers, but no directions.
        let scanned = match self.layers.iter().any(|name| name.contains('@')) {
            true => self.layers.iter().cloned().chain([CLASSES.to_owned()]).collect(),
            false => Vec::new(),
        };
        let job = ScanJob {
            data: path.to_string_lossy().into_owned(),
            layers: scanned,
            top: EXAMPLES,
            crop: None,
            by: RankedBy::Activation,
            thumbnails: false,
            clips: ScannedClips::default(),
        };
        let Some(parts) = run.parts() else {
            let folder = tempfile::Builder::new().prefix("oneiro-").tempdir()?;
            job.run(&Run::new(run.model()?, run.context), &mut Folder::new(folder.path()))?;
            return Ok(Some((ScanFile::open(folder.path())?, Some(folder))));
        };
        // The scan stays beside the report.
        let folder = parts.folder().parent().unwrap_or_else(|| Path::new(""));
        job.run(run, &mut Folder::new(folder))?;
        Ok(Some((ScanFile::open(folder)?, None)))
    }
}
