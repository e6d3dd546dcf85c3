//! The TV-L1 iterations of one pyramid level. Rows are divided into bands, each with copies of the
//! neighbouring rows that it needs.
//!
//! An iteration updates the primal variable (the flow) of a row and then the dual variable of the row above.
//! One pass over memory thus does both. The dual variable of a band's last row needs the new flow of the next
//! band's first row. The band computes that row itself, from a copy of its old state.

use rayon::prelude::*;

use super::TvL1Options;
use super::median::median_row;
use super::pyramid::Plane;
use super::warp::Target;

/// Fewest pixels and rows of a band. Smaller bands cost too much for starting tasks and copying rows.
const LEAST_PIXELS: usize = 4096;
const LEAST_ROWS: usize = 8;

/// All rows of a pyramid level, divided into bands.
pub(super) struct Bands {
    bands: Vec<Band>,
    height: usize,
    width: usize,
}

/// Flow `u` and dual variables of one row, for both components of the flow. The dual variable has a part to
/// the right and a part down.
#[derive(Debug, Clone)]
struct Row {
    /// Both components of the flow, with one value more than pixels: a copy of the last pixel's.
    u: [Vec<f32>; 2],
    /// The dual variable's part to the right, with a zero before the first pixel.
    right: [Vec<f32>; 2],
    down: [Vec<f32>; 2],
}

/// The linearized brightness difference of the two frames along one row.
#[derive(Debug, Clone)]
struct Data {
    /// Derivatives of the warped second frame: to the right and down.
    slope: [Vec<f32>; 2],
    /// One over the squared norm of the gradient, for each pixel.
    inverse: Vec<f32>,
    /// The linearized brightness difference where the flow is 0.
    rest: Vec<f32>,
}

struct Band {
    /// Index of the band's first row in the level.
    top: usize,
    rows: Vec<Row>,
    /// Brightness data of the band's rows, and of the row below the band if there is one.
    data: Vec<Data>,
    /// The downward dual variables of the row above the band; zeros above the level's first row.
    above: [Vec<f32>; 2],
    /// A copy of the row below the band before an iteration, if there is such a row.
    below: Option<Row>,
    /// Squared changes of the flow at each pixel of a row.
    changes: Vec<f32>,
    /// Sums of the squared changes, one for each row.
    sums: Vec<f32>,
}

/// Constants that an iteration needs at every pixel.
#[derive(Debug, Clone, Copy)]
struct Weights {
    theta: f32,
    /// `λθ`, the longest step of the flow along the gradient.
    limit: f32,
    /// `τ/θ`, the step size of the dual variable.
    step: f32,
}

impl Row {
    fn zeros(width: usize) -> Row {
        let plane = |width: usize| [vec![0.0; width], vec![0.0; width]];
        Row { u: plane(width + 1), right: plane(width + 1), down: plane(width) }
    }

    fn copy_from(&mut self, other: &Row) {
        for i in 0..2 {
            self.u[i].copy_from_slice(&other.u[i]);
            self.right[i].copy_from_slice(&other.right[i]);
            self.down[i].copy_from_slice(&other.down[i]);
        }
    }
}

impl Bands {
    /// Divides a level into at most `count` bands, with all dual variables 0.
    pub fn new(height: usize, width: usize, count: usize) -> Bands {
        Self::exactly(height, width, count.min(height / LEAST_ROWS).min(height * width / LEAST_PIXELS).max(1))
    }

    fn exactly(height: usize, width: usize, count: usize) -> Bands {
        let band = |i: usize| {
            let (top, end) = (i * height / count, (i + 1) * height / count);
            let below = usize::from(end < height);
            let zeros = || vec![0.0; width];
            let data = Data { slope: [zeros(), zeros()], inverse: zeros(), rest: zeros() };
            Band {
                top,
                rows: vec![Row::zeros(width); end - top],
                data: vec![data; end - top + below],
                above: [zeros(), zeros()],
                below: (end < height).then(|| Row::zeros(width)),
                changes: zeros(),
                sums: vec![0.0; end - top],
            }
        };
        Bands { bands: (0..count).map(band).collect(), height, width }
    }

    fn each(&mut self, run: impl Fn(&mut Band) + Send + Sync) {
        match &mut self.bands[..] {
            [band] => run(band),
            bands => bands.par_iter_mut().with_max_len(1).for_each(run),
        }
    }

