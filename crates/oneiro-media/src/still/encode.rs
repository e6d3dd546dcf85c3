//! Encodes pictures as JPEG and WebP files with a record of how they were made.

#[cfg(feature = "webp")]
use image::ImageEncoder;
use image::{ExtendedColorType, ImageError};

use super::StillFormat;
#[cfg(feature = "jpeg")]
use super::{COMMENT_MARKER, MAX_SEGMENT, segments};
#[cfg(feature = "webp")]
use super::{EXIF_HEAD, EXIF_TEXT};
use crate::formats;
use crate::read::decode_image_alpha;
use crate::text::comment;
use crate::write::png_text;
use crate::{Image, MediaError, PngText, Result};

/// Quality of JPEG files. Differences from the PNG are hardly visible, and files are about a third as large.
#[cfg(feature = "jpeg")]
const JPEG_QUALITY: u8 = 95;
/// The longest side of a JPEG in pixels (ITU T.81, B.2.2).
#[cfg(feature = "jpeg")]
const MAX_JPEG_SIDE: usize = 65_535;
/// The longest side of a WebP in pixels (RFC 9649, 3.4).
#[cfg(feature = "webp")]
pub const MAX_WEBP_SIDE: usize = 16_384;

/// Converts a PNG to JPEG or WebP, with its record of how it was made.
pub fn from_png(format: StillFormat, png: &[u8]) -> Result<Vec<u8>> {
    let text = png_text(png).map_err(|what| MediaError::Shape { what })?;
    let (image, alpha) = decode_image_alpha(png, "the picture's PNG")?;
    match (format, alpha) {
        (StillFormat::Jpeg, Some(_)) => Err(MediaError::Shape {
            what:
                "the picture is transparent, which JPEG cannot hold; name a file that ends in .png or .webp"
                    .into(),
        }),
        #[cfg(feature = "jpeg")]
        (StillFormat::Jpeg, None) => jpeg(&image, &text),
        #[cfg(feature = "webp")]
        (StillFormat::WebP, alpha) => webp(&image, alpha.as_deref(), &text),
        _ => Err(formats::left_out(format.name(), "cannot write the picture")),
    }
}

/// Returns width and height as `u32`, or an error if a side is longer than `most`.
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

#[cfg(feature = "jpeg")]
pub fn jpeg(image: &Image, text: &PngText) -> Result<Vec<u8>> {
    let [width, height] = sides(image, MAX_JPEG_SIDE, StillFormat::Jpeg)?;
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode(&image.to_rgb8(), width, height, ExtendedColorType::Rgb8)
        .map_err(refused(StillFormat::Jpeg))?;
    if text.0.is_empty() {
        return Ok(bytes);
    }
    // Comments go after the start-of-image marker and the JFIF header, which must be the first segment.
    let at = segments(&bytes).next().map_or(2, |(_, content)| 2 + 4 + content.len());
    let comments = comment(text).into_bytes();
    let segments = comments.chunks(MAX_SEGMENT).flat_map(|part| {
        // The cast cannot overflow: a part has at most `MAX_SEGMENT` bytes, and the length counts two more.
        let length = (part.len() as u16 + 2).to_be_bytes();
        [&COMMENT_MARKER[..], &length, part].concat()
    });
    Ok(bytes[..at].iter().copied().chain(segments).chain(bytes[at..].iter().copied()).collect())
}

#[cfg(feature = "webp")]
pub fn webp(image: &Image, alpha: Option<&[f32]>, text: &PngText) -> Result<Vec<u8>> {
    let [width, height] = sides(image, MAX_WEBP_SIDE, StillFormat::WebP)?;
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
    if !text.0.is_empty() {
        encoder
            .set_exif_metadata(exif(text)?)
            .map_err(|error| refused(StillFormat::WebP)(ImageError::Unsupported(error)))?;
    }
    let (pixels, kind) = match alpha {
        None => (image.to_rgb8(), ExtendedColorType::Rgb8),
        Some(alpha) => (crate::alpha::rgba8(image, alpha), ExtendedColorType::Rgba8),
    };
    encoder.write_image(&pixels, width, height, kind).map_err(refused(StillFormat::WebP))?;
    Ok(bytes)
}

/// Returns the text as EXIF data with one entry, an image description.
#[cfg(feature = "webp")]
pub fn exif(text: &PngText) -> Result<Vec<u8>> {
    let what =
        || MediaError::Shape { what: "what the picture says of itself is too long for a WebP file".into() };
    let text = comment(text);
    let length = u32::try_from(text.len() + 1).map_err(|_| what())?;
    let parts = [
        &EXIF_HEAD[..],
        &length.to_le_bytes(),
        &(EXIF_TEXT as u32).to_le_bytes(),
        &[0; 4],
        text.as_bytes(),
        &[0],
    ];
    Ok(parts.concat())
}
