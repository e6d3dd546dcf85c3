//! Where everything of a plot goes.

use super::axis::{Axis, Ticks};
use super::brush::Area;
use super::series::{Kind, Series};
use super::{AxisOptions, Plot};
use crate::font::{TEXT, TITLE};
use crate::{MediaError, Result};

/// Pixels around everything.
pub(super) const MARGIN: usize = 18;
/// Pixels from the frame to the right edge: half a number may stand out.
const RIGHT: usize = 28;
/// Length of a mark beside the axis.
pub(super) const MARK: usize = 5;
/// Pixels between a mark and its number.
pub(super) const MARK_SPACE: usize = 4;
/// Pixels between the numbers and the label of an axis.
const LABEL_SPACE: usize = 8;
/// Pixels between headings, legend and frame.
const HEADING_SPACE: usize = 10;
/// The least between two numbers or names side by side.
const NAME_SPACE: usize = 10;
/// Pixels between two numbers of the y axis, about.
const Y_SPACING: usize = 48;
/// Pixels between two numbers of the x axis, about, if they are short.
const X_SPACING: usize = 70;
/// The smallest frame, pixels a side.
const MIN_FRAME: usize = 48;
/// Names that are turned upwards get at most this part of the height.
const MAX_TURNED: usize = 3;
/// Length of a line in the legend.
pub(super) const SAMPLE: usize = 30;
/// Pixels between a line in the legend and its name.
pub(super) const SAMPLE_SPACE: usize = 7;
/// Pixels between entries of the legend.
const ENTRY_SPACE: usize = 20;
/// The widest that names in the legend get before they are cut.
pub(super) const MAX_ENTRY: usize = 260;
/// Lines of a title or subtitle.
const HEADING_LINES: usize = 2;
/// Share of the space between two places that is filled with bars.
const BARS_PART: f64 = 0.78;

pub(super) struct Layout {
    /// The part in which data is drawn; its lower left pixel is where the axes meet.
    pub(super) frame: Area,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_ticks: Ticks,
    pub(super) y_ticks: Ticks,
    /// Whether the names of the x axis read upwards.
    pub(super) turned: bool,
    /// The longest that a name turned upwards gets.
    pub(super) turned_room: usize,
    pub(super) title: Vec<String>,
    pub(super) subtitle: Vec<String>,
    /// The top of the first row.
    pub(super) legend_top: usize,
    pub(super) legend_row: usize,
    /// Row, column in pixels and number of the series.
    pub(super) legend: Vec<(usize, usize, usize)>,
    /// The width of all bars at a place, in units of x.
    pub(super) bars_width: f64,
}

impl Layout {
    /// The pixel coordinate of a place along the x axis.
    pub(super) fn x_at(&self, place: f64) -> f64 {
        self.frame.left as f64 + place * (self.frame.right - self.frame.left) as f64
    }

    /// The pixel coordinate of a place along the y axis, which begins at the foot.
    pub(super) fn y_at(&self, place: f64) -> f64 {
        self.frame.bottom as f64 - place * (self.frame.bottom - self.frame.top) as f64
    }
}

pub(super) fn layout(plot: &Plot) -> Result<Layout> {
    let bars_width = BARS_PART * bar_spacing(&plot.series);
    let (x, y) = (x_axis(plot, bars_width), y_axis(plot));
    let line = TEXT.height();

    let heading_room = plot.width - 2 * MARGIN;
    let lines = |text: &str, face: crate::font::Face| match text {
        "" => Vec::new(),
        text => face.wrap(text, heading_room, HEADING_LINES),
    };
    let (title, subtitle) = (lines(&plot.title, TITLE), lines(&plot.subtitle, TEXT));
    let mut top = MARGIN + title.len() * TITLE.height() + subtitle.len() * line;
    if top > MARGIN {
        top += HEADING_SPACE;
    }
    let legend_top = top;
    let legend_row = line + 4;
    let legend = legend(plot);
    if let Some((row, ..)) = legend.last() {
        top += (row + 1) * legend_row + HEADING_SPACE;
    }

    let y_room = if plot.y.label.is_empty() { 0 } else { line + LABEL_SPACE };
    let x_room = if plot.x.label.is_empty() { 0 } else { line + LABEL_SPACE };
    let fits = |left: usize, bottom: usize, top: usize| {
        left + MIN_FRAME + RIGHT <= plot.width && top + MIN_FRAME + bottom <= plot.height
    };
    let too_small = || MediaError::Shape {
        what: format!(
            "the plot's labels leave too little of its {}×{} pixels for the data; make it larger, or its texts fewer",
            plot.width, plot.height
        ),
    };
    // Numbers of y decide the frame's width, that decides whether names are turned, that the frame's height,
    // and that the numbers of y: the second round begins with the first one's result.
    let turned_room = plot.height / MAX_TURNED;
    let mut names_height = line;
    let mut left = 0;
    let mut round = 0;
    loop {
        let bottom = MARGIN + x_room + names_height + MARK + MARK_SPACE;
        if !fits(left, bottom, top) {
            return Err(too_small());
        }
        let mut y_ticks = y.ticks((plot.height - top - bottom) / Y_SPACING);
        let mut frame_top = top;
        if y_ticks.factor.is_some() {
            frame_top += line;
            y_ticks = y.ticks((plot.height - frame_top - bottom) / Y_SPACING);
        }
        let widest = y_ticks.marks.iter().map(|(_, name)| TEXT.width(name)).max().unwrap_or(0);
        left = left.max(MARGIN + y_room + widest + MARK + MARK_SPACE);
        if !fits(left, bottom, frame_top) {
            return Err(too_small());
        }
        let width = plot.width - RIGHT - left;
        let (x_ticks, turned) = x_ticks(plot, &x, width);
        if turned {
            let names = x_ticks.marks.iter().map(|(_, name)| TEXT.width(name));
            names_height = names.max().unwrap_or(0).min(turned_room);
        }
        round += 1;
        if round == 2 {
            let bottom = MARGIN + x_room + names_height + MARK + MARK_SPACE;
            if !fits(left, bottom, frame_top) {
                return Err(too_small());
            }
            let frame =
                Area { left, top: frame_top, right: left + width - 1, bottom: plot.height - bottom - 1 };
            return Ok(Layout {
                frame,
                x,
                y,
                x_ticks,
                y_ticks,
                turned,
                turned_room,
                title,
                subtitle,
                legend_top,
                legend_row,
                legend,
                bars_width,
            });
        }
    }
}

