//! The health of a network's filters: which are dead, always on, copies of others, or only chase noise.
//!
//! Each unit gets a verdict with the numbers behind it. The numbers come from a scan of a data set, and from
//! runs on some of its images, on white noise, and with the layers' inputs shuffled. Without data, synthetic
//! pictures take the place of images.

use std::path::Path;

use oneiro::filters::FilterLayer;
use serde::{Deserialize, Serialize};

use tempfile::TempDir;

use super::error::JobError;
use super::scan::examples::is_scan;
use super::scan::{RankedBy, ScanJob, ScannedClips};
use super::{Folder, Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::provenance::{seal, text_of_model};
use crate::store::ScanFile;

mod bias;
mod duplicates;
mod facts;
pub mod fail_on;
mod page;
mod pictures;
mod report;
pub mod table;
mod units;
mod verdict;
mod words;

pub use bias::ClassHealth;
pub use report::{HealthReport, LayerHealth, LayerSummary, UnitHealth};
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
}

impl Job for HealthJob {
    const KIND: &'static str = "health";
    type Report = HealthReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<HealthReport> {
        let layers = self.chosen(run)?;
        let scan = self.scan(run)?;
        let scan = scan.as_ref().map(|(scan, _)| scan);
        let mut report = units::judge(run, &layers, scan)?;
        let bias::Judged { classes, not_judged } = bias::judge(run, scan)?;
        report.classes = classes;
        report.not_judged.extend(not_judged);
        let place = Place::first(Role::Table);
        if sink.wants(place) {
            sink.take_bytes(place, "health.json", &serde_json::to_vec_pretty(&report)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = text_of_model(run.model()?)?;
            seal(run, &mut text, self, place)?;
            let page = page::page(run, &report, scan, text)?;
            sink.take_bytes(place, "health.html", page.to_html().as_bytes())?;
        }
        Ok(report)
    }
}

impl HealthJob {
    /// The layers that are judged.
    fn chosen(&self, run: &Run<'_>) -> Result<Vec<FilterLayer>> {
        let model = run.model()?;
        let mut all = model.model.filter_layers()?;
        if self.layers.is_empty() {
            return if all.is_empty() { Err(JobError::NoFilters.into()) } else { Ok(all) };
        }
        let mut chosen = Vec::new();
        for name in &self.layers {
            let value = model.model.resolve(name)?;
            let found = all.iter().position(|layer| layer.value == value || layer.forms.contains(&value));
            if chosen.iter().any(|layer: &FilterLayer| layer.forms.contains(&value)) {
                continue;
            }
            let found = found.ok_or_else(|| JobError::NotFilters { layer: name.clone() })?;
            chosen.push(all.remove(found));
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
        let job = ScanJob {
            data: path.to_string_lossy().into_owned(),
            layers: Vec::new(),
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
