//! Opacity beside a picture.

use oneiro_image::Image;

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
