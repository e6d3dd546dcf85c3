//! Pictures of units: each is optimised so that its unit responds as strongly as possible.

pub(crate) mod answer;
mod batches;
pub mod display;
pub mod film;
mod largest;
pub mod limits;
pub mod metrics;
mod prepared;
mod raw;
mod remarks;
pub mod report;
mod saved;
mod stored;
pub mod text;
mod unit;
pub mod work;

use oneiro::objective::Objective;
use serde::{Deserialize, Serialize};

use self::report::UnitReport;
use self::text::png_text;
use self::work::{UnitRequest, Work};
use super::film_kind::FilmKind;
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::unique_files;
use crate::model::health::require_healthy;
use crate::provenance::seal;

pub(crate) use batches::render_all;
pub use largest::largest_value;
pub(crate) use prepared::{PreparedUnits, prepare};
pub(crate) use raw::raw_bytes;
pub(crate) use saved::colors;
pub(crate) use unit::{Finished, Options};
pub use unit::{RenderUnit, Setting};

/// A job that renders a picture for each of several units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderJob {
    /// The units to render, and their settings.
    pub work: Work,
    /// The format of films of the optimisations, if films are requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub film: Option<FilmKind>,
}

/// The report on all rendered units of a job.
#[derive(Debug, Clone, Serialize)]
pub struct RenderReport {
    /// The reports on the units, in the job's order.
    pub units: Vec<UnitReport>,
}

impl RenderJob {
    /// Creates a job for units that all start from noise and have the same setting.
    pub fn new(units: &[&str], setting: Setting) -> Self {
        let units = units.iter().map(|unit| UnitRequest::new(*unit)).collect();
        Self { work: Work { units, settings: vec![setting], ..Work::default() }, film: None }
    }

    /// Returns the job that makes the picture or the film of one unit. It contains the units on which the
    /// picture depends, classes by index, and the size that the network accepts.
    fn of(&self, work: &PreparedUnits<'_>, members: &[usize], report: &UnitReport, role: Role) -> Self {
        let unit = |&i: &usize| UnitRequest { setting: 0, ..UnitRequest::of(&work.units[i]) };
        let work = Work {
            units: members.iter().map(unit).collect(),
            settings: vec![work.settings[report.setting].clone()],
            keep_size: true,
            robustness: false,
            // After the rendering, the values of black and white that all pictures share are known.
            display: report.display,
            ..self.work.clone()
        };
        Self { work, film: self.film.filter(|_| role == Role::Film) }
    }
}

impl Job for RenderJob {
    const KIND: &'static str = "render";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let mut work = self.work.prepare(run)?;
        let named: Vec<(&str, &Objective)> =
            work.units.iter().map(|u| (u.unit.as_str(), &u.objective)).collect();
        require_healthy(run.context, work.model, &named, work.settings[0].preset.size)?;
        work.seal = Some(Box::new(|work, text, members, place, report| {
            seal(run, text, &self.of(work, members, report, place.role), place)
        }));
        let film = self.film.filter(|_| (0..work.units.len()).any(|i| sink.wants(Place::film(i))));
        film.map_or(Ok(()), FilmKind::check_program)?;
        let mut finished = render_all(run, &work, &self.work.options(film))?;
        display::pin_shared(&mut finished);
        let names: Vec<String> = work.units.iter().map(|u| u.unit.clone()).collect();
        for ((i, result), name) in finished.iter().enumerate().zip(unique_files(&names, "png")) {
            let (place, name) = (Place::picture(i), name.to_string_lossy());
            if sink.wants(place) {
                let text = png_text(&work, i, &result.report, Role::Picture)?;
                sink.take_bytes(place, &name, &result.encode(&text)?)?;
            }
        }
        for ((i, result), name) in finished.iter().enumerate().zip(unique_files(&names, "apng")) {
            if let Some(film) = result.film.as_ref().filter(|_| sink.wants(Place::film(i))) {
                let name = name.with_extension(self.film.unwrap_or(FilmKind::Apng).extension());
                sink.take_bytes(Place::film(i), &name.to_string_lossy(), film)?;
            }
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_bytes(&finished)?)?;
        }
        Ok(RenderReport { units: finished.into_iter().map(|f| f.report).collect() })
    }

    fn sources(&self) -> Vec<String> {
        self.work.sources()
    }

    fn check(&self) -> Result<()> {
        self.work.check()
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        self.work.settings.iter_mut().collect()
    }
}
