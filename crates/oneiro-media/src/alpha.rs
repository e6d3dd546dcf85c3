//! Checks and conversion of a picture with an alpha channel, which is kept apart from the colours.

use oneiro_image::{Image, quantize};

use crate::{MediaError, Result};

/// Returns an error unless `alpha` has exactly one value for each pixel of the image.
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

/// Returns the picture as interleaved 8-bit values R, G, B, A. `alpha` has one value a pixel, 0 to 1.
pub(crate) fn rgba8(image: &Image, alpha: &[f32]) -> Vec<u8> {
    let colors = image.to_rgb8();
    let pixels = colors.chunks_exact(3).zip(alpha);
    pixels.flat_map(|(rgb, &alpha)| [rgb[0], rgb[1], rgb[2], quantize(alpha)]).collect()
}

/// Returns an error unless the image is a still with three channels: picture files hold nothing else.
pub(crate) fn check_rgb(image: &Image) -> Result<()> {
    if image.is_rgb() {
        return Ok(());
    }
    let what = format!(
        "a file of a picture holds three colours; this one has axes {:?}{}",
        image.shape(),
        if image.has_alpha { " with opacity" } else { "" }
    );
    Err(MediaError::Shape { what })
}
