//! The data series of a plot.

use crate::{MediaError, Result};

/// Series colours that people with any colour vision can tell apart: Okabe & Ito, *Color Universal Design*
/// (2008), <https://jfly.uni-koeln.de/color/>. Their yellow is left out, because it is hard to see on white.
pub(super) const PALETTE: [[u8; 3]; 7] = [
    [0x00, 0x72, 0xb2], // blue
    [0xd5, 0x5e, 0x00], // vermillion
    [0x00, 0x9e, 0x73], // bluish green
    [0xcc, 0x79, 0xa7], // reddish purple
    [0xe6, 0x9f, 0x00], // orange
    [0x56, 0xb4, 0xe9], // sky blue
    [0x00, 0x00, 0x00], // black
];

/// One line, set of points or set of bars of a [`Plot`](super::Plot). Its name stands in the legend, unless
/// it is empty. Values that are NaN or infinite are gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) spread: Spread,
    pub(super) color: Option<[u8; 3]>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Line,
    Points,
    Bars,
    /// Touching bars; the values are the edges of the bins.
    Histogram(Vec<f64>),
}

/// The uncertainty of the points, and how it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Spread {
    None,
    Band(Vec<(f64, f64)>),
    Errors(Vec<f64>),
}

impl Series {
    fn new(name: impl Into<String>, kind: Kind, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), kind, points, spread: Spread::None, color: None }
    }

    /// Makes a series of points joined by a line in the order given. Each point has a marker; if points are
    /// dense, only some do.
    pub fn line(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Line, points.to_vec())
    }

    /// Makes a series of markers without lines.
    pub fn points(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Points, points.to_vec())
    }

    /// Makes a series of bars from zero to y at each x. Bars of several series at the same x stand side by
    /// side.
    pub fn bars(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Bars, points.to_vec())
    }

    /// Makes a histogram of touching bars: `counts[i]` reaches from `edges[i]` to `edges[i + 1]`. Histograms
    /// of several series overlap transparently.
    pub fn histogram(name: impl Into<String>, edges: &[f64], counts: &[f64]) -> Series {
        let middles = edges.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0);
        // There are as many points as counts, so that [`Plot::render`](super::Plot::render) can report a
        // wrong number of edges.
        let middles = middles.chain(std::iter::repeat(f64::NAN));
        let points = middles.zip(counts.iter().copied()).collect();
        Series::new(name, Kind::Histogram(edges.to_vec()), points)
    }

    /// Adds a pale band from a lower to an upper value at each point, such as a confidence interval. It
    /// replaces error bars. Where a logarithmic axis cannot show the lower value, the band reaches down to
    /// the axis.
    pub fn band(mut self, bounds: &[(f64, f64)]) -> Series {
        self.spread = Spread::Band(bounds.to_vec());
        self
    }

    /// Adds error bars from y − e to y + e at each point; they replace a band.
    pub fn error_bars(mut self, errors: &[f64]) -> Series {
        self.spread = Spread::Errors(errors.to_vec());
        self
    }

    /// Sets the series' colour (red, green, blue) in place of the palette's next one.
    pub fn color(mut self, color: [u8; 3]) -> Series {
        self.color = Some(color);
        self
    }

    /// Returns an error unless the numbers of bounds, errors and edges fit the number of points.
    pub(super) fn check(&self) -> Result<()> {
        let points = self.points.len();
        let (given, needed, what) = match (&self.spread, &self.kind) {
            (Spread::Band(bounds), _) if bounds.len() != points => (bounds.len(), points, "band bounds"),
            (Spread::Errors(errors), _) if errors.len() != points => (errors.len(), points, "error bars"),
            (_, Kind::Histogram(edges)) if edges.len() != points + 1 => {
                (edges.len(), points + 1, "edges of bins")
            }
            _ => return Ok(()),
        };
        Err(MediaError::Shape {
            what: format!(
                "the series `{}` has {points} values and {given} {what}; it needs {needed}",
                self.name
            ),
        })
    }

    /// Returns for each point the lower end of its band or error bar, its value, and the upper end.
    pub(super) fn extents(&self) -> impl Iterator<Item = [f64; 3]> {
        self.points.iter().enumerate().map(|(i, &(_, y))| match &self.spread {
            Spread::None => [y; 3],
            Spread::Band(bounds) => [bounds[i].0, y, bounds[i].1],
            Spread::Errors(errors) => [y - errors[i], y, y + errors[i]],
        })
    }

    pub(super) fn has_bars(&self) -> bool {
        matches!(self.kind, Kind::Bars | Kind::Histogram(_))
    }
}
