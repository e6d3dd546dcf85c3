//! Gradient × input: the first-order share of each value in the objective's rise over a baseline.
//!
//! Shrikumar, Greenside, Shcherbina & Kundaje, "Not just a black box" (2016): (x − b) ∂f/∂x at x, summed over
//! the colours. It is complete for a linear network; otherwise the completeness gap measures how far from
//! linear the network is between baseline and image.

use oneiro_net::ReluRule;

use super::gradient::gradient_at;
use super::{Attribution, AttributionTarget, Combine, Completeness, Method, Settings, Watch};
use crate::error::Result;

/// Attributes by gradient × input, relative to [`Settings::baseline`].
pub fn gradient_x_input(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let baseline = target.baseline(settings.baseline, display, settings.seed);
    let baseline_value = target.value(&baseline)?;
    let (mut values, value) = gradient_at(target, display, ReluRule::Exact, &mut |done| watch(done, 1))?;
    for (v, (x, b)) in values.iter_mut().zip(display.iter().zip(&baseline)) {
        *v *= x - b;
    }
    let completeness = Some(Completeness::new(&values, value, baseline_value));
    let mut found = Attribution::of_values(target, Method::GradientXInput, &values, Combine::Sum, value)?;
    found.iter_mut().for_each(|attribution| attribution.completeness = completeness);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Baseline;
    use super::super::testing::{attribution, close, image, linear, linear_weights};
    use super::*;

    #[test]
    fn on_a_linear_network_it_is_weight_times_distance_and_complete() {
        for (baseline, b) in [(Baseline::Black, 0.0), (Baseline::Mean, 0.5)] {
            let settings = Settings { baseline, ..Settings::default() };
            let a = attribution(&linear(), Method::GradientXInput, &settings);
            let expected: Vec<f32> = linear_weights().iter().zip(image()).map(|(w, x)| w * (x - b)).collect();
            close(&a.values, &expected, 1e-6);
            assert!(a.completeness.unwrap().gap < 1e-4, "{:?}", a.completeness);
        }
    }
}
