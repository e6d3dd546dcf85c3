//! Converts clips (`[C, T, H, W]`) to films, and enlarges pixels.

use super::{Film, FrameRate};
use crate::{Image, MediaError, Result};

/// How many pixels a film of enlarged frames may have in all frames together.
const MAX_FILM_PIXELS: u64 = crate::MAX_PIXELS;

impl Film {
    /// Makes a film of a clip at a frame rate, with each pixel drawn as a square of `enlarge` × `enlarge`
    /// pixels. `clip` is `[C, T, H, W]` or a still, values 0–1, with three channels or one (grey).
    /// Transparent pixels are composited on black.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for another number of channels, an enlargement of 0, and more than 128
    /// megapixels in all frames.
    pub fn from_clip(clip: &Image, rate: FrameRate, enlarge: usize) -> Result<Film> {
        let refused = |what: String| Err(MediaError::Shape { what: format!("a film of a clip: {what}") });
        if !matches!(clip.channels, 1 | 3) {
            return refused(format!("it has {} channels; choose three for colours, or one", clip.channels));
        }
        let [width, height] = [clip.width, clip.height].map(|side| side.saturating_mul(enlarge));
        let pixels = (clip.frames as u64).saturating_mul(width as u64).saturating_mul(height as u64);
        if enlarge == 0 || pixels > MAX_FILM_PIXELS {
            return refused(format!(
                "{} frames of {}×{} pixels, enlarged {enlarge} times; choose an enlargement of at least 1, with at most {} million pixels in all",
                clip.frames,
                clip.width,
                clip.height,
                MAX_FILM_PIXELS / 1_000_000
            ));
        }
        let mut film = Film::at_rate(rate);
        for frame in 0..clip.frames {
            film.push(&enlarged(&still(clip, frame)?, enlarge)?, 1)?;
        }
        Ok(film)
    }
}

/// Returns frame `frame` of a clip as an RGB still, composited on black.
fn still(clip: &Image, frame: usize) -> Result<Image> {
    let opacity = clip.has_alpha.then(|| clip.plane(clip.channels * clip.frames + frame));
    let mut data = Vec::with_capacity(3 * clip.width * clip.height);
    for channel in 0..3 {
        let plane = clip.plane(channel % clip.channels * clip.frames + frame);
        match opacity {
            None => data.extend_from_slice(plane),
            Some(opacity) => data.extend(plane.iter().zip(opacity).map(|(value, alpha)| value * alpha)),
        }
    }
    Ok(Image::rgb(clip.width, clip.height, data)?)
}

/// Enlarges a picture so that each pixel becomes a square of `factor` × `factor` pixels.
///
/// # Errors
///
/// [`MediaError::Shape`] for a factor of 0, or a result of more than 128 megapixels.
pub fn enlarge_pixels(image: &Image, factor: usize) -> Result<Image> {
    let side = |side: usize| (side as u64).saturating_mul(factor as u64);
    if factor == 0 || side(image.width).saturating_mul(side(image.height)) > MAX_FILM_PIXELS {
        return Err(MediaError::Shape {
            what: format!(
                "a picture of {}×{} pixels cannot be enlarged {factor} times; choose at least 1, with at most {} \
                 million pixels",
                image.width,
                image.height,
                MAX_FILM_PIXELS / 1_000_000
            ),
        });
    }
    enlarged(image, factor)
}

fn enlarged(image: &Image, factor: usize) -> Result<Image> {
    let (width, height) = (image.width * factor, image.height * factor);
    let mut data = Vec::with_capacity(3 * width * height);
    for row in image.data.chunks_exact(image.width) {
        let start = data.len();
        data.extend(row.iter().flat_map(|&value| std::iter::repeat_n(value, factor)));
        for _ in 1..factor {
            data.extend_from_within(start..start + width);
        }
    }
    Ok(Image::rgb(width, height, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_clip_are_enlarged_pixel_by_pixel() {
        let clip = Image::new([3, 2, 1, 2], (0..12).map(|i| i as f32 / 12.0).collect()).unwrap();
        let film = Film::from_clip(&clip, FrameRate::new(8.0).unwrap(), 2).unwrap();
        assert_eq!((film.len(), film.size()), (2, (4, 2)));
        let rgb = |values: [usize; 3]| values.map(|i| (i as f32 / 12.0 * 255.0).round() as u8);
        let row = [rgb([2, 6, 10]), rgb([2, 6, 10]), rgb([3, 7, 11]), rgb([3, 7, 11])].concat();
        assert_eq!(film.frames[1].0, [row.clone(), row].concat());
    }

    #[test]
    fn grey_and_transparent_clips_are_films_too() {
        let rate = FrameRate::new(8.0).unwrap();
        let grey = Image::new([1, 2, 1, 1], vec![0.0, 1.0]).unwrap();
        assert_eq!(Film::from_clip(&grey, rate, 1).unwrap().frames[1].0, [255; 3]);
        let clear = Image::transparent([3, 2, 1, 1], vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.2]).unwrap();
        assert_eq!(Film::from_clip(&clear, rate, 1).unwrap().frames[1].0, [51; 3]);
    }

    #[test]
    fn clips_that_are_no_film_are_errors() {
        let rate = FrameRate::new(8.0).unwrap();
        let clip = Image::new([2, 2, 1, 1], vec![0.0; 4]).unwrap();
        assert!(Film::from_clip(&clip, rate, 1).is_err());
        for factor in [0, usize::MAX, 1 << 20] {
            assert!(Film::from_clip(&Image::filled(2, 2, [0.5; 3]), rate, factor).is_err(), "{factor}");
        }
    }
}
