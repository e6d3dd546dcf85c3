//! A comparison as rows of pictures: one picture, and a page.

use oneiro_media::{Cell, Figure, Image, Page, PngText, Section, Sheet};

use crate::error::Result;
use crate::job::figures;
use crate::job::render::Finished;
use crate::job::sheet::MIN_CELL_WIDTH;
use crate::job::tiles::{crossed_out, enlarged, reduced};
use crate::model::LoadedModel;

/// Least side of a picture as it is drawn.
const TILE: usize = 128;
/// Largest side of an optimised picture as it is drawn.
const OPTIMISED: usize = 224;
/// Lines into which a line of a caption wraps at most.
const CAPTION_LINES: usize = 3;
/// Pictures side by side at most.
const COLUMNS: usize = 9;

/// A picture with the lines below it.
pub(super) struct Tile {
    image: Image,
    lines: Vec<String>,
}

impl Tile {
    /// An image or a part of one.
    pub(super) fn image(image: Image, lines: Vec<String>) -> Result<Self> {
        Ok(Self { image: reduced(enlarged(image, TILE)?, TILE)?, lines })
    }

    /// Several small pictures in one.
    pub(super) fn several(image: Image, lines: Vec<String>) -> Self {
        Self { image, lines }
    }

    /// An optimised picture, crossed out if its unit did not answer.
    pub(super) fn optimised(finished: &Finished, mut lines: Vec<String>) -> Result<Self> {
        let mut image = reduced(finished.shown()?, OPTIMISED)?;
        if let Some(failure) = finished.report.failure() {
            crossed_out(&mut image);
            lines.push(failure.to_owned());
        }
        Ok(Self { image: enlarged(image, TILE)?, lines })
    }
}

/// Pictures that belong together.
pub(super) struct BoardRow {
    pub heading: String,
    /// What they show, in words.
    pub note: String,
    pub tiles: Vec<Tile>,
}

impl BoardRow {
    pub(super) fn new(heading: impl Into<String>, note: impl Into<String>, tiles: Vec<Tile>) -> Self {
        Self { heading: heading.into(), note: note.into(), tiles }
    }
}

/// All rows of a comparison.
pub(super) struct Board {
    pub title: String,
    pub subtitle: String,
    /// What the numbers say, a paragraph each.
    pub words: Vec<String>,
    pub rows: Vec<BoardRow>,
}

impl Board {
    /// All as one picture.
    pub(super) fn sheet(&self) -> Result<Sheet> {
        let columns = self.rows.iter().map(|row| row.tiles.len()).max().unwrap_or(1).clamp(1, COLUMNS);
        let mut sheet = Sheet::new(columns)
            .title(&self.title)
            .subtitle(&self.subtitle)
            .one_scale()
            .min_cell_width(MIN_CELL_WIDTH)
            .caption_lines(CAPTION_LINES);
        for row in self.rows.iter().filter(|row| !row.tiles.is_empty()) {
            sheet = sheet.row(&row.heading);
            for tile in &row.tiles {
                let cell = Cell::new(tile.image.clone());
                sheet = sheet.cell(tile.lines.iter().fold(cell, |cell, line| cell.caption(line)));
            }
        }
        Ok(sheet)
    }

    /// All as a page.
    pub(super) fn page(&self, model: &LoadedModel, preset: &str, text: PngText) -> Result<Page> {
        let mut sections = Vec::new();
        for row in &self.rows {
            let mut drawn = Vec::new();
            for tile in &row.tiles {
                let figure = Figure { caption: tile.lines.join("\n"), ..Figure::default() };
                drawn.push(figures::with_jpeg(figure, &tile.image)?);
            }
            let (heading, note) = (row.heading.clone(), row.note.clone());
            sections.push(Section { heading, note, figures: drawn, ..Section::default() });
        }
        let intro = std::iter::once(&self.subtitle).chain(&self.words);
        let intro = intro.filter(|words| !words.is_empty()).cloned().collect::<Vec<_>>().join("\n\n");
        let footer = figures::footer(model, preset);
        Ok(Page { title: self.title.clone(), intro, sections, footer, text })
    }
}
