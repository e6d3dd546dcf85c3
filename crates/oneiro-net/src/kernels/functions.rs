//! Transcendental functions in plain arithmetic that the compiler vectorizes. They give the same bits on
//! every machine, accurate to two units in the last place (`atan` and `sigmoid`: three).
//!
//! After S. L. Moshier's Cephes library (exp, tanh, atan) and N. Juffa's approximation of erf.

use super::elementwise::chunked;
use super::isa::{Isa, multiversion};
use super::scratch::Disjoint;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, FRAC_PI_2, FRAC_PI_4, LOG2_E};

/// Adding this number rounds a small number to an integer, which is then in the lowest bits of the sum.
pub(super) const ROUND: f32 = 12_582_912.0;
/// ln 2 as a sum of two parts. The first has few bits, so that its products with small integers are exact.
pub(super) const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// The polynomial of Cephes for (eʳ − 1 − r) / r².
pub(super) const EXP_TERMS: [f32; 6] =
    [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// The exponential function eˣ.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // For x beyond these bounds, the result is 0 or ∞.
    let x = x.clamp(-104.0, 89.0);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2.0 - n * LN_2.1;
    let mut p = EXP_TERMS[0];
    for c in &EXP_TERMS[1..] {
        p = p * r + c;
    }
    let p = p * r * r + r + 1.0;
    // 2ⁿ is the product of two factors, since n exceeds the exponents of f32 on both sides.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let power = |n: i32| f32::from_bits((n.wrapping_add(BIAS) << MANTISSA) as u32);
    let half = n >> 1;
    p * power(half) * power(n.wrapping_sub(half))
}

/// Number of mantissa bits, and the bias of exponents.
pub(super) const MANTISSA: u32 = f32::MANTISSA_DIGITS - 1;
pub(super) const BIAS: i32 = f32::MAX_EXP - 1;

/// The sigmoid function 1/(1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let s = x * x;
    let mut p = -5.704_988_7e-3;
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_3e-1] {
        p = p * s + c;
    }
    let near = p * s * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

/// tan(π/8) and tan(3π/8), the bounds of the interval in which the arc is computed relative to π/4.
const TAN_BOUNDS: (f32, f32) = (0.414_213_57, 2.414_213_7);

/// The inverse tangent.
#[inline(always)]
pub fn atan(x: f32) -> f32 {
    let t = x.abs();
    // The reduced argument is t, (t − 1)/(t + 1) or −1/t, computed with a single division.
    let (far, near) = (t > TAN_BOUNDS.1, t > TAN_BOUNDS.0);
    let over = if far {
        -1.0
    } else if near {
        t - 1.0
    } else {
        t
    };
    let under = if far {
        t
    } else if near {
        t + 1.0
    } else {
        1.0
    };
    let base = if far {
        FRAC_PI_2
    } else if near {
        FRAC_PI_4
    } else {
        0.0
    };
    let r = over / under;
    let s = r * r;
    let mut p = 8.053_744_5e-2;
    for c in [-1.387_768_6e-1, 1.997_771_1e-1, -3.333_295e-1] {
        p = p * s + c;
    }
    (base + (p * s * r + r)).copysign(x)
}

/// The error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let (t, s) = (x.abs(), x * x);
    let mut p = -5.967_617e-4;
    for c in [4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_25e-1, -3.761_253_4e-1, 1.283_791_7e-1] {
        p = p * s + c;
    }
    let near = p * x + x;
    // The polynomial q is chosen so that q·t − t approximates ln(1 − erf(t)).
    let mut q = (-1.728_534_7e-5 * t + 3.831_971_3e-4) * s + (-3.883_964_4e-3 * t + 2.425_462_2e-2);
    for c in [-1.067_778_8e-1, -6.348_467e-1, -1.287_175_1e-1] {
        q = q * t + c;
    }
    // For x beyond 4, the result is 1, and the polynomial is not valid.
    let tail = if t > 4.0 { 0.0 } else { exp(q * t - t) };
    let far = (1.0 - tail).copysign(x);
    let value = if t > 0.927_734_4 { far } else { near };
    if x.is_nan() { x } else { value }
}

/// √(2/π), the inner scale of GELU's approximation with tanh (Hendrycks & Gimpel 2016).
const GELU_SCALE: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
/// Cubic coefficient of GELU's approximation with tanh.
const GELU_CUBIC: f32 = 0.044_715;

