//! Decodes image files to planes of `f32`: PNG, JPEG, WebP, BMP, the first page of TIFF, and the first frame
//! of GIF, animated WebP and animated PNG.
//!
//! Grey becomes three equal channels, and 16-bit values are divided by 65535. Transparency is composited on
//! black (each value times its alpha); [`read_image_alpha`] returns it separately. Photos are rotated upright
//! as their EXIF orientation says.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::formats;
use crate::{Image, MediaError, Result};
use oneiro_image::MAX_PIXELS;

/// The longest side in pixels that is read; most PNG encoders and viewers have this limit.
const MAX_SIDE: u32 = 1 << 16;
/// The most memory a decoder may use, in bytes: four 16-bit channels for each pixel.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8;
/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Endings, in lower case, of the names of files that [`read_image`] reads. They serve to choose files in a
/// folder; the format itself is recognised by the content.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "tif", "tiff", "bmp"];

/// Whether a file's name ends in one of [`IMAGE_EXTENSIONS`], in lower or upper case.
pub fn has_image_name(path: impl AsRef<Path>) -> bool {
    let extension = path.as_ref().extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|e| IMAGE_EXTENSIONS.contains(&e.as_str()))
}

/// Reads an image file. The format is recognised by the file's first bytes, never by its name. Transparent
/// pixels are composited on black; see [`read_image_alpha`].
///
/// # Errors
///
/// One message for each of: a folder, a missing or unreadable file, an unknown format, a file cut off or
/// damaged, and a header that promises more than 128 megapixels (nothing is allocated for it).
pub fn read_image(path: impl AsRef<Path>) -> Result<Image> {
    let path = path.as_ref();
    decode_image(&read_bytes(path)?, path)
}

/// Decodes the bytes of an image file; `path` is its name in error messages. See [`read_image`].
///
/// # Errors
///
/// The errors of [`read_image`], except those of opening the file.
pub fn decode_image(bytes: &[u8], path: impl AsRef<Path>) -> Result<Image> {
    Ok(decode_image_on_black(bytes, path)?.0)
}

/// Decodes an image file's bytes with transparency composited on black. The flag tells whether any pixel was
/// transparent.
///
/// # Errors
///
/// The errors of [`decode_image`].
pub fn decode_image_on_black(bytes: &[u8], path: impl AsRef<Path>) -> Result<(Image, bool)> {
    let (mut image, alpha) = decode_image_alpha(bytes, path)?;
    let Some(alpha) = alpha else { return Ok((image, false)) };
    for plane in image.data.chunks_exact_mut(alpha.len()) {
        plane.iter_mut().zip(&alpha).for_each(|(value, alpha)| *value *= alpha);
    }
    Ok((image, true))
}

/// Reads an image file with its transparency: the colours as stored, not multiplied by alpha, and an alpha
/// value for each pixel, `[H, W]`, 0 transparent to 1 opaque. Alpha is `None` if every pixel is opaque.
///
/// # Errors
///
/// The errors of [`read_image`].
pub fn read_image_alpha(path: impl AsRef<Path>) -> Result<(Image, Option<Vec<f32>>)> {
    let path = path.as_ref();
    decode_image_alpha(&read_bytes(path)?, path)
}

/// Decodes an image file's bytes as [`read_image_alpha`] does; `path` is the file's name in error messages.
///
/// # Errors
///
/// The errors of [`decode_image`].
pub fn decode_image_alpha(bytes: &[u8], path: impl AsRef<Path>) -> Result<(Image, Option<Vec<f32>>)> {
    let (image, alpha) = decode(bytes, path.as_ref())?;
    Ok((image, alpha.filter(|alpha| alpha.iter().any(|value| *value < 1.0))))
}

fn decode(bytes: &[u8], path: &Path) -> Result<(Image, Option<Vec<f32>>)> {
    let format = recognize(bytes, path)?;
    let name = format_name(format);
    formats::require(name, || format!("cannot read `{}`", path.display()))?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        // A cut-off JPEG is refused, because the decoder would fill the missing part with grey.
        return Err(MediaError::Truncated { path: path.to_owned(), format: name });
    }
    let explain = |error| explain_decoding(error, path, name);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_DECODER_BYTES {
        let what = format!(
            "the image is {width}×{height} pixels, and the limit is {} million",
            MAX_PIXELS / 1_000_000
        );
        return Err(MediaError::TooLarge { path: path.to_owned(), what });
    }
    // Broken EXIF metadata does not make a picture unreadable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    picture.apply_orientation(orientation);
    planes(&picture)
}

