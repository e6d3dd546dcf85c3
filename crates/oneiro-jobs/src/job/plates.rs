//! Renders a picture for each of several units, beside the images that excite the unit most.

use oneiro::objective::Objective;
use serde::{Deserialize, Serialize};

use super::render::RenderReport;
use super::render::display::pin_shared;
use super::render::work::Work;
use super::sheet::layout::{LayoutRow, Measure, SheetLayout};
use super::sheet::{rendered, sources};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::unique_files;
use crate::job::render::raw_bytes;
use crate::model::health::require_healthy;

/// Renders a picture for each of several units, beside the images that excite the unit most. All units are
/// rendered together, and the data set is scanned once. The metadata of each picture holds a job for its unit
/// alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatesJob {
    /// The units to render, and their settings.
    pub work: Work,
    /// Path of a scan, or of a folder of images.
    pub data: String,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Whether captions say if the pictures may be believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub belief: bool,
}

impl Job for PlatesJob {
    const KIND: &'static str = "plates";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let size = self.work.settings.first().and_then(|setting| setting.preset.size);
        {
            let units = self.work.resolve(run.model()?)?;
            let named: Vec<(&str, &Objective)> =
                units.iter().map(|unit| (unit.unit.as_str(), &unit.objective)).collect();
            require_healthy(run.context, run.model()?, &named, size)?;
        }
        let mut made = rendered(run, &self.work, &self.layout())?;
        pin_shared(&mut made.finished);
        let names: Vec<String> = self.work.units.iter().map(|unit| unit.unit.clone()).collect();
        for (i, name) in unique_files(&names, "png").into_iter().enumerate() {
            run.context.check()?;
            let place = Place::picture(i);
            if sink.wants(place) {
                sink.take_bytes(place, &name.to_string_lossy(), &made.alone(run, &self.work, i)?)?;
            }
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_bytes(&made.finished)?)?;
        }
        Ok(made.report())
    }

    fn sources(&self) -> Vec<String> {
        sources(&self.work, &self.layout())
    }

    fn check(&self) -> Result<()> {
        self.work.check()
    }
}

impl PlatesJob {
    fn layout(&self) -> SheetLayout {
        let captions = self.work.units.iter().map(|unit| unit.unit.clone()).collect();
        SheetLayout {
            title: String::new(),
            subtitle: String::new(),
            measure: Measure::Value,
            columns: 1,
            tile: 0,
            data: Some(self.data.clone()),
            images: self.images.clone(),
            belief: self.belief,
            rows: vec![LayoutRow { title: String::new(), photos: Vec::new(), captions }],
        }
    }
}
