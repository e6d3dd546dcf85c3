//! Sheets: pictures of many units side by side.

pub mod layout;
pub(crate) mod text;

use std::ops::Range;

use oneiro::objective::Objective;
use oneiro_media::{Cell, Figure, Filter, Image, Page, PngText, Section, Sheet};
use serde::{Deserialize, Serialize};

use self::layout::{LayoutRow, Measure, SheetLayout, SheetPhoto};
use self::text::sheet_text;
use super::belief::{ABOUT, Belief, CAPTION_LINES, WANTED_EXAMPLES, summary};
use super::error::{JobError, Large};
use super::figures;
use super::render::report::UnitReport;
use super::render::work::{UnitRequest, Work};
use super::render::{Finished, PreparedUnits, RenderReport, Setting, raw_bytes, render_all};
use super::scan::examples::Examples;
use super::tiles::{SIDE, beside, crossed_out, enlarged, marked};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::model::health::healthy;
use crate::provenance::seal;
use crate::source::{materials, references};

/// Maximum number of pictures side by side on a sheet with one row. Further pictures are placed below.
const FLAT_COLUMNS: usize = 8;
/// Minimum side of a picture that is enlarged smoothly. The pixels of smaller ones stay squares.
const SMOOTH: usize = 64;
/// Minimum side of the crops beside a picture.
const LEAST_MOSAIC: usize = 224;
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

/// A sheet whose units have been rendered.
pub(crate) struct Made<'m> {
    pub work: PreparedUnits<'m>,
    pub layout: SheetLayout,
    pub finished: Vec<Finished>,
    /// For each requested unit, whether it was rendered. Others were left out.
    pub kept: Vec<bool>,
    /// For each unit, a mosaic of the images that excite it most, and a line of text about them.
    examples: Option<Vec<(Image, String)>>,
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
    let units: Vec<String> = prepared.units.iter().map(|unit| unit.unit.clone()).collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let images = layout.images.as_deref();
    let kept_of_list = if layout.belief { WANTED_EXAMPLES } else { SIDE * SIDE };
    let examples = |data: &String| Examples::of(run, data, images, &units, kept_of_list);
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

    /// Returns the sheet as a page that contains its pictures, with a section for each row.
    fn page(&self, text: PngText) -> Result<Page> {
        let Self { work, layout, finished, .. } = self;
        let preset = &work.settings[0].preset;
        let mut results = finished.iter();
        let mut examples = self.examples.iter().flatten();
        let mut sections = Vec::new();
        for row in &layout.rows {
            let mut figures = Vec::new();
            for photo in &row.photos {
                let picture = materials::start(work.model, preset, &photo.path)?;
                let figure = Figure { caption: photo.caption.clone(), ..Figure::default() };
                figures.push(figures::with_picture(figure, &references::drawn(work.model, &picture)?)?);
            }
            for (caption, result) in row.captions.iter().zip(results.by_ref()) {
                let mut shown = result.shown()?;
                if result.report.failure().is_some() {
                    crossed_out(&mut shown);
                }
                let mut figure = figures::of_unit(caption, &result.report);
                if let Some((crops, words)) = examples.next() {
                    shown = beside(&enlarged_to(shown, crops.height)?, crops)?;
                    figure.caption = format!("{}\n{words}", figure.caption);
                }
                mark(result, &mut shown);
                if layout.belief && row.photos.is_empty() {
                    figure.keys = Belief::keys(result.report.belief.as_ref(), figures.len());
                }
                for line in result.report.belief.iter().flat_map(Belief::lines) {
                    figure.caption += &format!("\n{line}");
                }
                figures.push(figures::with_picture(figure, &shown)?);
            }
            sections.push(Section {
                heading: row.title.clone(),
                note: String::new(),
                figures,
                ..Section::default()
            });
        }
        let names: Vec<String> = work.settings.iter().map(|s| s.preset.title()).collect();
        let mut intro = format!("{}\n\n{}", layout.subtitle, figures::ABOUT_VALUES);
        let found = beliefs_in_words(finished.iter().map(|f| &f.report));
        if !found.is_empty() {
            intro += &format!("\n\n{}. Flagged pictures have a red frame.\n\n{ABOUT}", found.join(".\n"));
        }
        Ok(Page {
            title: layout.title.clone(),
            intro,
            sections,
            footer: figures::footer(work.model, &names.join(", ")),
            text,
        })
    }

    /// Encodes a sheet that shows some of the units as a PNG.
    fn encode(&self, layout: &SheetLayout, units: Range<usize>, text: &PngText) -> Result<Vec<u8>> {
        let (work, finished) = (&self.work, &self.finished[units.clone()]);
        let mut sheet = Sheet::new(layout.columns)
            .title(&layout.title)
            .subtitle(&layout.subtitle)
            .min_cell_width(MIN_CELL_WIDTH)
            .caption_lines(if layout.belief { CAPTION_LINES } else { 1 });
        let mut results = finished.iter();
        let mut examples = self.examples.iter().flatten().skip(units.start);
        let preset = &work.settings[0].preset;
        let size = common_size(finished);
        for row in &layout.rows {
            sheet = sheet.row(&row.title);
            for photo in &row.photos {
                let picture = materials::start(work.model, preset, &photo.path)?;
                let image = references::drawn(work.model, &picture)?;
                sheet = sheet.cell(Cell::new(enlarged(image, layout.tile)?).caption(&photo.caption));
            }
            for (caption, result) in row.captions.iter().zip(results.by_ref()) {
                let failure = result.report.failure();
                let shown = fitted(result.shown()?, size)?;
                let tile = if self.examples.is_some() { 0 } else { layout.tile };
                let mut shown = enlarged(shown, tile)?;
                if failure.is_some() {
                    crossed_out(&mut shown);
                }
                let beside_it = examples.next();
                if let Some((crops, _)) = beside_it {
                    shown = beside(&enlarged_to(shown, crops.height)?, crops)?;
                }
                mark(result, &mut shown);
                let mut cell = Cell::new(shown);
                for line in caption.split('\n') {
                    cell = cell.caption(line);
                }
                let value = layout.measure.caption(result.report.value);
                cell = cell.caption(match failure {
                    Some(failure) => failure.to_owned(),
                    None if beside_it.is_some() => format!("picture: {value}"),
                    None => value,
                });
                if let Some((_, words)) = beside_it {
                    cell = cell.caption(words);
                }
                for line in result.report.belief.iter().flat_map(Belief::lines) {
                    cell = cell.caption(line);
                }
                if let Some(alpha) = result.alpha.as_ref().filter(|_| beside_it.is_none()) {
                    let plane = Image::rgb(result.picture.width, result.picture.height, alpha.repeat(3))?;
                    let plane = enlarged(fitted(plane, size)?, layout.tile)?;
                    cell = cell.alpha(plane.data[..plane.width * plane.height].to_vec());
                }
                sheet = sheet.cell(cell);
            }
        }
        Ok(oneiro_media::encode_png(&sheet.render()?, text)?)
    }
}

