//! Contact sheets: pictures in a grid, with captions, row labels and a title, drawn into one picture.
//!
//! ```text
//! margin ┌ title ────────────────────────┐
//!        │ subtitle                      │
//!        │ label  [picture] [picture] …  │   cells wrap after `columns`; each label starts a row
//!        │         caption   caption     │
//!        └───────────────────────────────┘
//! ```
//!
//! Pictures of a row share their height as nearly as whole factors allow: a pixel of a smaller picture is
//! drawn as a square, as large as the row's largest picture has room for (not with [`Sheet::one_scale`]).
//! They stand on one line, above their captions. Each column is as wide as its widest cell; rows share their
//! columns if they have equally many.
//!
//! Transparent pixels show a checkerboard of two light greys behind them.

use std::collections::BTreeMap;

use crate::font::{Face, STRONG, TEXT, TITLE};
use oneiro_image::MAX_PIXELS;

use crate::alpha::check_alpha;
use crate::{Image, MediaError, Result};

/// Pixels between a picture and its caption.
const CAPTION_SPACE: usize = 5;
/// Pixels from one caption line to the next.
const CAPTION_LINE: usize = 16;
/// Pixels below a title or subtitle.
const TITLE_SPACE: usize = 5;
/// Pixels between the headings and the pictures.
const HEADING_SPACE: usize = 15;
/// Pixels between a row's label and its first picture.
const LABEL_SPACE: usize = 16;
/// The widest that labels get before they are cut.
const MAX_LABEL: usize = 220;
/// The most lines that a label is wrapped into.
const LABEL_LINES: usize = 4;
/// Pixels of a square of the checkerboard behind transparent pictures.
const CHECKER: usize = 8;
/// The greys of the checkerboard.
const CHECKER_GREYS: [f32; 2] = [0.96, 0.86];
/// Largest width to which a sheet grows to fit its title.
const MAX_TITLE: usize = 640;

/// One picture of a sheet, with the lines below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    image: Image,
    alpha: Option<Vec<f32>>,
    caption: Vec<String>,
}

impl Cell {
    /// A picture without a caption.
    pub fn new(image: Image) -> Cell {
        Cell { image, alpha: None, caption: Vec::new() }
    }

    /// Makes the picture transparent: a value for each pixel, H,W, 0 transparent to 1 opaque.
    pub fn alpha(mut self, alpha: Vec<f32>) -> Cell {
        self.alpha = Some(alpha);
        self
    }

    /// Adds a line below the picture: the first is drawn in the text colour, those after it paler. A line
    /// wider than the cell is cut with an ellipsis.
    pub fn caption(mut self, line: impl Into<String>) -> Cell {
        self.caption.push(line.into());
        self
    }
}

/// A grid of pictures: what is set here, then [`Sheet::render`].
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    columns: usize,
    gap: usize,
    margin: usize,
    zoom: usize,
    one_scale: bool,
    min_cell_width: usize,
    background: [u8; 3],
    title: String,
    subtitle: String,
    rows: Vec<Row>,
}

/// Cells under one label; they wrap after the sheet's number of columns.
#[derive(Debug, Clone, PartialEq, Default)]
struct Row {
    label: String,
    cells: Vec<Cell>,
}

impl Sheet {
    /// An empty sheet with this number of columns (at least one), on white.
    pub fn new(columns: usize) -> Sheet {
        Sheet {
            columns: columns.max(1),
            gap: 12,
            margin: 24,
            zoom: 1,
            one_scale: false,
            min_cell_width: 0,
            background: [255; 3],
            title: String::new(),
            subtitle: String::new(),
            rows: Vec::new(),
        }
    }

    /// A line in large letters above everything.
    pub fn title(mut self, title: impl Into<String>) -> Sheet {
        self.title = title.into();
        self
    }

