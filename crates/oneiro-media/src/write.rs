//! Pictures to PNG files that carry how they were made, and files that are complete or not there at all.
//!
//! The bytes of a PNG are a function of the picture, its text and this crate's version: compression and filter
//! settings are fixed, and no time is stored. Pixels are 8-bit RGB or RGBA, `round(clamp(x, 0, 1) * 255)`.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::film::read_gif_text;
use oneiro_image::quantize;

use crate::alpha::{check_alpha, check_rgb};
use crate::read::read_bytes;
use crate::{Image, MediaError, Result};

/// What every keyword begins with in the file, so that other programs' entries are told apart.
const PREFIX: &str = "oneiro:";
/// The longest keyword that PNG allows, in bytes (PNG specification, 11.3.3).
const MAX_KEYWORD: usize = 79;
/// zlib's own middle: pictures of noise and smooth colour gain little from more.
const DEFLATE_LEVEL: u8 = 6;
/// How much of a file's name its temporary neighbour repeats: names may have 255 bytes on common file systems.
const MAX_REPEATED_NAME: usize = 180;

/// How a picture was made: keywords and texts, stored in a PNG's text chunks.
///
/// Keywords are given without the `oneiro:` that they have in the file. A text in Latin-1 becomes a `tEXt`
/// chunk, any other an `iTXt` chunk in UTF-8; the `tEXt` chunks come first, and that is the order in which
/// [`read_text`] returns them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PngText(pub Vec<(String, String)>);

impl PngText {
    /// The text of the first entry with this keyword.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == keyword).map(|(_, text)| text.as_str())
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, keyword: impl Into<String>, text: impl Into<String>) {
        self.0.push((keyword.into(), text.into()));
    }
}

/// Writes a picture as PNG with its text, by way of [`write_atomic`].
///
/// # Errors
///
/// As [`encode_png`] and [`write_atomic`].
pub fn write_png(path: impl AsRef<Path>, image: &Image, text: &PngText) -> Result<()> {
    write_atomic(path, &encode_png(image, text)?)
}

/// The bytes of a PNG file: 8-bit RGB with the text before the pixels.
///
/// # Errors
///
/// [`MediaError::Text`] for a keyword or text that PNG cannot hold (a keyword that is empty, longer than 72
/// bytes or not printable ASCII; a text with a NUL), [`MediaError::Shape`] for an image without pixels.
pub fn encode_png(image: &Image, text: &PngText) -> Result<Vec<u8>> {
    check_rgb(image)?;
    encode(image, text, png::ColorType::Rgb, &image.to_rgb8())
}

/// The bytes of a PNG file with transparency: 8-bit RGBA with the text before the pixels. `alpha` has a value
/// for each pixel, H,W, 0 transparent to 1 opaque; colours are stored as they are, not times alpha.
///
/// # Errors
///
/// As [`encode_png`], and [`MediaError::Shape`] unless `alpha` has as many values as the image has pixels.
pub fn encode_png_alpha(image: &Image, alpha: &[f32], text: &PngText) -> Result<Vec<u8>> {
    check_rgb(image)?;
    check_alpha(image, alpha)?;
    let colors = image.to_rgb8();
    let pixels = colors.chunks_exact(3).zip(alpha);
    let rgba: Vec<u8> = pixels.flat_map(|(rgb, &alpha)| [rgb[0], rgb[1], rgb[2], quantize(alpha)]).collect();
    encode(image, text, png::ColorType::Rgba, &rgba)
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

/// An encoder of 8-bit RGB with this crate's settings.
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

/// Adds the text in front of the pixels.
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

/// How a picture or film was made: the entries that [`write_png`] and [`Film`](crate::Film) stored, keywords without
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

/// The same for a file's bytes; `path` is what messages call it.
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

fn text_error(keyword: &str, reason: impl Into<String>) -> MediaError {
    MediaError::Text { keyword: keyword.to_owned(), reason: reason.into() }
}

fn check_entry(keyword: &str, text: &str) -> Result<()> {
    let longest = MAX_KEYWORD - PREFIX.len();
    if keyword.is_empty() || keyword.len() > longest {
        return Err(text_error(keyword, format!("a keyword has 1 to {longest} letters; choose another")));
    }
    let printable = keyword.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !printable || keyword.ends_with(' ') || keyword.contains("  ") {
        return Err(text_error(
            keyword,
            "a keyword is printable ASCII with single spaces inside; choose another",
        ));
    }
    if text.contains('\0') {
        return Err(text_error(keyword, "its text has a NUL character; remove it"));
    }
    Ok(())
}

/// Whether a `tEXt` chunk may hold the text: Latin-1 with no control characters but the line feed.
fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{ff}'))
}