/// Reads the bytes of a regular file or a pipe, up to 1 GiB.
///
/// # Errors
///
/// One message for each of: a folder, a missing or unreadable file, and a file beyond the limit.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MediaError::NotFound { path: path.to_owned() },
        io::ErrorKind::IsADirectory => MediaError::ReadFolder { path: path.to_owned() },
        _ => MediaError::Read { path: path.to_owned(), source },
    };
    if path.is_dir() {
        return Err(MediaError::ReadFolder { path: path.to_owned() });
    }
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let what = format!("the file has more than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(MediaError::TooLarge { path: path.to_owned(), what });
    }
    Ok(bytes)
}

fn recognize(bytes: &[u8], path: &Path) -> Result<ImageFormat> {
    let unknown = |what: String| Err(MediaError::UnknownFormat { path: path.to_owned(), what });
    if bytes.is_empty() {
        return unknown("it is empty".to_owned());
    }
    match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png
            | ImageFormat::Jpeg
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Tiff
            | ImageFormat::Bmp),
        ) => Ok(format),
        Ok(other) => unknown(format!("it is of format {other:?}")),
        Err(_) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) => unknown(
            "it holds numbers: `render`, `sheet`, `invert`, `caricature`, `accentuate` and `grid` read them for networks that take \
             bands (order = \"bands\"), other commands do not"
                .to_owned(),
        ),
        Err(_) => unknown("it is of an unknown format".to_owned()),
    }
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => "GIF",
    }
}

pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    limits
}

pub(crate) fn explain_decoding(error: ImageError, path: &Path, format: &'static str) -> MediaError {
    let path = path.to_owned();
    if ends_early(&error) {
        return MediaError::Truncated { path, format };
    }
    match error {
        ImageError::Limits(_) => {
            let what =
                format!("its header promises an image beyond {MAX_SIDE} pixels a side or the memory limit");
            MediaError::TooLarge { path, what }
        }
        ImageError::Unsupported(error) => MediaError::Unsupported { path, format, reason: error.to_string() },
        other => MediaError::Damaged { path, format, reason: other.to_string() },
    }
}

/// Whether a decoding error means that the file ends before the picture does. It looks for an I/O error in
/// the chain of causes, or for the messages of decoders that have no such error.
fn ends_early(error: &ImageError) -> bool {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        link = error.source();
    }
    let words = error.to_string().to_lowercase();
    ["unexpected end", "unexpected eof", "end of file", "no more data", "failed to fill whole buffer"]
        .iter()
        .any(|sign| words.contains(sign))
}

/// Whether a JPEG has an end-of-image marker, found by walking its segments (ITU T.81, annex B).
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    // JPEG markers without a segment: byte stuffing, TEM, restarts and start of image.
    let stands_alone = |marker: u8| matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8);
    let mut at = 2;
    loop {
        // Skip to the next marker, over padding and entropy-coded data.
        while bytes.get(at).is_some_and(|&byte| byte != 0xff) {
            at += 1;
        }
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let Some(&marker) = bytes.get(at) else { return false };
        at += 1;
        if marker == END_OF_IMAGE {
            return true;
        }
        if !stands_alone(marker) {
            let Some(length) = bytes.get(at..at + 2) else { return false };
            at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        }
    }
}

/// Converts a decoded picture to planes of `f32`, with the alpha of each pixel if its pixel format has alpha.
fn planes(picture: &DynamicImage) -> Result<(Image, Option<Vec<f32>>)> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = width * height;
    // Fast path for the most common format: 8-bit RGB without transparency.
    if let DynamicImage::ImageRgb8(buffer) = picture {
        return Ok((Image::from_rgb8(width, height, buffer.as_raw())?, None));
    }
    let has_alpha = picture.color().has_alpha();
    let mut rgb = vec![0.0; 3 * pixels];
    let mut alpha = vec![1.0; if has_alpha { pixels } else { 0 }];
    let mut store = |i: usize, values: [f32; 4]| {
        for (channel, value) in values[..3].iter().enumerate() {
            rgb[channel * pixels + i] = *value;
        }
        if let Some(alpha) = alpha.get_mut(i) {
            *alpha = values[3];
        }
    };
    let deep = picture.color().bytes_per_pixel() > picture.color().channel_count();
    if deep {
        for (i, pixel) in picture.to_rgba16().pixels().enumerate() {
            store(i, pixel.0.map(|value| f32::from(value) / 65535.0));
        }
    } else {
        for (i, pixel) in picture.to_rgba8().pixels().enumerate() {
            store(i, pixel.0.map(|value| f32::from(value) / 255.0));
        }
    }
    Ok((Image::rgb(width, height, rgb)?, has_alpha.then_some(alpha)))
}

#[cfg(test)]
mod tests;
