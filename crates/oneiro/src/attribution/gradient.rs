//! The gradient with respect to the image: how much a small change of each value changes the objective.
//!
//! Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks" (2013), section 3: the map is the
//! largest |∂f/∂x| over the colours. Guided backpropagation (Springenberg et al. 2015) and deconvnets (Zeiler
//! & Fergus 2014) use other rules for ReLUs. Their maps are not derivatives of any function, and depend
//! little on the objective (Adebayo et al. 2018).

use oneiro_net::ReluRule;

use super::{Attribution, AttributionTarget, Combine, Method, Settings, Watch};
use crate::error::Result;

/// Attributes by the plain gradient of the objective.
pub fn gradient(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    _: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    by_rule(target, display, Method::Gradient, ReluRule::Exact, watch)
}

/// The map of guided backpropagation: active ReLUs pass only positive gradients.
pub fn guided(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    _: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    by_rule(target, display, Method::Guided, ReluRule::Guided, watch)
}

/// The map of a deconvnet: every ReLU passes only positive gradients.
pub fn deconv(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    _: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    by_rule(target, display, Method::Deconv, ReluRule::Deconv, watch)
}

fn by_rule(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    method: Method,
    rule: ReluRule,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let (values, value) = gradient_at(target, display, rule, &mut |done| watch(done, 1))?;
    Attribution::of_values(target, method, &values, Combine::Magnitude, value)
}

/// Returns the gradient with respect to the display image, and the objective's value.
pub(super) fn gradient_at(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    rule: ReluRule,
    watch: &mut (dyn FnMut(usize) -> bool + Send),
) -> Result<(Vec<f32>, f64)> {
    let mut found = (Vec::new(), f64::NAN);
    target.gradients(
        1,
        rule,
        |_, out| out.copy_from_slice(display),
        |_, value, gradient| found = (gradient.to_vec(), value),
        watch,
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{attribution, curved, image, linear, linear_weights, target};
    use super::*;

    #[test]
    fn a_linear_network_has_its_weights_for_gradients_under_every_rule() {
        let model = linear();
        for method in [Method::Gradient, Method::Guided, Method::Deconv] {
            let a = attribution(&model, method, &Settings::default());
            let w = linear_weights();
            assert_eq!(a.values.len(), w.len());
            assert!(a.values.iter().zip(&w).all(|(a, w)| (a - w).abs() < 1e-6), "{method}");
            assert_eq!(a.map[0], w[0].abs().max(w[a.map.len()].abs()).max(w[2 * a.map.len()].abs()));
        }
    }

    #[test]
    fn the_gradient_is_that_of_central_differences() {
        let model = curved();
        let mut s = target(&model);
        let mut x = image();
        let a = gradient(&mut s, &x, &Settings::default(), &mut |_, _| true).unwrap().remove(0);
        let h = 1e-2;
        for i in (0..x.len()).step_by(7) {
            let middle = x[i];
            x[i] = middle + h;
            let up = s.value(&x).unwrap();
            x[i] = middle - h;
            let down = s.value(&x).unwrap();
            x[i] = middle;
            let expected = (up - down) / f64::from(2.0 * h);
            assert!((f64::from(a.values[i]) - expected).abs() < 1e-3, "{i}: {} for {expected}", a.values[i]);
        }
    }
}
