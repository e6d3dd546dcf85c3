//! Draws antialiased shapes. The share of each pixel that a shape covers is computed first; then the colour
//! is applied once.
//!
//! Coordinates are those of pixel centres: 3.0 is the centre of the fourth pixel, which reaches from 2.5 to
//! 3.5.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::Image;
use crate::font::blend;

/// Samples along each side of a pixel for shapes whose coverage has no closed form.
const SAMPLES: usize = 4;
/// Distance from a plot marker's centre to its edge, in pixels.
pub(super) const MARKER_RADIUS: f64 = 4.2;
/// Half the stroke width, in pixels, of markers that are made of strokes (plus and cross).
const MARKER_STROKE: f64 = 1.2;
/// Width in pixels of the background-coloured rim around a marker, which separates it from lines below.
const HALO: f64 = 1.2;

/// A rectangle of pixels; all four limits are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

impl Area {
    /// Returns the area, enlarged by `by` pixels on each side.
    pub(super) fn grown(self, by: usize) -> Area {
        Area {
            left: self.left.saturating_sub(by),
            top: self.top.saturating_sub(by),
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    /// Returns the pixel columns of the area that an interval of x coordinates may touch.
    fn columns(&self, from: f64, to: f64) -> std::ops::Range<usize> {
        span(from, to, self.left, self.right)
    }

    fn rows(&self, from: f64, to: f64) -> std::ops::Range<usize> {
        span(from, to, self.top, self.bottom)
    }
}

fn span(from: f64, to: f64, first: usize, last: usize) -> std::ops::Range<usize> {
    // Rust's `as` saturates negative and large values, and turns NaN into 0.
    let start = (from.floor() as usize).max(first);
    let end = if to < 0.0 { 0 } else { (to.ceil() as usize).min(last) + 1 };
    start..end.max(start)
}

/// The share, 0 to 1, of each pixel of an area that a shape covers.
pub(super) struct Mask {
    area: Area,
    width: usize,
    coverage: Vec<f32>,
}

impl Mask {
    /// Makes an empty mask; parts of shapes outside the area are cut off.
    pub(super) fn new(area: Area) -> Mask {
        let width = area.right + 1 - area.left;
        Mask { area, width, coverage: vec![0.0; width * (area.bottom + 1 - area.top)] }
    }

    fn at(&mut self, x: usize, y: usize) -> &mut f32 {
        &mut self.coverage[(y - self.area.top) * self.width + x - self.area.left]
    }

    /// Adds a line with round ends. A pixel's coverage falls from 1 to 0 over one pixel across the edge.
    /// Coverages are combined by the maximum, so lines that meet are joined.
    pub(super) fn stroke(&mut self, from: (f64, f64), to: (f64, f64), width: f64) {
        let reach = width / 2.0 + 0.5;
        let Some(((x0, y0), (x1, y1))) = clip(from, to, self.area, 2.0 * reach) else { return };
        let (dx, dy) = (x1 - x0, y1 - y0);
        let length2 = dx * dx + dy * dy;
        for y in self.area.rows(y0.min(y1) - reach, y0.max(y1) + reach) {
            for x in self.area.columns(x0.min(x1) - reach, x0.max(x1) + reach) {
                let (px, py) = (x as f64 - x0, y as f64 - y0);
                let along = if length2 > 0.0 { ((px * dx + py * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - along * dx).hypot(py - along * dy);
                let covered = (reach - distance).clamp(0.0, 1.0) as f32;
                let value = self.at(x, y);
                *value = value.max(covered);
            }
        }
    }

    /// Adds the area between two straight lines over an interval of x. The lines are given by their y at both
    /// ends.
    pub(super) fn between(&mut self, from: (f64, [f64; 2]), to: (f64, [f64; 2])) {
        let ((x0, edges0), (x1, edges1)) = if from.0 <= to.0 { (from, to) } else { (to, from) };
        let step = 1.0 / SAMPLES as f64;
        for x in self.area.columns(x0 - 1.0, x1 + 1.0) {
            for sample in 0..SAMPLES {
                let at = x as f64 - 0.5 + (sample as f64 + 0.5) * step;
                if !(x0..x1).contains(&at) {
                    continue;
                }
                let part = (at - x0) / (x1 - x0);
                let edge = |i: usize| edges0[i] + part * (edges1[i] - edges0[i]);
                let (high, low) = (edge(0).min(edge(1)), edge(0).max(edge(1)));
                for y in self.area.rows(high - 0.5, low + 0.5) {
                    let inside = low.min(y as f64 + 0.5) - high.max(y as f64 - 0.5);
                    let value = self.at(x, y);
                    *value = (*value + (inside.max(0.0) * step) as f32).min(1.0);
                }
            }
        }
    }

    /// Adds whole pixels from one corner to another, both included.
    pub(super) fn fill(&mut self, left: f64, top: f64, right: f64, bottom: f64) {
        for y in self.area.rows(top.round(), bottom.round()) {
            for x in self.area.columns(left.round(), right.round()) {
                *self.at(x, y) = 1.0;
            }
        }
    }

    /// Blends a colour into the pixels that the shape covers.
    pub(super) fn paint(&self, canvas: &mut Image, color: [f32; 3], opacity: f32) {
        for (i, &covered) in self.coverage.iter().enumerate() {
            if covered > 0.0 {
                let (x, y) = (self.area.left + i % self.width, self.area.top + i / self.width);
                blend(canvas, x, y, color, covered * opacity);
            }
        }
    }
}

/// Returns the part of a line that may touch an area (Liang & Barsky 1984), so that far ends cost no time.
fn clip(from: (f64, f64), to: (f64, f64), area: Area, margin: f64) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    let sides = [
        (-dx, from.0 - (area.left as f64 - margin)),
        (dx, area.right as f64 + margin - from.0),
        (-dy, from.1 - (area.top as f64 - margin)),
        (dy, area.bottom as f64 + margin - from.1),
    ];
    for (towards, room) in sides {
        if towards == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if towards < 0.0 {
            enter = enter.max(room / towards);
        } else {
            leave = leave.min(room / towards);
        }
    }
    let point = |part: f64| (from.0 + part * dx, from.1 + part * dy);
    (enter <= leave).then(|| (point(enter), point(leave)))
}

/// The shape that marks a series' points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Plus,
    Cross,
}

impl Marker {
    /// All marker shapes, in the order in which series get them.
    pub(super) const ALL: [Marker; 7] = [
        Marker::Circle,
        Marker::Square,
        Marker::Triangle,
        Marker::Diamond,
        Marker::TriangleDown,
        Marker::Plus,
        Marker::Cross,
    ];

    /// Draws the marker around a point, with a rim in the background colour.
    pub(super) fn draw(self, canvas: &mut Image, at: (f64, f64), color: [f32; 3], paper: [f32; 3]) {
        let reach = MARKER_RADIUS + HALO + 1.0;
        let area = Area { left: 0, top: 0, right: canvas.width - 1, bottom: canvas.height - 1 };
        for (space, color) in [(HALO, paper), (0.0, color)] {
            for y in area.rows(at.1 - reach, at.1 + reach) {
                for x in area.columns(at.0 - reach, at.0 + reach) {
                    let inside = samples()
                        .filter(|&(i, j)| self.holds(x as f64 + i - at.0, y as f64 + j - at.1, space))
                        .count();
                    blend(canvas, x, y, color, inside as f32 / (SAMPLES * SAMPLES) as f32);
                }
            }
        }
    }

    /// Whether a place relative to the centre is inside the marker, enlarged by `space`. Sizes are chosen so
    /// that all shapes look equally large.
    fn holds(self, x: f64, y: f64, space: f64) -> bool {
        let radius = MARKER_RADIUS + space;
        let stroke = |a: f64, b: f64| a.abs() <= MARKER_STROKE + space && b.abs() <= radius;
        match self {
            Marker::Circle => x.hypot(y) <= radius,
            Marker::Square => x.abs().max(y.abs()) <= 0.88 * radius,
            Marker::Diamond => x.abs() + y.abs() <= 1.22 * radius,
            // An equilateral triangle around its centre: two slanted sides, with normals at 30°, and its
            // base.
            Marker::Triangle => {
                let inner = 0.62 * MARKER_RADIUS + space;
                y <= inner && 0.866 * x.abs() - 0.5 * y <= inner
            }
            Marker::TriangleDown => Marker::Triangle.holds(x, -y, space),
            Marker::Plus => stroke(x, y) || stroke(y, x),
            Marker::Cross => Marker::Plus.holds((x + y) * FRAC_1_SQRT_2, (x - y) * FRAC_1_SQRT_2, space),
        }
    }
}

/// Returns the sample points inside a pixel, relative to its centre.
fn samples() -> impl Iterator<Item = (f64, f64)> {
    let offset = |i: usize| (i as f64 + 0.5) / SAMPLES as f64 - 0.5;
    (0..SAMPLES * SAMPLES).map(move |i| (offset(i % SAMPLES), offset(i / SAMPLES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area { left: 10, top: 5, right: 49, bottom: 34 };

    fn total(mask: &Mask) -> f64 {
        mask.coverage.iter().map(|&covered| f64::from(covered)).sum()
    }

    #[test]
    fn a_stroke_covers_its_area_at_every_slope() {
        for (dx, dy) in [(20.0, 0.0), (0.0, 20.0), (16.0, 12.0), (12.0, -16.0), (19.0, 6.245)] {
            let mut mask = Mask::new(AREA);
            mask.stroke((30.0 - dx / 2.0, 20.0 - dy / 2.0), (30.0 + dx / 2.0, 20.0 + dy / 2.0), 2.0);
            // The exact coverage: a rectangle of 20 × 2 and a disc of radius 1.
            let expected = 40.0 + std::f64::consts::PI;
            assert!((total(&mask) - expected).abs() < 0.03 * expected, "{dx},{dy}: {}", total(&mask));
        }
    }

    #[test]
    fn a_band_covers_what_lies_between_its_edges() {
        let mut mask = Mask::new(AREA);
        mask.between((15.0, [10.0, 20.0]), (30.0, [14.0, 18.0]));
        mask.between((35.0, [12.0, 20.0]), (30.0, [14.0, 18.0]));
        assert!((total(&mask) - (15.0 * 7.0 + 5.0 * 6.0)).abs() < 0.5, "{}", total(&mask));
        assert_eq!(*mask.at(20, 15), 1.0);
        assert_eq!(*mask.at(20, 25), 0.0);
    }

    #[test]
    fn what_leaves_the_area_is_cut_off() {
        let mut mask = Mask::new(AREA);
        mask.stroke((-1e9, 20.0), (1e9, 20.0), 1.0);
        assert_eq!(total(&mask), 40.0);
        for (from, to) in [((0.0, -1e8), (60.0, -1e8)), ((-5.0, 0.0), (-5.0, 90.0))] {
            mask.stroke(from, to, 3.0);
            mask.between((from.0, [from.1, from.1 - 9.0]), (to.0, [to.1, to.1 - 9.0]));
        }
        assert_eq!(total(&mask), 40.0);
        mask.fill(-20.0, -20.0, 1e9, 1e9);
        assert_eq!(total(&mask), 40.0 * 30.0);
    }

    #[test]
    fn markers_differ_and_are_about_equally_heavy() {
        let mut seen: Vec<(Marker, Vec<f32>)> = Vec::new();
        for marker in Marker::ALL {
            let mut canvas = Image::filled(21, 21, [1.0; 3]);
            marker.draw(&mut canvas, (10.0, 10.0), [0.0; 3], [1.0; 3]);
            let ink: f32 = canvas.plane(0).iter().map(|value| 1.0 - value).sum();
            assert!((30.0..66.0).contains(&ink), "{marker:?}: {ink}");
            assert_eq!(canvas.pixel(10, 10), [0.0; 3], "{marker:?}");
            assert!(seen.iter().all(|(_, other)| *other != canvas.data), "{marker:?}");
            seen.push((marker, canvas.data));
        }
        let mut corner = Image::filled(4, 4, [1.0; 3]);
        Marker::Circle.draw(&mut corner, (-2.0, 3.5), [0.0; 3], [1.0; 3]);
    }
}
