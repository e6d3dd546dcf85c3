//! Computes the place of every part of a plot.

use super::axis::{Axis, Ticks};
use super::brush::Area;
use super::series::{Kind, Series};
use super::{AxisOptions, Plot};
use crate::font::{TEXT, TITLE};
use crate::{MediaError, Result};

/// Width of the plot's margin in pixels.
pub(super) const MARGIN: usize = 18;
/// Pixels from the frame to the picture's right edge, where half of a number may stick out.
const RIGHT: usize = 28;
/// Length in pixels of an axis's tick mark.
pub(super) const MARK: usize = 5;
/// Pixels between a tick mark and its number.
pub(super) const MARK_SPACE: usize = 4;
/// Pixels between an axis's numbers and its label.
const LABEL_SPACE: usize = 8;
/// Pixels between headings, legend and frame.
const HEADING_SPACE: usize = 10;
/// Least distance in pixels between two numbers or names side by side.
const NAME_SPACE: usize = 10;
/// About how many pixels lie between two numbers of the y axis.
const Y_SPACING: usize = 48;
/// About how many pixels lie between two numbers of the x axis, if they are short.
const X_SPACING: usize = 70;
/// Smallest width and height in pixels of the frame that contains the data.
const MIN_FRAME: usize = 48;
/// Names turned upwards get at most one part in this number of the plot's height.
const MAX_TURNED: usize = 3;
/// Length in pixels of a line sample in the legend.
pub(super) const SAMPLE: usize = 30;
/// Pixels between a line sample in the legend and its name.
pub(super) const SAMPLE_SPACE: usize = 7;
/// Pixels between two entries of the legend.
const ENTRY_SPACE: usize = 20;
/// Largest width of a name in the legend in pixels; longer names are shortened.
pub(super) const MAX_ENTRY: usize = 260;
/// Largest number of lines of a title or subtitle.
const HEADING_LINES: usize = 2;
/// Share of the distance between two places on the x axis that bars fill.
const BARS_PART: f64 = 0.78;

pub(super) struct Layout {
    /// The area in which data is drawn; the axes meet at its lower left pixel.
    pub(super) frame: Area,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_ticks: Ticks,
    pub(super) y_ticks: Ticks,
    /// Whether the names of the x axis are turned to read upwards.
    pub(super) turned: bool,
    /// Largest length in pixels of a name that is turned upwards.
    pub(super) turned_room: usize,
    pub(super) title: Vec<String>,
    pub(super) subtitle: Vec<String>,
    /// Pixel row of the top of the legend's first row.
    pub(super) legend_top: usize,
    pub(super) legend_row: usize,
    /// Entries of the legend: row, column in pixels, and number of the series.
    pub(super) legend: Vec<(usize, usize, usize)>,
    /// Total width of all bars at one place, in units of x.
    pub(super) bars_width: f64,
}

impl Layout {
    /// Returns the pixel coordinate of a place (0–1) along the x axis.
    pub(super) fn x_at(&self, place: f64) -> f64 {
        self.frame.left as f64 + place * (self.frame.right - self.frame.left) as f64
    }

    /// Returns the pixel coordinate of a place (0–1) along the y axis, which begins at the bottom.
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
    // The sizes depend on each other in a circle: the y numbers' width sets the frame's width, which decides
    // whether names are turned. Turned names set the frame's height, which decides the y numbers. The second
    // round starts from the first one's result.
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

/// Returns the smallest distance between two places with bars; 1 if there is only one place.
fn bar_spacing(series: &[Series]) -> f64 {
    let bars = series.iter().filter(|series| matches!(series.kind, Kind::Bars));
    let mut places: Vec<f64> =
        bars.flat_map(|series| &series.points).map(|point| point.0).filter(|x| x.is_finite()).collect();
    places.sort_by(f64::total_cmp);
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.0);
    let smallest = gaps.fold(f64::INFINITY, f64::min);
    if smallest.is_finite() { smallest } else { 1.0 }
}

/// Returns the numbers or names along the x axis, and whether names are turned to read upwards.
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
    // A turned name takes up the height of a line along the axis.
    let stride = (plot.x_names.len() * face.height()).div_ceil(width).max(1);
    (names(stride), true)
}

/// Places the legend's entries in rows from left to right.
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
