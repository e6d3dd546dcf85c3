//! How alike vectors, units and layers are: cosine, correlations, and the alignment of two layers.
//!
//! Samples of units are activations for the same pictures and positions, in the same order. A measure is
//! `None` where it is undefined: a vector is zero, a sample is constant, or a number is not finite.

use rayon::prelude::*;

use crate::unit_statistics::{NormalSample, dot};

/// Returns the cosine of the angle between two vectors, from −1 to 1. `None` if their lengths differ, or one
/// is zero or not finite.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let length = (product(a, a) * product(b, b)).sqrt();
    (length.is_finite() && length > 0.0).then(|| (product(a, b) / length).clamp(-1.0, 1.0))
}

/// Returns Pearson's correlation of two samples, from −1 to 1.
pub fn pearson(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (normal(a)?, normal(b)?);
    (a.len() == b.len()).then(|| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0))
}

/// Returns Spearman's correlation of two samples: Pearson's correlation of their ranks. Equal values share
/// the mean of their ranks.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.iter().chain(b).any(|value| !value.is_finite()) {
        return None;
    }
    pearson(&ranks(a), &ranks(b))
}

/// The sample without its mean and of length 1.
fn normal(sample: &[f32]) -> Option<Vec<f64>> {
    let mean = sample.iter().map(|x| f64::from(*x)).sum::<f64>() / sample.len().max(1) as f64;
    let length = sample.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>().sqrt();
    let largest = sample.iter().fold(0.0f64, |largest, x| largest.max(f64::from(x.abs())));
    // What is left of equal numbers by rounding is no variation.
    let is_constant = length <= 1e-9 * largest * (sample.len() as f64).sqrt();
    (length.is_finite() && !is_constant)
        .then(|| sample.iter().map(|x| (f64::from(*x) - mean) / length).collect())
}

fn ranks(sample: &[f32]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..sample.len()).collect();
    order.sort_by(|&i, &j| sample[i].total_cmp(&sample[j]));
    let mut ranks = vec![0.0; sample.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..].iter().take_while(|&&i| sample[i] == sample[order[from]]).count();
        let rank = from as f32 + (equal - 1) as f32 / 2.0;
        order[from..from + equal].iter().for_each(|&i| ranks[i] = rank);
        from += equal;
    }
    ranks
}

/// Returns the linear centered kernel alignment of two layers, from 0 to 1: ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) with
/// Frobenius norms, where the columns of X and Y are the layers' channels without their means (Kornblith et
/// al. 2019, "Similarity of Neural Network Representations Revisited"). It does not change if a layer's
/// channels are rotated, or scaled together. `a` and `b` hold a sample for each channel. With fewer samples
/// than channels the value is too large.
pub fn linear_cka(a: &[Vec<f32>], b: &[Vec<f32>]) -> Option<f64> {
    let (a, b) = (centered(a)?, centered(b)?);
    if a.first()?.len() != b.first()?.len() {
        return None;
    }
    let norm = (squares(&a, &a) * squares(&b, &b)).sqrt();
    (norm.is_finite() && norm > 0.0).then(|| (squares(&a, &b) / norm).clamp(0.0, 1.0))
}

fn centered(channels: &[Vec<f32>]) -> Option<Vec<Vec<f32>>> {
    let center = |sample: &Vec<f32>| {
        let mean = sample.iter().map(|x| f64::from(*x)).sum::<f64>() / sample.len().max(1) as f64;
        let finite = sample.iter().all(|x| x.is_finite());
        finite.then(|| sample.iter().map(|x| (f64::from(*x) - mean) as f32).collect())
    };
    channels.iter().map(center).collect()
}

/// The sum of the squared inner products of all pairs.
fn squares(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let of = |a: &Vec<f32>| b.iter().map(|b| f64::from(dot(a, b)).powi(2)).sum::<f64>();
    // Summed in order, so that the number of threads changes no bit.
    a.par_iter().map(of).collect::<Vec<f64>>().into_iter().sum()
}

