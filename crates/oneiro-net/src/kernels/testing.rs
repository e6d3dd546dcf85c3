//! Helpers shared by the tests of kernels.

/// Returns reproducible numbers from -1 to 1, by a linear congruential generator (Knuth, *The Art of Computer
/// Programming*, vol. 2, 3.3.4).
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Notes a failure if a result differs from the reference by more than the rounding of f32.
pub(crate) fn assert_close(failures: &mut Vec<String>, name: &str, found: &[f32], expected: &[f64]) {
    let scale = expected.iter().fold(1.0f64, |scale, v| scale.max(v.abs()));
    let wrong =
        found.iter().zip(expected).position(|(&f, &e)| f.is_nan() || (f64::from(f) - e).abs() > 4e-6 * scale);
    if found.len() != expected.len() {
        failures.push(format!("{name}: {} numbers instead of {}", found.len(), expected.len()));
    } else if let Some(i) = wrong {
        failures.push(format!(
            "{name}: element {i} of {} is {} instead of {}",
            found.len(),
            found[i],
            expected[i]
        ));
    }
}

/// Returns the inner product, in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Runs `work` on a pool with this number of threads.
pub(crate) fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads can be started")
        .install(work)
}
