//! Sums over parameters: in 64 bits and in an order that does not depend on the number of threads.

use super::CHUNK;
use crate::parallel;

/// Number of parallel partial sums within a chunk.
const LANES: usize = 8;

/// Sums `term` over pairs of elements of two slices of equal length.
fn sum_pairs(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64 + Sync) -> f64 {
    let of_chunk = |(a, b): (&[f32], &[f32])| {
        let mut lanes = [0.0; LANES];
        let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for k in 0..LANES {
                lanes[k] += term(f64::from(a[k]), f64::from(b[k]));
            }
        }
        for (k, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
            lanes[k] += term(f64::from(*a), f64::from(*b));
        }
        lanes.iter().sum::<f64>()
    };
    let mut sums = vec![0.0; a.len().div_ceil(CHUNK)];
    let chunks = a.chunks(CHUNK).zip(b.chunks(CHUNK));
    parallel::each(sums.iter_mut().zip(chunks), |_, (sum, chunk)| *sum = of_chunk(chunk));
    sums.iter().sum()
}

/// Computes the dot product Σ ab.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum_pairs(a, b, |a, b| a * b)
}

/// Sums `term` of every element of a slice.
pub fn sum(values: &[f32], term: impl Fn(f64) -> f64 + Sync) -> f64 {
    sum_pairs(values, values, |a, _| term(a))
}

/// y ← y + factor·x.
pub fn add_scaled(y: &mut [f32], factor: f64, x: &[f32]) {
    parallel::each(y.chunks_mut(CHUNK).zip(x.chunks(CHUNK)), |_, (y, x)| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = (f64::from(*y) + factor * f64::from(*x)) as f32;
        }
    });
}

/// out ← a + factor·b.
pub fn combine(out: &mut [f32], a: &[f32], factor: f64, b: &[f32]) {
    parallel::each(out.chunks_mut(CHUNK).zip(a.chunks(CHUNK)).zip(b.chunks(CHUNK)), |_, ((out, a), b)| {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = (f64::from(*a) + factor * f64::from(*b)) as f32;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_on_whole_numbers_of_any_count_and_equal_for_any_number_of_threads() {
        for n in [0, 1, LANES - 1, LANES + 1, CHUNK, 3 * CHUNK + 11] {
            let a: Vec<f32> = (0..n).map(|i| (i % 97) as f32 - 40.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 31) as f32 - 15.0).collect();
            let expected: i64 = (0..n as i64).map(|i| (i % 97 - 40) * (i % 31 - 15)).sum();
            assert_eq!(dot(&a, &b), expected as f64, "{n}");
        }
        let a: Vec<f32> = (0..5 * CHUNK + 3).map(|i| (i as f32).sin()).collect();
        let bits: Vec<u64> = [1, 2, 5]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sum(&a, f64::abs)).to_bits()
            })
            .to_vec();
        assert!(bits.iter().all(|b| *b == bits[0]), "{bits:?}");
    }
}