    /// Linearizes the brightness difference around a flow, for all rows.
    pub fn linearize(&mut self, frame: &Plane, target: &Target, u: &[Plane; 2]) {
        self.each(|band| band.linearize(frame, target, u));
    }

    /// Copies the flow from planes into the bands.
    pub fn load(&mut self, u: &[Plane; 2]) {
        let width = self.width;
        for band in &mut self.bands {
            for (y, row) in (band.top..).zip(&mut band.rows) {
                for i in 0..2 {
                    row.u[i][..width].copy_from_slice(u[i].row(y));
                    row.u[i][width] = row.u[i][width - 1];
                }
            }
        }
    }

    /// Copies the flow from the bands into planes.
    pub fn store(&self, u: &mut [Plane; 2]) {
        let width = self.width;
        for band in &self.bands {
            for (y, row) in (band.top..).zip(&band.rows) {
                for i in 0..2 {
                    u[i].data[y * width..][..width].copy_from_slice(&row.u[i][..width]);
                }
            }
        }
    }

    /// Replaces the bands' flow by the medians of the flow in planes.
    pub fn median(&mut self, u: &[Plane; 2], side: usize) {
        self.each(|band| {
            for (y, row) in (band.top..).zip(&mut band.rows) {
                for i in 0..2 {
                    let (last, out) =
                        row.u[i].split_last_mut().expect("a row has one value more than pixels");
                    median_row(&u[i], y, side, out);
                    *last = out[out.len() - 1];
                }
            }
        });
    }

    /// Runs one iteration; returns the sum of the flow's squared changes.
    pub fn iterate(&mut self, options: &TvL1Options) -> f32 {
        self.exchange_borders();
        let weights = Weights {
            theta: options.theta,
            limit: options.lambda * options.theta,
            step: options.tau / options.theta,
        };
        self.each(|band| band.iterate(weights));
        debug_assert_eq!(self.bands.iter().map(|band| band.sums.len()).sum::<usize>(), self.height);
        // The sum runs row by row, so that it does not depend on the division into bands.
        self.bands.iter().flat_map(|band| &band.sums).map(|&sum| f64::from(sum)).sum::<f64>() as f32
    }

    /// Copies the rows at each border between two bands to the band on the other side.
    fn exchange_borders(&mut self) {
        for i in 1..self.bands.len() {
            let (before, after) = self.bands.split_at_mut(i);
            let (upper, lower) = (&mut before[i - 1], &mut after[0]);
            if let Some(below) = &mut upper.below {
                below.copy_from(&lower.rows[0]);
            }
            let last = &upper.rows[upper.rows.len() - 1];
            for k in 0..2 {
                lower.above[k].copy_from_slice(&last.down[k]);
            }
        }
    }
}

impl Band {
    fn linearize(&mut self, frame: &Plane, target: &Target, u: &[Plane; 2]) {
        for (y, data) in (self.top..).zip(&mut self.data) {
            let (frame, u, v) = (frame.row(y), u[0].row(y), u[1].row(y));
            for x in 0..frame.len() {
                let [value, right, down, _] = target.sample(x as f32 + u[x], y as f32 + v[x]);
                data.slope[0][x] = right;
                data.slope[1][x] = down;
                // Where the gradient is 0, the step along it is 0 too, so any finite factor will do.
                data.inverse[x] = 1.0 / (right * right + down * down).max(f32::MIN_POSITIVE);
                data.rest[x] = value - right * u[x] - down * v[x] - frame[x];
            }
        }
    }

    fn iterate(&mut self, weights: Weights) {
        let Band { rows, data, above, below, changes, sums, .. } = self;
        let count = rows.len();
        for y in 0..count {
            let (before, from) = rows.split_at_mut(y);
            let row = &mut from[0];
            let previous = before.last().map_or(&*above, |row| &row.down);
            primal(row, previous, &data[y], weights, changes);
            sums[y] = total(changes);
            if let Some(upper) = before.last_mut() {
                dual(upper, Some(&row.u), weights.step);
            }
        }
        let last = &mut rows[count - 1];
        match below {
            Some(below) => {
                primal(below, &last.down, &data[count], weights, changes);
                dual(last, Some(&below.u), weights.step);
            }
            None => dual(last, None, weights.step),
        }
    }
}

