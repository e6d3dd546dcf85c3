//! The type of stills and clips, with conversions from and to pixels.

use crate::{Extent, ShapeError};

/// A still or a clip: planes of `height` × `width` values, rows from the top.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Number of channels (colours or bands), without the opacity.
    pub channels: usize,
    /// Number of frames; 1 for a still.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Whether planes of opacity, 0 transparent to 1 opaque, follow those of the channels.
    pub has_alpha: bool,
    /// The values: `[C, H, W]` for a still, `[C, T, H, W]` for a clip; then `[H, W]` or `[T, H, W]` of
    /// opacity, if any.
    pub data: Vec<f32>,
}

impl Image {
    /// Makes an opaque picture from its values.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] unless there are as many values as the extent says, and at least one.
    pub fn new(extent: impl Into<Extent>, data: Vec<f32>) -> Result<Image, ShapeError> {
        Self::with_planes(extent.into(), false, data)
    }

    /// Makes a picture with transparency; its last planes are the opacity.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] unless there are as many values as the extent and its opacity have, and at least one.
    pub fn transparent(extent: impl Into<Extent>, data: Vec<f32>) -> Result<Image, ShapeError> {
        Self::with_planes(extent.into(), true, data)
    }

    fn with_planes(extent: Extent, has_alpha: bool, data: Vec<f32>) -> Result<Image, ShapeError> {
        let Extent { channels, frames, height, width } = extent;
        let all = Extent { channels: channels.saturating_add(usize::from(has_alpha)), ..extent };
        if all.checked_values() != Some(data.len()) || data.is_empty() {
            let clip = if frames == 1 { String::new() } else { format!(" in {frames} frames") };
            return Err(ShapeError(format!(
                "an image of {width}×{height} pixels{clip} needs {} planes of at least one value; {} values were given",
                all.channels.saturating_mul(frames),
                data.len()
            )));
        }
        Ok(Image { channels, frames, height, width, has_alpha, data })
    }

    /// Makes an RGB still from its values.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] unless there are `3 * height * width` values, and at least one pixel.
    pub fn rgb(width: usize, height: usize, data: Vec<f32>) -> Result<Image, ShapeError> {
        Self::new([3, height, width], data)
    }

    /// Makes a still filled with one colour.
    pub fn filled(width: usize, height: usize, color: [f32; 3]) -> Image {
        let pixels = width * height;
        let data = color.iter().flat_map(|&value| std::iter::repeat_n(value, pixels)).collect();
        Image { channels: 3, frames: 1, height, width, has_alpha: false, data }
    }

    /// Returns the shape: channels without opacity, frames, height, width.
    pub fn extent(&self) -> Extent {
        Extent { channels: self.channels, frames: self.frames, height: self.height, width: self.width }
    }

    /// Returns the lengths of all axes, with opacity counted as a channel: `[C, H, W]` for a still, `[C, T,
    /// H, W]` for a clip.
    pub fn shape(&self) -> Vec<usize> {
        self.extent().with_channels(self.channels + usize::from(self.has_alpha)).axes()
    }

    /// Whether the image is an opaque RGB still, as picture files hold it.
    pub fn is_rgb(&self) -> bool {
        (self.channels, self.frames, self.has_alpha) == (3, 1, false)
    }

    /// Returns all values but the opacity.
    pub fn colors(&self) -> &[f32] {
        &self.data[..self.extent().values()]
    }

    /// Returns the planes of opacity, if the image has them.
    pub fn opacity(&self) -> Option<&[f32]> {
        self.has_alpha.then(|| &self.data[self.extent().values()..])
    }

    /// Makes an RGB still from interleaved 8-bit values (R,G,B,R,G,B,…), each divided by 255.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] unless there are `3 * height * width` values, and at least one pixel.
    pub fn from_rgb8(width: usize, height: usize, bytes: &[u8]) -> Result<Image, ShapeError> {
        let mut data = vec![0.0; bytes.len()];
        let pixels = bytes.len() / 3;
        for (i, pixel) in bytes.chunks_exact(3).enumerate() {
            for channel in 0..3 {
                data[channel * pixels + i] = f32::from(pixel[channel]) / 255.0;
            }
        }
        Image::rgb(width, height, data)
    }

