//! File formats that a build may leave out, as Cargo features.

use crate::{MediaError, Result};

/// Returns an error if the build lacks this format. `what` says which operation fails without it.
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

/// Returns the error for a format that the build lacks.
pub(crate) fn left_out(format: &'static str, what: impl Into<String>) -> MediaError {
    MediaError::LeftOut { what: what.into(), format }
}
