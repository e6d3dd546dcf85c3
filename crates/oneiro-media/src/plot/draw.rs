//! Draws a plot: the grid, then the data, then axes and text. Pale shapes come before strong ones.

use super::Plot;
use super::brush::{Area, MARKER_RADIUS, Marker, Mask};
use super::layout::{Layout, MARGIN, MARK, MARK_SPACE, MAX_ENTRY, SAMPLE, SAMPLE_SPACE};
use super::series::{Kind, PALETTE, Series, Spread};
use crate::font::{TEXT, TITLE, blend};
use crate::{Image, Result};

const PAPER: [f32; 3] = [1.0; 3];
const TEXT_INK: [f32; 3] = [0.13, 0.14, 0.16];
const PALE_INK: [f32; 3] = [0.36, 0.38, 0.41];
const AXIS_INK: [f32; 3] = [0.35, 0.37, 0.40];
const GRID_INK: [f32; 3] = [0.91, 0.915, 0.925];
/// Width of the lines of data series, in pixels.
const LINE: f64 = 2.0;
/// Width of the lines of error bars, in pixels.
const ERROR_LINE: f64 = 1.4;
/// Half the width of the caps at the ends of error bars, in pixels.
const ERROR_CAP: f64 = 4.0;
const BAND_OPACITY: f32 = 0.2;
const HISTOGRAM_OPACITY: f32 = 0.45;
/// Mean distance of points in pixels below which only some of them get a marker.
const DENSE: f64 = 16.0;
/// Distance between markers in pixels where points are dense.
const MARKER_SPACING: f64 = 64.0;
/// Where points are dense, each series' markers begin this many pixels after those of the series before it.
const MARKER_SHIFT: f64 = 17.0;
/// Pixels by which lines and markers may reach beyond the plot's frame.
const OVERHANG: usize = 2;

pub(super) fn draw(plot: &Plot, layout: &Layout) -> Result<Image> {
    let mut canvas = Image::filled(plot.width, plot.height, PAPER);
    grid(&mut canvas, plot, layout);
    let pens: Vec<Pen<'_>> = plot.series.iter().enumerate().map(|(i, s)| Pen::new(i, s, layout)).collect();
    for pen in &pens {
        pen.band(&mut canvas);
    }
    let groups: Vec<usize> = (0..pens.len()).filter(|&i| matches!(pens[i].series.kind, Kind::Bars)).collect();
    for pen in pens.iter().filter(|pen| pen.series.has_bars()) {
        let group = groups.iter().position(|&i| i == pen.number).unwrap_or(0);
        pen.bars(&mut canvas, group, groups.len());
    }
    axes(&mut canvas, layout);
    for pen in pens.iter().filter(|pen| !pen.series.has_bars()) {
        pen.errors(&mut canvas);
        pen.line(&mut canvas);
    }
    // Markers are drawn above all lines, because they tell which line is which.
    for pen in pens.iter().filter(|pen| !pen.series.has_bars()) {
        pen.markers(&mut canvas);
    }
    words(&mut canvas, plot, layout);
    for &(row, x, number) in &layout.legend {
        pens[number].entry(&mut canvas, x, layout.legend_top + row * layout.legend_row, layout);
    }
    Ok(canvas)
}

/// Draws a line one pixel wide from one pixel to another, both included.
fn rule(canvas: &mut Image, from: (usize, usize), to: (usize, usize), ink: [f32; 3]) {
    for y in from.1..=to.1 {
        for x in from.0..=to.0 {
            blend(canvas, x, y, ink, 1.0);
        }
    }
}

fn grid(canvas: &mut Image, plot: &Plot, layout: &Layout) {
    let Area { left, top, right, bottom } = layout.frame;
    for (place, _) in &layout.y_ticks.marks {
        let y = layout.y_at(*place).round() as usize;
        rule(canvas, (left, y), (right, y), GRID_INK);
    }
    let has_bars = plot.series.iter().any(Series::has_bars);
    for (place, _) in layout.x_ticks.marks.iter().filter(|_| !has_bars) {
        let x = layout.x_at(*place).round() as usize;
        rule(canvas, (x, top), (x, bottom), GRID_INK);
    }
}

