//! Formats that a build may leave out.

use crate::{MediaError, Result};

/// An error if the format of this name is not part of the build. `what`: what cannot be done for that.
pub(crate) fn require(format: &'static str, what: impl FnOnce() -> String) -> Result<()> {
    let is_there = match format {
        "JPEG" => cfg!(feature = "jpeg"),
        "WebP" => cfg!(feature = "webp"),
        "TIFF" => cfg!(feature = "tiff"),
        "BMP" => cfg!(feature = "bmp"),
        "GIF" => cfg!(feature = "gif"),
        _ => true,
    };
    if is_there { Ok(()) } else { Err(left_out(format, what())) }
}

/// The error of a format that is not part of the build.
pub(crate) fn left_out(format: &'static str, what: impl Into<String>) -> MediaError {
    MediaError::LeftOut { what: what.into(), format }
}
