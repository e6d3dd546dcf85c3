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
//! Pictures in a row are drawn about equally high: each pixel of a smaller picture becomes a square, as large
//! as the row's largest picture allows ([`Sheet::one_scale`] turns this off). Pictures stand on a common
//! line, above their captions. Each column is as wide as its widest cell. Rows with equally many pictures
//! share column widths.
//!
//! Transparent pixels show a checkerboard of two light greys behind them.

use std::collections::BTreeMap;

use crate::font::{Face, STRONG, TEXT, TITLE};
use oneiro_image::MAX_PIXELS;

use crate::alpha::check_alpha;
use crate::{Image, MediaError, Result};

/// Pixels between a picture and its caption.
const CAPTION_SPACE: usize = 5;
/// Distance in pixels from one caption line to the next.
const CAPTION_LINE: usize = 16;
/// Pixels below a sheet's title or subtitle.
const TITLE_SPACE: usize = 5;
/// Pixels between a sheet's headings and its pictures.
const HEADING_SPACE: usize = 15;
/// Pixels between a row's label and its first picture.
const LABEL_SPACE: usize = 16;
/// Largest width of a row's label in pixels; longer labels are shortened.
const MAX_LABEL: usize = 220;
/// Largest number of lines of a row's label.
const LABEL_LINES: usize = 4;
/// Side in pixels of the squares of the checkerboard behind transparent pictures.
const CHECKER: usize = 8;
/// The two grey values of the checkerboard.
const CHECKER_GREYS: [f32; 2] = [0.96, 0.86];
/// Largest width in pixels to which a sheet grows so that its title fits.
const MAX_TITLE: usize = 640;

/// One picture of a contact sheet, with its caption lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    image: Image,
    alpha: Option<Vec<f32>>,
    caption: Vec<String>,
}

impl Cell {
    /// Makes a cell with a picture and no caption.
    pub fn new(image: Image) -> Cell {
        Cell { image, alpha: None, caption: Vec::new() }
    }

    /// Makes the picture transparent. `alpha` has a value for each pixel, `[H, W]`, 0 transparent to 1
    /// opaque.
    pub fn alpha(mut self, alpha: Vec<f32>) -> Cell {
        self.alpha = Some(alpha);
        self
    }

    /// Adds a caption line below the picture: the first line in the text colour, later ones paler. A line
    /// wider than the cell is shortened with an ellipsis, or wrapped ([`Sheet::caption_lines`]).
    pub fn caption(mut self, line: impl Into<String>) -> Cell {
        self.caption.push(line.into());
        self
    }
}

/// A contact sheet: a grid of pictures. Methods set its parts; [`Sheet::render`] draws it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    columns: usize,
    gap: usize,
    margin: usize,
    zoom: usize,
    one_scale: bool,
    min_cell_width: usize,
    caption_lines: usize,
    background: [u8; 3],
    title: String,
    subtitle: String,
    rows: Vec<Row>,
}

/// A labelled row of cells; it wraps after the sheet's number of columns.
#[derive(Debug, Clone, PartialEq, Default)]
struct Row {
    label: String,
    cells: Vec<Cell>,
}

impl Sheet {
    /// Makes an empty sheet with this number of columns (at least one), on white.
    pub fn new(columns: usize) -> Sheet {
        Sheet {
            columns: columns.max(1),
            gap: 12,
            margin: 24,
            zoom: 1,
            one_scale: false,
            min_cell_width: 0,
            caption_lines: 1,
            background: [255; 3],
            title: String::new(),
            subtitle: String::new(),
            rows: Vec::new(),
        }
    }

    /// Sets the title: a line in large letters above the pictures.
    pub fn title(mut self, title: impl Into<String>) -> Sheet {
        self.title = title.into();
        self
    }

