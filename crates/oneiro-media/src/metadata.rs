//! Reads from pictures, films and pages the record of how they were made.

use std::path::Path;

use crate::film::{is_matroska, is_mp4, matroska_text, mp4_text, read_gif_text};
use crate::page::{is_page, page_text};
use crate::read::read_bytes;
use crate::still::{StillFormat, jpeg_text, webp_text};
use crate::write::png_text;
use crate::{MediaError, PngText, Result};

/// Reads the record of how a picture, film or page was made: the entries that
/// [`write_png`](crate::write_png), [`StillFormat`], [`Film`](crate::Film) and [`Page`](crate::Page) stored,
/// with keywords without their prefix. Other programs' entries are left out, so other programs' files have
/// none.
///
/// # Errors
///
/// The errors of opening the file as in [`read_image`](crate::read_image), and [`MediaError::NoText`] for
/// another format or damaged text.
pub fn read_text(path: impl AsRef<Path>) -> Result<PngText> {
    let path = path.as_ref();
    decode_text(&read_bytes(path)?, path)
}

/// Reads the record from a file's bytes; `path` is the file's name in error messages.
///
/// # Errors
///
/// The errors of [`read_text`], except those of opening the file.
pub fn decode_text(bytes: &[u8], path: impl AsRef<Path>) -> Result<PngText> {
    let path = path.as_ref();
    let no_text = |reason: String| MediaError::NoText { path: path.to_owned(), reason };
    if bytes.starts_with(b"GIF8") {
        return read_gif_text(bytes).map_err(no_text);
    }
    if is_mp4(bytes) {
        return mp4_text(bytes).map_err(no_text);
    }
    if is_matroska(bytes) {
        return matroska_text(bytes).map_err(no_text);
    }
    if is_page(bytes) {
        return page_text(bytes).map_err(no_text);
    }
    match StillFormat::of_bytes(bytes) {
        Some(StillFormat::Png) => png_text(bytes).map_err(no_text),
        Some(StillFormat::Jpeg) => jpeg_text(bytes).map_err(no_text),
        Some(StillFormat::WebP) => webp_text(bytes).map_err(no_text),
        None => Err(no_text("it is no PNG, GIF, JPEG, WebP, MP4, WebM or HTML file".to_owned())),
    }
}
