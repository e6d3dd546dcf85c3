//! Disturbances of pictures, to test whether a generated picture still excites its unit after them.

use crate::{Image, Result};

/// Returns the picture after it was saved as JPEG of this quality (1–100, clamped) and loaded again.
///
/// # Errors
///
/// Always [`MediaError::LeftOut`](crate::MediaError::LeftOut): this build has no JPEG.
#[cfg(not(feature = "jpeg"))]
pub fn jpeg_round_trip(_: &Image, _: u8) -> Result<Image> {
    Err(crate::formats::left_out("JPEG", "cannot save a picture and load it again"))
}

/// Returns the picture after it was saved as JPEG of this quality (1–100, clamped) and loaded again.
///
/// # Errors
///
/// [`MediaError::Shape`](crate::MediaError::Shape) for a picture that JPEG cannot hold.
#[cfg(feature = "jpeg")]
pub fn jpeg_round_trip(picture: &Image, quality: u8) -> Result<Image> {
    use std::io::Cursor;

    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageFormat};

    use crate::MediaError;
    use crate::alpha::check_rgb;

    let failed =
        |e: image::ImageError| MediaError::Shape { what: format!("the picture cannot be a JPEG: {e}") };
    let side = |n: usize| {
        u32::try_from(n)
            .map_err(|_| MediaError::Shape { what: format!("a side of {n} pixels is too long for JPEG") })
    };
    check_rgb(picture)?;
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .encode(&picture.to_rgb8(), side(picture.width)?, side(picture.height)?, ExtendedColorType::Rgb8)
        .map_err(failed)?;
    let decoded =
        image::ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg).decode().map_err(failed)?;
    Ok(Image::from_rgb8(picture.width, picture.height, decoded.to_rgb8().as_raw())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_quality_keeps_a_smooth_picture() {
        let rgb =
            (0..3 * 32 * 24).map(|i| ((i % 32) as f32 / 31.0 + (i / 32 % 24) as f32 / 23.0) / 2.0).collect();
        let picture = Image::rgb(32, 24, rgb).unwrap();
        let again = jpeg_round_trip(&picture, 90).unwrap();
        let error = picture.data.iter().zip(&again.data).map(|(a, b)| (a - b).abs()).sum::<f32>()
            / picture.data.len() as f32;
        assert!(error < 0.02, "mean error {error}");
        assert_ne!(picture.data, again.data);
    }
}
