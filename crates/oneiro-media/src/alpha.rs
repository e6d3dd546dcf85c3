//! Opacity beside a picture.

use oneiro_image::{Image, quantize};

use crate::{MediaError, Result};

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

/// Interleaved 8-bit values R,G,B,A of a picture and its opacity, one value a pixel.
pub(crate) fn rgba8(image: &Image, alpha: &[f32]) -> Vec<u8> {
    let colors = image.to_rgb8();
    let pixels = colors.chunks_exact(3).zip(alpha);
    pixels.flat_map(|(rgb, &alpha)| [rgb[0], rgb[1], rgb[2], quantize(alpha)]).collect()
}

/// An error unless a picture is a still in red, green and blue: what files of pictures hold.
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