/// Functions that have vectorized loops over slices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smooth {
    /// The inverse tangent, [`atan`].
    Atan,
    /// The error function, [`erf`].
    Erf,
    /// The exponential function, [`exp`].
    Exp,
    /// The activation function GELU, x·Φ(x) (Hendrycks & Gimpel 2016).
    Gelu,
    /// The approximation of GELU with tanh.
    GeluTanh,
    /// The function [`sigmoid`].
    Sigmoid,
    /// The activation function x·sigmoid(αx) (Ramachandran et al. 2017).
    Swish(f32),
    /// The hyperbolic tangent, [`tanh`].
    Tanh,
}

/// Defines the loops over slices for each function and its derivative, compiled for every instruction set.
macro_rules! smooth {
    ($($variant:ident $(($parameter:ident))?, $forward:ident, $backward:ident:
        |$x:ident| $value:expr, $slope:expr;)*) => {
        $(
            multiversion! {
                fn $forward(x: &[f32], y: &mut [f32] $(, $parameter: f32)?) {
                    for (y, &$x) in y.iter_mut().zip(x) {
                        *y = $value;
                    }
                }
            }

            multiversion! {
                fn $backward(x: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool $(, $parameter: f32)?) {
                    if accumulate {
                        for ((dx, &$x), dy) in dx.iter_mut().zip(x).zip(dy) {
                            *dx += dy * $slope;
                        }
                    } else {
                        for ((dx, &$x), dy) in dx.iter_mut().zip(x).zip(dy) {
                            *dx = dy * $slope;
                        }
                    }
                }
            }
        )*

        impl Smooth {
            /// Computes this function of every element: `y = f(x)`.
            ///
            /// # Panics
            /// If the lengths differ.
            pub fn apply(self, isa: Isa, x: &[f32], y: &mut [f32]) {
                assert_eq!(x.len(), y.len(), "a map between slices of different lengths");
                chunked(y, |start, y| {
                    let x = &x[start..start + y.len()];
                    match self {
                        $(Smooth::$variant $(($parameter))? => $forward(isa, x, y $(, $parameter)?),)*
                    }
                });
            }

            /// Computes `dx = dy · f'(x)`, or adds it to `dx`.
            ///
            /// # Panics
            /// If the lengths differ.
            pub fn apply_slope(self, isa: Isa, x: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) {
                assert_eq!((x.len(), dy.len()), (dx.len(), dx.len()), "slices of different lengths");
                chunked(dx, |start, dx| {
                    let (x, dy) = (&x[start..start + dx.len()], &dy[start..start + dx.len()]);
                    match self {
                        $(Smooth::$variant $(($parameter))? => {
                            $backward(isa, x, dy, dx, accumulate $(, $parameter)?)
                        })*
                    }
                });
            }
        }
    };
}

smooth! {
    Atan, atan_slice, atan_back: |x| atan(x), 1.0 / (1.0 + x * x);
    Erf, erf_slice, erf_back: |x| erf(x), FRAC_2_SQRT_PI * exp(-x * x);
    Exp, exp_slice, exp_back: |x| exp(x), exp(x);
    Gelu, gelu_slice, gelu_back: |x| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)), {
        let density = exp(-0.5 * x * x) * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
        0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * density
    };
    GeluTanh, gelu_tanh_slice, gelu_tanh_back: |x| {
        0.5 * x * (1.0 + tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x)))
    }, {
        let t = tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
        let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
        0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
    };
    Sigmoid, sigmoid_slice, sigmoid_back: |x| sigmoid(x), { let y = sigmoid(x); y * (1.0 - y) };
    Swish(alpha), swish_slice, swish_back: |x| x * sigmoid(alpha * x), {
        let s = sigmoid(alpha * x);
        s + alpha * x * s * (1.0 - s)
    };
    Tanh, tanh_slice, tanh_back: |x| tanh(x), { let y = tanh(x); 1.0 - y * y };
}

multiversion! {
    fn swish_in_place(y: &mut [f32], slopes: &mut [f32], alpha: f32) {
        for (i, y) in y.iter_mut().enumerate() {
            let s = sigmoid(alpha * *y);
            *y *= s;
            if let Some(slope) = slopes.get_mut(i) {
                *slope = s + alpha * *y * (1.0 - s);
            }
        }
    }
}

