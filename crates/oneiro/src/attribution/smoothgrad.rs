//! Gradients under noise: averaging removes what fluctuates between neighbouring pixels.
//!
//! Let gᵢ be the gradient at x + σε, with ε normal and σ a share of an input's max x − min x. Methods use
//! the mean of gᵢ (Smilkov et al., "SmoothGrad", 2017), or the mean of gᵢ² (Hooker et al., "A benchmark for
//! interpretability methods", 2019, section 4.2). VarGrad uses the variance of gᵢ (Adebayo et al., "Sanity
//! checks for saliency maps", 2018, section 2).

use std::ops::Range;

use oneiro_net::ReluRule;

use super::{Attribution, AttributionTarget, Combine, Method, Settings, Watch};
use crate::error::Result;
use crate::rng::Stream;

/// Attributes by the mean gradient over [`Settings::samples`] noisy copies of the image.
pub fn smoothgrad(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let moments = moments(target, display, settings, watch)?;
    let values = moments.of(|mean, _| mean);
    Attribution::of_values(target, Method::SmoothGrad, &values, Combine::Magnitude, moments.value)
}

/// Attributes by the mean square of the gradient over noisy copies.
pub fn smoothgrad_squared(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let moments = moments(target, display, settings, watch)?;
    let values = moments.of(|_, mean_square| mean_square);
    Attribution::of_values(target, Method::SmoothGradSquared, &values, Combine::Sum, moments.value)
}

/// Attributes by the variance of the gradient over noisy copies.
pub fn vargrad(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let moments = moments(target, display, settings, watch)?;
    let values = moments.of(|mean, mean_square| (mean_square - mean * mean).max(0.0));
    Attribution::of_values(target, Method::VarGrad, &values, Combine::Sum, moments.value)
}

/// Sums of the gradients under noise and of their squares.
struct Moments {
    value: f64,
    samples: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Applies a function of mean and mean square to every value.
    fn of(&self, f: impl Fn(f64, f64) -> f64) -> Vec<f32> {
        let n = self.samples;
        self.sum.iter().zip(&self.squares).map(|(s, q)| f(s / n, q / n) as f32).collect()
    }
}

fn moments(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Moments> {
    let samples = settings.samples;
    let value = target.value(display)?;
    // Colours and flow have other units, so the noise of each input has its own deviation.
    let sigmas: Vec<(Range<usize>, f64)> = target
        .parts()
        .map(|(_, part)| {
            let bounds = |(low, high): (f32, f32), &x: &f32| (low.min(x), high.max(x));
            let own = &display[part.clone()];
            let (low, high) = own.iter().fold((f32::INFINITY, f32::NEG_INFINITY), bounds);
            (part, settings.noise * f64::from(high - low))
        })
        .collect();
    let (mut sum, mut squares) = (vec![0.0f64; display.len()], vec![0.0f64; display.len()]);
    target.gradients(
        samples,
        ReluRule::Exact,
        |i, out| {
            let mut stream = Stream::new(settings.seed, i as u64);
            for (part, sigma) in &sigmas {
                for (out, x) in out[part.clone()].iter_mut().zip(&display[part.clone()]) {
                    *out = x + (sigma * stream.normal()) as f32;
                }
            }
        },
        |_, _, gradient| {
            for ((s, q), g) in sum.iter_mut().zip(&mut squares).zip(gradient) {
                let g = f64::from(*g);
                *s += g;
                *q += g * g;
            }
        },
        |done| watch(done, samples),
    )?;
    Ok(Moments { value, samples: samples as f64, sum, squares })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{attribution, close, curved, image, linear, linear_weights};
    use super::*;

    #[test]
    fn on_a_linear_network_noise_changes_nothing() {
        let settings = Settings { samples: 6, ..Settings::default() };
        let w = linear_weights();
        close(&attribution(&linear(), Method::SmoothGrad, &settings).values, &w, 1e-6);
        let squares: Vec<f32> = w.iter().map(|w| w * w).collect();
        close(&attribution(&linear(), Method::SmoothGradSquared, &settings).values, &squares, 1e-6);
        close(&attribution(&linear(), Method::VarGrad, &settings).values, &vec![0.0; w.len()], 1e-9);
    }

    #[test]
    fn it_is_the_mean_of_the_gradients_at_the_noisy_images() {
        // The reference computes each sample alone, because the result must not depend on the batch.
        let model = curved();
        let settings = Settings { samples: 6, noise: 0.3, seed: 5, ..Settings::default() };
        let x = image();
        let range = x.iter().fold(0.0f32, |m, v| m.max(*v)) - x.iter().fold(1.0f32, |m, v| m.min(*v));
        let mut gradients = Vec::new();
        for i in 0..settings.samples {
            let mut stream = Stream::new(5, i as u64);
            let noisy: Vec<f32> =
                x.iter().map(|x| x + (0.3 * f64::from(range) * stream.normal()) as f32).collect();
            let mut s = AttributionTarget::new(&model, &crate::objective::Objective::logit(0), None).unwrap();
            let rule = ReluRule::Exact;
            gradients
                .push(super::super::gradient::gradient_at(&mut s, &noisy, rule, &mut |_| true).unwrap().0);
        }
        let n = gradients.len() as f64;
        let moment = |i: usize, p: i32| gradients.iter().map(|g| f64::from(g[i]).powi(p)).sum::<f64>() / n;
        let expected = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
            (0..x.len()).map(|i| f(moment(i, 1), moment(i, 2)) as f32).collect()
        };
        for (method, f) in [
            (Method::SmoothGrad, &(|m, _| m) as &dyn Fn(f64, f64) -> f64),
            (Method::SmoothGradSquared, &|_, s| s),
            (Method::VarGrad, &|m, s| s - m * m),
        ] {
            close(&attribution(&model, method, &settings).values, &expected(f), 1e-6);
        }
    }
}
