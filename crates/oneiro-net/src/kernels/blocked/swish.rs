//! The activation function x·sigmoid(αx) and its slope, computed in registers.

use super::lanes::Lanes;
use crate::kernels::functions::{EXP_TERMS, LN_2, ROUND};
use std::f32::consts::LOG2_E;

/// Range to which the argument of the exponential is clamped. Below it, 1 + eˣ rounds to 1; above it, eˣ is
/// ∞. At 89 the power of two has exponent 128, the largest that [`Lanes::times_power`] takes.
const RANGE: (f32, f32) = (-87.0, 89.0);

/// Returns x·sigmoid(αx) and its derivative. Each is within four units in the last place of the result of
/// [`crate::kernels::functions`], which uses no fused multiply-add.
///
/// # Safety
/// The machine has the instruction set of `X`.
#[inline(always)]
pub(in crate::kernels) unsafe fn swish<X: Lanes>(x: X, alpha: f32) -> (X, X) {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe {
        let one = X::splat(1.0);
        let sigmoid = one.div(one.add(exp(X::splat(-alpha).mul(x))));
        let y = x.mul(sigmoid);
        (y, sigmoid.multiply_add(X::splat(alpha).mul(y), one.sub(sigmoid)))
    }
}

/// Returns eˣ for x within [`RANGE`].
///
/// # Safety
/// The machine has the instruction set of `X`.
#[inline(always)]
unsafe fn exp<X: Lanes>(x: X) -> X {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe {
        let (x, ..) = x.clip(X::splat(RANGE.0), X::splat(RANGE.1));
        let round = X::splat(ROUND);
        let shifted = round.multiply_add(x, X::splat(LOG2_E));
        let n = shifted.sub(round);
        let r = x.multiply_add(n, X::splat(-LN_2.0)).multiply_add(n, X::splat(-LN_2.1));
        let mut p = X::splat(EXP_TERMS[0]);
        for term in &EXP_TERMS[1..] {
            p = X::splat(*term).multiply_add(p, r);
        }
        let p = r.multiply_add(p.mul(r), r).add(X::splat(1.0));
        p.times_power(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blocked::isa_dispatch::isa_dispatch;
    use crate::kernels::blocked::lanes::LANES;
    use crate::kernels::isa::Isa;

    struct Call<'a> {
        x: &'a [f32],
        alpha: f32,
        value: &'a mut [f32],
        slope: &'a mut [f32],
    }

    isa_dispatch! {
        fn run(&mut Call<'_>) = each
    }

    /// # Safety
    /// The machine has the instruction set of `X`, and the slices are whole blocks of equal length.
    unsafe fn each<X: Lanes>(call: &mut Call<'_>) {
        for at in (0..call.x.len()).step_by(LANES) {
            // SAFETY: each slice has sixteen elements from `at` on.
            unsafe {
                let (value, slope) = swish(X::load(call.x[at..].as_ptr()), call.alpha);
                value.store(call.value[at..].as_mut_ptr());
                slope.store(call.slope[at..].as_mut_ptr());
            }
        }
    }

    fn of(isa: Isa, x: &[f32], alpha: f32) -> (Vec<f32>, Vec<f32>) {
        let (mut value, mut slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        // SAFETY: the slices are whole blocks.
        unsafe { run(isa, &mut Call { x, alpha, value: &mut value, slope: &mut slope }) };
        (value, slope)
    }

    #[test]
    fn values_and_slopes_are_exact_to_a_few_units_in_the_last_place() {
        let x: Vec<f32> = (-8000..8000).map(|i| i as f32 / 100.0).collect();
        for isa in Isa::available() {
            for alpha in [1.0, 1.702] {
                let (value, slope) = of(isa, &x, alpha);
                for (i, &x) in x.iter().enumerate() {
                    let (exact, a) = (f64::from(x), f64::from(alpha));
                    let s = 1.0 / (1.0 + (-a * exact).exp());
                    let slope_there = s + a * exact * s * (1.0 - s);
                    let off = |found: f32, exact: f64, scale: f64| (f64::from(found) - exact).abs() / scale;
                    // The product αx is rounded. Its error grows with the argument, and so does the error of
                    // the exponential.
                    let room = 4.0 * f64::from(f32::EPSILON) * (1.0 + (a * exact).abs() / 4.0);
                    // Where the function is smaller than this, e⁻ˣ overflows.
                    let tiny = 1e-30;
                    assert!(
                        off(value[i], exact * s, (exact * s).abs() + tiny) < room,
                        "{isa:?}: {x}: {}",
                        value[i]
                    );
                    // Near its zero, the slope is a difference of two nearly equal numbers. So its error is
                    // measured against the sum of their magnitudes.
                    let parts = s + (a * exact * s * (1.0 - s)).abs() + tiny;
                    assert!(off(slope[i], slope_there, parts) < room, "{isa:?}: slope at {x}: {}", slope[i]);
                }
            }
        }
    }

    #[test]
    fn extremes_have_their_limits_and_fused_families_the_same_bits() {
        let mut x = vec![0.0; LANES];
        x[..6].copy_from_slice(&[1e30, -1e30, 200.0, -200.0, f32::NAN, f32::INFINITY]);
        for isa in Isa::available() {
            let (value, slope) = of(isa, &x, 1.0);
            assert_eq!((&value[..4], value[5]), (&[1e30, 0.0, 200.0, 0.0][..], f32::INFINITY), "{isa:?}");
            assert_eq!((&slope[..4], slope[6]), (&[1.0, 0.0, 1.0, 0.0][..], 0.5), "{isa:?}");
            assert!(value[4].is_nan() && slope[4].is_nan(), "{isa:?}");
        }
        let x: Vec<f32> = (0..16_000).map(|i| i as f32 / 80.0 - 100.0).collect();
        let fused: Vec<Isa> = Isa::available().into_iter().filter(|&isa| isa != Isa::Portable).collect();
        for isa in &fused {
            assert_eq!(of(*isa, &x, 1.3), of(fused[0], &x, 1.3), "{isa:?}");
        }
    }
}
