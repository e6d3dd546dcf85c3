//! Colour spaces whose channels are decorrelated over photographs.
//!
//! Interface: a [`Mixing`] is a C×C matrix `M` for planar images `[C, ...]`. At every position
//! [`Mixing::apply`] computes `M·t` and [`Mixing::adjoint`] `Mᵀ·g`; both work in place.
//!
//! In photographs, the channels of RGB are correlated. Images are optimised in coordinates `t` whose
//! covariance is the identity, `rgb = M·t`. Every direction of colour then has the step size that it has in
//! photographs.

use crate::eigen;
use crate::parallel::{self, CHUNK};
use serde::{Deserialize, Serialize};

/// Colour correlation square root of ImageNet as measured by Lucid (`lucid/optvis/param/color.py`), row = R,
/// G, B.
const IMAGENET_CORRELATION_SQRT: [[f32; 3]; 3] =
    [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]];
/// The smallest variance of a direction of colour, relative to the largest. A data set without any variance
/// in a direction (such as grey photographs) would otherwise give a singular matrix.
const SMALLEST_VARIANCE: f64 = 1e-6;
/// Mean colour of ImageNet in display units, as Lucid rounds it (same file).
pub const IMAGENET_COLOR_MEAN: [f32; 3] = [0.48, 0.46, 0.41];

/// Where a parametrization's decorrelated colours come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Decorrelate {
    /// No decorrelation: channels are optimised as they are.
    None,
    /// Lucid's measurement on ImageNet. It applies to RGB only; images with other numbers of channels are not
    /// decorrelated.
    #[default]
    Imagenet,
    /// The statistics of a folder of images, with as many channels as the image has.
    Data,
}

/// A matrix over the channels of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixing {
    channels: usize,
    /// Entries in row-major order; `None` is the identity.
    matrix: Option<Vec<f32>>,
}

impl Mixing {
    /// Creates the identity over any number of channels.
    pub fn identity(channels: usize) -> Mixing {
        Mixing { channels, matrix: None }
    }

    /// Decorrelated colours of photographs (RGB): the square root of ImageNet's colour correlation, divided
    /// by its largest column norm (0.46195238).
    pub fn imagenet() -> Mixing {
        let entries = IMAGENET_CORRELATION_SQRT.concat();
        Mixing { channels: 3, matrix: Some(divided_by_largest_column_norm(3, entries)) }
    }

    /// Returns [`Mixing::imagenet`] for three channels, the identity otherwise.
    pub fn for_channels(channels: usize) -> Mixing {
        if channels == 3 { Mixing::imagenet() } else { Mixing::identity(channels) }
    }

    /// Creates the matrix with these entries (row-major, `channels`²), divided by its largest column norm.
    /// This is Lucid's convention for U·√Λ, where UΛUᵀ is the channel covariance of a data set. Returns
    /// `None` if the count is wrong, an entry is not finite, or the matrix is singular.
    pub fn from_rows(channels: usize, rows: Vec<f32>) -> Option<Mixing> {
        if channels == 0 || rows.len() != channels * channels || rows.iter().any(|v| !v.is_finite()) {
            return None;
        }
        inverse(channels, &rows)?;
        Some(Mixing { channels, matrix: Some(divided_by_largest_column_norm(channels, rows)) })
    }

    /// Creates U·√Λ of a channel covariance UΛUᵀ (row-major, `channels`²), divided by its largest column
    /// norm. Columns are sorted by falling variance; the sum of each is positive or 0. Variances are at least
    /// a millionth of the largest. Returns `None` if the count is wrong, an entry is not finite, or all
    /// variances are 0.
    pub fn from_covariance(channels: usize, covariance: &[f64]) -> Option<Mixing> {
        if channels == 0
            || covariance.len() != channels * channels
            || covariance.iter().any(|v| !v.is_finite())
        {
            return None;
        }
        let (variances, directions) = eigen::symmetric(channels, covariance);
        let largest = variances.first().copied().filter(|v| *v > 0.0)?;
        let mut rows = vec![0.0; channels * channels];
        for (column, (variance, direction)) in variances.iter().zip(&directions).enumerate() {
            let sign = if direction.iter().sum::<f64>() < 0.0 { -1.0 } else { 1.0 };
            // The length is relative to the largest one, so that tiny covariances do not underflow in f32.
            let length = (variance / largest).max(SMALLEST_VARIANCE).sqrt();
            for (row, entry) in direction.iter().enumerate() {
                rows[row * channels + column] = (sign * length * entry) as f32;
            }
        }
        Mixing::from_rows(channels, rows)
    }