/// Returns for each channel of `a` the channel of `b` with the largest correlation, and the correlation.
/// `None` for constant channels. Of equal correlations the first counts.
pub fn best_matches(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<Option<(usize, f64)>> {
    matches(a, b, |_, _| true)
}

/// Returns for each channel of a layer the other channel with the largest correlation, and the correlation.
/// `None` for constant channels. Of equal correlations the first counts.
pub fn best_others(channels: &[Vec<f32>]) -> Vec<Option<(usize, f64)>> {
    matches(channels, channels, |own, other| own != other)
}

fn matches(
    a: &[Vec<f32>],
    b: &[Vec<f32>],
    counts: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Option<(usize, f64)>> {
    let of_b: Vec<Option<NormalSample>> = b.iter().map(|sample| NormalSample::new(sample)).collect();
    let best = |(at, sample): (usize, &Vec<f32>)| {
        let own = NormalSample::new(sample)?;
        let all = of_b.iter().enumerate().filter(|(other, _)| counts(at, *other));
        let all = all.filter_map(|(i, other)| Some((i, f64::from(own.correlation(other.as_ref()?)))));
        all.reduce(|best, other| if other.1 > best.1 { other } else { best })
    };
    a.par_iter().enumerate().map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn noise(channels: usize, samples: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut stream = Stream::new(seed, 7);
        (0..channels).map(|_| (0..samples).map(|_| stream.normal() as f32).collect()).collect()
    }

    #[test]
    fn equal_vectors_have_cosine_one_and_opposite_ones_minus_one() {
        let a = [3.0, -1.0, 2.0];
        assert_eq!(cosine(&a, &a), Some(1.0));
        assert_eq!(cosine(&a, &[-6.0, 2.0, -4.0]), Some(-1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 5.0]), Some(0.0));
        assert_eq!([cosine(&a, &[0.0; 3]), cosine(&a, &a[..2]), cosine(&a, &[f32::NAN; 3])], [None; 3]);
    }

    #[test]
    fn a_layer_is_matched_within_itself_by_other_channels() {
        let mut layer = noise(3, 50, 2);
        layer.push(layer[1].iter().map(|x| 2.0 * x + 1.0).collect());
        layer.push(vec![0.5; 50]);
        let found = best_others(&layer);
        assert_eq!((found[1].unwrap().0, found[3].unwrap().0, found[4]), (3, 1, None));
        assert!(found[0].unwrap().0 != 0 && found[1].unwrap().1 > 0.999);
        assert_eq!(best_matches(&layer, &layer)[0].unwrap().0, 0);
    }

    #[test]
    fn correlations_of_known_samples() {
        let a = [1.0, 2.0, 3.0, 4.0];
        assert!((pearson(&a, &[3.0, 5.0, 7.0, 9.0]).unwrap() - 1.0).abs() < 1e-12);
        assert!((pearson(&a, &[-1.0, -2.0, -3.0, -4.0]).unwrap() + 1.0).abs() < 1e-12);
        // The order is the same, the shape is not.
        let bent = [1.0, 10.0, 100.0, 1000.0];
        assert!((spearman(&a, &bent).unwrap() - 1.0).abs() < 1e-12 && pearson(&a, &bent).unwrap() < 0.9);
        // scipy.stats.spearmanr([1, 2, 2, 4], [3, 1, 2, 2]) = -0.5
        assert!((spearman(&[1.0, 2.0, 2.0, 4.0], &[3.0, 1.0, 2.0, 2.0]).unwrap() + 0.5).abs() < 1e-6);
        assert_eq!([pearson(&a, &[0.1; 4]), spearman(&a, &[0.1; 4]), pearson(&a, &a[..3])], [None; 3]);
        assert_eq!(spearman(&a, &[1.0, f32::NAN, 2.0, 3.0]), None);
    }

    #[test]
    fn a_layer_is_aligned_with_itself_scaled_shifted_and_rotated() {
        let layer = noise(2, 400, 1);
        assert!((linear_cka(&layer, &layer).unwrap() - 1.0).abs() < 1e-9);
        let moved: Vec<Vec<f32>> =
            layer.iter().map(|sample| sample.iter().map(|x| 3.0 * x + 5.0).collect()).collect();
        assert!((linear_cka(&layer, &moved).unwrap() - 1.0).abs() < 1e-5);
        let (sin, cos) = 0.7f32.sin_cos();
        let turned: Vec<Vec<f32>> = [(cos, -sin), (sin, cos)]
            .iter()
            .map(|(p, q)| layer[0].iter().zip(&layer[1]).map(|(a, b)| p * a + q * b).collect())
            .collect();
        assert!((linear_cka(&layer, &turned).unwrap() - 1.0).abs() < 1e-5);
        // Independent noise is not aligned.
        assert!(linear_cka(&layer, &noise(2, 400, 2)).unwrap() < 0.05);
        assert_eq!(linear_cka(&layer, &[vec![1.0; 400]]), None);
        assert_eq!(linear_cka(&layer, &noise(2, 300, 2)), None);
    }

    #[test]
    fn channels_find_their_likes() {
        let layer = noise(4, 200, 3);
        let other: Vec<Vec<f32>> = [2, 0, 3, 1].iter().map(|&i: &usize| layer[i].clone()).collect();
        let found = best_matches(&layer, &other);
        let channels: Vec<usize> = found.iter().map(|found| found.unwrap().0).collect();
        assert_eq!(channels, [1, 3, 0, 2]);
        assert!(found.iter().all(|found| found.unwrap().1 > 0.999));
        assert_eq!(best_matches(&[vec![1.0; 200]], &layer), [None]);
    }
}
