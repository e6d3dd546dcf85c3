//! Quantiles, histograms and correlations of sampled activations. Values that are not finite are ignored.

/// Returns quantiles of a sample at these fractions from 0 to 1, with linear interpolation (Hyndman & Fan
/// 1996, "Sample Quantiles in Statistical Packages", definition 7). Returns `None` if no value is finite.
pub fn quantiles(sample: &[f32], fractions: &[f64]) -> Option<Vec<f64>> {
    let mut sorted: Vec<f32> = sample.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |fraction: &f64| {
        let place = fraction.clamp(0.0, 1.0) * last as f64;
        let low = place.floor() as usize;
        let (a, b) = (f64::from(sorted[low]), f64::from(sorted[(low + 1).min(last)]));
        a + (place - low as f64) * (b - a)
    };
    Some(fractions.iter().map(at).collect())
}

/// Counts the values in each of `bins` equal intervals from `low` to `high`. The first and last intervals
/// include the values beyond them.
pub fn histogram(sample: &[f32], [low, high]: [f32; 2], bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins.max(1)];
    let scale = counts.len() as f64 / f64::from(high - low).max(f64::MIN_POSITIVE);
    for value in sample.iter().filter(|value| value.is_finite()) {
        let bin = (f64::from(value - low) * scale).clamp(0.0, counts.len() as f64 - 1.0);
        counts[bin as usize] += 1;
    }
    counts
}

/// Returns Pearson's correlation of two units' samples at the same positions, from −1 to 1. Returns `None` if
/// one of the samples is constant.
///
/// # Panics
/// If the samples differ in length.
pub fn correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "samples of the same positions");
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .filter(|(a, b)| a.is_finite() && b.is_finite())
        .map(|(a, b)| (f64::from(*a), f64::from(*b)))
        .collect();
    let n = pairs.len() as f64;
    let (mean_a, mean_b) =
        (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sums = pairs.iter().fold([0.0; 3], |[aa, bb, ab], (a, b)| {
        let (a, b) = (a - mean_a, b - mean_b);
        [aa + a * a, bb + b * b, ab + a * b]
    });
    let [aa, bb, ab] = sums;
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}