    /// The entries of the matrix in row-major order.
    pub fn rows(&self) -> Vec<f32> {
        let unit = |k: usize| if k / self.channels == k % self.channels { 1.0 } else { 0.0 };
        self.matrix.clone().unwrap_or_else(|| (0..self.channels * self.channels).map(unit).collect())
    }

    /// Number of channels that an image must have.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Multiplies by the matrix, `t ← M·t`, at every position of a planar image.
    pub fn apply(&self, image: &mut [f32]) {
        let Some(m) = &self.matrix else { return };
        multiply(self.channels, image, |row, column| m[row * self.channels + column]);
    }

    /// Multiplies by the transpose, `g ← Mᵀ·g`, at every position.
    pub fn adjoint(&self, gradient: &mut [f32]) {
        let Some(m) = &self.matrix else { return };
        multiply(self.channels, gradient, |row, column| m[column * self.channels + row]);
    }

    /// Multiplies by the inverse, `t ← M⁻¹·t`, at every position. This gives the coordinates of an image's
    /// colours.
    pub fn unapply(&self, image: &mut [f32]) {
        let Some(m) = &self.matrix else { return };
        // The constructors accept only matrices with an inverse.
        let Some(inverse) = inverse(self.channels, m) else { return };
        multiply(self.channels, image, |row, column| inverse[row * self.channels + column]);
    }
}

/// Replaces every pixel `p` of a planar image by `A·p`.
fn multiply(channels: usize, image: &mut [f32], entry: impl Fn(usize, usize) -> f32) {
    let plane = image.len() / channels;
    assert_eq!(image.len(), channels * plane, "the image must have {channels} channels");
    if channels == 3 {
        let [a, b, c, d, e, f, g, h, i] = std::array::from_fn(|k| entry(k / 3, k % 3));
        let (r, rest) = image.split_at_mut(plane);
        let (g_plane, b_plane) = rest.split_at_mut(plane);
        let chunks = r.chunks_mut(CHUNK).zip(g_plane.chunks_mut(CHUNK)).zip(b_plane.chunks_mut(CHUNK));
        parallel::each(chunks, |_, ((r, s), t)| {
            for ((r, s), t) in r.iter_mut().zip(s).zip(t) {
                (*r, *s, *t) = (a * *r + b * *s + c * *t, d * *r + e * *s + f * *t, g * *r + h * *s + i * *t);
            }
        });
        return;
    }
    let mut pixel = vec![0.0; channels];
    for position in 0..plane {
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = image[channel * plane + position];
        }
        for row in 0..channels {
            image[row * plane + position] =
                pixel.iter().enumerate().map(|(column, v)| entry(row, column) * v).sum();
        }
    }
}

fn divided_by_largest_column_norm(channels: usize, mut rows: Vec<f32>) -> Vec<f32> {
    let norm = |column: usize| {
        (0..channels).map(|row| f64::from(rows[row * channels + column]).powi(2)).sum::<f64>()
    };
    let largest = (0..channels).map(norm).fold(0.0, f64::max).sqrt();
    rows.iter_mut().for_each(|v| *v = (f64::from(*v) / largest) as f32);
    rows
}

