//! Additive noise on one plane. Every plane has its own random stream, so that planes can be computed in
//! parallel.
//!
//! Normal numbers are computed by the Box–Muller transform in single precision, from sums, products,
//! quotients and square roots alone. This is fast and gives the same bits on every platform.

use crate::rng::Stream;
use std::f32::consts::{FRAC_PI_4, LN_2, SQRT_2};

/// The distribution of added noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Law {
    /// Normal distribution with mean 0; `size` is its standard deviation.
    Gaussian,
    /// Uniform distribution between −`size` and `size`.
    Uniform,
}

/// Number of random numbers that are generated at a time.
const BLOCK: usize = 128;
/// 2⁻³², the step of a 32-bit fraction.
const STEP: f32 = 1.0 / 4_294_967_296.0;

/// Computes out = in + size · z, where the noise z has this distribution. The random seed and the plane's
/// index determine z.
pub fn add(law: Law, seed: u64, plane: usize, size: f32, input: &[f32], out: &mut [f32]) {
    let mut rng = Stream::new(seed, plane as u64);
    let mut numbers = [0.0; BLOCK];
    for (out, input) in out.chunks_mut(BLOCK).zip(input.chunks(BLOCK)) {
        match law {
            Law::Gaussian => gaussian(&mut rng, &mut numbers),
            Law::Uniform => uniform(&mut rng, &mut numbers),
        }
        out.iter_mut().zip(input).zip(&numbers).for_each(|((out, x), z)| *out = x + size * z);
    }
}

/// Draws uniformly from (−1, 1), in steps of 2⁻²³.
fn uniform(rng: &mut Stream, out: &mut [f32; BLOCK]) {
    for pair in out.chunks_exact_mut(2) {
        let bits = rng.bits();
        for (out, half) in pair.iter_mut().zip([(bits >> 32) as u32, bits as u32]) {
            *out = ((half >> 8) as f32 + 0.5) * (256.0 * 2.0 * STEP) - 1.0;
        }
    }
}

/// Draws from the standard normal distribution. Magnitudes are at most 6.7.
fn gaussian(rng: &mut Stream, out: &mut [f32; BLOCK]) {
    const PAIRS: usize = BLOCK / 2;
    let (mut lengths, mut turns) = ([0u32; PAIRS], [0u32; PAIRS]);
    for (length, turn) in lengths.iter_mut().zip(&mut turns) {
        let bits = rng.bits();
        (*length, *turn) = ((bits >> 32) as u32, bits as u32);
    }
    let (first, second) = out.split_at_mut(PAIRS);
    for k in 0..PAIRS {
        let radius = (-2.0 * ln((lengths[k] as f32 + 0.5) * STEP)).sqrt();
        // 30 bits give an angle within ±45°. One bit turns it by 180°, and one by 90°.
        let angle = ((turns[k] >> 2) as f32 + 0.5) * (4.0 * STEP) * (2.0 * FRAC_PI_4) - FRAC_PI_4;
        let (sin, cos) = sin_cos(angle);
        let cos = f32::from_bits(cos.to_bits() ^ (turns[k] << 31));
        let turned = turns[k] & 2 != 0;
        first[k] = radius * if turned { sin } else { cos };
        second[k] = radius * if turned { cos } else { sin };
    }
}

/// Returns the natural logarithm of a positive normal number. The error is at most 4·10⁻⁷ times the larger of
/// |ln x| and 1.
fn ln(x: f32) -> f32 {
    // x = m·2ᵉ with m in [1/√2, √2). Adding the difference of the bits of 1 and 1/√2 carries into the
    // exponent where m would reach √2.
    const SHIFT: u32 = 1.0f32.to_bits() - std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let bits = x.to_bits().wrapping_add(SHIFT);
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) + std::f32::consts::FRAC_1_SQRT_2.to_bits());
    debug_assert!((0.7..=SQRT_2).contains(&mantissa));
    // ln m = 2 artanh((m − 1)/(m + 1)), whose argument is below 0.172 in magnitude.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let q = s * s;
    exponent as f32 * LN_2 + 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q / 9.0))))
}