fn axes(canvas: &mut Image, layout: &Layout) {
    let Area { left, top, right, bottom } = layout.frame;
    rule(canvas, (left, top), (left, bottom), AXIS_INK);
    rule(canvas, (left, bottom), (right, bottom), AXIS_INK);
    // If zero is inside the axis's range, a stronger line marks it for comparison.
    if let Some(zero) = layout.y.place(0.0).filter(|place| *place > 0.0 && *place < 1.0) {
        let y = layout.y_at(zero).round() as usize;
        rule(canvas, (left, y), (right, y), AXIS_INK);
    }
    let marks = |places: &super::axis::Ticks| {
        let long = places.marks.iter().map(|mark| (mark.0, MARK)).collect::<Vec<_>>();
        long.into_iter().chain(places.minor.clone().into_iter().map(|place| (place, MARK / 2)))
    };
    for (place, length) in marks(&layout.y_ticks) {
        let y = layout.y_at(place).round() as usize;
        rule(canvas, (left - length, y), (left, y), AXIS_INK);
    }
    for (place, length) in marks(&layout.x_ticks) {
        let x = layout.x_at(place).round() as usize;
        rule(canvas, (x, bottom), (x, bottom + length), AXIS_INK);
    }
}

fn words(canvas: &mut Image, plot: &Plot, layout: &Layout) {
    let face = TEXT;
    let (width, line) = (plot.width, face.height());
    let room = width - 2 * MARGIN;
    let mut y = MARGIN;
    for text in &layout.title {
        TITLE.draw(canvas, MARGIN, y, room, text, TEXT_INK);
        y += TITLE.height();
    }
    for text in &layout.subtitle {
        face.draw(canvas, MARGIN, y, room, text, PALE_INK);
        y += line;
    }

    let Area { left, top, right, bottom } = layout.frame;
    for (place, name) in &layout.y_ticks.marks {
        let y = (layout.y_at(*place).round() as usize).saturating_sub(line / 2);
        let x = left - MARK - MARK_SPACE - face.width(name);
        face.draw(canvas, x, y, room, name, TEXT_INK);
    }
    if let Some(factor) = &layout.y_ticks.factor {
        face.draw(canvas, left, top - line - MARK_SPACE, room, factor, TEXT_INK);
    }
    let names_top = bottom + MARK + MARK_SPACE;
    for (place, name) in &layout.x_ticks.marks {
        let middle = layout.x_at(*place).round() as usize;
        if layout.turned {
            let name = &face.cut_front(name, layout.turned_room);
            let length = face.width(name);
            let x = middle.saturating_sub(line / 2);
            face.draw_upwards(canvas, x, names_top + length, layout.turned_room, name, TEXT_INK);
        } else {
            let length = face.width(name);
            let x = middle.saturating_sub(length / 2).min(width.saturating_sub(length + 2));
            face.draw(canvas, x, names_top, room, name, TEXT_INK);
        }
    }
    let label_top = plot.height - MARGIN - line;
    let mut x_room = right - left;
    if let Some(factor) = &layout.x_ticks.factor {
        let length = face.width(factor);
        // The common factor stands on the label's line, or below the numbers if there is no label.
        let y = if plot.x.label.is_empty() { names_top + line - 1 } else { label_top };
        face.draw(canvas, right.saturating_sub(length), y, room, factor, TEXT_INK);
        x_room = x_room.saturating_sub(2 * (length + MARK_SPACE));
    }
    let label = face.cut(&plot.x.label, x_room);
    let middle = (left + right) / 2;
    face.draw(canvas, middle.saturating_sub(face.width(&label) / 2), label_top, room, &label, TEXT_INK);
    let y_room = plot.height - 2 * MARGIN;
    let label = face.cut(&plot.y.label, y_room);
    let length = face.width(&label);
    // The label is centred on the frame, but moved if it would leave the picture.
    let foot = ((top + bottom) / 2 + length / 2).min(plot.height - MARGIN).max(MARGIN + length);
    face.draw_upwards(canvas, MARGIN, foot, y_room, &label, TEXT_INK);
}

/// A data series with its colour, its marker, and the layout that places its points.
struct Pen<'a> {
    number: usize,
    series: &'a Series,
    layout: &'a Layout,
    color: [f32; 3],
    marker: Marker,
}