/// Writes a file so that it is complete or not there: the bytes go to a hidden neighbour, `.NAME.….tmp`,
/// which is then renamed, replacing an older file of the name. On failure the temporary file is removed and
/// an older file stays as it was. A symbolic link is followed; a device or pipe is written to directly.
///
/// # Errors
///
/// One message for each of: a folder of that name, a parent folder that is missing or is a file, and what
/// the operating system refuses (permissions, a read-only or full disk).
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write_atomic_with(path, |file| file.write_all(bytes).map_err(|e| write_refused(path, e)))
}

fn write_refused(path: &Path, source: io::Error) -> MediaError {
    MediaError::Write { hint: hint(source.kind()), path: path.to_owned(), source }
}

/// [`write_atomic`] of what a function writes bit by bit, for files that should never be in memory as a whole. If it
/// fails, nothing is left behind.
///
/// # Errors
///
/// As [`write_atomic`], and those of the function.
pub fn write_atomic_with<E: From<MediaError>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = path.as_ref();
    let target = follow_link(path);
    let refused = |source: io::Error| write_refused(path, source);
    if let Ok(metadata) = fs::metadata(&target) {
        if metadata.is_dir() {
            return Err(MediaError::WriteFolder { path: path.to_owned() }.into());
        }
        if !metadata.is_file() {
            let mut device = OpenOptions::new().write(true).open(&target).map_err(refused)?;
            return write(&mut device);
        }
    }
    let ends_in_separator = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(name) = target.file_name().filter(|_| !ends_in_separator) else {
        return Err(MediaError::NoFileName { path: path.to_owned() }.into());
    };
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_parent(path, parent)?;

    let temporary = create_beside(parent, &name.to_string_lossy()).map_err(refused)?;
    let mut buffered = BufWriter::new(temporary);
    write(&mut buffered)?;
    let temporary = buffered.into_inner().map_err(|e| refused(e.into_error()))?;
    temporary.persist(&target).map_err(|e| refused(e.error))?;
    Ok(())
}

/// Where a symbolic link leads, so that renaming replaces the file and not the link.
fn follow_link(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    if is_link { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() }
}

fn check_parent(path: &Path, parent: &Path) -> Result<()> {
    if parent.is_dir() {
        return Ok(());
    }
    let is_file = parent.exists();
    let hint = if is_file {
        "choose another path".to_owned()
    } else {
        format!("make it first (mkdir -p '{}') or choose another path", parent.display())
    };
    Err(MediaError::NoParent { path: path.to_owned(), parent: parent.to_owned(), is_file, hint })
}

/// A new file with a hidden name that no other writer uses, which is removed unless it is renamed.
fn create_beside(parent: &Path, name: &str) -> io::Result<NamedTempFile> {
    let end = (0..=name.len().min(MAX_REPEATED_NAME)).rev().find(|&at| name.is_char_boundary(at));
    let prefix = format!(".{}.", &name[..end.unwrap_or(0)]);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    // As of any new file; the system takes the umask off.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(parent)
}

fn hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space or choose another disk",
        io::ErrorKind::InvalidFilename => "choose a shorter file name",
        _ => "check the path and the disk",
    }
}

#[cfg(test)]
mod tests;