/// What is found of the pictures of units, a sentence each; nothing if that was not asked.
pub fn beliefs_in_words<'r>(units: impl Iterator<Item = &'r UnitReport>) -> Vec<String> {
    summary(units.map(|unit| (unit.unit.as_str(), unit.belief.as_ref())))
}

/// Frames a picture that is flagged.
fn mark(result: &Finished, shown: &mut Image) {
    if result.report.belief.as_ref().is_some_and(Belief::is_flagged) {
        marked(shown);
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
fn common_size(finished: &[Finished]) -> Option<(usize, usize)> {
    let (height, width) = finished.iter().map(|f| (f.picture.height, f.picture.width)).min()?;
    let alike = finished.iter().all(|f| f.picture.height * width == f.picture.width * height);
    alike.then_some((height, width))
}

/// Resizes a picture to the size of a sheet's cells.
fn fitted(image: Image, size: Option<(usize, usize)>) -> Result<Image> {
    match size.filter(|&size| size != (image.height, image.width)) {
        Some((height, width)) => Ok(oneiro_media::resize(&image, height, width, Filter::Triangle)?),
        None => Ok(image),
    }
}

/// Enlarges a picture to this height. The pixels of small pictures stay squares if the height is a multiple
/// of the picture's.
fn enlarged_to(image: Image, height: usize) -> Result<Image> {
    let width = image.width * height / image.height.max(1);
    match height == image.height {
        true => Ok(image),
        false if image.height >= SMOOTH => Ok(oneiro_media::resize(&image, height, width, Filter::Triangle)?),
        false => Ok(oneiro_media::resize(&image, height, width, Filter::Area)?),
    }
}