    /// A pale line below the title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Sheet {
        self.subtitle = subtitle.into();
        self
    }

    /// Pixels between pictures; 12 unless set. Rows stand somewhat farther apart.
    pub fn gap(mut self, gap: usize) -> Sheet {
        self.gap = gap;
        self
    }

    /// Pixels around everything; 24 unless set.
    pub fn margin(mut self, margin: usize) -> Sheet {
        self.margin = margin;
        self
    }

    /// Draws each pixel of the pictures as a square with this side in pixels, for networks of small input.
    pub fn zoom(mut self, zoom: usize) -> Sheet {
        self.zoom = zoom.max(1);
        self
    }

    /// Draws small pictures small beside large ones, so that their sizes compare.
    pub fn one_scale(mut self) -> Sheet {
        self.one_scale = true;
        self
    }

    /// Makes cells at least so wide, so that captions of small pictures have room.
    pub fn min_cell_width(mut self, width: usize) -> Sheet {
        self.min_cell_width = width;
        self
    }

    /// The colour behind everything, red, green, blue; letters are dark on a light one and light on a dark
    /// one.
    pub fn background(mut self, background: [u8; 3]) -> Sheet {
        self.background = background;
        self
    }

    /// Starts a new row with a label on its left; the cells after it belong to it, and wrap under it. A long
    /// label is wrapped where its row is high enough, and ends in an ellipsis where it is not.
    pub fn row(mut self, label: impl Into<String>) -> Sheet {
        self.rows.push(Row { label: label.into(), cells: Vec::new() });
        self
    }

    /// Adds a picture.
    pub fn cell(mut self, cell: Cell) -> Sheet {
        match self.rows.last_mut() {
            Some(row) => row.cells.push(cell),
            None => self.rows.push(Row { label: String::new(), cells: vec![cell] }),
        }
        self
    }

    /// Adds pictures.
    pub fn cells(self, cells: impl IntoIterator<Item = Cell>) -> Sheet {
        cells.into_iter().fold(self, Sheet::cell)
    }

    /// Draws the sheet.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if the sheet has no picture or one with too many or too few alpha values, or
    /// would have more than 128 megapixels.
    pub fn render(&self) -> Result<Image> {
        let layout = self.layout()?;
        let paper = self.background.map(|value| f32::from(value) / 255.0);
        let ink = Ink::on(paper);
        let mut canvas = Image::filled(layout.width, layout.height, paper);
        let right = layout.width - self.margin;

        let mut y = self.margin;
        for (text, face, color) in [(&self.title, TITLE, ink.text), (&self.subtitle, TEXT, ink.pale)] {
            if !text.is_empty() {
                face.draw(&mut canvas, self.margin, y, right - self.margin, text, color);
                y += face.height() + TITLE_SPACE;
            }
        }
        for line in &layout.lines {
            let face = STRONG;
            let middle = line.top + (line.picture_height - line.label.len() * face.height()) / 2;
            for (i, label) in line.label.iter().enumerate() {
                let y = middle + i * face.height();
                face.draw(&mut canvas, self.margin, y, layout.label_width, label, ink.text);
            }
            let mut x = layout.left;
            for ((cell, &zoom), &width) in line.cells.iter().zip(&line.zooms).zip(&line.widths) {
                let foot = line.top + line.picture_height;
                paste(&mut canvas, cell, x, foot - cell.image.height * zoom, zoom);
                for (i, text) in cell.caption.iter().enumerate() {
                    let color = if i == 0 { ink.text } else { ink.pale };
                    let top = foot + CAPTION_SPACE + i * CAPTION_LINE;
                    TEXT.draw(&mut canvas, x, top, width, text, color);
                }
                x += width + self.gap;
            }
        }
        Ok(canvas)
    }

    /// Where everything goes.
    fn layout(&self) -> Result<Layout<'_>> {
        let cells = || self.rows.iter().flat_map(|row| &row.cells);
        if cells().next().is_none() {
            let what = "a sheet needs at least one picture; this one has none".to_owned();
            return Err(MediaError::Shape { what });
        }
        for cell in cells() {
            cell.alpha.as_ref().map_or(Ok(()), |alpha| check_alpha(&cell.image, alpha))?;
        }
        let face = STRONG;
        let title_width = TITLE.width(&self.title).max(TEXT.width(&self.subtitle)).min(MAX_TITLE);

        let mut lines: Vec<Line<'_>> = Vec::new();
        // For each number of columns, the widths of the columns over all rows with that number.
        let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut y = self.margin + self.heading_height();
        for row in &self.rows {
            let shared = row.cells.len().min(self.columns);
            for (i, cells) in row.cells.chunks(self.columns).enumerate() {
                if !lines.is_empty() {
                    y += self.gap + self.gap / 2;
                }
                let zooms = self.zooms(cells);
                let sides = |side: fn(&Image) -> usize| {
                    cells.iter().zip(&zooms).map(move |(cell, zoom)| side(&cell.image).saturating_mul(*zoom))
                };
                let pictures = sides(|image| image.height).max().unwrap_or(0);
                let label = if i == 0 && !row.label.is_empty() {
                    let room = (pictures / face.height()).clamp(1, LABEL_LINES);
                    face.wrap(&row.label, MAX_LABEL, room)
                } else {
                    Vec::new()
                };
                let widths = columns.entry(shared).or_insert_with(|| vec![self.min_cell_width; shared]);
                widths.iter_mut().zip(sides(|image| image.width)).for_each(|(all, one)| *all = one.max(*all));
                let picture_height = pictures.max(label.len() * face.height());
                let captions = cells.iter().map(|cell| cell.caption.len()).max().unwrap_or(0);
                let captions = if captions == 0 { 0 } else { CAPTION_SPACE + captions * CAPTION_LINE };
                lines.push(Line { top: y, picture_height, label, cells, zooms, shared, widths: Vec::new() });
                y = y.saturating_add(picture_height).saturating_add(captions);
            }
        }
        for line in &mut lines {
            line.widths = columns.get(&line.shared).cloned().unwrap_or_default();
        }
        let labels = lines.iter().flat_map(|line| &line.label);
        let label_width = labels.map(|label| face.width(label)).max().unwrap_or(0);
        let left = self.margin + if label_width > 0 { label_width + LABEL_SPACE } else { 0 };
        let row_width = |widths: &Vec<usize>| {
            let gaps = widths.len().saturating_sub(1) * self.gap;
            widths.iter().fold(gaps, |sum, width| sum.saturating_add(*width))
        };
        let grid_right = columns.values().map(row_width).max().unwrap_or(0).saturating_add(left);
        let width = grid_right.max(self.margin + title_width).saturating_add(self.margin);
        let height = y.saturating_add(self.margin);
        if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            let what = format!(
                "the sheet would be {width}×{height} pixels, and the limit is {} million together; take fewer or smaller pictures",
                MAX_PIXELS / 1_000_000
            );
            return Err(MediaError::Shape { what });
        }
        Ok(Layout { width, height, left, label_width, lines })
    }

    /// Side, in pixels of the sheet, of a pixel of each picture of a row.
    fn zooms(&self, cells: &[Cell]) -> Vec<usize> {
        let largest =
            |side: fn(&Image) -> usize| cells.iter().map(|cell| side(&cell.image)).max().unwrap_or(0);
        let (width, height) = (largest(|image| image.width), largest(|image| image.height));
        let factor = |image: &Image| match self.one_scale {
            true => 1,
            false => (height / image.height.max(1)).min(width / image.width.max(1)).max(1),
        };
        cells.iter().map(|cell| self.zoom.saturating_mul(factor(&cell.image))).collect()
    }

    fn heading_height(&self) -> usize {
        let line = |text: &str, face: Face| if text.is_empty() { 0 } else { face.height() + TITLE_SPACE };
        let lines = line(&self.title, TITLE) + line(&self.subtitle, TEXT);
        if lines == 0 { 0 } else { lines + HEADING_SPACE - TITLE_SPACE }
    }
}

