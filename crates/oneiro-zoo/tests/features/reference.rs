//! Reference implementations of HOG and dense SIFT: plain loops over pixels in f64, by the definitions in
//! `docs/features.md`.

use std::f64::consts::PI;

use oneiro_zoo::features::dsift;

use super::pictures::Image;

fn luminance(image: &Image) -> impl Fn(usize, usize) -> f64 + '_ {
    let plane = image.height * image.width;
    // Weights as f32 stores them, so that gray pixels stay exactly gray.
    let weights = [0.299f32, 0.587, 0.114].map(f64::from);
    move |y, x| (0..3).map(|c| weights[c] * image.data[c * plane + y * image.width + x]).sum()
}

/// Returns HOG: histograms of every cell, normalised by the four blocks around the cell, as [31, rows,
/// columns].
pub fn hog(image: &Image, bilinear: bool) -> (Vec<usize>, Vec<f64>) {
    const AXES: usize = 9;
    let pixel = luminance(image);
    let (rows, columns) = ((image.height + 4) / 8, (image.width + 4) / 8);
    let mut cells = vec![[0.0; 2 * AXES]; rows * columns];
    for y in 1..image.height - 1 {
        for x in 1..image.width - 1 {
            let (gx, gy) = (pixel(y, x + 1) - pixel(y, x - 1), pixel(y + 1, x) - pixel(y - 1, x));
            let magnitude = gx.hypot(gy);
            for (direction, share) in shares(gx, gy, bilinear) {
                // A pixel divides its vote between the four cells whose centres surround it.
                let (v, u) = ((y as f64 + 0.5) / 8.0 - 0.5, (x as f64 + 0.5) / 8.0 - 0.5);
                for (row, wy) in [(v.floor(), 1.0 - v.fract_of()), (v.floor() + 1.0, v.fract_of())] {
                    for (column, wx) in [(u.floor(), 1.0 - u.fract_of()), (u.floor() + 1.0, u.fract_of())] {
                        let inside =
                            (0.0..rows as f64).contains(&row) && (0.0..columns as f64).contains(&column);
                        if inside {
                            cells[row as usize * columns + column as usize][direction] +=
                                magnitude * share * wy * wx;
                        }
                    }
                }
            }
        }
    }
    let energy = |row: i64, column: i64| -> f64 {
        let (row, column) = (row.clamp(0, rows as i64 - 1), column.clamp(0, columns as i64 - 1));
        let cell = &cells[row as usize * columns + column as usize];
        (0..AXES).map(|k| (cell[k] + cell[k + AXES]).powi(2)).sum()
    };
    let mut out = vec![0.0; 31 * rows * columns];
    for row in 0..rows {
        for column in 0..columns {
            let cell = &cells[row * columns + column];
            let mut put = |channel: usize, value: f64| {
                out[(channel * rows + row) * columns + column] += value;
            };
            for (block, (dy, dx)) in [(-1, -1), (-1, 0), (0, -1), (0, 0)].into_iter().enumerate() {
                let (y, x) = (row as i64 + dy, column as i64 + dx);
                let sum = energy(y, x) + energy(y, x + 1) + energy(y + 1, x) + energy(y + 1, x + 1);
                let norm = (sum + 1e-4).sqrt();
                for k in 0..2 * AXES {
                    put(k, 0.5 * (cell[k] / norm).min(0.2));
                }
                for k in 0..AXES {
                    let undirected = ((cell[k] + cell[k + AXES]) / norm).min(0.2);
                    put(2 * AXES + k, 0.5 * undirected);
                    put(3 * AXES + block, undirected / 18f64.sqrt());
                }
            }
        }
    }
    (vec![31, rows, columns], out)
}

/// Returns the directions (of eighteen) to which a gradient contributes, with their shares.
fn shares(gx: f64, gy: f64, bilinear: bool) -> Vec<(usize, f64)> {
    if gx == 0.0 && gy == 0.0 {
        return vec![];
    }
    if bilinear {
        let at = gy.atan2(gx).rem_euclid(2.0 * PI) * 9.0 / PI;
        let (low, share) = (at.floor(), at - at.floor());
        return vec![(low as usize % 18, 1.0 - share), ((low as usize + 1) % 18, share)];
    }
    // Finds the axis with the largest projection, the first if there are several, and then which of its two
    // directions.
    let mut best = (0, 0.0);
    for k in 0..9 {
        // Axes are rounded to f32, so that those to the left and right of the vertical are equally far from
        // it.
        let (sin, cos) = (PI * k as f64 / 9.0).sin_cos();
        let score = gx * f64::from(cos as f32) + gy * f64::from(sin as f32);
        if score.abs() > best.1 {
            best = (if score < 0.0 { k + 9 } else { k }, score.abs());
        }
    }
    vec![(best.0, 1.0)]
}

