//! Draws numbers as plots: lines with bands or error bars, points, bars and histograms.
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
//! Lower-case letters are 7 and 11 pixels high and lines of text 17 and 24, whatever the plot's size.
//!
//! *Rationale*: this module draws shapes and axes itself instead of using `plotters`. The miters of its thick
//! lines are unlimited, so a dense spectrum shoots far beyond its values. It clips nothing at the frame. It
//! has no halos around markers, no common powers of ten, and no names that turn where room is short.

mod axis;
mod brush;
mod draw;
mod layout;
mod series;

use crate::{Image, MediaError, Result};
use oneiro_image::MAX_PIXELS;
pub use series::Series;

/// Width and height of the smallest plot, in pixels.
const MIN_SIZE: (usize, usize) = (240, 160);

/// A plot of numbers. Methods set its parts; [`Plot::render`] draws it.
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
    /// Makes an empty plot of this size in pixels, at least 240×160. 800×500 suits a page.
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

    /// Sets the title: large letters above the plot, in up to two lines.
    pub fn title(mut self, title: impl Into<String>) -> Plot {
        self.title = title.into();
        self
    }

    /// Sets the subtitle: pale letters below the title, in up to two lines.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Plot {
        self.subtitle = subtitle.into();
        self
    }

    /// Sets the x axis's label: the quantity, with its unit.
    pub fn x_label(mut self, label: impl Into<String>) -> Plot {
        self.x.label = label.into();
        self
    }

    /// Sets the y axis's label: the quantity, with its unit. Its text reads upwards.
    pub fn y_label(mut self, label: impl Into<String>) -> Plot {
        self.y.label = label.into();
        self
    }

    /// Makes the x axis logarithmic; points at zero or below are gaps. This has no effect if the axis has
    /// names.
    pub fn log_x(mut self) -> Plot {
        self.x.log = true;
        self
    }

    /// Makes the y axis logarithmic; points at zero or below are gaps, and bars begin at the axis.
    pub fn log_y(mut self) -> Plot {
        self.y.log = true;
        self
    }

    /// Sets the x axis's range; by default it surrounds the data. This has no effect if the axis has names.
    pub fn x_range(mut self, from: f64, to: f64) -> Plot {
        self.x.range = Some((from, to));
        self
    }

    /// Sets the y axis's range; by default it surrounds the data. Values outside are cut off.
    pub fn y_range(mut self, from: f64, to: f64) -> Plot {
        self.y.range = Some((from, to));
        self
    }

    /// Puts names, such as those of layers or classes, on the x axis in place of numbers. Points at x = 0
    /// belong to the first name, those at x = 1 to the second. Names that do not fit side by side are turned
    /// to read upwards. If even turned names do not fit, only every second (third, …) is written.
    pub fn x_names(mut self, names: &[impl AsRef<str>]) -> Plot {
        self.x_names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Adds a line, set of points, bars or a histogram.
    pub fn series(mut self, series: Series) -> Plot {
        self.series.push(series);
        self
    }

    /// Draws the plot on white. Equal plots give equal pictures, bit for bit.
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