    /// Sets the subtitle: a pale line below the title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Sheet {
        self.subtitle = subtitle.into();
        self
    }

    /// Sets the pixels between pictures (default 12). The vertical distance between rows is half as much
    /// again.
    pub fn gap(mut self, gap: usize) -> Sheet {
        self.gap = gap;
        self
    }

    /// Sets the pixels of margin around the sheet (default 24).
    pub fn margin(mut self, margin: usize) -> Sheet {
        self.margin = margin;
        self
    }

    /// Draws each pixel of the pictures as a square with this side in pixels, for networks with small input.
    pub fn zoom(mut self, zoom: usize) -> Sheet {
        self.zoom = zoom.max(1);
        self
    }

    /// Draws all pictures at the same scale, so that their sizes can be compared.
    pub fn one_scale(mut self) -> Sheet {
        self.one_scale = true;
        self
    }

    /// Sets the least width of a cell in pixels, so that captions of small pictures have room.
    pub fn min_cell_width(mut self, width: usize) -> Sheet {
        self.min_cell_width = width;
        self
    }

    /// Wraps each line of a caption that is wider than its cell into at most this many lines (default 1).
    pub fn caption_lines(mut self, lines: usize) -> Sheet {
        self.caption_lines = lines.max(1);
        self
    }

    /// Sets the background colour (red, green, blue). Letters are dark on a light background and light on a
    /// dark one.
    pub fn background(mut self, background: [u8; 3]) -> Sheet {
        self.background = background;
        self
    }

    /// Starts a new row with a label on its left. The cells added next belong to this row and wrap under it.
    /// A long label wraps if its row is high enough, and otherwise ends in an ellipsis.
    pub fn row(mut self, label: impl Into<String>) -> Sheet {
        self.rows.push(Row { label: label.into(), cells: Vec::new() });
        self
    }

    /// Adds a picture to the current row.
    pub fn cell(mut self, cell: Cell) -> Sheet {
        match self.rows.last_mut() {
            Some(row) => row.cells.push(cell),
            None => self.rows.push(Row { label: String::new(), cells: vec![cell] }),
        }
        self
    }

    /// Adds several pictures to the current row.
    pub fn cells(self, cells: impl IntoIterator<Item = Cell>) -> Sheet {
        cells.into_iter().fold(self, Sheet::cell)
    }

    /// Draws the sheet as one picture.
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
            let cells = line.cells.iter().zip(&line.captions);
            for (((cell, caption), &zoom), &width) in cells.zip(&line.zooms).zip(&line.widths) {
                let foot = line.top + line.picture_height;
                paste(&mut canvas, cell, x, foot - cell.image.height * zoom, zoom);
                for (i, (is_first, text)) in caption.iter().enumerate() {
                    let color = if *is_first { ink.text } else { ink.pale };
                    let top = foot + CAPTION_SPACE + i * CAPTION_LINE;
                    TEXT.draw(&mut canvas, x, top, width, text, color);
                }
                x += width + self.gap;
            }
        }
        Ok(canvas)
    }

    /// Computes the place of every row and column of the sheet.
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
        // For each number of columns, the column widths that all rows with this number share.
        let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in &self.rows {
            let shared = row.cells.len().min(self.columns);
            for (i, cells) in row.cells.chunks(self.columns).enumerate() {
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
                let (widths, captions) = (Vec::new(), Vec::new());
                lines.push(Line { top: 0, picture_height, label, cells, captions, zooms, shared, widths });
            }
        }
        // Captions wrap within their columns, so the rows' places follow from the columns' widths.
        let mut y = self.margin + self.heading_height();
        for (i, line) in lines.iter_mut().enumerate() {
            if i > 0 {
                y = y.saturating_add(self.gap + self.gap / 2);
            }
            line.top = y;
            line.widths = columns.get(&line.shared).cloned().unwrap_or_default();
            let cells = line.cells.iter().zip(&line.widths);
            line.captions = cells.map(|(cell, width)| self.wrapped(cell, *width)).collect();
            let captions = line.captions.iter().map(Vec::len).max().unwrap_or(0);
            let captions = if captions == 0 { 0 } else { CAPTION_SPACE + captions * CAPTION_LINE };
            y = y.saturating_add(line.picture_height).saturating_add(captions);
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

    /// Returns the lines of a cell's caption as they are drawn, and whether they belong to its first line.
    fn wrapped(&self, cell: &Cell, width: usize) -> Vec<(bool, String)> {
        let of = |(i, text): (usize, &String)| {
            let lines = match self.caption_lines {
                1 => vec![text.clone()],
                lines => TEXT.wrap(text, width, lines),
            };
            lines.into_iter().map(move |line| (i == 0, line))
        };
        cell.caption.iter().enumerate().flat_map(of).collect()
    }

    /// Returns, for each picture of a row, the side of the square that one of its pixels is drawn as.
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
    /// Pixel column where the sheet's first picture column begins.
    left: usize,
    label_width: usize,
    lines: Vec<Line<'a>>,
}

/// One line of pictures of a sheet; a row that wraps has several.
struct Line<'a> {
    top: usize,
    /// Height in pixels of the highest picture or of the label, whichever is larger.
    picture_height: usize,
    label: Vec<String>,
    cells: &'a [Cell],
    /// For each cell the lines of its caption, and whether each belongs to the caption's first line.
    captions: Vec<Vec<(bool, String)>>,
    /// How many times each picture of the line is enlarged.
    zooms: Vec<usize>,
    /// Number of columns of the line's row; rows with equally many columns share their widths.
    shared: usize,
    /// Width in pixels of each column.
    widths: Vec<usize>,
}

/// The text colours of a sheet, which depend on its background.
struct Ink {
    text: [f32; 3],
    pale: [f32; 3],
}

impl Ink {
    fn on(paper: [f32; 3]) -> Ink {
        // Rec. 601 luma tells whether the background is lighter or darker than middle grey.
        let luma = 0.299 * paper[0] + 0.587 * paper[1] + 0.114 * paper[2];
        if luma > 0.5 {
            Ink { text: [0.13, 0.14, 0.16], pale: [0.41, 0.43, 0.46] }
        } else {
            Ink { text: [0.92, 0.93, 0.94], pale: [0.62, 0.64, 0.67] }
        }
    }
}

/// Draws a cell's picture at `x`, `y`, each pixel as a square of side `zoom`. Transparent parts show the
/// checkerboard. The picture must lie inside the canvas.
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