/// Which arc tangent dense SIFT uses.
#[derive(Clone, Copy)]
pub enum Arc2 {
    Exact,
    /// The cubic approximation of `vl_fast_atan2_f`, with errors of up to 0.01.
    Fast,
}

impl Arc2 {
    fn of(self, y: f64, x: f64) -> f64 {
        match self {
            Arc2::Exact => y.atan2(x),
            Arc2::Fast => {
                let a = y.abs() + f64::from(f32::EPSILON);
                let (r, base) = if x >= 0.0 {
                    ((x - a) / (x + a), PI / 4.0)
                } else {
                    ((x + a) / (a - x), 3.0 * PI / 4.0)
                };
                let angle = base + (0.1821 * r * r - 0.9675) * r;
                if y < 0.0 { -angle } else { angle }
            }
        }
    }
}

/// Returns dense SIFT: histograms around every bin centre, collected into descriptors, as [128, rows,
/// columns].
pub fn dsift(image: &Image, arc: Arc2) -> (Vec<usize>, Vec<f64>) {
    const BIN: i64 = 8;
    let pixel = luminance(image);
    let (height, width) = (image.height, image.width);
    // Central differences, and one-sided differences at the border.
    let difference = |n: usize, i: usize, value: &dyn Fn(usize) -> f64| {
        let (low, high) = (i.saturating_sub(1), (i + 1).min(n - 1));
        (value(high) - value(low)) / (high - low) as f64
    };
    let votes: Vec<[f64; 8]> = (0..height * width)
        .map(|i| {
            let (y, x) = (i / width, i % width);
            let gx = difference(width, x, &|x| pixel(y, x));
            let gy = difference(height, y, &|y| pixel(y, x));
            let at = arc.of(gy, gx).rem_euclid(2.0 * PI) * 4.0 / PI;
            let (low, share) = (at.floor(), at - at.floor());
            let mut votes = [0.0; 8];
            votes[low as usize % 8] += gx.hypot(gy) * (1.0 - share);
            votes[(low as usize + 1) % 8] += gx.hypot(gy) * share;
            votes
        })
        .collect();
    let cell = |cy: i64, cx: i64| {
        let mut sum = [0.0; 8];
        for dy in 1 - BIN..BIN {
            for dx in 1 - BIN..BIN {
                let y = (cy + dy).clamp(0, height as i64 - 1) as usize;
                let x = (cx + dx).clamp(0, width as i64 - 1) as usize;
                let weight = |d: i64| 1.0 - d.abs() as f64 / BIN as f64;
                (0..8).for_each(|t| sum[t] += weight(dy) * weight(dx) * votes[y * width + x][t]);
            }
        }
        sum
    };
    let (rows, columns) = ((height - 25) / 8 + 1, (width - 25) / 8 + 1);
    let mut out = vec![0.0; 128 * rows * columns];
    for row in 0..rows {
        for column in 0..columns {
            let mut descriptor = Vec::with_capacity(128);
            for by in 0..4 {
                for bx in 0..4 {
                    let window = dsift::window(by) * dsift::window(bx);
                    let sum = cell(BIN * (row + by) as i64, BIN * (column + bx) as i64);
                    descriptor.extend(sum.map(|h| h * window));
                }
            }
            let normalise = |v: &mut Vec<f64>| {
                let norm = (v.iter().map(|x| x * x).sum::<f64>() + 1e-6).sqrt();
                v.iter_mut().for_each(|x| *x /= norm);
            };
            normalise(&mut descriptor);
            descriptor.iter_mut().for_each(|x| *x = x.min(0.2));
            normalise(&mut descriptor);
            for (channel, value) in descriptor.into_iter().enumerate() {
                out[(channel * rows + row) * columns + column] = value;
            }
        }
    }
    (vec![128, rows, columns], out)
}

/// The fractional part, measured from the floor also for negative numbers.
trait FractOf {
    fn fract_of(self) -> f64;
}

impl FractOf for f64 {
    fn fract_of(self) -> f64 {
        self - self.floor()
    }
}
