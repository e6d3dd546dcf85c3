//! The data of a plot.

use crate::{MediaError, Result};

/// Colours that people with any colour vision tell apart: Okabe & Ito, *Color Universal Design* (2008),
/// <https://jfly.uni-koeln.de/color/>. The eighth, yellow, is left out, for it is hard to see on white.
pub(super) const PALETTE: [[u8; 3]; 7] = [
    [0x00, 0x72, 0xb2], // blue
    [0xd5, 0x5e, 0x00], // vermillion
    [0x00, 0x9e, 0x73], // bluish green
    [0xcc, 0x79, 0xa7], // reddish purple
    [0xe6, 0x9f, 0x00], // orange
    [0x56, 0xb4, 0xe9], // sky blue
    [0x00, 0x00, 0x00], // black
];

/// One line, set of points or set of bars of a [`Plot`](super::Plot), with its name in the legend (none if it
/// is empty). Values that are NaN or infinite are gaps.
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
    /// Bars that touch, between these edges.
    Histogram(Vec<f64>),
}

/// How the uncertainty of the points is drawn.
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

    /// Points joined by a line in the order given, with a marker on each (on some of them, if they are
    /// dense).
    pub fn line(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Line, points.to_vec())
    }

    /// Markers alone.
    pub fn points(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Points, points.to_vec())
    }

    /// A bar at each x, from zero to y. Bars of several series at the same x stand side by side.
    pub fn bars(name: impl Into<String>, points: &[(f64, f64)]) -> Series {
        Series::new(name, Kind::Bars, points.to_vec())
    }

    /// Bars that touch: `counts[i]` from `edges[i]` to `edges[i + 1]`. Histograms of several series lie over
    /// one another, and shine through.
    pub fn histogram(name: impl Into<String>, edges: &[f64], counts: &[f64]) -> Series {
        let middles = edges.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0);
        // As many points as counts, so that a wrong number of edges is found when the plot is drawn.
        let middles = middles.chain(std::iter::repeat(f64::NAN));
        let points = middles.zip(counts.iter().copied()).collect();
        Series::new(name, Kind::Histogram(edges.to_vec()), points)
    }

    /// A pale band from the lower to the upper value at each point, say a confidence interval. It replaces
    /// error bars. Where a logarithmic axis cannot show the lower value, the band reaches down to the axis.
    pub fn band(mut self, bounds: &[(f64, f64)]) -> Series {
        self.spread = Spread::Band(bounds.to_vec());
        self
    }

    /// A bar from y − e to y + e at each point. They replace a band.
    pub fn error_bars(mut self, errors: &[f64]) -> Series {
        self.spread = Spread::Errors(errors.to_vec());
        self
    }

    /// Red, green, blue, in place of the palette's next colour.
    pub fn color(mut self, color: [u8; 3]) -> Series {
        self.color = Some(color);
        self
    }

    /// Whether as many bounds, errors and edges were given as the points need.
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

    /// The lower and upper end of what is drawn at each point, itself included.
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
