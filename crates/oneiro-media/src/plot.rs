//! Plots of numbers as pictures: lines with bands or error bars, points, bars and histograms.
//!
//! ```text
//! ┌ title ──────────────────────┐
//! │ subtitle                    │
//! │ ─●─ one  ─■─ two            │   legend, in rows
//! │  y │         band           │
//! │  l │    ●────●              │
//! │  a │ ──●                    │
//! │  b └───────────────────     │
//! │     name or number          │   names are turned upwards where they have no room
//! └──────────── x label ────────┘
//! ```
//!
//! ```
//! use oneiro_media::{Plot, PngText, Series, encode_png};
//!
//! let depth = ["conv1", "conv2", "conv3", "conv4"];
//! let similarity = [(0.0, 0.99), (1.0, 0.91), (2.0, 0.74), (3.0, 0.58)];
//! let interval = [(0.98, 1.0), (0.88, 0.94), (0.69, 0.8), (0.5, 0.66)];
//! let plot = Plot::new(800, 500)
//!     .title("Similarity of two trainings, layer by layer")
//!     .y_label("CKA")
//!     .x_names(&depth)
//!     .series(Series::line("same data", &similarity).band(&interval))
//!     .series(Series::line("shuffled", &[(0.0, 0.4), (1.0, 0.31), (2.0, f64::NAN), (3.0, 0.2)]));
//! let png = encode_png(&plot.render()?, &PngText::default())?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), oneiro_media::MediaError>(())
//! ```
//!
//! Letters are 7 and 11 pixels high, lines of text 17 and 24, whatever the size of the picture.
//!
//! *Rationale*: shapes and axes are drawn here, not by `plotters`. Its thick lines have miters of any length,
//! so that a dense spectrum shoots far beyond its values. It cuts nothing off at the frame, and has no halos
//! around markers, no common powers of ten and no names that turn where room is short.

mod axis;
mod brush;
mod draw;
mod layout;
mod series;

use crate::{Image, MediaError, Result};
use oneiro_image::MAX_PIXELS;
pub use series::Series;

/// The smallest plot, pixels.
const MIN_SIZE: (usize, usize) = (240, 160);

/// A plot: what is set here, then [`Plot::render`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    width: usize,
    height: usize,
    title: String,
    subtitle: String,
    x: AxisOptions,
    y: AxisOptions,
    x_names: Vec<String>,
    series: Vec<Series>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct AxisOptions {
    label: String,
    log: bool,
    range: Option<(f64, f64)>,
}

impl Plot {
    /// An empty plot of this size in pixels, at least 240×160. 800×500 suits a page.
    pub fn new(width: usize, height: usize) -> Plot {
        Plot {
            width,
            height,
            title: String::new(),
            subtitle: String::new(),
            x: AxisOptions::default(),
            y: AxisOptions::default(),
            x_names: Vec::new(),
            series: Vec::new(),
        }
    }

    /// In large letters above everything, in up to two lines.
    pub fn title(mut self, title: impl Into<String>) -> Plot {
        self.title = title.into();
        self
    }

    /// In pale letters below the title, in up to two lines.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Plot {
        self.subtitle = subtitle.into();
        self
    }

    /// The quantity on the x axis, with its unit.
    pub fn x_label(mut self, label: impl Into<String>) -> Plot {
        self.x.label = label.into();
        self
    }

    /// The quantity on the y axis, with its unit; its text reads upwards.
    pub fn y_label(mut self, label: impl Into<String>) -> Plot {
        self.y.label = label.into();
        self
    }

    /// Makes the x axis logarithmic; zero and negative values are gaps. With names it has no effect.
    pub fn log_x(mut self) -> Plot {
        self.x.log = true;
        self
    }

    /// Makes the y axis logarithmic; zero and negative values are gaps, and bars begin at the axis.
    pub fn log_y(mut self) -> Plot {
        self.y.log = true;
        self
    }

    /// Shows x between these two values, in place of a range around the data. With names it has no effect.
    pub fn x_range(mut self, from: f64, to: f64) -> Plot {
        self.x.range = Some((from, to));
        self
    }

    /// Shows y between these two values, in place of a range around the data; what leaves it is cut off.
    pub fn y_range(mut self, from: f64, to: f64) -> Plot {
        self.y.range = Some((from, to));
        self
    }

    /// Puts names on the x axis, of layers or classes say, in place of numbers: the points at x = 0 belong to
    /// the first, those at x = 1 to the second. Where they do not fit side by side they are turned to read
    /// upwards, and where even that is too tight, only every other (third, …) is written.
    pub fn x_names(mut self, names: &[impl AsRef<str>]) -> Plot {
        self.x_names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Adds data.
    pub fn series(mut self, series: Series) -> Plot {
        self.series.push(series);
        self
    }

    /// Draws the plot, on white. The same plot gives the same picture, bit for bit.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a picture that is too small for its axes or has more than 128 megapixels, a
    /// series whose bounds, errors or edges do not match its points, a point beyond the names of the x axis,
    /// and a range that is empty, infinite, or not above zero on a logarithmic axis.
    pub fn render(&self) -> Result<Image> {
        self.check()?;
        draw::draw(self, &layout::layout(self)?)
    }

    fn check(&self) -> Result<()> {
        let fail = |what: String| Err(MediaError::Shape { what });
        let (width, height) = (self.width, self.height);
        if width < MIN_SIZE.0 || height < MIN_SIZE.1 {
            return fail(format!(
                "a plot needs at least {}×{} pixels; this one has {width}×{height}",
                MIN_SIZE.0, MIN_SIZE.1
            ));
        }
        if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            return fail(format!(
                "the plot would be {width}×{height} pixels, and the limit is {} million together",
                MAX_PIXELS / 1_000_000
            ));
        }
        for (name, axis) in [("x", &self.x), ("y", &self.y)] {
            if let Some((from, to)) = axis.range {
                let fits = from < to && (to - from).is_finite() && (from > 0.0 || !axis.log);
                if !fits {
                    let log = if axis.log { ", above zero on a logarithmic axis" } else { "" };
                    return fail(format!(
                        "the {name} range {from} to {to} is none; give two finite numbers, the smaller first{log}"
                    ));
                }
            }
        }
        for series in &self.series {
            series.check()?;
            let names = self.x_names.len();
            let nameless = |x: f64| x.is_finite() && !(-0.5..=names as f64 - 0.5).contains(&x);
            if names > 0
                && let Some((x, _)) = series.points.iter().find(|(x, _)| nameless(*x))
            {
                return fail(format!(
                    "the series `{}` has a point at x = {x}, and the {names} names of the x axis are for x = 0 to {}; \
                     give a name for each point",
                    series.name,
                    names - 1
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
