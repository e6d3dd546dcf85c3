//! Regularizers of natural pre-images: how bright and how rough a picture may be.
//!
//! Interface: a [`Regularizer`] is a part of a preset. Bound to the shape of a picture it becomes a
//! [`BoundRegularizer`], which returns a value and adds its gradient. Both refer to a display image, but are
//! measured in the units of Mahendran & Vedaldi (IJCV 2016, §3): pixels from 0 to 255 minus the mean colour,
//! whatever the network's units.
//!
//! R = alpha_weight · R_α + tv_weight · TV_β with R_α = 1/(THW) Σ ‖x‖^α over pixels and TV_β = 1/(THW) Σ
//! (κ(Δx² + Δy²) + γΔt²)^(β/2) over pixels and channels. By projection, ‖x‖ ≤ bound. Δt is the difference
//! between successive frames of a clip, or between successive flow fields (Feichtenhofer et al., IJCV 2020,
//! §3.2). The paper sums over frames; here they are averaged, so that clips of any length have the same
//! weight.
//!
//! Flow is counted in the same units: its range, of both signs, is 255 wide.

use std::sync::Arc;

use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::objective::measure::{self, Measure, Variation};
use crate::objective::{Penalty, Term, TermKind};

/// Ratio of the regularizers' units (0–255) to display units (0–1).
pub const UNITS: f32 = 255.0;

/// α of the norm (Mahendran & Vedaldi 2016, §3.1).
pub const ALPHA: f64 = 6.0;
/// β of the total variation (Mahendran & Vedaldi 2016, §3.1).
pub const BETA: f64 = 2.0;
/// B: a typical deviation of a pixel from the mean colour (Mahendran & Vedaldi 2016, §3.1).
pub const TYPICAL: f64 = 80.0;
/// B₊: the largest norm of a pixel (Mahendran & Vedaldi 2016, §3.1).
pub const BOUND: f32 = 160.0;
/// V = B / 6.5: a typical difference of neighbouring pixels (Mahendran & Vedaldi 2016, §3.1).
pub const TYPICAL_DIFFERENCE: f64 = TYPICAL / 6.5;

/// Settings of the regularizer, as in presets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regularizer {
    /// The exponent α of R_α.
    pub alpha: f64,
    /// The weight of R_α.
    pub alpha_weight: f64,
    /// The exponent β of TV_β.
    pub beta: f64,
    /// The weight of TV_β.
    pub tv_weight: f64,
    /// κ, the weight in TV_β of differences within a frame.
    #[serde(skip_serializing_if = "is_one")]
    pub kappa: f64,
    /// γ, the weight in TV_β of differences between frames.
    #[serde(skip_serializing_if = "is_zero")]
    pub gamma: f64,
    /// Largest norm of a pixel less the mean colour, enforced after each step; 0 for none.
    pub bound: f32,
}

impl Default for Regularizer {
    /// The regularizer of Mahendran & Vedaldi 2016: (1/80)⁶ R₆ + (6.5/80)² TV₂, ‖x‖ ≤ 160.
    fn default() -> Self {
        Self {
            alpha: ALPHA,
            alpha_weight: TYPICAL.powf(-ALPHA),
            beta: BETA,
            tv_weight: TYPICAL_DIFFERENCE.powf(-BETA),
            kappa: 1.0,
            gamma: 0.0,
            bound: BOUND,
        }
    }
}

fn is_one(x: &f64) -> bool {
    *x == 1.0
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// How much the objective and each part of the regularizer contribute for one picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// The objective's value times its weight.
    pub objective: f64,
    /// The weighted norm alpha_weight · R_α.
    pub alpha_norm: f64,
    /// The weighted total variation tv_weight · TV_β.
    pub total_variation: f64,
}

impl Shares {
    /// The sum of both parts of the regularizer.
    pub fn penalty(&self) -> f64 {
        self.alpha_norm + self.total_variation
    }
}

impl Regularizer {
    /// Returns an error if a number is out of range.
    pub fn validate(&self) -> Result<()> {
        let fine = |x: f64, low: f64| x.is_finite() && x >= low;
        if !fine(self.alpha, 1.0) || !fine(self.beta, 1.0) {
            let value = format!("{} and {}", self.alpha, self.beta);
            return Err(Error::out_of_range(
                "the regularizer's alpha and beta",
                value,
                "a number of at least 1",
            ));
        }
        let others = [
            ("alpha_weight", self.alpha_weight),
            ("tv_weight", self.tv_weight),
            ("kappa", self.kappa),
            ("gamma", self.gamma),
            ("bound", self.bound.into()),
        ];
        match others.iter().find(|(_, value)| !fine(*value, 0.0)) {
            None => Ok(()),
            Some((name, value)) => {
                let what = format!("the regularizer's {name}");
                Err(Error::out_of_range(what, value, "a number of 0 or more"))
            }
        }
    }