/// Replaces y by f(y) for f(x) = x·sigmoid(αx). If `slopes` is given, it gets the derivatives f' at the
/// original values.
///
/// # Panics
/// If the lengths differ.
pub fn apply_swish(isa: Isa, alpha: f32, y: &mut [f32], slopes: Option<&mut [f32]>) {
    assert!(slopes.as_ref().is_none_or(|s| s.len() == y.len()), "slices of different lengths");
    let slopes = slopes.map(Disjoint::new);
    chunked(y, |start, y| {
        // SAFETY: chunks are disjoint, and each belongs to one task.
        let slopes = slopes.as_ref().map(|s| unsafe { s.part(start, y.len()) });
        swish_in_place(isa, y, slopes.unwrap_or_default(), alpha);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error of a result in units in the last place (ULPs).
    fn ulps(found: f32, expected: f64) -> f64 {
        let rounded = expected as f32;
        if found == rounded || (found.is_nan() && expected.is_nan()) {
            return 0.0;
        }
        let unit = f64::from(rounded.abs().max(f32::MIN_POSITIVE).next_up()) - f64::from(rounded.abs());
        (f64::from(found) - expected).abs() / unit.max(f64::from(f32::from_bits(1)))
    }

    /// erf by its Maclaurin series or the continued fraction of its complement (Abramowitz & Stegun 7.1.6,
    /// 7.1.14).
    fn exact_erf(x: f64) -> f64 {
        let a = x.abs();
        let value = if a < 2.0 {
            let (mut term, mut sum, mut n) = (a, a, 0.0);
            while term > 1e-17 * sum {
                n += 1.0;
                term *= 2.0 * a * a / (2.0 * n + 1.0);
                sum += term;
            }
            std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
        } else {
            let tail = (1..=60).rev().fold(a, |f, k| a + 0.5 * f64::from(k) / f);
            1.0 - (-a * a).exp() / (tail * std::f64::consts::PI.sqrt())
        };
        value.copysign(x)
    }

    #[test]
    fn functions_are_exact_to_a_few_units_in_the_last_place() {
        let worst = |f: fn(f32) -> f32, exact: fn(f64) -> f64, range: f32| {
            (-20_000..=20_000)
                .map(|i| i as f32 * range / 20_000.0)
                .map(|x| (ulps(f(x), exact(x.into())), x))
                .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
        };
        type Case = (&'static str, fn(f32) -> f32, fn(f64) -> f64, f32, f64);
        let cases: [Case; 7] = [
            ("atan", atan, f64::atan, 20.0, 3.0),
            ("atan near 0", atan, f64::atan, 1.0, 3.0),
            ("exp", exp, f64::exp, 87.0, 2.0),
            ("exp near 0", exp, f64::exp, 1.0, 2.0),
            ("tanh", tanh, f64::tanh, 10.0, 2.0),
            ("erf", erf, exact_erf, 5.0, 2.0),
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 30.0, 3.0),
        ];
        for (name, f, exact, range, allowed) in cases {
            let (error, x) = worst(f, exact, range);
            assert!(error <= allowed, "{name}({x}) is {error} units off");
        }
    }

    #[test]
    fn extremes_have_their_limits() {
        let limits = |f: fn(f32) -> f32| [f32::NEG_INFINITY, -1e30, 0.0, 1e30, f32::INFINITY].map(f);
        assert_eq!(limits(atan), [-FRAC_PI_2, -FRAC_PI_2, 0.0, FRAC_PI_2, FRAC_PI_2]);
        assert_eq!(limits(exp), [0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY]);
        assert_eq!(limits(tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        assert_eq!(limits(erf), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        assert_eq!(limits(sigmoid), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert!([atan, exp, tanh, erf, sigmoid].iter().all(|f| f(f32::NAN).is_nan()));
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let x: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 50.0).collect();
        let dy: Vec<f32> = x.iter().map(|x| 0.3 - x).collect();
        let all = [
            Smooth::Atan,
            Smooth::Erf,
            Smooth::Exp,
            Smooth::Gelu,
            Smooth::GeluTanh,
            Smooth::Sigmoid,
            Smooth::Swish(1.3),
            Smooth::Tanh,
        ];
        for f in all {
            let run = |isa| {
                let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                f.apply(isa, &x, &mut y);
                f.apply_slope(isa, &x, &dy, &mut dx, false);
                (y, dx)
            };
            for isa in Isa::available() {
                assert_eq!(run(isa), run(Isa::Portable), "{f:?}, {isa:?}");
            }
        }
    }
}