fn axis(options: &AxisOptions, keep_sign: bool, values: impl Iterator<Item = f64>) -> Axis {
    match options.range {
        Some((from, to)) => Axis::exactly(options.log, from, to),
        None => Axis::around(options.log, keep_sign, values),
    }
}

fn x_axis(plot: &Plot, bars_width: f64) -> Axis {
    if !plot.x_names.is_empty() {
        return Axis::exactly(false, -0.5, plot.x_names.len() as f64 - 0.5);
    }
    let values = plot.series.iter().flat_map(|series| {
        let half = if matches!(series.kind, Kind::Bars) { bars_width / 2.0 } else { 0.0 };
        let edges = match &series.kind {
            Kind::Histogram(edges) => edges.as_slice(),
            _ => &[],
        };
        let points = series.points.iter().flat_map(move |&(x, _)| [x - half, x + half]);
        points.chain(edges.iter().copied())
    });
    axis(&plot.x, false, values)
}

fn y_axis(plot: &Plot) -> Axis {
    let feet = plot.series.iter().filter(|series| series.has_bars() && !plot.y.log).map(|_| 0.0);
    axis(&plot.y, true, plot.series.iter().flat_map(Series::extents).flatten().chain(feet))
}

/// The smallest distance between two places that have bars; 1 if there is but one.
fn bar_spacing(series: &[Series]) -> f64 {
    let bars = series.iter().filter(|series| matches!(series.kind, Kind::Bars));
    let mut places: Vec<f64> =
        bars.flat_map(|series| &series.points).map(|point| point.0).filter(|x| x.is_finite()).collect();
    places.sort_by(f64::total_cmp);
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.0);
    let smallest = gaps.fold(f64::INFINITY, f64::min);
    if smallest.is_finite() { smallest } else { 1.0 }
}

/// Numbers or names along the x axis, and whether they read upwards.
fn x_ticks(plot: &Plot, axis: &Axis, width: usize) -> (Ticks, bool) {
    let face = TEXT;
    let overlap = |ticks: &Ticks| {
        ticks.marks.windows(2).any(|pair| {
            let apart = (pair[1].0 - pair[0].0) * width as f64;
            let needed = (face.width(&pair[0].1) + face.width(&pair[1].1)) as f64 / 2.0;
            apart < needed + NAME_SPACE as f64
        })
    };
    if plot.x_names.is_empty() {
        let mut most = width / X_SPACING;
        let mut ticks = axis.ticks(most);
        while most > 2 && overlap(&ticks) {
            most -= 1;
            ticks = axis.ticks(most);
        }
        return (ticks, false);
    }
    let names = |stride: usize| {
        let every = plot.x_names.iter().enumerate().step_by(stride);
        let marks = every.filter_map(|(i, name)| Some((axis.place(i as f64)?, name.clone())));
        Ticks { marks: marks.collect(), ..Ticks::default() }
    };
    let level = names(1);
    if !overlap(&level) {
        return (level, false);
    }
    // A turned name needs the height of its letters.
    let stride = (plot.x_names.len() * face.height()).div_ceil(width).max(1);
    (names(stride), true)
}

/// The entries of the legend, in rows from left to right.
fn legend(plot: &Plot) -> Vec<(usize, usize, usize)> {
    let mut entries = Vec::new();
    let (mut row, mut x) = (0, MARGIN);
    for (i, series) in plot.series.iter().enumerate().filter(|(_, series)| !series.name.is_empty()) {
        let width = SAMPLE + SAMPLE_SPACE + TEXT.width(&series.name).min(MAX_ENTRY);
        if x > MARGIN && x + width > plot.width - MARGIN {
            (row, x) = (row + 1, MARGIN);
        }
        entries.push((row, x, i));
        x += width + ENTRY_SPACE;
    }
    entries
}
