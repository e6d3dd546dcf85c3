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
//! Every cell is as wide as the widest picture; pictures of a row stand on one line, above their captions.

mod font;

use font::{Face, STRONG, TEXT, TITLE};

use crate::image::MAX_PIXELS;
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
/// How wide a sheet grows for its title's sake.
const MAX_TITLE: usize = 640;

/// One picture of a sheet, with the lines below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    image: Image,
    caption: Vec<String>,
}

impl Cell {
    /// A picture without a caption.
    pub fn new(image: Image) -> Cell {
        Cell { image, caption: Vec::new() }
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
    /// An empty sheet of so many columns (at least one), on white.
    pub fn new(columns: usize) -> Sheet {
        Sheet {
            columns: columns.max(1),
            gap: 12,
            margin: 24,
            zoom: 1,
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

    /// Draws each pixel of the pictures as a square of so many pixels, for networks of small input.
    pub fn zoom(mut self, zoom: usize) -> Sheet {
        self.zoom = zoom.max(1);
        self
    }

    /// Makes cells at least so wide, so that captions of small pictures have room.
    pub fn min_cell_width(mut self, width: usize) -> Sheet {
        self.min_cell_width = width;
        self
    }

    /// The colour behind everything, red, green, blue; letters are dark on a light one and light on a dark one.
    pub fn background(mut self, background: [u8; 3]) -> Sheet {
        self.background = background;
        self
    }

    /// Starts a new row with a label on its left; the cells after it belong to it, and wrap under it.
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
    /// [`MediaError::Shape`] if the sheet has no picture, or would have more than 128 megapixels.
    pub fn render(&self) -> Result<Image> {
        let layout = self.layout()?;
        let paper = self.background.map(|value| f32::from(value) / 255.0);
        let ink = Ink::on(paper);
        let mut canvas = Image::filled(layout.width, layout.height, paper);
        let right = layout.width - self.margin;

        let mut y = self.margin;
        for (text, face, color) in [(&self.title, TITLE, ink.text), (&self.subtitle, TEXT, ink.pale)] {
            if !text.is_empty() {
                face.face().draw(&mut canvas, self.margin, y, right - self.margin, text, color);
                y += face.face().height() + TITLE_SPACE;
            }
        }
        for line in &layout.lines {
            if let Some(label) = line.label {
                let face = STRONG.face();
                let middle = line.top + (line.picture_height - face.height()) / 2;
                face.draw(&mut canvas, self.margin, middle, layout.label_width, label, ink.text);
            }
            for (column, cell) in line.cells.iter().enumerate() {
                let x = layout.left + column * (layout.cell_width + self.gap);
                let foot = line.top + line.picture_height;
                paste(&mut canvas, &cell.image, x, foot - cell.image.height * self.zoom, self.zoom);
                for (i, text) in cell.caption.iter().enumerate() {
                    let color = if i == 0 { ink.text } else { ink.pale };
                    let top = foot + CAPTION_SPACE + i * CAPTION_LINE;
                    TEXT.face().draw(&mut canvas, x, top, layout.cell_width, text, color);
                }
            }
        }
        Ok(canvas)
    }

    /// Where everything goes.
    fn layout(&self) -> Result<Layout<'_>> {
        let cells = || self.rows.iter().flat_map(|row| &row.cells);
        let widest = cells().map(|cell| cell.image.width * self.zoom).max();
        let Some(widest) = widest else {
            let what = "a sheet needs at least one picture; this one has none".to_owned();
            return Err(MediaError::Shape { what });
        };
        let cell_width = widest.max(self.min_cell_width);
        let columns = self.rows.iter().map(|row| row.cells.len()).max().unwrap_or(1).min(self.columns);
        let label_width = self.rows.iter().map(|row| STRONG.face().width(&row.label)).max().unwrap_or(0);
        let label_width = label_width.min(MAX_LABEL);
        let left = self.margin + if label_width > 0 { label_width + LABEL_SPACE } else { 0 };
        let title_width =
            TITLE.face().width(&self.title).max(TEXT.face().width(&self.subtitle)).min(MAX_TITLE);
        let grid_right = left + columns * cell_width + (columns - 1) * self.gap;

        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut y = self.margin + self.heading_height();
        for row in &self.rows {
            for (i, cells) in row.cells.chunks(self.columns).enumerate() {
                if !lines.is_empty() {
                    y += self.gap + self.gap / 2;
                }
                let label = (i == 0 && !row.label.is_empty()).then_some(row.label.as_str());
                let pictures = cells.iter().map(|cell| cell.image.height * self.zoom).max().unwrap_or(0);
                let picture_height = pictures.max(label.map_or(0, |_| STRONG.face().height()));
                lines.push(Line { top: y, picture_height, label, cells });
                let captions = cells.iter().map(|cell| cell.caption.len()).max().unwrap_or(0);
                let captions = if captions == 0 { 0 } else { CAPTION_SPACE + captions * CAPTION_LINE };
                y += picture_height + captions;
            }
        }
        let width = grid_right.max(self.margin + title_width) + self.margin;
        let height = y + self.margin;
        if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            let what = format!(
                "the sheet would be {width}×{height} pixels, and the limit is {} million together; take fewer or smaller pictures",
                MAX_PIXELS / 1_000_000
            );
            return Err(MediaError::Shape { what });
        }
        Ok(Layout { width, height, left, cell_width, label_width, lines })
    }

    fn heading_height(&self) -> usize {
        let line =
            |text: &str, face: Face| if text.is_empty() { 0 } else { face.face().height() + TITLE_SPACE };
        let lines = line(&self.title, TITLE) + line(&self.subtitle, TEXT);
        if lines == 0 { 0 } else { lines + HEADING_SPACE - TITLE_SPACE }
    }
}

struct Layout<'a> {
    width: usize,
    height: usize,
    /// Where the first column begins.
    left: usize,
    cell_width: usize,
    label_width: usize,
    lines: Vec<Line<'a>>,
}

/// One line of pictures.
struct Line<'a> {
    top: usize,
    /// Of the highest picture, and of the label.
    picture_height: usize,
    label: Option<&'a str>,
    cells: &'a [Cell],
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

/// Copies a picture to `x`, `y`, every pixel as a square of `zoom`. It lies inside the canvas.
fn paste(canvas: &mut Image, image: &Image, x: usize, y: usize, zoom: usize) {
    let (width, pixels) = (canvas.width, canvas.width * canvas.height);
    for channel in 0..3 {
        let plane = image.plane(channel);
        for row in 0..image.height * zoom {
            let source = &plane[row / zoom * image.width..][..image.width];
            let start = channel * pixels + (y + row) * width + x;
            let target = &mut canvas.rgb[start..start + image.width * zoom];
            for (column, value) in target.iter_mut().enumerate() {
                *value = source[column / zoom];
            }
        }
    }
}

#[cfg(test)]
mod tests;
