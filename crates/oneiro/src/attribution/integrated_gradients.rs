//! Integrated gradients: each value's share in the objective's rise from a baseline to the image, along a
//! straight line.
//!
//! Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks" (ICML 2017), equation 1: (x − b) ∫₀¹
//! ∂f(b + α(x − b))/∂x dα. The integral is approximated by the mean over the midpoints α = (k + ½)/n. Its
//! error decreases with the square of n where the gradient is smooth. The exact attributions sum to f(x) −
//! f(b); the remaining gap is reported.

use oneiro_net::ReluRule;

use super::{Attribution, AttributionTarget, Combine, Completeness, Method, Settings, Watch};
use crate::error::Result;

/// Attributes by integrated gradients, from [`Settings::baseline`] in [`Settings::steps`] steps.
pub fn integrated_gradients(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let steps = settings.steps;
    let baseline = target.baseline(settings.baseline, display, settings.seed);
    let (value, baseline_value) = (target.value(display)?, target.value(&baseline)?);
    let mut total = vec![0.0f64; display.len()];
    target.gradients(
        steps,
        ReluRule::Exact,
        |k, out| {
            let alpha = ((k as f64 + 0.5) / steps as f64) as f32;
            for (out, (x, b)) in out.iter_mut().zip(display.iter().zip(&baseline)) {
                *out = b + alpha * (x - b);
            }
        },
        |_, _, gradient| total.iter_mut().zip(gradient).for_each(|(t, g)| *t += f64::from(*g)),
        |done| watch(done, steps),
    )?;
    let distance = display.iter().zip(&baseline).map(|(x, b)| f64::from(x - b));
    let values: Vec<f32> = distance.zip(&total).map(|(d, t)| (d * t / steps as f64) as f32).collect();
    let completeness = Some(Completeness::new(&values, value, baseline_value));
    let mut found =
        Attribution::of_values(target, Method::IntegratedGradients, &values, Combine::Sum, value)?;
    found.iter_mut().for_each(|attribution| attribution.completeness = completeness);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Baseline;
    use super::super::testing::{attribution, close, curved, image, linear, linear_weights};
    use super::*;

    #[test]
    fn on_a_linear_network_it_is_weight_times_distance_in_any_number_of_steps() {
        for steps in [1, 5] {
            let settings = Settings { steps, ..Settings::default() };
            let a = attribution(&linear(), Method::IntegratedGradients, &settings);
            let expected: Vec<f32> = linear_weights().iter().zip(image()).map(|(w, x)| w * x).collect();
            close(&a.values, &expected, 1e-6);
        }
    }

    #[test]
    fn attributions_add_up_to_the_rise_from_every_baseline() {
        for baseline in Baseline::ALL {
            let settings = Settings { steps: 200, baseline, ..Settings::default() };
            let a = attribution(&curved(), Method::IntegratedGradients, &settings);
            let Completeness { baseline_value, sum, gap } = a.completeness.unwrap();
            let rise = a.value - baseline_value;
            assert!((sum - rise).abs() < 1e-3 * rise.abs() + 1e-6, "{baseline}: {sum} for {rise}");
            assert!((gap - (sum - rise).abs() / rise.abs()).abs() < 1e-9, "{gap}");
        }
    }

    #[test]
    fn too_few_steps_leave_a_gap() {
        let gap = |steps| {
            let settings = Settings { steps, ..Settings::default() };
            attribution(&curved(), Method::IntegratedGradients, &settings).completeness.unwrap().gap
        };
        assert!(gap(1) > 10.0 * gap(100), "{} {}", gap(1), gap(100));
    }
}
