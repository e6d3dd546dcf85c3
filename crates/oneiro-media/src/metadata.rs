//! What files of pictures say of themselves: how they were made.

use std::io::Cursor;
use std::path::Path;

use crate::film::read_gif_text;
use crate::read::read_bytes;
use crate::text::PREFIX;
use crate::{MediaError, PngText, Result};

/// How a picture or film was made: the entries that [`write_png`](crate::write_png) and [`Film`](crate::Film) stored, keywords without
/// their prefix. Entries of other programs are left out, so a PNG or GIF of theirs has none.
///
/// # Errors
///
/// Those of opening the file as in [`read_image`](crate::read_image), and [`MediaError::NoText`] for a file
/// that is neither PNG nor GIF or is damaged.
pub fn read_text(path: impl AsRef<Path>) -> Result<PngText> {
    let path = path.as_ref();
    decode_text(&read_bytes(path)?, path)
}

/// Reads the entries from a file's bytes; `path` is what messages call it.
///
/// # Errors
///
/// As [`read_text`], save those of opening the file.
pub fn decode_text(bytes: &[u8], path: impl AsRef<Path>) -> Result<PngText> {
    let path = path.as_ref();
    let no_text = |reason: String| MediaError::NoText { path: path.to_owned(), reason };
    if bytes.starts_with(b"GIF8") {
        return read_gif_text(bytes).map_err(no_text);
    }
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(no_text("it is no PNG or GIF file".to_owned()));
    }
    let damaged = |error: png::DecodingError| no_text(format!("the PNG file is damaged ({error})"));
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(damaged)?;
    let info = reader.info();
    let mut entries = PngText::default();
    let mut keep = |keyword: &str, text: String| {
        if let Some(key) = keyword.strip_prefix(PREFIX) {
            entries.push(key, text);
        }
    };
    for chunk in &info.uncompressed_latin1_text {
        keep(&chunk.keyword, chunk.text.clone());
    }
    for chunk in &info.compressed_latin1_text {
        keep(&chunk.keyword, chunk.get_text().map_err(damaged)?);
    }
    for chunk in &info.utf8_text {
        keep(&chunk.keyword, chunk.get_text().map_err(damaged)?);
    }
    Ok(entries)
}
