//! Renders the units of a sheet and writes the results.

use std::ops::Range;

use oneiro::objective::Objective;
use oneiro_media::{Image, PngText};

use super::SheetJob;
use super::layout::{LayoutRow, SheetLayout};
use super::text::sheet_text;
use crate::error::Result;
use crate::job::belief::WANTED_EXAMPLES;
use crate::job::error::{JobError, Large};
use crate::job::render::report::UnitReport;
use crate::job::render::work::{UnitRequest, Work};
use crate::job::render::{Finished, PreparedUnits, RenderReport, Setting, raw_bytes, render_all};
use crate::job::scan::examples::Examples;
use crate::job::tiles::SIDE;
use crate::job::{Job, Place, Role, Run, Sink};
use crate::model::health::healthy;
use crate::provenance::seal;

/// Minimum side of the crops beside a picture.
const LEAST_MOSAIC: usize = 224;

/// A sheet whose units have been rendered.
pub(crate) struct Made<'m> {
    pub work: PreparedUnits<'m>,
    pub layout: SheetLayout,
    pub finished: Vec<Finished>,
    /// For each requested unit, whether it was rendered. Others were left out.
    pub kept: Vec<bool>,
    /// For each unit, a mosaic of the images that excite it most, and a line of text about them.
    pub(super) examples: Option<Vec<(Image, String)>>,
}

/// Returns the items of units that were kept.
pub(crate) fn only_kept<T>(items: Vec<T>, kept: &[bool]) -> Vec<T> {
    items.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(item, _)| item).collect()
}

/// Renders the units of a sheet, except for those that depend on weights that are not finite.
pub(crate) fn make<'m>(run: &Run<'m>, work: &Work, layout: &SheetLayout) -> Result<Made<'m>> {
    if let Some(size @ [h, w]) = work.settings.iter().find_map(|s| s.preset.picture.or(s.preset.size))
        && work.units.len().saturating_mul(h * w) as u64 > oneiro_media::MAX_PIXELS
    {
        let (count, result) = (work.units.len(), Large::Sheet);
        return Err(JobError::TooLarge { count, things: "pictures", size, result }.into());
    }
    rendered(run, work, layout)
}

/// Renders units like [`make`], for pictures that are not joined to one sheet.
pub(crate) fn rendered<'m>(run: &Run<'m>, work: &Work, layout: &SheetLayout) -> Result<Made<'m>> {
    let model = run.model()?;
    let mut layout = layout.clone();
    let kept = {
        let units = work.resolve(model)?;
        let named: Vec<(&str, &Objective)> = units.iter().map(|u| (u.unit.as_str(), &u.objective)).collect();
        let size = work.settings.first().and_then(|s| s.preset.size);
        healthy(run.context, model, &named, size)?
    };
    let mut work = work.clone();
    if kept.contains(&false) {
        work.units = only_kept(work.units, &kept);
        layout.keep(&kept);
    }
    let prepared = work.prepare(run)?;
    if layout.title.is_empty() {
        layout.title.clone_from(&model.title);
    }
    // Files of version 0.1.0 store the subtitle, later ones do not.
    if layout.subtitle.is_empty() && !run.is_legacy() {
        layout.subtitle = subtitle(&prepared.settings);
        if !work.display.is_clip() {
            layout.subtitle += &format!(", display {}", work.display);
        }
    }
    let names: Vec<String> = prepared.units.iter().map(|unit| unit.unit.clone()).collect();
    let units: Vec<&str> = names.iter().map(String::as_str).collect();
    let with_objective = prepared.units.iter().map(|unit| Some(unit.objective.to_string()));
    let with_objective: Vec<_> = units.iter().copied().zip(with_objective).collect();
    let images = layout.images.as_deref();
    let kept_of_list = if layout.belief { WANTED_EXAMPLES } else { SIDE * SIDE };
    let examples = |data: &String| Examples::of(run, data, images, &with_objective, kept_of_list);
    let data = layout.data.as_ref().map(examples).transpose()?;
    let mut finished = render_all(run, &prepared, &work.options(None))?;
    let least = layout.tile.max(LEAST_MOSAIC);
    let side = common_size(&finished).map_or(least, |(height, _)| least.div_ceil(height.max(1)) * height);
    if let Some(data) = data.as_ref().filter(|_| layout.belief) {
        let pictures = finished.iter().map(|unit| Some(unit.picture.clone()));
        let beliefs = data.beliefs(run, &units, pictures.collect())?;
        for (unit, belief) in finished.iter_mut().zip(beliefs) {
            unit.report.belief = Some(belief);
        }
    }
    let examples = data.map(|data| data.mosaics(run, &units, side)).transpose()?;
    Ok(Made { work: prepared, layout, finished, kept, examples })
}