struct Layout<'a> {
    width: usize,
    height: usize,
    /// Where the first column begins.
    left: usize,
    label_width: usize,
    lines: Vec<Line<'a>>,
}

/// One line of pictures.
struct Line<'a> {
    top: usize,
    /// Of the highest picture, and of the label.
    picture_height: usize,
    label: Vec<String>,
    cells: &'a [Cell],
    /// Of each picture.
    zooms: Vec<usize>,
    /// With how many columns a row shares its widths.
    shared: usize,
    /// Of each column.
    widths: Vec<usize>,
}

/// The colours of letters.
struct Ink {
    text: [f32; 3],
    pale: [f32; 3],
}

impl Ink {
    fn on(paper: [f32; 3]) -> Ink {
        // Rec. 601 luma: which side of middle grey the paper is on.
        let luma = 0.299 * paper[0] + 0.587 * paper[1] + 0.114 * paper[2];
        if luma > 0.5 {
            Ink { text: [0.13, 0.14, 0.16], pale: [0.41, 0.43, 0.46] }
        } else {
            Ink { text: [0.92, 0.93, 0.94], pale: [0.62, 0.64, 0.67] }
        }
    }
}

/// Copies a picture to `x`, `y`, every pixel as a square of `zoom`, over the checkerboard as far as it is
/// transparent. It lies inside the canvas.
fn paste(canvas: &mut Image, cell: &Cell, x: usize, y: usize, zoom: usize) {
    let image = &cell.image;
    let (width, pixels) = (canvas.width, canvas.width * canvas.height);
    for channel in 0..3 {
        let plane = image.plane(channel);
        for row in 0..image.height * zoom {
            let from = row / zoom * image.width;
            let start = channel * pixels + (y + row) * width + x;
            let target = &mut canvas.data[start..start + image.width * zoom];
            for (column, value) in target.iter_mut().enumerate() {
                let at = from + column / zoom;
                *value = plane[at];
                if let Some(alpha) = cell.alpha.as_ref().map(|alpha| alpha[at].clamp(0.0, 1.0)) {
                    let grey = CHECKER_GREYS[(row / CHECKER + column / CHECKER) % 2];
                    *value = plane[at] * alpha + grey * (1.0 - alpha);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
