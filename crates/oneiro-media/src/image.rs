//! The picture type that everything here reads and makes.

use crate::{MediaError, Result};

/// The most pixels that are read or made: 128 megapixels, 1.5 GiB as planes of `f32`.
pub const MAX_PIXELS: u64 = 1 << 27;

/// A colour picture: three planes (red, green, blue) of `height` × `width` values, 0 black to 1 white, rows
/// from the top. Values outside 0–1 are kept until a file is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The values, C,H,W: `rgb[(channel * height + y) * width + x]`.
    pub rgb: Vec<f32>,
}

impl Image {
    /// A picture of the given values, C,H,W.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] unless there are `3 * height * width` values, and at least one pixel.
    pub fn new(width: usize, height: usize, rgb: Vec<f32>) -> Result<Image> {
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if expected != Some(rgb.len()) || rgb.is_empty() {
            let what = format!(
                "an image of {width}×{height} pixels needs three planes of at least one value; {} were given",
                rgb.len()
            );
            return Err(MediaError::Shape { what });
        }
        Ok(Image { width, height, rgb })
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, color: [f32; 3]) -> Image {
        let pixels = width * height;
        let mut rgb = Vec::with_capacity(3 * pixels);
        for value in color {
            rgb.extend(std::iter::repeat_n(value, pixels));
        }
        Image { width, height, rgb }
    }

    /// A picture from interleaved 8-bit values (R,G,B,R,G,B,…), each divided by 255.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] unless there are `3 * height * width` values, and at least one pixel.
    pub fn from_rgb8(width: usize, height: usize, bytes: &[u8]) -> Result<Image> {
        let mut rgb = vec![0.0; bytes.len()];
        let pixels = bytes.len() / 3;
        for (i, pixel) in bytes.chunks_exact(3).enumerate() {
            for channel in 0..3 {
                rgb[channel * pixels + i] = f32::from(pixel[channel]) / 255.0;
            }
        }
        Image::new(width, height, rgb)
    }

    /// Interleaved 8-bit values: `round(clamp(x, 0, 1) * 255)`, halves away from zero; NaN becomes 0.
    pub fn to_rgb8(&self) -> Vec<u8> {
        let pixels = self.width * self.height;
        let mut bytes = vec![0; 3 * pixels];
        for channel in 0..3 {
            let plane = &self.rgb[channel * pixels..(channel + 1) * pixels];
            for (i, &value) in plane.iter().enumerate() {
                bytes[3 * i + channel] = quantize(value);
            }
        }
        bytes
    }

    /// The values of one channel, H,W.
    pub fn plane(&self, channel: usize) -> &[f32] {
        let pixels = self.width * self.height;
        &self.rgb[channel * pixels..(channel + 1) * pixels]
    }

    /// Red, green and blue at column `x` of row `y`.
    pub fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let pixels = self.width * self.height;
        let at = y * self.width + x;
        [self.rgb[at], self.rgb[pixels + at], self.rgb[2 * pixels + at]]
    }

    /// The rectangle of `width` × `height` pixels whose top left corner is `x`, `y`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if it is empty or leaves the picture.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Image> {
        let inside =
            |from: usize, length: usize, whole: usize| length > 0 && from <= whole && length <= whole - from;
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            let what = format!(
                "a crop of {width}×{height} pixels at {x},{y} does not lie inside the image of {}×{}",
                self.width, self.height
            );
            return Err(MediaError::Shape { what });
        }
        let mut rgb = Vec::with_capacity(3 * width * height);
        for channel in 0..3 {
            for row in self.plane(channel).chunks_exact(self.width).skip(y).take(height) {
                rgb.extend_from_slice(&row[x..x + width]);
            }
        }
        Ok(Image { width, height, rgb })
    }
}

/// Whether there is one value of transparency for each pixel.
pub(crate) fn check_alpha(image: &Image, alpha: &[f32]) -> Result<()> {
    if image.width.checked_mul(image.height) == Some(alpha.len()) {
        return Ok(());
    }
    let what = format!(
        "an image of {}×{} pixels needs one alpha value a pixel; {} were given",
        image.width,
        image.height,
        alpha.len()
    );
    Err(MediaError::Shape { what })
}

/// One value of a plane as a byte of a file. The one rounding rule of this crate.
pub(crate) fn quantize(value: f32) -> u8 {
    // `as` saturates and takes NaN to 0.
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_way_through_planes() {
        let bytes: Vec<u8> = (0..=255).chain(0..44).collect();
        let image = Image::from_rgb8(10, 10, &bytes).unwrap();
        assert_eq!(image.to_rgb8(), bytes);
        assert_eq!(image.pixel(1, 0), [3.0 / 255.0, 4.0 / 255.0, 5.0 / 255.0]);
    }

    #[test]
    fn values_outside_the_range_are_clamped_and_halves_round_up() {
        let cases =
            [(-1.0, 0), (2.0, 255), (f32::NAN, 0), (f32::INFINITY, 255), (0.5, 128), (1.0 / 255.0, 1)];
        for (value, byte) in cases {
            assert_eq!(quantize(value), byte, "{value}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        assert!(Image::new(2, 2, vec![0.0; 11]).is_err());
        assert!(Image::new(0, 0, vec![]).is_err());
        assert!(Image::new(usize::MAX, 2, vec![0.0; 12]).is_err());
        let image = Image::filled(4, 3, [0.1, 0.2, 0.3]);
        assert!(image.crop(2, 0, 3, 1).is_err());
        assert!(image.crop(usize::MAX, 0, 1, 1).is_err());
        assert_eq!(image.crop(1, 1, 3, 2).unwrap(), Image::filled(3, 2, [0.1, 0.2, 0.3]));
    }
}