    /// Returns an RGB still as interleaved 8-bit values: `round(clamp(x, 0, 1) * 255)`, halves away from
    /// zero; NaN becomes 0.
    pub fn to_rgb8(&self) -> Vec<u8> {
        let pixels = self.width * self.height;
        let mut bytes = vec![0; 3 * pixels];
        for channel in 0..3 {
            let plane = &self.data[channel * pixels..(channel + 1) * pixels];
            for (i, &value) in plane.iter().enumerate() {
                bytes[3 * i + channel] = quantize(value);
            }
        }
        bytes
    }

    /// Returns the values of one plane, `[H, W]`. Planes are ordered by channel, and by frame within each
    /// channel; those of opacity come last.
    pub fn plane(&self, index: usize) -> &[f32] {
        let pixels = self.width * self.height;
        &self.data[index * pixels..(index + 1) * pixels]
    }

    /// Returns red, green and blue of the pixel at column `x`, row `y`.
    pub fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let pixels = self.width * self.height;
        let at = y * self.width + x;
        [self.data[at], self.data[pixels + at], self.data[2 * pixels + at]]
    }

    /// Cuts out of every plane the rectangle of `width` × `height` pixels whose top left corner is `x`, `y`.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the rectangle is empty or reaches beyond the image.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Image, ShapeError> {
        let inside =
            |from: usize, length: usize, whole: usize| length > 0 && from <= whole && length <= whole - from;
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            let what = format!(
                "a crop of {width}×{height} pixels at {x},{y} does not lie inside the image of {}×{}",
                self.width, self.height
            );
            return Err(ShapeError(what));
        }
        let planes = self.data.chunks_exact(self.width * self.height);
        let mut data = Vec::with_capacity(planes.len() * width * height);
        for row in planes.flat_map(|plane| plane.chunks_exact(self.width).skip(y).take(height)) {
            data.extend_from_slice(&row[x..x + width]);
        }
        Ok(Image { height, width, data, ..*self })
    }
}

/// Converts a value in 0–1 to 8 bits. All conversions to 8 bits use this rounding rule.
pub fn quantize(value: f32) -> u8 {
    // Rust's `as` saturates, and turns NaN into 0.
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
        assert!(Image::rgb(2, 2, vec![0.0; 11]).is_err());
        assert!(Image::rgb(0, 0, vec![]).is_err());
        assert!(Image::rgb(usize::MAX, 2, vec![0.0; 12]).is_err());
        let image = Image::filled(4, 3, [0.1, 0.2, 0.3]);
        assert!(image.crop(2, 0, 3, 1).is_err());
        assert!(image.crop(usize::MAX, 0, 1, 1).is_err());
        assert_eq!(image.crop(1, 1, 3, 2).unwrap(), Image::filled(3, 2, [0.1, 0.2, 0.3]));
    }

    #[test]
    fn clips_and_opacity_have_planes_of_their_own() {
        let clip = Image::new([2, 3, 1, 2], (0..12).map(|i| i as f32).collect()).unwrap();
        assert_eq!((clip.shape(), clip.plane(4)), (vec![2, 3, 1, 2], &[8.0, 9.0][..]));
        let still = Image::transparent([5, 1, 2], (0..12).map(|i| i as f32).collect()).unwrap();
        assert_eq!(still.opacity(), Some(&[10.0, 11.0][..]));
        assert_eq!((still.colors().len(), still.shape()), (10, vec![6, 1, 2]));
        assert!(Image::new([0, 1, 2], vec![]).is_err());
        assert!(Image::new([usize::MAX, 2, 2, 2], vec![0.0]).unwrap_err().to_string().contains("frames"));
    }
}
