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

/// Activations of a unit at sampled positions, shifted and scaled to mean 0 and length 1. Their inner
/// products are correlations.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalSample(Vec<f32>);

impl NormalSample {
    /// Normalizes a sample. Returns `None` if it is constant, or contains NaN or infinite values.
    pub fn new(sample: &[f32]) -> Option<Self> {
        let mean = sample.iter().map(|x| f64::from(*x)).sum::<f64>() / sample.len().max(1) as f64;
        let length = sample.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>().sqrt();
        let normal = |x: &f32| ((f64::from(*x) - mean) / length) as f32;
        (length.is_finite() && length > 0.0).then(|| Self(sample.iter().map(normal).collect()))
    }

    /// Returns Pearson's correlation with another unit's sample at the same positions, from −1 to 1. Returns
    /// 0 for samples of different lengths, which cannot be of the same positions.
    pub fn correlation(&self, other: &Self) -> f32 {
        if self.0.len() == other.0.len() { dot(&self.0, &other.0).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// The inner product, in chains that fill registers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