/// Returns sine and cosine of an angle within ±π/4 by their Taylor polynomials, with an error of at most
/// 4·10⁻⁷.
fn sin_cos(a: f32) -> (f32, f32) {
    let q = a * a;
    let sin = a * (1.0 + q * (-1.0 / 6.0 + q * (1.0 / 120.0 - q / 5040.0)));
    let cos = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q / 40320.0)));
    (sin, cos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(law: Law, seed: u64, plane: usize, n: usize) -> Vec<f64> {
        let mut out = vec![f32::NAN; n];
        add(law, seed, plane, 1.0, &vec![0.0; n], &mut out);
        out.into_iter().map(f64::from).collect()
    }

    fn moment(x: &[f64], power: i32) -> f64 {
        x.iter().map(|v| v.powi(power)).sum::<f64>() / x.len() as f64
    }

    #[test]
    fn the_functions_are_those_of_the_standard_library() {
        for k in 0..=1000 {
            let a = (k as f32 / 500.0 - 1.0) * FRAC_PI_4;
            let (sin, cos) = sin_cos(a);
            assert!((sin - a.sin()).abs() < 4e-7 && (cos - a.cos()).abs() < 4e-7, "{a}");
            for x in [(k as f32 + 0.5) * STEP, (k as f32 + 1.0) / 1001.0, 0.7 + k as f32 * 1e-5] {
                assert!((ln(x) - x.ln()).abs() < 4e-7 * x.ln().abs().max(1.0), "{x}: {} {}", ln(x), x.ln());
            }
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn gaussian_noise_has_the_moments_and_tails_of_the_normal_law() {
        let x = drawn(Law::Gaussian, 3, 0, 400_001);
        for (power, expected, tolerance) in
            [(1, 0.0, 0.01), (2, 1.0, 0.01), (3, 0.0, 0.03), (4, 3.0, 0.08), (6, 15.0, 1.2)]
        {
            assert!((moment(&x, power) - expected).abs() < tolerance, "{power}: {}", moment(&x, power));
        }
        // P(|z| > 1), P(|z| > 2) and P(|z| > 3), from the error function.
        for (bound, share) in [(1.0, 0.317_31), (2.0, 0.045_50), (3.0, 0.002_70)] {
            let seen = x.iter().filter(|v| v.abs() > bound).count() as f64 / x.len() as f64;
            assert!((seen - share).abs() < 5.0 * (share / x.len() as f64).sqrt(), "{bound}: {seen}");
        }
        // Neighbouring numbers and the two of a Box–Muller pair are uncorrelated, and so are their squares.
        for lag in [1, BLOCK / 2, BLOCK] {
            let mean = |f: fn(f64) -> f64| {
                x.windows(lag + 1).map(|w| f(w[0]) * f(w[lag])).sum::<f64>() / x.len() as f64
            };
            assert!(mean(|v| v).abs() < 0.008, "{lag}");
            assert!(mean(|v| v * v - 1.0).abs() < 0.016, "{lag}");
        }
    }

    #[test]
    fn uniform_noise_fills_its_range_evenly() {
        let x = drawn(Law::Uniform, 4, 2, 100_000);
        assert!(x.iter().all(|v| v.abs() < 1.0));
        for (power, expected) in [(1, 0.0), (2, 1.0 / 3.0), (3, 0.0), (4, 0.2)] {
            assert!((moment(&x, power) - expected).abs() < 0.01, "{power}");
        }
    }

    #[test]
    fn planes_and_seeds_have_numbers_of_their_own() {
        for law in [Law::Gaussian, Law::Uniform] {
            assert_eq!(drawn(law, 1, 1, 300), drawn(law, 1, 1, 300));
            assert_ne!(drawn(law, 1, 1, 300), drawn(law, 1, 2, 300));
            assert_ne!(drawn(law, 1, 1, 300), drawn(law, 2, 1, 300));
            assert_eq!(drawn(law, 1, 1, 77), drawn(law, 1, 1, 300)[..77]);
        }
    }
}
