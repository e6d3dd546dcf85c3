//! The best match with a guide: a picture's activations at all positions, as vectors over the channels
//! (Google's DeepDream notebook, `objective_guide`).

use rayon::prelude::*;

use super::Measure;

/// Number of parallel partial sums of a dot product.
const LANES: usize = 16;

/// The vectors over the channels of a layer, one for each position of a guide.
#[derive(Debug)]
pub(crate) struct Guide {
    channels: usize,
    vectors: Vec<f32>,
}

impl Guide {
    /// Creates the vectors from the guide's activations [C, positions].
    pub fn new(activations: &[f32], channels: usize) -> Self {
        Self { channels, vectors: vectors(activations, channels) }
    }

    /// Whether all activations of the guiding picture are finite.
    pub fn is_finite(&self) -> bool {
        self.vectors.iter().all(|x| x.is_finite())
    }

    /// For every position of activations [C, positions], returns the index of the guide's vector with the
    /// largest dot product (the first of equal ones), and that product. The number of positions may differ
    /// from the guide's.
    pub fn best(&self, activations: &[f32]) -> Vec<(usize, f32)> {
        vectors(activations, self.channels).par_chunks(self.channels).map(|a| self.nearest(a)).collect()
    }

    /// Returns the mean of the largest products over positions.
    pub fn mean(best: &[(usize, f32)]) -> f64 {
        best.iter().map(|(_, product)| f64::from(*product)).sum::<f64>() / best.len() as f64
    }

    /// Adds the gradient of the mean, times `weight`, to `seed` [C, positions].
    pub fn add_gradient(&self, best: &[(usize, f32)], weight: f64, seed: &mut [f32]) {
        let share = (weight / best.len() as f64) as f32;
        seed.par_chunks_mut(best.len()).enumerate().for_each(|(channel, seed)| {
            for (seed, (at, _)) in seed.iter_mut().zip(best) {
                *seed += share * self.vectors[at * self.channels + channel];
            }
        });
    }

    fn nearest(&self, a: &[f32]) -> (usize, f32) {
        let products = self.vectors.chunks_exact(self.channels).map(|v| dot(a, v)).enumerate();
        products.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
    }
}

/// The mean over positions of the largest dot product with any position of a guide.
impl Measure for Guide {
    fn value(&self, activations: &[f32]) -> f64 {
        Self::mean(&self.best(activations))
    }

    fn seed(&self, activations: &[f32], weight: f64, seed: &mut [f32]) {
        self.add_gradient(&self.best(activations), weight, seed);
    }
}

/// Computes a dot product in parallel partial sums, always in the same order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<LANES>();
    let (b, rest_b) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

/// Converts activations [C, positions] to one vector for each position.
fn vectors(activations: &[f32], channels: usize) -> Vec<f32> {
    let positions = activations.len() / channels;
    let mut out = vec![0.0; activations.len()];
    out.par_chunks_mut(channels).enumerate().for_each(|(position, out)| {
        out.iter_mut().enumerate().for_each(|(c, out)| *out = activations[c * positions + position]);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_vector_is_the_one_with_the_largest_dot_product() {
        let guide = Guide { channels: 3, vectors: vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 0.0] };
        assert_eq!(guide.nearest(&[3.0, 1.0, 0.0]), (0, 3.0));
        assert_eq!(guide.nearest(&[1.0, 3.0, 0.0]), (1, 6.0), "the first of equals");
        assert_eq!(vectors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn dot_products_are_those_of_the_plain_sum() {
        for n in [0, 1, 15, 16, 33, 100] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).cos()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4, "{n}");
        }
    }
}
