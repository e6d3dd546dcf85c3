//! Levels: the pixel values that are shown as black and as white.

use crate::{Image, MediaError, Result};

/// The least difference between black and white: one level of an 8-bit file. Stretching a picture with less
/// contrast would only show rounding errors.
pub const LEAST_CONTRAST: f64 = 1.0 / 255.0;

/// The value that is shown as black and the value that is shown as white; values between are mapped linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    black: f32,
    white: f32,
}

impl Levels {
    /// Makes levels from the value for black and the value for white.
    ///
    /// # Errors
    ///
    /// [`MediaError::Levels`] unless both are finite and black is below white.
    pub fn new(black: f32, white: f32) -> Result<Levels> {
        if black < white && (white - black).is_finite() {
            return Ok(Levels { black, white });
        }
        Err(MediaError::Levels { black, white })
    }

    /// Returns levels at two quantiles, so that a share `outside` of the values lies beyond them, half below
    /// and half above. Quantiles are interpolated linearly between the sorted values. Values that are not
    /// finite do not count.
    ///
    /// # Errors
    ///
    /// [`MediaError::Levels`] if values are too far apart for an `f32`, or none is finite.
    pub fn around(mut values: Vec<f32>, outside: f64) -> Result<Levels> {
        values.retain(|v| v.is_finite());
        values.sort_unstable_by(f32::total_cmp);
        let last = values.len().saturating_sub(1);
        let quantile = |q: f64| {
            let place = q.clamp(0.0, 1.0) * last as f64;
            let at = |i: usize| values.get(i).map_or(f64::NAN, |v| f64::from(*v));
            let (low, high) = (at(place.floor() as usize), at(place.ceil() as usize));
            low + (high - low) * place.fract()
        };
        Self::at_least(quantile(0.5 * outside), quantile(1.0 - 0.5 * outside))
    }

    /// Returns the levels that give the values mean ½ and standard deviation `deviation`. Values that are not
    /// finite do not count.
    ///
    /// # Errors
    ///
    /// [`MediaError::Levels`] if values are too far apart for an `f32`, or none is finite.
    pub fn standardizing(values: &[f32], deviation: f64) -> Result<Levels> {
        let values = || values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v));
        let count = values().count() as f64;
        let mean = values().sum::<f64>() / count;
        let spread = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        let half = 0.5 * spread / deviation;
        Self::at_least(mean - half, mean + half)
    }

    /// Makes levels, widened about their middle if they differ by less than [`LEAST_CONTRAST`].
    fn at_least(black: f64, white: f64) -> Result<Levels> {
        let (middle, half) = (0.5 * (black + white), 0.5 * (white - black).max(LEAST_CONTRAST));
        Self::new((middle - half) as f32, (middle + half) as f32)
    }

    /// Returns the value that is shown as black.
    pub fn black(self) -> f32 {
        self.black
    }

    /// Returns the value that is shown as white.
    pub fn white(self) -> f32 {
        self.white
    }

    /// Maps the picture's values so that black becomes 0 and white 1. Values beyond are kept; saving to a
    /// file clamps them.
    pub fn apply(self, image: &Image) -> Image {
        let span = f64::from(self.white) - f64::from(self.black);
        let shown = |v: &f32| ((f64::from(*v) - f64::from(self.black)) / span) as f32;
        Image { data: image.data.iter().map(shown).collect(), ..*image }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(levels: Levels) -> [f32; 2] {
        [levels.black(), levels.white()]
    }

    #[test]
    fn quantiles_are_those_of_numpy_and_outliers_do_not_count() {
        // The expected levels are those of `numpy.quantile(range(101), [.005, .995])`.
        let mut values: Vec<f32> = (0..=100u8).rev().map(f32::from).collect();
        assert_eq!(pair(Levels::around(values.clone(), 0.01).unwrap()), [0.5, 99.5]);
        assert_eq!(pair(Levels::around(values.clone(), 0.0).unwrap()), [0.0, 100.0]);
        values.extend([f32::NAN, f32::INFINITY]);
        assert_eq!(pair(Levels::around(values, 0.01).unwrap()), [0.5, 99.5]);
        let mut many = vec![0.25; 999];
        many.iter_mut().step_by(2).for_each(|v| *v = 0.75);
        many.push(1e6);
        assert_eq!(pair(Levels::around(many, 0.01).unwrap()), [0.25, 0.75]);
    }

    #[test]
    fn standardizing_sets_mean_and_deviation() {
        let rgb: Vec<f32> = (0..3 * 64).map(|i| 3.0 + 0.02 * (i as f32 * 0.7).sin()).collect();
        let levels = Levels::standardizing(&rgb, 0.3).unwrap();
        let shown = levels.apply(&Image::rgb(8, 8, rgb).unwrap()).data;
        let mean = shown.iter().sum::<f32>() / 192.0;
        let deviation = (shown.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 192.0).sqrt();
        assert!((mean - 0.5).abs() < 1e-4 && (deviation - 0.3).abs() < 1e-3, "{mean} {deviation}");
    }

    #[test]
    fn levels_map_black_to_0_and_white_to_1_and_a_flat_picture_to_the_middle() {
        let image = Image::rgb(2, 1, vec![-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]).unwrap();
        let shown = Levels::new(-0.5, 1.5).unwrap().apply(&image);
        assert_eq!(shown.data, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
        let flat = Image::filled(2, 2, [0.2; 3]);
        for levels in [Levels::around(flat.data.clone(), 0.01), Levels::standardizing(&flat.data, 0.3)] {
            let shown = levels.unwrap().apply(&flat);
            assert!(shown.data.iter().all(|v| (v - 0.5).abs() < 1e-4), "{shown:?}");
        }
    }

    #[test]
    fn levels_that_are_none_are_errors() {
        let bad = [(1.0, 0.0), (0.5, 0.5), (f32::NAN, 1.0), (0.0, f32::INFINITY), (f32::MIN, f32::MAX)];
        for (black, white) in bad {
            assert!(Levels::new(black, white).is_err(), "{black} {white}");
        }
        assert!(Levels::around(vec![], 0.01).is_err());
        assert!(Levels::standardizing(&[f32::NAN], 0.3).is_err());
    }
}
