//! Still pictures as PNG, JPEG or WebP, chosen by the ending of a file's name, with how they were made.
//!
//! Jobs make PNG files. The other formats are made from these, and carry the same text: a JPEG in comments, a
//! WebP as the image description of its EXIF data. Bytes are a function of the PNG's, so a job makes them
//! again as well.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};

use crate::alpha::rgba8;
use crate::read::decode_image_alpha;
use crate::text::{PREFIX, comment, entries};
use crate::write::png_text;
use crate::{Image, MediaError, PngText, Result};

/// Of JPEG files: differences to the PNG are hardly seen, and files are some third as long.
const JPEG_QUALITY: u8 = 95;
/// The longest side of a JPEG (ITU T.81, B.2.2).
const MAX_JPEG_SIDE: usize = 65_535;
/// The longest side of a WebP (RFC 9649, 3.4).
const MAX_WEBP_SIDE: usize = 16_384;
/// The longest content of a JPEG's segment (ITU T.81, B.1.1.4).
const MAX_SEGMENT: usize = 65_533;
/// The marker of a JPEG's comment (ITU T.81, table B.1).
const COMMENT_MARKER: [u8; 2] = [0xff, 0xfe];
/// EXIF data of one entry, an image description (TIFF 6.0, tag 270): the header, the number of entries, tag
/// and type.
const EXIF_HEAD: [u8; 14] = [b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x0e, 0x01, 2, 0];
/// Where the description begins: behind its length, its place and the end of the list.
const EXIF_TEXT: usize = EXIF_HEAD.len() + 12;

/// The format of a still picture's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StillFormat {
    /// Lossless, with transparency.
    Png,
    /// Lossy, without transparency.
    Jpeg,
    /// Lossless, with transparency; at most 16384 pixels a side.
    WebP,
}

impl StillFormat {
    /// By the ending of a file's name.
    pub fn of_name(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            _ => None,
        }
    }

    /// By a file's first bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    /// The format's name, as messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        }
    }

    /// A PNG of [`encode_png`](crate::encode_png) in this format, with its text.
    ///
    /// # Errors
    ///
    /// Those of reading the PNG, and [`MediaError::Shape`] for a picture that the format cannot hold: one
    /// with too long a side, or a transparent one as JPEG.
    pub fn transcode(self, png: &[u8]) -> Result<Vec<u8>> {
        if self == Self::Png {
            return Ok(png.to_vec());
        }
        let text = png_text(png).map_err(|what| MediaError::Shape { what })?;
        let (image, alpha) = decode_image_alpha(png, "the picture's PNG")?;
        match (self, alpha) {
            (Self::Jpeg, Some(_)) => Err(MediaError::Shape {
                what: "the picture is transparent, which JPEG cannot hold; name a file that ends in .png or .webp".into(),
            }),
            (Self::Jpeg, None) => encode_jpeg(&image, &text),
            (_, alpha) => encode_webp(&image, alpha.as_deref(), &text),
        }
    }
}

/// The sides as the encoders take them.
fn sides(image: &Image, most: usize, format: StillFormat) -> Result<[u32; 2]> {
    match (u32::try_from(image.width), u32::try_from(image.height)) {
        (Ok(width), Ok(height)) if image.width.max(image.height) <= most => Ok([width, height]),
        _ => Err(MediaError::Shape {
            what: format!(
                "the picture has {}×{} pixels, and a {} file at most {most} a side; name a file that ends in .png",
                image.width,
                image.height,
                format.name()
            ),
        }),
    }
}

fn refused(format: StillFormat) -> impl Fn(ImageError) -> MediaError {
    move |error| MediaError::Shape {
        what: format!("cannot encode the picture as {}: {error}", format.name()),
    }
}

fn encode_jpeg(image: &Image, text: &PngText) -> Result<Vec<u8>> {
    let [width, height] = sides(image, MAX_JPEG_SIDE, StillFormat::Jpeg)?;
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode(&image.to_rgb8(), width, height, ExtendedColorType::Rgb8)
        .map_err(refused(StillFormat::Jpeg))?;
    if text.0.is_empty() {
        return Ok(bytes);
    }
    // Behind the start of the image and the header of JFIF, which has to be the first segment.
    let at = segments(&bytes).next().map_or(2, |(_, content)| 2 + 4 + content.len());
    let comments = comment(text).into_bytes();
    let segments = comments.chunks(MAX_SEGMENT).flat_map(|part| {
        // At most MAX_SEGMENT and two more.
        let length = (part.len() as u16 + 2).to_be_bytes();
        [&COMMENT_MARKER[..], &length, part].concat()
    });
    Ok(bytes[..at].iter().copied().chain(segments).chain(bytes[at..].iter().copied()).collect())
}

/// Marker and content of the segments in front of a JPEG's pixels, up to one that is damaged.
fn segments(bytes: &[u8]) -> impl Iterator<Item = ([u8; 2], &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let marker = [*bytes.get(at)?, *bytes.get(at + 1)?];
        let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
        let content = bytes.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        // The scan ends the headers (ITU T.81, table B.1).
        (marker[0] == 0xff && marker[1] != 0xda).then_some((marker, content))
    })
}

/// Metadata of a JPEG; empty for another program's file, an error if the text is damaged. A comment that
/// fills its segment goes on in the next.
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

fn encode_webp(image: &Image, alpha: Option<&[f32]>, text: &PngText) -> Result<Vec<u8>> {
    let [width, height] = sides(image, MAX_WEBP_SIDE, StillFormat::WebP)?;
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    if !text.0.is_empty() {
        let what = || MediaError::Shape {
            what: "what the picture says of itself is too long for a WebP file".into(),
        };
        let text = comment(text);
        let length = u32::try_from(text.len() + 1).map_err(|_| what())?;
        let exif = [
            &EXIF_HEAD[..],
            &length.to_le_bytes(),
            &(EXIF_TEXT as u32).to_le_bytes(),
            &[0; 4],
            text.as_bytes(),
            &[0],
        ];
        encoder
            .set_exif_metadata(exif.concat())
            .map_err(|error| refused(StillFormat::WebP)(ImageError::Unsupported(error)))?;
    }
    let (pixels, kind) = match alpha {
        None => (image.to_rgb8(), ExtendedColorType::Rgb8),
        Some(alpha) => (rgba8(image, alpha), ExtendedColorType::Rgba8),
    };
    encoder.write_image(&pixels, width, height, kind).map_err(refused(StillFormat::WebP))?;
    Ok(bytes)
}

/// Metadata of a WebP; empty for another program's file, an error if the text is damaged.
pub(crate) fn webp_text(bytes: &[u8]) -> Result<PngText, String> {
    // Chunks (RFC 9649, 2.3): name, length, content, padded to an even length.
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