/// Inverts a matrix by Gauss–Jordan elimination with row pivots. Returns `None` for a singular matrix.
fn inverse(n: usize, rows: &[f32]) -> Option<Vec<f32>> {
    let width = 2 * n;
    let mut work = vec![0.0f64; n * width];
    for row in 0..n {
        for column in 0..n {
            work[row * width + column] = f64::from(rows[row * n + column]);
        }
        work[row * width + n + row] = 1.0;
    }
    let scale = rows.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    for column in 0..n {
        let magnitude = |row: &usize| work[row * width + column].abs();
        let pivot = (column..n).max_by(|a, b| magnitude(a).total_cmp(&magnitude(b)))?;
        if magnitude(&pivot) <= scale * f64::from(f32::EPSILON) {
            return None;
        }
        for k in 0..width {
            work.swap(column * width + k, pivot * width + k);
        }
        let divisor = work[column * width + column];
        work[column * width..(column + 1) * width].iter_mut().for_each(|v| *v /= divisor);
        for row in (0..n).filter(|row| *row != column) {
            let factor = work[row * width + column];
            for k in 0..width {
                work[row * width + k] -= factor * work[column * width + k];
            }
        }
    }
    Some((0..n * n).map(|k| work[k / n * width + n + k % n] as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn noise(rng: &mut Stream, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn imagenet_matrix_has_the_published_entries() {
        let mut image = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        Mixing::imagenet().apply(&mut image);
        let n = [
            0.562_828_6,
            0.19482528,
            0.04329451,
            0.584_475_8,
            0.0,
            -0.10823626,
            0.584_475_8,
            -0.19482528,
            0.06494176,
        ];
        for (ours, theirs) in image.iter().zip(n) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
        }
    }

    #[test]
    fn adjoint_and_inverse_belong_to_apply() {
        let mut rng = Stream::new(1, 0);
        let four = Mixing::from_rows(4, noise(&mut rng, 16)).unwrap();
        for mixing in [Mixing::imagenet(), Mixing::identity(2), Mixing::for_channels(1), four] {
            let len = mixing.channels() * 7;
            let (x, y) = (noise(&mut rng, len), noise(&mut rng, len));
            let (mut ax, mut aty) = (x.clone(), y.clone());
            mixing.apply(&mut ax);
            mixing.adjoint(&mut aty);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            assert!((dot(&ax, &y) - dot(&x, &aty)).abs() < 1e-4, "{mixing:?}");
            mixing.unapply(&mut ax);
            assert!(ax.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-3), "{mixing:?}");
        }
    }

    #[test]
    fn the_matrix_of_a_covariance_gives_that_covariance_again() {
        let mut rng = Stream::new(3, 0);
        for n in [1, 2, 3, 5, 20] {
            let a: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
            let entry = |i: usize, j: usize| (0..n).map(|k| a[i * n + k] * a[j * n + k]).sum::<f64>();
            let covariance: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
            let m = Mixing::from_covariance(n, &covariance).unwrap().rows();
            let again = |i: usize, j: usize| {
                (0..n).map(|k| f64::from(m[i * n + k]) * f64::from(m[j * n + k])).sum::<f64>()
            };
            let factor = covariance[0] / again(0, 0);
            let scale = covariance.iter().fold(0.0f64, |s, v| s.max(v.abs()));
            for k in 0..n * n {
                let error = (factor * again(k / n, k % n) - covariance[k]).abs();
                assert!(error < 1e-4 * scale, "{n}: {k} off by {error}");
            }
            let norm = |column: usize| (0..n).map(|row| m[row * n + column].powi(2)).sum::<f32>().sqrt();
            assert!((norm(0) - 1.0).abs() < 1e-5);
            assert!((1..n).all(|c| norm(c) <= norm(c - 1) + 1e-6));
        }
    }

    #[test]
    fn a_covariance_of_grey_photographs_can_be_used_and_one_of_nothing_cannot() {
        let grey = Mixing::from_covariance(3, &[0.07; 9]).unwrap();
        let mut image = vec![0.3, 0.3, 0.3];
        grey.unapply(&mut image);
        assert!(image[1].abs() < 1e-2 && image[2].abs() < 1e-2, "{image:?}");
        grey.apply(&mut image);
        assert!(image.iter().all(|v| (v - 0.3).abs() < 1e-3), "{image:?}");
        assert!(Mixing::from_covariance(2, &[0.0; 4]).is_none());
        assert!(Mixing::from_covariance(2, &[1.0, f64::NAN, f64::NAN, 1.0]).is_none());
    }

    #[test]
    fn matrices_without_an_inverse_are_refused() {
        assert!(Mixing::from_rows(2, vec![1.0, 2.0, 2.0, 4.0]).is_none());
        assert!(Mixing::from_rows(2, vec![1.0, 2.0, 2.0]).is_none());
        assert!(Mixing::from_rows(2, vec![1.0, f32::NAN, 2.0, 1.0]).is_none());
    }
}
