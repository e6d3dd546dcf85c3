//! Comparisons: two units or layers of a network, or one unit or layer in several networks.
//!
//! `units` compares two units (`in_scan`: as a scan knows them), `layers` two layers, `models` a unit in
//! several networks, `filters` the filters of layers in several networks, which `common` finds. They share
//! `request` (what is compared), `reader` (a unit's value from a layer's map), `images` (what the networks
//! are run on), `samples` (of all channels of layers), `pictures` (optimised pictures and units' values for
//! them), `gradients`, `examples` (images of two units), `baseline` (where their numbers stand among those
//! of other units), `probabilities` (of two classes), `drive` (units that drive classes), `board` (how all
//! is drawn), `report` and `words` (what the numbers of two units say).

use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::render::Setting as RenderSetting;
use super::render::display::Display;
use super::render::limits::check_preset;
use super::render::work::{UnitRequest, Work};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::model::LoadedModel;
use crate::provenance::{seal, text_of_model};

mod baseline;
mod board;
mod common;
mod drive;
pub(crate) mod error;
mod examples;
mod filters;
mod gradients;
mod images;
mod in_scan;
mod layers;
mod models;
mod pictures;
mod probabilities;
mod reader;
mod report;
mod request;
mod samples;
mod units;
mod words;

use board::Board;
use error::CompareError;
pub use report::{
    ActivationAgreement, Agreement, Baseline, CompareReport, ComparedPicture, Confusion, Driver,
    FilterChange, FiltersReport, GradientAgreement, LayerChange, LayersReport, Match, MeanProbabilities,
    ModelsReport, ShownImage, UnitInModel, UnitsReport, deviations, percent,
};
pub use request::{ChangeBy, Compared, ComparedUnit, OtherModel};

/// Filters or pairs in each list that is drawn, at most.
const MOST_DRAWN: usize = 64;

/// Compares two units or layers of a network, or one in several networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareJob {
    /// What is compared.
    pub what: Compared,
    /// The networks beside that of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherModel>,
    /// A scan, or a folder or list of images; none for synthetic pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// How pictures are rendered.
    pub setting: RenderSetting,
    /// Whether a size that the network does not accept is an error. Otherwise the network's own size is used.
    #[serde(default)]
    pub keep_size: bool,
    /// How values become colours.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
    /// Filters in each list that is drawn, or pairs of units.
    pub drawn: usize,
}

/// What a comparison found: its report, its drawing, and the job that makes it again.
struct Outcome {
    report: CompareReport,
    board: Board,
    job: CompareJob,
}

impl Job for CompareJob {
    const KIND: &'static str = "compare";
    type Report = CompareReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<CompareReport> {
        self.check()?;
        let first = run.model()?;
        let mut others = Vec::new();
        let mut known = Vec::new();
        for other in &self.others {
            let (model, other) = other.load(run)?;
            others.push(model);
            known.push(other);
        }
        let job = Self { others: known, ..self.clone() };
        let models: Vec<&LoadedModel> = std::iter::once(first).chain(&others).collect();
        let Outcome { report, board, job } = match &self.what {
            Compared::Units { a, b } => units::compare(&job, run, [a, b])?,
            Compared::Layers { a, b } => layers::compare(&job, run, [a, b])?,
            Compared::Unit { unit } => models::compare(&job, run, &models, unit)?,
            Compared::Filters { layers, by } => filters::compare(&job, run, &models, (layers, *by))?,
        };
        let text = |place: Place| -> Result<PngText> {
            let mut text = text_of_model(first)?;
            text.push("compares", board.title.replace('\n', ", "));
            if let Some(data) = &job.data {
                text.push("data", data);
            }
            seal(run, &mut text, &job, place)?;
            Ok(text)
        };
        let place = Place::picture(0);
        if sink.wants(place) {
            let sheet = board.sheet()?.render()?;
            sink.take_bytes(place, "compare.png", &oneiro_media::encode_png(&sheet, &text(place)?)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let page = board.page(first, &job.setting.preset.title(), text(place)?)?;
            sink.take_bytes(place, "compare.html", page.to_html().as_bytes())?;
        }
        Ok(report)
    }

    fn sources(&self) -> Vec<String> {
        let of_units = self.work(&self.what.requests()).sources();
        let mut names: Vec<String> = self.others.iter().filter_map(OtherModel::file).collect();
        names.extend(of_units);
        let mut once: Vec<String> = Vec::new();
        names.into_iter().for_each(|name| {
            if !once.contains(&name) {
                once.push(name);
            }
        });
        once
    }

    fn check(&self) -> Result<()> {
        let several = matches!(self.what, Compared::Unit { .. } | Compared::Filters { .. });
        if several == self.others.is_empty() {
            return Err(CompareError::Compared { several }.into());
        }
        if !(1..=MOST_DRAWN).contains(&self.drawn) {
            let (setting, needed) =
                (super::error::Setting::Drawn, format!("a number from 1 to {MOST_DRAWN}"));
            return Err(JobError::Setting { setting, value: self.drawn, needed }.into());
        }
        check_preset(&self.setting.preset)
    }

    fn settings_mut(&mut self) -> Vec<&mut RenderSetting> {
        vec![&mut self.setting]
    }
}

impl CompareJob {
    /// The work of rendering these units.
    fn work(&self, units: &[UnitRequest]) -> Work {
        Work {
            units: units.to_vec(),
            settings: vec![self.setting.clone()],
            keep_size: self.keep_size,
            display: self.display,
            ..Work::default()
        }
    }

    /// The job as it was done, at the size that the network accepted.
    fn done(&self, what: Compared, setting: &RenderSetting) -> Self {
        Self { what, setting: setting.clone(), keep_size: true, ..self.clone() }
    }
}
