//! Sheets: pictures of many units side by side.

mod drawn;
pub mod layout;
mod made;
pub(crate) mod text;

use serde::{Deserialize, Serialize};

use self::layout::{LayoutRow, Measure, SheetLayout, SheetPhoto};
pub(crate) use self::made::{Made, make, only_kept, rendered};
use super::belief::summary;
use super::error::JobError;
use super::render::report::UnitReport;
use super::render::work::{UnitRequest, Work};
use super::render::{RenderReport, Setting};
use super::{Job, Run, Sink};
use crate::error::Result;

/// Maximum number of pictures side by side on a sheet with one row. Further pictures are placed below.
const FLAT_COLUMNS: usize = 8;
/// Minimum width of cells in pixels, enough for a caption such as "channel 127".
pub const MIN_CELL_WIDTH: usize = 80;

/// A job that renders units and arranges them as a sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetJob {
    /// The units, in the order of the layout's cells, and how they are rendered.
    pub work: Work,
    /// The layout. An empty title is replaced by the network's name, and an empty subtitle by what all
    /// settings have in common.
    pub layout: SheetLayout,
}

impl Job for SheetJob {
    const KIND: &'static str = "sheet";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let made = make(run, &self.work, &self.layout)?;
        let job = Self { work: made.work_done(&self.work), layout: made.layout.clone() };
        made.write(run, &job, sink)?;
        Ok(made.report())
    }

    fn sources(&self) -> Vec<String> {
        sources(&self.work, &self.layout)
    }

    fn check(&self) -> Result<()> {
        self.work.check()?;
        if self.layout.belief && self.layout.data.is_none() {
            return Err(JobError::BeliefWithoutData.into());
        }
        if self.layout.cells() != self.work.units.len() {
            return Err(JobError::Layout { units: self.work.units.len() }.into());
        }
        Ok(())
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        self.work.settings.iter_mut().collect()
    }
}

/// Returns the names of the files from which a sheet is made, once each.
pub(crate) fn sources(work: &Work, layout: &SheetLayout) -> Vec<String> {
    let mut names = work.sources();
    for photo in layout.rows.iter().flat_map(|row| &row.photos) {
        if !names.contains(&photo.path) {
            names.push(photo.path.clone());
        }
    }
    names
}

/// A row of a sheet that is being planned.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The label beside the row of pictures.
    pub title: String,
    /// Pictures that are shown unchanged, before the others.
    pub photos: Vec<SheetPhoto>,
    /// The row's units, each with its caption.
    pub cells: Vec<(String, UnitRequest)>,
}

/// A sheet that is being planned, row by row.
#[derive(Debug, Clone)]
pub struct SheetPlan {
    /// Number of pictures side by side.
    pub columns: usize,
    /// What the line below each caption shows.
    pub measure: Measure,
    /// The title above the sheet; by default the network's name.
    pub title: Option<String>,
    /// The rows of the sheet.
    pub rows: Vec<Row>,
    /// Presets with random seeds, to which units refer by index.
    pub settings: Vec<Setting>,
}

impl SheetPlan {
    /// Joins rows if the first row has one photo and every other row one picture: returns one row with the
    /// photo and all these pictures. Otherwise returns the plan unchanged.
    pub fn flattened(mut self) -> Self {
        let single = |row: &Row| row.photos.is_empty() && row.cells.len() == 1;
        let of_photo = self.rows.first().is_some_and(|r| r.photos.len() == 1 && r.cells.is_empty());
        if of_photo && self.rows.len() > 1 && self.rows[1..].iter().all(single) {
            let mut rows = std::mem::take(&mut self.rows).into_iter();
            let mut first = rows.next().unwrap_or_default();
            first.title.clear();
            for row in rows {
                first.cells.extend(row.cells.into_iter().map(|(_, unit)| (row.title.clone(), unit)));
            }
            self.columns = (1 + first.cells.len()).min(FLAT_COLUMNS);
            self.rows = vec![first];
        }
        self
    }

    /// Sets the title above the sheet.
    pub fn titled(self, title: Option<&str>) -> Self {
        Self { title: title.map(str::to_owned), ..self }
    }

    /// Returns the sheet's job. `work` gives everything but the units and the settings.
    pub fn job(self, work: Work) -> SheetJob {
        let mut units = Vec::new();
        let row = |row: Row| {
            let (captions, of_row): (Vec<String>, Vec<UnitRequest>) = row.cells.into_iter().unzip();
            units.extend(of_row);
            LayoutRow { title: row.title, photos: row.photos, captions }
        };
        let rows = self.rows.into_iter().map(row).collect();
        let (title, subtitle) = (self.title.unwrap_or_default(), String::new());
        let layout = SheetLayout {
            title,
            subtitle,
            measure: self.measure,
            columns: self.columns,
            tile: 0,
            data: None,
            images: None,
            belief: false,
            rows,
        };
        SheetJob { work: Work { units, settings: self.settings, ..work }, layout }
    }
}

/// What is found of the pictures of units, a sentence each; nothing if that was not asked.
pub fn beliefs_in_words<'r>(units: impl Iterator<Item = &'r UnitReport>) -> Vec<String> {
    summary(units.map(|unit| (unit.unit.as_str(), unit.belief.as_ref())))
}
