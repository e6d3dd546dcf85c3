//! Sheets: what their cells show, how they are laid out, and their bytes.

use anyhow::{Result, bail};
use oneiro_media::{Cell, Filter, Image, Sheet};

use crate::context::Context;
use crate::job::render::{Finished, Job, Prepared, Setting, prepare};
use crate::model::LoadedModel;
use crate::provenance::{Layout, LayoutRow, Measure, Photo, UnitReport, sheet_text};
use crate::source::materials::{self, Extras};
use crate::source::references;

/// Pictures side by side in a sheet of one row; more go below.
const FLAT_COLUMNS: usize = 8;

/// A row of a sheet to be made.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub title: String,
    /// Pictures that are shown as they are, before the others.
    pub photos: Vec<Photo>,
    /// Units with the captions below them.
    pub cells: Vec<(String, Job)>,
}

/// A sheet to be made.
pub struct SheetPlan {
    pub columns: usize,
    pub measure: Measure,
    pub rows: Vec<Row>,
    pub settings: Vec<Setting>,
}

impl SheetPlan {
    /// A sheet whose rows below the first, that of photos, would have one picture each, as one row: the
    /// photo, and a picture for each of those rows.
    pub fn flattened(mut self) -> Self {
        let single = |row: &Row| row.photos.is_empty() && row.cells.len() == 1;
        let of_photo = self.rows.first().is_some_and(|r| r.photos.len() == 1 && r.cells.is_empty());
        if of_photo && self.rows.len() > 1 && self.rows[1..].iter().all(single) {
            let mut rows = std::mem::take(&mut self.rows).into_iter();
            let mut first = rows.next().unwrap_or_default();
            first.title.clear();
            for row in rows {
                first.cells.extend(row.cells.into_iter().map(|(_, job)| (row.title.clone(), job)));
            }
            self.columns = (1 + first.cells.len()).min(FLAT_COLUMNS);
            self.rows = vec![first];
        }
        self
    }

    /// All jobs, row by row.
    fn jobs(&self) -> Vec<Job> {
        self.rows.iter().flat_map(|r| r.cells.iter().map(|(_, job)| job.clone())).collect()
    }

    /// Checks the jobs against the network.
    pub fn prepare<'a>(
        &self,
        context: &Context,
        model: &'a LoadedModel,
        extras: Extras,
        keep_size: bool,
    ) -> Result<Prepared<'a>> {
        let jobs = self.jobs();
        if let Some([h, w]) = self.settings.iter().find_map(|s| s.preset.picture.or(s.preset.size))
            && jobs.len().saturating_mul(h * w) as u64 > oneiro_media::MAX_PIXELS
        {
            bail!(
                "{} pictures of {h}x{w} are too much for one sheet (at most {} million pixels); choose fewer --units, a \
                 smaller --size, or `oneiro render`",
                jobs.len(),
                oneiro_media::MAX_PIXELS / 1_000_000
            );
        }
        prepare(context, model, self.settings.clone(), jobs, extras, keep_size)
    }

    /// How it is laid out.
    pub fn layout(&self, model: &LoadedModel, work: &Prepared<'_>) -> Layout {
        let row = |r: &Row| LayoutRow {
            title: r.title.clone(),
            photos: r.photos.clone(),
            captions: r.cells.iter().map(|(caption, _)| caption.clone()).collect(),
        };
        Layout {
            title: model.title.clone(),
            subtitle: subtitle(&work.settings),
            measure: self.measure,
            columns: self.columns,
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

/// What all settings have in common, in words.
fn subtitle(settings: &[Setting]) -> String {
    let same = |get: &dyn Fn(&Setting) -> String| {
        let first = settings.first().map(get)?;
        settings.iter().all(|s| get(s) == first).then_some(first)
    };
    let parts = [
        same(&|s| format!("preset {}", s.preset.name)),
        same(&|s| format!("{} steps", s.preset.total_steps())),
        same(&|s| format!("seed {}", s.seed)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The sheet as a PNG that says how it was made.
pub fn encode(work: &Prepared<'_>, layout: &Layout, finished: &[Finished]) -> Result<Vec<u8>> {
    let mut sheet = Sheet::new(layout.columns)
        .title(&layout.title)
        .subtitle(&layout.subtitle)
        .min_cell_width(MIN_CELL_WIDTH);
    let mut results = finished.iter();
    let preset = &work.settings[0].preset;
    let size = common_size(finished);
    for row in &layout.rows {
        sheet = sheet.row(&row.title);
        for photo in &row.photos {
            let picture = materials::start(work.model, preset, &photo.path)?;
            let image = references::drawn(work.model, &picture)?;
            sheet = sheet.cell(Cell::new(image).caption(&photo.caption));
        }
        for (caption, result) in row.captions.iter().zip(results.by_ref()) {
            let mut cell = Cell::new(fitted(result.shown()?, size)?);
            for line in caption.split('\n') {
                cell = cell.caption(line);
            }
            cell = cell.caption(layout.measure.caption(result.report.value));
            if let Some(alpha) = &result.alpha {
                let plane = Image::new(result.picture.width, result.picture.height, alpha.repeat(3))?;
                let plane = fitted(plane, size)?;
                cell = cell.alpha(plane.rgb[..plane.width * plane.height].to_vec());
            }
            sheet = sheet.cell(cell);
        }
    }
    let reports: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
    let text = sheet_text(work, layout, &reports)?;
    Ok(oneiro_media::encode_png(&sheet.render()?, &text)?)
}

/// The size of all cells, height and width: recipes may make pictures of different sizes, which side by side
/// are as large as the smallest. `None` where they differ in shape.
fn common_size(finished: &[Finished]) -> Option<(usize, usize)> {
    let (height, width) = finished.iter().map(|f| (f.picture.height, f.picture.width)).min()?;
    let alike = finished.iter().all(|f| f.picture.height * width == f.picture.width * height);
    alike.then_some((height, width))
}

/// A picture at the size of a sheet's cells.
fn fitted(image: Image, size: Option<(usize, usize)>) -> Result<Image> {
    match size.filter(|&size| size != (image.height, image.width)) {
        Some((height, width)) => Ok(oneiro_media::resize(&image, height, width, Filter::Triangle)?),
        None => Ok(image),
    }
}

/// Pixels that a caption such as "channel 127" takes: cells of smaller pictures are as wide.
pub const MIN_CELL_WIDTH: usize = 80;
