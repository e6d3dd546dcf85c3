//! Penalties on the size or roughness of an input in display units, or of a layer. All are ≥ 0.

use std::sync::Arc;

use oneiro_image::Extent;

use super::{Measure, Variation, dot};
use crate::objective::{Penalty, TermError};

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
        Penalty::TotalVariation(beta) => {
            let [height, width] = plane("tv")?;
            let frames = positions / (height * width).max(1);
            let extent = Extent { channels: shape[0], frames, height, width };
            Arc::new(Variation { extent, beta, kappa: 1.0, gamma: 0.0 })
        }
        Penalty::Blur => Arc::new(Blur { plane: plane("blur")? }),
        Penalty::Opacity if has_alpha => Arc::new(Opacity { positions }),
        Penalty::Opacity => return Err(TermError::NoTransparency),
    })
}

/// The penalty `l1`: the mean of absolute values.
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

/// The penalty `l2`: the root mean square.
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

/// Mean of (x − Bx)², B the binomial [1,2,1]⊗[1,2,1]/16 with repeated edges, which is symmetric.
struct Blur {
    plane: [usize; 2],
}

impl Blur {
    /// Computes x − Bx, what a slight blur removes from a picture x.
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

/// The penalty `opacity`: the mean of the last of four channels.
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
