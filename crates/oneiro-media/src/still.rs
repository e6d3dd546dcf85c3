//! Still pictures as PNG, JPEG or WebP files, chosen by the file name's ending, with a record of how they
//! were made.
//!
//! Jobs make PNG files. JPEG and WebP are converted from these and carry the same record: a JPEG in comments,
//! a WebP as the image description of its EXIF data. The bytes depend on the PNG's bytes only, so a repeated
//! job makes equal files.

use std::path::Path;

use crate::formats;
use crate::text::{PREFIX, entries};
use crate::{MediaError, PngText, Result};

#[cfg(any(feature = "jpeg", feature = "webp"))]
mod encode;

#[cfg(feature = "webp")]
pub(crate) use encode::{MAX_WEBP_SIDE, exif};

/// The longest content of a JPEG segment in bytes (ITU T.81, B.1.1.4).
const MAX_SEGMENT: usize = 65_533;
/// The marker of a JPEG comment segment (ITU T.81, table B.1).
const COMMENT_MARKER: [u8; 2] = [0xff, 0xfe];
/// Beginning of EXIF data with one entry, an image description (TIFF 6.0, tag 270): the header, the number of
/// entries, the entry's tag and its type.
const EXIF_HEAD: [u8; 14] = [b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x0e, 0x01, 2, 0];
/// Offset of the description in the EXIF data: after its length, its offset and the end of the list.
const EXIF_TEXT: usize = EXIF_HEAD.len() + 12;

/// File format of a still picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StillFormat {
    /// PNG: lossless, with transparency.
    Png,
    /// JPEG: lossy, without transparency.
    Jpeg,
    /// WebP: lossless, with transparency; at most 16384 pixels a side.
    WebP,
}

impl StillFormat {
    /// Returns the picture format for a file name's ending, or `None`.
    pub fn of_name(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            _ => None,
        }
    }

    /// Returns the picture format for the name of a file that is to be written.
    ///
    /// # Errors
    ///
    /// [`MediaError::Ending`] for an ending of no such format, [`MediaError::LeftOut`] for a format that this
    /// build lacks.
    pub fn for_name(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = Self::of_name(path).ok_or_else(|| MediaError::Ending { path: path.to_owned() })?;
        formats::require(format.name(), || format!("cannot write `{}`", path.display()))?;
        Ok(format)
    }

    /// Returns the picture format that a file's first bytes show, or `None`.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    /// Returns the format's name as error messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        }
    }

    /// Converts a PNG of [`encode_png`](crate::encode_png) to this format, with its record of how it was
    /// made.
    ///
    /// # Errors
    ///
    /// The errors of reading the PNG, [`MediaError::LeftOut`] for a format that this build lacks, and
    /// [`MediaError::Shape`] for a picture that the format cannot hold: one with too long a side, or a
    /// transparent one as JPEG.
    pub fn transcode(self, png: &[u8]) -> Result<Vec<u8>> {
        if self == Self::Png {
            return Ok(png.to_vec());
        }
        #[cfg(any(feature = "jpeg", feature = "webp"))]
        return encode::from_png(self, png);
        #[cfg(not(any(feature = "jpeg", feature = "webp")))]
        Err(formats::left_out(self.name(), "cannot write the picture"))
    }
}

/// Iterates over the segments before a JPEG's pixels, as marker and content, up to a damaged segment.
fn segments(bytes: &[u8]) -> impl Iterator<Item = ([u8; 2], &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let marker = [*bytes.get(at)?, *bytes.get(at + 1)?];
        let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
        let content = bytes.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        // The start-of-scan marker ends the headers (ITU T.81, table B.1).
        (marker[0] == 0xff && marker[1] != 0xda).then_some((marker, content))
    })
}

/// Reads the record of how a JPEG was made: empty for another program's file, an error if the text is
/// damaged. A comment that fills its segment continues in the next one.
pub(crate) fn jpeg_text(bytes: &[u8]) -> Result<PngText, String> {
    let comments =
        segments(bytes).filter(|(marker, _)| *marker == COMMENT_MARKER).map(|(_, content)| content);
    let mut ours = Vec::new();
    for content in comments.skip_while(|content| !content.starts_with(PREFIX.as_bytes())) {
        ours.extend_from_slice(content);
        if content.len() < MAX_SEGMENT {
            break;
        }
    }
    Ok(entries(&ours)?.unwrap_or_default())
}

/// Reads the record of how a WebP was made: empty for another program's file, an error if the text is
/// damaged.
pub(crate) fn webp_text(bytes: &[u8]) -> Result<PngText, String> {
    // A RIFF chunk is name, length and content, padded to an even length (RFC 9649, 2.3).
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let content = bytes.get(at + 8..).and_then(|rest| rest.get(..length)).unwrap_or_default();
        if head[..4] == *b"EXIF" && content.starts_with(&EXIF_HEAD) {
            let text = content.get(EXIF_TEXT..).unwrap_or_default();
            return Ok(entries(text.strip_suffix(&[0]).unwrap_or(text))?.unwrap_or_default());
        }
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    Ok(PngText::default())
}

#[cfg(test)]
mod tests;
