//! Penalties on the size or roughness of an input in display units, or of a layer. All are ≥ 0.

use std::sync::Arc;

use super::{Measure, dot};
use crate::objective::{Penalty, TermError};

/// Smallest difference with a gradient, where the power would make the gradient infinite (Mahendran & Vedaldi
/// 2016, their code).
pub(crate) const TV_FLOOR: f64 = 1e-6;

/// Creates the measure of a penalty on values of this shape (channels first). `has_alpha`: whether the last
/// channel is opacity.
pub(super) fn new(penalty: Penalty, shape: &[usize], has_alpha: bool) -> Result<Arc<dyn Measure>, TermError> {
    let positions: usize = shape.get(1..).unwrap_or_default().iter().product();
    let plane = |what| match *shape {
        [_, .., h, w] => Ok([h, w]),
        _ => Err(TermError::NoPlane { what, layer: "it".into(), shape: shape.to_vec() }),
    };
    Ok(match penalty {
        Penalty::L1 => Arc::new(L1),
        Penalty::L2 => Arc::new(L2),
        Penalty::AlphaNorm(alpha) => Arc::new(AlphaNorm { positions, alpha }),
        Penalty::TotalVariation(beta) => Arc::new(TotalVariation { plane: plane("tv")?, positions, beta }),
        Penalty::Blur => Arc::new(Blur { plane: plane("blur")? }),
        Penalty::Opacity if has_alpha => Arc::new(Opacity { positions }),
        Penalty::Opacity => return Err(TermError::NoTransparency),
    })
}

/// Mean of absolute values.
struct L1;

impl Measure for L1 {
    fn value(&self, x: &[f32]) -> f64 {
        x.iter().map(|v| f64::from(v.abs())).sum::<f64>() / x.len().max(1) as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let share = (weight / x.len().max(1) as f64) as f32;
        for (s, v) in seed.iter_mut().zip(x).filter(|(_, v)| **v != 0.0) {
            *s += share * v.signum();
        }
    }
}

/// Root mean square.
struct L2;

impl Measure for L2 {
    fn value(&self, x: &[f32]) -> f64 {
        (dot(x, x) / x.len().max(1) as f64).sqrt()
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let rms = self.value(x);
        if rms > 0.0 {
            let share = (weight / (rms * x.len() as f64)) as f32;
            seed.iter_mut().zip(x).for_each(|(s, v)| *s += share * v);
        }
    }
}

/// The norm over the channels, raised to a power; mean over positions.
struct AlphaNorm {
    positions: usize,
    alpha: f64,
}

impl AlphaNorm {
    fn square(&self, x: &[f32], position: usize) -> f64 {
        x[position..].iter().step_by(self.positions).map(|v| f64::from(*v).powi(2)).sum()
    }
}

impl Measure for AlphaNorm {
    fn value(&self, x: &[f32]) -> f64 {
        let power = |p: usize| self.square(x, p).powf(self.alpha / 2.0);
        (0..self.positions).map(power).sum::<f64>() / self.positions as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let share = weight * self.alpha / self.positions as f64;
        for p in 0..self.positions {
            let square = self.square(x, p);
            if square > 0.0 {
                let factor = share * square.powf(self.alpha / 2.0 - 1.0);
                for i in (p..x.len()).step_by(self.positions) {
                    seed[i] += (factor * f64::from(x[i])) as f32;
                }
            }
        }
    }
}

/// Mean over positions of (Δx² + Δy²)^(β/2), with forward differences that are zero in the last row and
/// column.
struct TotalVariation {
    plane: [usize; 2],
    positions: usize,
    beta: f64,
}

impl TotalVariation {
    /// Returns the differences to the right and lower neighbours.
    fn differences(&self, plane: &[f32], i: usize) -> (f64, f64) {
        let [h, w] = self.plane;
        let (y, x) = (i / w, i % w);
        let dx = if x + 1 < w { f64::from(plane[i + 1]) - f64::from(plane[i]) } else { 0.0 };
        let dy = if y + 1 < h { f64::from(plane[i + w]) - f64::from(plane[i]) } else { 0.0 };
        (dx, dy)
    }

    fn len(&self) -> usize {
        self.plane[0] * self.plane[1]
    }
}

impl Measure for TotalVariation {
    fn value(&self, x: &[f32]) -> f64 {
        let of_plane = |plane: &[f32]| -> f64 {
            (0..plane.len())
                .map(|i| {
                    let (dx, dy) = self.differences(plane, i);
                    (dx * dx + dy * dy).powf(self.beta / 2.0)
                })
                .sum()
        };
        x.chunks_exact(self.len()).map(of_plane).sum::<f64>() / self.positions as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let w = self.plane[1];
        let share = weight * self.beta / self.positions as f64;
        for (plane, seed) in x.chunks_exact(self.len()).zip(seed.chunks_exact_mut(self.len())) {
            for i in 0..plane.len() {
                let (dx, dy) = self.differences(plane, i);
                let square = (dx * dx + dy * dy).max(TV_FLOOR * TV_FLOOR);
                let factor = share * square.powf(self.beta / 2.0 - 1.0);
                let (dx, dy) = ((factor * dx) as f32, (factor * dy) as f32);
                seed[i] -= dx + dy;
                if dx != 0.0 {
                    seed[i + 1] += dx;
                }
                if dy != 0.0 {
                    seed[i + w] += dy;
                }
            }
        }
    }
}

/// Mean of (x − Bx)². B is the binomial filter [1,2,1]⊗[1,2,1]/16 with repeated edges; as a matrix it is
/// symmetric.
struct Blur {
    plane: [usize; 2],
}

impl Blur {
    /// Computes x − Bx.
    fn rest(&self, x: &[f32]) -> Vec<f32> {
        let [h, w] = self.plane;
        let mut rest = x.to_vec();
        for plane in rest.chunks_exact_mut(h * w) {
            let source = plane.to_vec();
            let at = |y: usize, x: usize| f64::from(source[y * w + x]);
            for y in 0..h {
                let rows = [(y.saturating_sub(1), 1.0), (y, 2.0), ((y + 1).min(h - 1), 1.0)];
                for x in 0..w {
                    let columns = [(x.saturating_sub(1), 1.0), (x, 2.0), ((x + 1).min(w - 1), 1.0)];
                    let blurred: f64 = rows
                        .iter()
                        .flat_map(|&(y, a)| columns.iter().map(move |&(x, b)| (y, x, a * b)))
                        .map(|(y, x, weight)| weight * at(y, x))
                        .sum();
                    plane[y * w + x] = (at(y, x) - blurred / 16.0) as f32;
                }
            }
        }
        rest
    }
}

impl Measure for Blur {
    fn value(&self, x: &[f32]) -> f64 {
        let rest = self.rest(x);
        dot(&rest, &rest) / x.len().max(1) as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let share = (2.0 * weight / x.len().max(1) as f64) as f32;
        let twice = self.rest(&self.rest(x));
        seed.iter_mut().zip(twice).for_each(|(s, r)| *s += share * r);
    }
}

/// Mean of the last of four channels.
struct Opacity {
    positions: usize,
}

impl Measure for Opacity {
    fn value(&self, x: &[f32]) -> f64 {
        let alpha = &x[x.len() - self.positions..];
        alpha.iter().map(|v| f64::from(*v)).sum::<f64>() / self.positions as f64
    }

    fn seed(&self, x: &[f32], weight: f64, seed: &mut [f32]) {
        let share = (weight / self.positions as f64) as f32;
        seed[x.len() - self.positions..].iter_mut().for_each(|s| *s += share);
    }
}