impl Made<'_> {
    /// Returns the work as it was done, with classes by index and the sizes that the network accepts.
    pub fn work_done(&self, work: &Work) -> Work {
        let units = self.work.units.iter().map(UnitRequest::of).collect();
        Work { units, settings: self.work.settings.clone(), keep_size: true, ..work.clone() }
    }

    /// Returns the report on the sheet's units.
    pub fn report(self) -> RenderReport {
        RenderReport { units: self.finished.into_iter().map(|f| f.report).collect() }
    }

    /// Passes the sheet and the optimised inputs, as results of this job, to the sink.
    pub fn write<J: Job>(&self, run: &Run<'_>, job: &J, sink: &mut dyn Sink) -> Result<()> {
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut text = self.text()?;
            seal(run, &mut text, job, place)?;
            let all = 0..self.finished.len();
            sink.take_bytes(place, "sheet.png", &self.encode(&self.layout, all, &text)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = self.text()?;
            seal(run, &mut text, job, place)?;
            sink.take_bytes(place, "sheet.html", self.page(text)?.to_html().as_bytes())?;
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_bytes(&self.finished)?)?;
        }
        Ok(())
    }

    /// Returns the sheet's metadata other than its job.
    pub fn text(&self) -> Result<PngText> {
        self.text_of(&self.layout, 0..self.finished.len())
    }

    /// Returns the metadata of a sheet that shows some of the units.
    fn text_of(&self, layout: &SheetLayout, units: Range<usize>) -> Result<PngText> {
        let reports: Vec<&UnitReport> = self.finished[units.clone()].iter().map(|f| &f.report).collect();
        sheet_text(&self.work, layout, units, &reports)
    }

    /// Returns the sheet of one unit alone as a PNG, with a job that recreates it.
    pub fn alone(&self, run: &Run<'_>, work: &Work, unit: usize) -> Result<Vec<u8>> {
        let captions = self.layout.rows.iter().flat_map(|row| &row.captions);
        let caption = captions.skip(unit).take(1).cloned().collect();
        let row = LayoutRow { title: String::new(), photos: Vec::new(), captions: caption };
        let layout = SheetLayout { rows: vec![row], ..self.layout.clone() };
        let units = vec![UnitRequest::of(&self.work.units[unit])];
        let done = self.work_done(work);
        // The unit's report has the values of black and white that all pictures share.
        let work = Work { units, display: self.finished[unit].report.display, ..done };
        let mut text = self.text_of(&layout, unit..unit + 1)?;
        let job = SheetJob { work, layout: layout.clone() };
        seal(run, &mut text, &job, Place::picture(0))?;
        self.encode(&layout, unit..unit + 1, &text)
    }
}

/// Describes the settings that all rows have in common.
fn subtitle(settings: &[Setting]) -> String {
    let same = |get: &dyn Fn(&Setting) -> String| {
        let first = settings.first().map(get)?;
        settings.iter().all(|s| get(s) == first).then_some(first)
    };
    let parts = [
        same(&|s| format!("preset {}", s.preset.title())),
        same(&|s| format!("{} steps", s.preset.total_steps())),
        same(&|s| format!("seed {}", s.seed)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns height and width of all cells. Presets may make pictures of different sizes, which are all shown
/// at the size of the smallest. Returns `None` if their aspect ratios differ.
pub(super) fn common_size(finished: &[Finished]) -> Option<(usize, usize)> {
    let (height, width) = finished.iter().map(|f| (f.picture.height, f.picture.width)).min()?;
    let alike = finished.iter().all(|f| f.picture.height * width == f.picture.width * height);
    alike.then_some((height, width))
}