/// Updates a row's flow. A step along the gradient reduces the brightness difference (Zach et al. 2007,
/// proposition 3), and the dual variable's divergence is added (proposition 2). `above` holds the downward
/// dual variables of the row above.
fn primal(row: &mut Row, above: &[Vec<f32>; 2], data: &Data, weights: Weights, changes: &mut [f32]) {
    let ([u, v], [right_u, right_v], [down_u, down_v]) = (&mut row.u, &row.right, &row.down);
    let ([slope_x, slope_y], [above_u, above_v]) = (&data.slope, above);
    let (inverse, rest) = (&data.inverse, &data.rest);
    primal_row(
        u, v, slope_x, slope_y, inverse, rest, right_u, right_v, down_u, down_v, above_u, above_v, weights,
        changes,
    );
}

/// The loop of [`primal`] on separate slices: as arguments they are known not to overlap, so it vectorizes.
#[inline(never)]
fn primal_row(
    u: &mut [f32],
    v: &mut [f32],
    slope_x: &[f32],
    slope_y: &[f32],
    inverse: &[f32],
    rest: &[f32],
    right_u: &[f32],
    right_v: &[f32],
    down_u: &[f32],
    down_v: &[f32],
    above_u: &[f32],
    above_v: &[f32],
    Weights { theta, limit, .. }: Weights,
    changes: &mut [f32],
) {
    let width = changes.len();
    {
        let (u, v) = (&mut u[..width], &mut v[..width]);
        let (slope_x, slope_y) = (&slope_x[..width], &slope_y[..width]);
        let (inverse, rest) = (&inverse[..width], &rest[..width]);
        let (left_u, left_v) = (&right_u[..width], &right_v[..width]);
        let (right_u, right_v) = (&right_u[1..width + 1], &right_v[1..width + 1]);
        let (down_u, down_v) = (&down_u[..width], &down_v[..width]);
        let (above_u, above_v) = (&above_u[..width], &above_v[..width]);
        for x in 0..width {
            let difference = rest[x] + (slope_x[x] * u[x] + slope_y[x] * v[x]);
            let step = clamp(-difference * inverse[x], limit);
            let divergence_u = (right_u[x] - left_u[x]) + (down_u[x] - above_u[x]);
            let divergence_v = (right_v[x] - left_v[x]) + (down_v[x] - above_v[x]);
            let new_u = u[x] + step * slope_x[x] + theta * divergence_u;
            let new_v = v[x] + step * slope_y[x] + theta * divergence_v;
            let (du, dv) = (new_u - u[x], new_v - v[x]);
            changes[x] = du * du + dv * dv;
            u[x] = new_u;
            v[x] = new_v;
        }
    }
    u[width] = u[width - 1];
    v[width] = v[width - 1];
}

/// Clamps `value` to `-limit`…`limit` by comparisons, which vectorize.
fn clamp(value: f32, limit: f32) -> f32 {
    let value = if value < limit { value } else { limit };
    if value > -limit { value } else { -limit }
}

/// Updates a row's dual variables by the gradient of the new flow. `below` is the flow of the row below.
fn dual(row: &mut Row, below: Option<&[Vec<f32>; 2]>, step: f32) {
    for i in 0..2 {
        let u = &row.u[i];
        // In the last row the flow is compared with itself, so that the derivative down is 0.
        dual_row(u, below.map_or(u, |below| &below[i]), &mut row.right[i], &mut row.down[i], step);
    }
}

/// The loop of [`dual`] for one component of the flow, on separate slices.
#[inline(never)]
fn dual_row(u: &[f32], below: &[f32], right: &mut [f32], down: &mut [f32], step: f32) {
    let width = down.len();
    let (u, next) = (&u[..width], &u[1..width + 1]);
    let below = &below[..width];
    let right = &mut right[1..width + 1];
    for x in 0..width {
        let (along, across) = (next[x] - u[x], below[x] - u[x]);
        let scale = 1.0 / (1.0 + step * (along * along + across * across).sqrt());
        right[x] = (right[x] + step * along) * scale;
        down[x] = (down[x] + step * across) * scale;
    }
}

/// Sums a row in a fixed order that vectorizes.
fn total(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests;