    /// For pictures of this extent whose mean colour is given in display units, of which the range of values
    /// has the width `span`: 1 for colours.
    ///
    /// # Errors
    /// If a number of the settings is out of range.
    pub fn bind(&self, extent: impl Into<Extent>, mean: &[f32], span: f32) -> Result<BoundRegularizer> {
        self.validate()?;
        let extent = extent.into();
        let norm = Term::new("", TermKind::Penalty(Penalty::AlphaNorm(self.alpha)));
        let variation = Variation { extent, beta: self.beta, kappa: self.kappa, gamma: self.gamma };
        let alpha_norm = (self.alpha_weight > 0.0).then(|| measure::of_input(&norm, &extent.axes(), false));
        let (n, channels) = (extent.values(), extent.channels);
        Ok(BoundRegularizer {
            alpha_norm: alpha_norm.transpose()?.map(|measure| (self.alpha_weight, measure)),
            variation: (self.tv_weight > 0.0).then_some((self.tv_weight, variation)),
            mean: (0..channels).map(|c| mean[c * mean.len() / channels]).collect(),
            scale: UNITS / span,
            centred: vec![0.0; n],
            gradient: vec![0.0; n],
        })
    }
}

/// A regularizer for pictures of one shape.
#[allow(missing_debug_implementations)]
pub struct BoundRegularizer {
    alpha_norm: Option<(f64, Arc<dyn Measure>)>,
    variation: Option<(f64, Variation)>,
    /// The mean colour, one number for each channel in display units.
    mean: Vec<f32>,
    /// The factor from display units to the units of the regularizer.
    scale: f32,
    centred: Vec<f32>,
    gradient: Vec<f32>,
}

impl BoundRegularizer {
    /// Computes the regularizer's parts for a display image, and subtracts their gradient from `gradient`,
    /// that of the maximised objective. Returns the parts.
    pub fn subtract(&mut self, image: &[f32], gradient: &mut [f32]) -> Shares {
        let (plane, scale) = (image.len() / self.mean.len(), self.scale);
        for ((out, x), mean) in
            self.centred.chunks_exact_mut(plane).zip(image.chunks_exact(plane)).zip(&self.mean)
        {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = scale * (x - mean));
        }
        self.gradient.fill(0.0);
        let mut shares = Shares::default();
        if let Some((weight, measure)) = &self.alpha_norm {
            shares.alpha_norm = weight * measure.value(&self.centred);
            measure.seed(&self.centred, *weight, &mut self.gradient);
        }
        if let Some((weight, variation)) = &self.variation {
            shares.total_variation =
                weight * variation.add_gradient(&self.centred, *weight, &mut self.gradient);
        }
        gradient.iter_mut().zip(&self.gradient).for_each(|(g, r)| *g -= scale * r);
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn the_constants_are_those_of_the_paper() {
        let r = Regularizer::default();
        assert!((r.alpha_weight - 3.8147e-12).abs() < 1e-16, "{}", r.alpha_weight);
        assert!((r.tv_weight - 6.6016e-3).abs() < 1e-7, "{}", r.tv_weight);
    }

    #[test]
    fn a_pixel_of_typical_deviation_counts_one() {
        let shape = [3, 2, 2];
        let mut bound = Regularizer::default().bind(shape, &[0.5], 1.0).unwrap();
        // Every pixel's norm is 80, and nothing varies.
        let grey = 0.5 + 80.0 / 3f32.sqrt() / UNITS;
        let value = bound.subtract(&[grey; 12], &mut [0.0; 12]).penalty();
        assert!((value - 1.0).abs() < 1e-4, "{value}");
    }

    #[test]
    fn a_clip_counts_as_the_mean_of_its_frames() {
        let mut rng = Stream::new(1, 0);
        let frames: Vec<Vec<f32>> = (0..3).map(|_| (0..60).map(|_| rng.uniform() as f32).collect()).collect();
        let clip: Vec<f32> =
            (0..3).flat_map(|c| frames.iter().flat_map(move |f| f[20 * c..20 * (c + 1)].to_vec())).collect();
        let value = |extent: Extent, image: &[f32]| {
            let mut bound = Regularizer::default().bind(extent, &[0.4, 0.5, 0.6], 1.0).unwrap();
            bound.subtract(image, &mut vec![0.0; image.len()]).penalty()
        };
        let mean = frames.iter().map(|f| value([3, 5, 4].into(), f)).sum::<f64>() / 3.0;
        let of_clip = value([3, 3, 5, 4].into(), &clip);
        assert!((of_clip - mean).abs() < 1e-9 * mean, "{of_clip} {mean}");
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let shape = [3, 5, 4];
        let mut rng = Stream::new(0, 0);
        let mut image: Vec<f32> = (0..60).map(|_| rng.uniform() as f32).collect();
        for beta in [1.0, 2.0, 3.0] {
            let settings = Regularizer { beta, ..Regularizer::default() };
            let mut bound = settings.bind(shape, &[0.4, 0.5, 0.6], 1.0).unwrap();
            let mut gradient = vec![0.0; 60];
            bound.subtract(&image, &mut gradient);
            for i in 0..60 {
                let (x, h) = (image[i], 1e-3);
                image[i] = x + h;
                let up = bound.subtract(&image, &mut [0.0; 60]).penalty();
                image[i] = x - h;
                let down = bound.subtract(&image, &mut [0.0; 60]).penalty();
                image[i] = x;
                let expected = (down - up) / (2.0 * f64::from(h));
                let error = (f64::from(gradient[i]) - expected).abs();
                assert!(error < 5e-3 * (1.0 + expected.abs()), "{beta} {i}: {} {expected}", gradient[i]);
            }
        }
    }
}
