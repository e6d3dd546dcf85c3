//! Distances of pictures to a photo and to each other.

use oneiro_media::Image;

use super::Finished;
use crate::numbers::Mean;

/// Returns the peak signal-to-noise ratio of a picture against a photo of the same size, in dB. Both are in
/// 0–1.
pub fn psnr(picture: &Image, photo: &[f32]) -> f64 {
    let pairs = picture.data.iter().zip(photo);
    let square: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    -10.0 * (square / photo.len().max(1) as f64).log10()
}

/// Returns the root mean square difference of two pictures in 0–1.
fn distance(a: &Image, b: &Image) -> f64 {
    let square: f64 = a.data.iter().zip(&b.data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    (square / a.data.len().max(1) as f64).sqrt()
}

/// Returns the mean distance over all pairs of pictures; `None` for fewer than two.
pub fn spread(pictures: &[&Finished]) -> Option<f64> {
    let mut distances = Vec::new();
    for (i, a) in pictures.iter().enumerate() {
        distances.extend(pictures[..i].iter().map(|b| distance(&a.picture, &b.picture)));
    }
    Mean::of(&distances).map(|m| m.mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_have_no_noise() {
        let image = Image::filled(2, 2, [0.5; 3]);
        assert_eq!(psnr(&image, &image.data), f64::INFINITY);
        assert!((psnr(&image, &[0.6; 12]) - 20.0).abs() < 1e-4);
    }
}
