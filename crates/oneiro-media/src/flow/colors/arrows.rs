//! Draws optical flow as arrows on a grid, over the video's frames or a dark background.

use oneiro_image::{Filter, resize};

use super::{wheel, wheel_color};
use crate::flow::Flow;
use crate::font::blend;
use crate::{Image, MediaError, Result};

/// Default distance between arrows, in pixels of the drawing.
const SPACING: usize = 16;
/// The default enlargement makes a drawing's shorter side at least this many pixels.
const LEAST_SIDE: usize = 256;
/// Length of the longest arrow, as a multiple of the distance between arrows.
const LONGEST: f32 = 1.25;
/// Half the width, in pixels, of an arrow's stroke, and of its dark outline.
const STROKE: f32 = 0.8;
const OUTLINE: f32 = 1.8;
/// Length of an arrow's head in pixels, and its largest share of the arrow's length.
const HEAD: f32 = 5.0;
const HEAD_SHARE: f32 = 0.5;
/// Tangent of half the angle of an arrow's head.
const HEAD_SLOPE: f32 = 0.55;
/// Arrows shorter than this many pixels are drawn as dots.
const DOT: f32 = 1.0;
const GROUND: [f32; 3] = [0.09, 0.09, 0.11];
const DARK: [f32; 3] = [0.0, 0.0, 0.0];
/// Opacity of the arrows' dark outline.
const OUTLINE_INK: f32 = 0.7;
/// Factor that darkens the frames behind the arrows.
const DIMMED: f32 = 0.6;

/// Settings for drawing flow as arrows. Each value left out is chosen from the flow's size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ArrowOptions {
    /// Pixels of the drawing for each pixel of the flow. By default the shorter side of the drawing gets at
    /// least 256 pixels.
    pub enlargement: Option<usize>,
    /// Distance of arrows in pixels of the flow; the default gives about 16 pixels in the drawing.
    pub step: Option<usize>,
    /// Flow, in pixels per frame, that is drawn as the longest arrow (1.25 distances between arrows). The
    /// default is the longest mean vector of a grid cell.
    pub longest: Option<f32>,
}

impl ArrowOptions {
    /// Returns how many pixels of the drawing each pixel of a flow of this size gets.
    pub fn enlargement_of(&self, height: usize, width: usize) -> usize {
        let shorter = height.min(width).max(1);
        self.enlargement.unwrap_or_else(|| LEAST_SIDE.div_ceil(shorter))
    }

    fn step_of(&self, flow: &Flow) -> usize {
        self.step.unwrap_or_else(|| SPACING.div_ceil(self.enlargement_of(flow.height, flow.width).max(1)))
    }
}

/// Returns the length in pixels per frame of the longest mean vector of a grid cell, the default of
/// [`ArrowOptions::longest`]. A flow that is drawn in parts needs the longest of all parts.
pub fn longest_arrow(flow: &Flow, options: &ArrowOptions) -> f32 {
    let step = options.step_of(flow).max(1);
    longest(&(0..flow.frames).map(|frame| cells(flow, frame, step)).collect::<Vec<_>>())
}

fn longest(cells: &[Vec<Cell>]) -> f32 {
    cells.iter().flatten().map(|cell| cell.motion[0].hypot(cell.motion[1])).fold(0.0, f32::max)
}

/// Draws flow as arrows. Each arrow is the mean flow of a grid cell and begins at the cell's centre. Its hue
/// is the direction, as in [`flow_wheel`](super::flow_wheel). Cells at rest get a dot.
///
/// `frames` is drawn behind the arrows, enlarged and dimmed: a still for all fields, or a clip with at least
/// as many frames as there are fields. Without it, the background is dark. Returns a clip `[3, T, H·e, W·e]`
/// for enlargement e, or a still for one field.
///
/// # Errors
///
/// [`MediaError::Shape`] if a step or enlargement is 0, the drawing would have more than 128 megapixels, or
/// `frames` has another number of frames or of channels than 1 or 3.
pub fn draw_arrows(flow: &Flow, frames: Option<&Image>, options: &ArrowOptions) -> Result<Image> {
    let refused = |what: &str| MediaError::Shape { what: format!("flow cannot be drawn as arrows: {what}") };
    let enlargement = options.enlargement_of(flow.height, flow.width);
    let step = options.step_of(flow);
    if enlargement == 0 || step == 0 {
        return Err(refused("the enlargement and the step of the grid have to be at least 1"));
    }
    if let Some(frames) = frames {
        if !matches!(frames.channels, 1 | 3) {
            return Err(refused(&format!(
                "the frames behind them have {} channels, not 1 or 3",
                frames.channels
            )));
        }
        if frames.frames != 1 && frames.frames < flow.frames {
            return Err(refused(&format!(
                "there are {} fields, and {} frames behind them",
                flow.frames, frames.frames
            )));
        }
    }
    let cells: Vec<Vec<Cell>> = (0..flow.frames).map(|frame| cells(flow, frame, step)).collect();
    let longest = options.longest.unwrap_or_else(|| longest(&cells)).max(f32::MIN_POSITIVE);
    let (height, width) = (flow.height.saturating_mul(enlargement), flow.width.saturating_mul(enlargement));
    let wheel = wheel();
    let mut drawings = Vec::with_capacity(flow.frames);
    for (frame, cells) in cells.iter().enumerate() {
        let mut canvas = ground(frames, frame, height, width)?;
        for cell in cells {
            let [u, v] = cell.motion.map(|motion| motion / longest);
            let scale = LONGEST * step as f32 * enlargement as f32;
            let from = cell.center.map(|at| at * enlargement as f32);
            let color = bright(wheel_color(&wheel, u / u.hypot(v), v / u.hypot(v)));
            draw(&mut canvas, from, [u * scale, v * scale], color);
        }
        drawings.push(canvas);
    }
    let channel = |channel: usize| drawings.iter().flat_map(move |drawing| drawing.plane(channel));
    let data = (0..3).flat_map(channel).copied().collect();
    Ok(Image::new([3, flow.frames, height, width], data)?)
}

