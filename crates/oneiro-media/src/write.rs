//! Writes pictures as PNG files with a record of how they were made.
//!
//! The bytes of a PNG depend only on the picture, its text and this crate's version: compression and filter
//! settings are fixed, and no time is stored. Pixels are 8-bit RGB or RGBA, `round(clamp(x, 0, 1) * 255)`.

use std::io::{Cursor, Write};
use std::path::Path;

use crate::alpha::{check_alpha, check_rgb, rgba8};
use crate::atomic::write_atomic;
use crate::text::{PREFIX, check_entry, text_error};
use crate::{Image, MediaError, PngText, Result};

/// zlib's default compression level: pictures of noise and smooth colour hardly shrink further at higher
/// levels.
const DEFLATE_LEVEL: u8 = 6;

/// Writes a picture as a PNG file with its text, by [`write_atomic`].
///
/// # Errors
///
/// The errors of [`encode_png`] and [`write_atomic`].
pub fn write_png(path: impl AsRef<Path>, image: &Image, text: &PngText) -> Result<()> {
    write_atomic(path, &encode_png(image, text)?)
}

/// Returns a picture as the bytes of a PNG file: 8-bit RGB, with the text before the pixels.
///
/// # Errors
///
/// [`MediaError::Text`] for a keyword or text that PNG cannot hold (a keyword that is empty, longer than 72
/// bytes or not printable ASCII; a text with a NUL), [`MediaError::Shape`] for an image without pixels.
pub fn encode_png(image: &Image, text: &PngText) -> Result<Vec<u8>> {
    check_rgb(image)?;
    encode(image, text, png::ColorType::Rgb, &image.to_rgb8())
}

/// Returns a picture with transparency as the bytes of a PNG file: 8-bit RGBA, with the text before the
/// pixels. `alpha` has a value for each pixel, `[H, W]`, 0 transparent to 1 opaque. Colours are stored as
/// given, not multiplied by alpha.
///
/// # Errors
///
/// The errors of [`encode_png`], and [`MediaError::Shape`] unless `alpha` has one value for each pixel.
pub fn encode_png_alpha(image: &Image, alpha: &[f32], text: &PngText) -> Result<Vec<u8>> {
    check_rgb(image)?;
    check_alpha(image, alpha)?;
    encode(image, text, png::ColorType::Rgba, &rgba8(image, alpha))
}

fn encode(image: &Image, text: &PngText, color: png::ColorType, pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = new_encoder(&mut bytes, image.width, image.height)?;
    encoder.set_color(color);
    add_text(&mut encoder, text)?;
    let refused = |error: png::EncodingError| MediaError::Shape {
        what: format!("cannot encode an image of {}×{} pixels as PNG: {error}", image.width, image.height),
    };
    let mut writer = encoder.write_header().map_err(refused)?;
    writer.write_image_data(pixels).map_err(refused)?;
    writer.finish().map_err(refused)?;
    Ok(bytes)
}

/// Makes a PNG encoder for 8-bit RGB with this crate's compression and filter settings.
pub(crate) fn new_encoder<'a, W: Write>(out: W, width: usize, height: usize) -> Result<png::Encoder<'a, W>> {
    let side = |side: usize| {
        u32::try_from(side)
            .map_err(|_| MediaError::Shape { what: format!("a PNG cannot be {side} pixels long") })
    };
    let mut encoder = png::Encoder::new(out, side(width)?, side(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_deflate_compression(png::DeflateCompression::Level(DEFLATE_LEVEL));
    encoder.set_filter(png::Filter::Adaptive);
    Ok(encoder)
}

/// Adds the text chunks before a PNG's pixels.
pub(crate) fn add_text<W: Write>(encoder: &mut png::Encoder<'_, W>, text: &PngText) -> Result<()> {
    for (keyword, text) in &text.0 {
        check_entry(keyword, text)?;
        let key = format!("{PREFIX}{keyword}");
        let added = if is_latin1(text) {
            encoder.add_text_chunk(key, text.clone())
        } else {
            encoder.add_itxt_chunk(key, text.clone())
        };
        added.map_err(|error| text_error(keyword, error.to_string()))?;
    }
    Ok(())
}

/// Reads the record of how a PNG was made: the entries with oneiro's prefix, which is removed. `Err` says
/// what is wrong with the file.
pub(crate) fn png_text(bytes: &[u8]) -> Result<PngText, String> {
    let damaged = |error: png::DecodingError| format!("the PNG file is damaged ({error})");
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

/// Whether a PNG `tEXt` chunk may hold the text: Latin-1 without control characters except the line feed.
fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{ff}'))
}

#[cfg(test)]
mod tests;