impl<'a> Pen<'a> {
    /// Chooses a series' colour and marker. Each time the colours repeat, the marker advances by one more, so
    /// that 49 combinations differ.
    fn new(number: usize, series: &'a Series, layout: &'a Layout) -> Pen<'a> {
        let color = series.color.unwrap_or(PALETTE[number % PALETTE.len()]);
        let marker = Marker::ALL[(number + number / PALETTE.len()) % Marker::ALL.len()];
        Pen { number, series, layout, color: color.map(|value| f32::from(value) / 255.0), marker }
    }

    /// Returns the points' pixel coordinates; `None` for gaps.
    fn points(&self) -> Vec<Option<(f64, f64)>> {
        let at = |&(x, y): &(f64, f64)| {
            let (x, y) = (self.layout.x.place(x)?, self.layout.y.place(y)?);
            Some((self.layout.x_at(x), self.layout.y_at(y)))
        };
        self.series.points.iter().map(at).collect()
    }

    fn mask(&self) -> Mask {
        Mask::new(self.layout.frame.grown(OVERHANG))
    }

    fn band(&self, canvas: &mut Image) {
        let Spread::Band(bounds) = &self.series.spread else { return };
        let mut mask = Mask::new(self.layout.frame);
        let at = |i: usize| {
            let x = self.layout.x.place(self.series.points.get(i)?.0)?;
            let y = |value| Some(self.layout.y_at(self.layout.y.place_or_foot(value)?));
            Some((self.layout.x_at(x), [y(bounds[i].0)?, y(bounds[i].1)?]))
        };
        for i in 0..bounds.len() {
            match (i.checked_sub(1).and_then(at), at(i), at(i + 1)) {
                (_, Some(here), Some(next)) => mask.between(here, next),
                // A point between two gaps would make a band without width, so it is drawn as a thick line.
                (None, Some((x, [y0, y1])), None) => mask.stroke((x, y0), (x, y1), 2.0 * LINE),
                _ => {}
            }
        }
        mask.paint(canvas, self.color, BAND_OPACITY);
    }

    fn line(&self, canvas: &mut Image) {
        if self.series.kind != Kind::Line {
            return;
        }
        let mut mask = self.mask();
        let points = self.points();
        for (i, point) in points.iter().enumerate() {
            // A point between two gaps is drawn as a dot.
            let next = points.get(i + 1).copied().flatten();
            if let Some(point) = *point {
                mask.stroke(point, next.unwrap_or(point), LINE);
            }
        }
        mask.paint(canvas, self.color, 1.0);
    }

    fn markers(&self, canvas: &mut Image) {
        let frame = self.layout.frame;
        let inside = |&(x, y): &(f64, f64)| {
            let span =
                |at: f64, first: usize, last: usize| (first as f64 - 0.5..=last as f64 + 0.5).contains(&at);
            span(x, frame.left, frame.right) && span(y, frame.top, frame.bottom)
        };
        let points: Vec<(f64, f64)> = self.points().into_iter().flatten().filter(inside).collect();
        let dense = points.len() as f64 * DENSE > (frame.right - frame.left) as f64;
        let mut next = frame.left as f64 + MARKER_SHIFT * (self.number % Marker::ALL.len()) as f64;
        for point in points {
            if self.series.kind == Kind::Line && dense {
                if point.0 < next {
                    continue;
                }
                next = point.0 + MARKER_SPACING;
            }
            self.marker.draw(canvas, point, self.color, PAPER);
        }
    }

    fn errors(&self, canvas: &mut Image) {
        let mut mask = self.mask();
        let x = |i: usize| self.layout.x.place(self.series.points[i].0).map(|x| self.layout.x_at(x));
        self.error_bars(&mut mask, x);
        mask.paint(canvas, self.color, 1.0);
    }

    fn error_bars(&self, mask: &mut Mask, x: impl Fn(usize) -> Option<f64>) {
        if !matches!(self.series.spread, Spread::Errors(_)) {
            return;
        }
        let y = |value| self.layout.y.place_or_foot(value).map(|y| self.layout.y_at(y));
        for (i, [low, middle, high]) in self.series.extents().enumerate() {
            let (Some(x), Some(_), Some(low), Some(high)) =
                (x(i), self.layout.y.place(middle), y(low), y(high))
            else {
                continue;
            };
            mask.stroke((x, low), (x, high), ERROR_LINE);
            for end in [low, high] {
                mask.stroke((x - ERROR_CAP, end), (x + ERROR_CAP, end), ERROR_LINE);
            }
        }
    }

    /// Draws a series' bars. The series is number `group` of `groups` that share each place on the axis.
    fn bars(&self, canvas: &mut Image, group: usize, groups: usize) {
        let (x, y) = (&self.layout.x, &self.layout.y);
        let foot = self.layout.y_at(y.place_or_foot(0.0).unwrap_or(0.0));
        let share = self.layout.bars_width / groups.max(1) as f64;
        let ends = |i: usize| match &self.series.kind {
            Kind::Histogram(edges) => (edges[i], edges[i + 1]),
            _ => {
                let from = self.series.points[i].0 - self.layout.bars_width / 2.0 + share * group as f64;
                (from, from + share)
            }
        };
        let sides = |i: usize| {
            let (from, to) = ends(i);
            Some((self.layout.x_at(x.place(from)?), self.layout.x_at(x.place(to)?)))
        };
        let touching = matches!(self.series.kind, Kind::Histogram(_));
        let mut mask = Mask::new(self.layout.frame);
        let mut outline = Mask::new(self.layout.frame);
        let mut last = foot;
        for i in 0..self.series.points.len() {
            let height = y.place(self.series.points[i].1).map(|y| self.layout.y_at(y));
            let (Some((left, right)), Some(top)) = (sides(i), height) else {
                last = foot;
                continue;
            };
            let (left, right) = (left.min(right).round(), left.max(right).round());
            // Neighbouring bars leave one pixel between them, and even a thin bar keeps one pixel.
            let right = (right - if touching { 1.0 } else { 2.0 }).max(left);
            mask.fill(left, top.min(foot), right, top.max(foot));
            if touching {
                outline.fill(left, top, right, top);
                outline.fill(left, top.min(last), left, top.max(last));
                // The next bar draws the side that both share.
                let is_end = self.series.points.get(i + 1).is_none_or(|next| y.place(next.1).is_none());
                if is_end {
                    outline.fill(right, top.min(foot), right, top.max(foot));
                }
                last = top;
            }
        }
        mask.paint(canvas, self.color, if touching { HISTOGRAM_OPACITY } else { 1.0 });
        outline.paint(canvas, self.color, 1.0);
        let mut errors = self.mask();
        self.error_bars(&mut errors, |i| sides(i).map(|(left, right)| (left + right) / 2.0));
        errors.paint(canvas, TEXT_INK, 1.0);
    }

    /// Draws the series' entry in the legend.
    fn entry(&self, canvas: &mut Image, left: usize, top: usize, layout: &Layout) {
        let middle = top + layout.legend_row / 2;
        let area = Area { left, top, right: left + SAMPLE, bottom: top + layout.legend_row };
        let (x, y) = (left as f64, middle as f64);
        let (end, center) = (x + SAMPLE as f64, x + SAMPLE as f64 / 2.0);
        let mut mask = Mask::new(area);
        if self.series.has_bars() {
            let opacity = if self.series.kind == Kind::Bars { 1.0 } else { HISTOGRAM_OPACITY };
            mask.fill(x, y - 5.0, end, y + 5.0);
            mask.paint(canvas, self.color, opacity);
        } else {
            if self.series.kind == Kind::Line {
                mask.stroke((x + LINE, y), (end - LINE, y), LINE);
                mask.paint(canvas, self.color, 1.0);
            }
            if matches!(self.series.spread, Spread::Band(_)) {
                let mut band = Mask::new(area);
                band.fill(x, y - MARKER_RADIUS - 2.0, end, y + MARKER_RADIUS + 2.0);
                band.paint(canvas, self.color, BAND_OPACITY);
            }
            self.marker.draw(canvas, (center, y), self.color, PAPER);
        }
        let face = TEXT;
        let text_top = middle.saturating_sub(face.height() / 2);
        let text_left = left + SAMPLE + SAMPLE_SPACE;
        face.draw(canvas, text_left, text_top, MAX_ENTRY, &self.series.name, TEXT_INK);
    }
}
