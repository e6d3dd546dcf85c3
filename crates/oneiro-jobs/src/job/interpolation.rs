//! Interpolations between two units, as a row of pictures and as a film.

use oneiro::objective::{Objective, Term, TermKind};
use oneiro_media::{Film, TICKS_PER_SECOND};
use serde::{Deserialize, Serialize};

use super::film_kind::FilmKind;
use super::named_objective::NamedObjective;
use super::render::display::Display;
use super::render::limits::check_preset;
use super::render::work::{UnitRequest, Work};
use super::render::{RenderReport, Setting};
use super::sheet::layout::{Measure, SheetLayout};
use super::sheet::{self, Made, Row, SheetJob, SheetPlan};
use super::{Job, Place, Run, Sink};
use crate::error::Result;
use crate::provenance::seal;

/// Key of the metadata entry that describes a film between two units.
pub(crate) const INTERPOLATION: &str = "interpolation";
/// Display time of a frame of the film, and of the two ends, in hundredths of a second.
const TICKS: u16 = 15;
const END_TICKS: u16 = 80;

/// A job that renders pictures between two units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterpolationJob {
    /// The title above the row of pictures; by default the network's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The unit that the first picture shows.
    pub from: NamedObjective,
    /// The unit that the last picture shows.
    pub to: NamedObjective,
    /// Number of pictures, including both ends; at least 2.
    pub frames: usize,
    /// A layer at which the pictures are aligned with each other, and the weight of the alignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<(String, f64)>,
    /// The preset and the random seed of all pictures.
    pub setting: Setting,
    /// Whether a size that the network does not accept is an error. Otherwise the network's own size is used.
    #[serde(default)]
    pub keep_size: bool,
    /// How pixel values are displayed as colours.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
    /// The film's format, if a film is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub film: Option<FilmKind>,
}

impl InterpolationJob {
    fn sheet(&self, run: &Run<'_>) -> Result<SheetJob> {
        let model = run.model()?;
        let ends = [self.from.objective(model, None)?, self.to.objective(model, None)?];
        let mut row = row(&ends, self.frames, self.align.as_ref());
        row.title = format!("{} to {}", self.from.unit, self.to.unit);
        let settings = vec![self.setting.clone()];
        let plan = SheetPlan {
            title: None,
            columns: row.cells.len(),
            measure: Measure::Value,
            rows: vec![row],
            settings,
        };
        let plan = plan.titled(self.title.as_deref());
        Ok(plan.job(Work { keep_size: self.keep_size, display: self.display, ..Work::default() }))
    }
}

impl Job for InterpolationJob {
    const KIND: &'static str = "interpolation";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let SheetJob { work, layout } = self.sheet(run)?;
        self.film.map_or(Ok(()), FilmKind::check_program)?;
        let made = sheet::make(run, &work, &layout)?;
        let job = Self {
            title: Some(made.layout.title.clone()),
            from: self.from.completed(run)?,
            to: self.to.completed(run)?,
            setting: made.work.settings[0].clone(),
            keep_size: true,
            ..self.clone()
        };
        made.write(run, &Self { film: None, ..job.clone() }, sink)?;
        if let Some(format) = self.film {
            write_film(run, &job, &made, format, sink)?;
        }
        Ok(made.report())
    }

    fn check(&self) -> Result<()> {
        check_preset(&self.setting.preset)
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        vec![&mut self.setting]
    }
}

/// A film of version 0.1.0, with the pictures of a sheet as frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SheetFilm {
    pub work: Work,
    pub layout: SheetLayout,
    pub format: FilmKind,
}

impl Job for SheetFilm {
    const KIND: &'static str = "sheet-film";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let made = sheet::make(run, &self.work, &self.layout)?;
        write_film(run, self, &made, self.format, sink)?;
        Ok(made.report())
    }

    fn sources(&self) -> Vec<String> {
        sheet::sources(&self.work, &self.layout)
    }

    fn check(&self) -> Result<()> {
        self.work.check()
    }
}

/// Returns the pictures as a row of a sheet. Each objective contains both units, even at the ends, so that
/// all pictures can be in one batch.
fn row([from, to]: &[Objective; 2], frames: usize, align: Option<&(String, f64)>) -> Row {
    let mut row = Row { title: String::new(), ..Row::default() };
    for k in 0..frames {
        let t = k as f64 / (frames - 1) as f64;
        let mut objective = (1.0 - t) * from.clone() + t * to.clone();
        if let Some((layer, weight)) = align {
            objective = objective + *weight * Objective::from(Term::new(layer, TermKind::Alignment));
        }
        let percent = format!("{:.0} %", 100.0 * t);
        let unit =
            UnitRequest { objective: Some(objective.to_string()), ..UnitRequest::new(percent.clone()) };
        row.cells.push((percent, unit));
    }
    row
}

/// Writes a film of the pictures forwards and backwards, with the ends shown longer, and with metadata.
fn write_film<J: Job>(
    run: &Run<'_>,
    job: &J,
    made: &Made<'_>,
    format: FilmKind,
    sink: &mut dyn Sink,
) -> Result<()> {
    let place = Place::film(0);
    if !sink.wants(place) {
        return Ok(());
    }
    let mut film = Film::default();
    let last = made.finished.len().saturating_sub(1);
    let back = (1..last).rev();
    for k in (0..=last).chain(back) {
        film.push(&made.finished[k].shown()?, if k == 0 || k == last { END_TICKS } else { TICKS })?;
    }
    let mut text = made.text()?;
    let seconds = |ticks: u16| f64::from(ticks) / f64::from(TICKS_PER_SECOND);
    text.push(
        INTERPOLATION,
        format!(
            "there and back in {} frames of {} s, the ends of {} s",
            film.len(),
            seconds(TICKS),
            seconds(END_TICKS)
        ),
    );
    seal(run, &mut text, job, place)?;
    sink.take_bytes(place, &format!("interpolation.{}", format.extension()), &format.encode(&film, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_what_all_others_read() {
        let ends = [Objective::channel("a", 1), Objective::logit(2)];
        let row = row(&ends, 3, Some(&("b".into(), 0.5)));
        let texts: Vec<String> = row.cells.iter().filter_map(|(_, unit)| unit.objective.clone()).collect();
        assert_eq!(texts[0], "1*channel(a,1) + 0*logit(2) + 0.5*alignment(b)");
        assert_eq!(texts[1], "0.5*channel(a,1) + 0.5*logit(2) + 0.5*alignment(b)");
        assert_eq!(row.cells[2].0, "100 %");
    }
}