/// Returns the picture behind the arrows of a flow field.
fn ground(frames: Option<&Image>, frame: usize, height: usize, width: usize) -> Result<Image> {
    let Some(frames) = frames else {
        // Resizing one pixel also checks the requested size.
        let dot = Image::filled(1, 1, GROUND);
        return Ok(resize(&dot, height, width, Filter::Area)?);
    };
    let frame = frame.min(frames.frames - 1);
    let planes = (0..3).map(|channel| frames.plane(channel.min(frames.channels - 1) * frames.frames + frame));
    let still = Image::rgb(frames.width, frames.height, planes.flatten().copied().collect())?;
    let mut large = resize(&still, height, width, Filter::Triangle)?;
    large.data.iter_mut().for_each(|value| *value *= DIMMED);
    Ok(large)
}

/// A cell of the grid of arrows.
struct Cell {
    /// The cell's centre in pixels of the flow: column, row.
    center: [f32; 2],
    /// The mean of the cell's finite flow vectors: right, down.
    motion: [f32; 2],
}

fn cells(flow: &Flow, frame: usize, step: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for top in (0..flow.height).step_by(step) {
        for left in (0..flow.width).step_by(step) {
            let (bottom, right) =
                (top.saturating_add(step).min(flow.height), left.saturating_add(step).min(flow.width));
            let (mut sum, mut count) = ([0.0f64; 2], 0.0f64);
            for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
                let [u, v] = flow.at(frame, x, y);
                if u.is_finite() && v.is_finite() {
                    sum = [sum[0] + f64::from(u), sum[1] + f64::from(v)];
                    count += 1.0;
                }
            }
            if count > 0.0 {
                let center = [(left + right) as f32 / 2.0, (top + bottom) as f32 / 2.0];
                cells.push(Cell { center, motion: sum.map(|sum| (sum / count) as f32) });
            }
        }
    }
    cells
}

/// Mixes a colour of the wheel with white, because pure blue is too dark for thin lines; black (no flow)
/// becomes white.
fn bright(color: [f32; 3]) -> [f32; 3] {
    /// Share of white in the mixture.
    const WHITE: f32 = 0.45;
    if color == [0.0; 3] { [1.0; 3] } else { color.map(|value| value * (1.0 - WHITE) + WHITE) }
}

/// Draws one antialiased arrow: first its dark outline, then its strokes.
fn draw(canvas: &mut Image, from: [f32; 2], motion: [f32; 2], color: [f32; 3]) {
    let length = motion[0].hypot(motion[1]);
    let tip = [from[0] + motion[0], from[1] + motion[1]];
    let mut strokes = vec![[from, if length < DOT { from } else { tip }]];
    if length >= 2.0 * DOT {
        let along = motion.map(|part| part / length * HEAD.min(HEAD_SHARE * length));
        for side in [-HEAD_SLOPE, HEAD_SLOPE] {
            let barb = [tip[0] - along[0] - side * along[1], tip[1] - along[1] + side * along[0]];
            strokes.push([barb, tip]);
        }
    }
    let (low, high) = bounds(&strokes);
    let limit = |at: f32, end: usize| at.clamp(0.0, end as f32) as usize;
    let (columns, rows) = (
        limit(low[0], canvas.width)..limit(high[0] + 1.0, canvas.width),
        limit(low[1], canvas.height)..limit(high[1] + 1.0, canvas.height),
    );
    for (radius, color, ink) in [(OUTLINE, DARK, OUTLINE_INK), (STROKE, color, 1.0)] {
        for (x, y) in rows.clone().flat_map(|y| columns.clone().map(move |x| (x, y))) {
            let at = [x as f32 + 0.5, y as f32 + 0.5];
            let distance = strokes.iter().map(|stroke| distance(at, stroke)).fold(f32::INFINITY, f32::min);
            let covered = (radius + 0.5 - distance).clamp(0.0, 1.0);
            if covered > 0.0 {
                blend(canvas, x, y, color, ink * covered);
            }
        }
    }
}

/// Returns the corners of a rectangle, with margins, that contains all strokes.
fn bounds(strokes: &[[[f32; 2]; 2]]) -> ([f32; 2], [f32; 2]) {
    let points = || strokes.iter().flatten();
    let extreme = |start: f32, pick: fn(f32, f32) -> f32, margin: f32| {
        std::array::from_fn(|axis| points().map(|point| point[axis]).fold(start, pick) + margin)
    };
    let margin = OUTLINE + 1.0;
    (extreme(f32::INFINITY, f32::min, -margin), extreme(f32::NEG_INFINITY, f32::max, margin))
}

/// Returns the distance of a point from a line segment.
fn distance(point: [f32; 2], [from, to]: &[[f32; 2]; 2]) -> f32 {
    let (line, offset) = ([to[0] - from[0], to[1] - from[1]], [point[0] - from[0], point[1] - from[1]]);
    let squared = line[0] * line[0] + line[1] * line[1];
    let share = if squared > 0.0 { (offset[0] * line[0] + offset[1] * line[1]) / squared } else { 0.0 };
    let share = share.clamp(0.0, 1.0);
    (offset[0] - share * line[0]).hypot(offset[1] - share * line[1])
}
