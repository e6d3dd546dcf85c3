//! Draws a rendered sheet: as one picture, and as a page.

use std::ops::Range;

use oneiro_media::{Cell, Figure, Filter, Image, Page, PngText, Section, Sheet};

use super::layout::SheetLayout;
use super::made::{Made, common_size};
use super::{MIN_CELL_WIDTH, beliefs_in_words};
use crate::error::Result;
use crate::job::belief::{ABOUT, Belief, CAPTION_LINES};
use crate::job::figures;
use crate::job::render::Finished;
use crate::job::tiles::{beside, crossed_out, enlarged, enlarged_to, marked};
use crate::source::{materials, references};

impl Made<'_> {
    /// Returns the sheet as a page that contains its pictures, with a section for each row.
    pub(super) fn page(&self, text: PngText) -> Result<Page> {
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
    pub(super) fn encode(
        &self,
        layout: &SheetLayout,
        units: Range<usize>,
        text: &PngText,
    ) -> Result<Vec<u8>> {
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

/// Frames a picture that is flagged.
fn mark(result: &Finished, shown: &mut Image) {
    if result.report.belief.as_ref().is_some_and(Belief::is_flagged) {
        marked(shown);
    }
}

/// Resizes a picture to the size of a sheet's cells.
fn fitted(image: Image, size: Option<(usize, usize)>) -> Result<Image> {
    match size.filter(|&size| size != (image.height, image.width)) {
        Some((height, width)) => Ok(oneiro_media::resize(&image, height, width, Filter::Triangle)?),
        None => Ok(image),
    }
}
