//! File formats of films, and the choice between them by file name or by content.

use std::path::Path;

use super::{Chroma, Film, is_matroska, is_mp4};
use crate::ffmpeg::Ffmpeg;
use crate::{PngText, Result};

/// The file format of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilmFormat {
    /// Animated PNG: lossless.
    Apng,
    /// GIF: 256 colours.
    Gif,
    /// Animated WebP: lossless; at most 16384 pixels a side.
    WebP,
    /// MP4 with H.264: lossy. Needs the program `ffmpeg`.
    Mp4,
    /// WebM with VP9: lossy. Needs the program `ffmpeg`.
    WebM,
}

/// Settings of MP4 and WebM files; the other film formats have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilmOptions {
    /// Where the program `ffmpeg` is.
    pub ffmpeg: Ffmpeg,
    /// The resolution of the colour planes.
    pub chroma: Chroma,
}

impl FilmFormat {
    /// All film formats.
    pub const ALL: [FilmFormat; 5] = [Self::Apng, Self::Gif, Self::WebP, Self::Mp4, Self::WebM];

    /// Returns the film format for the ending of a file's name, or `None`.
    pub fn of_name(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "png" | "apng" => Some(Self::Apng),
            "gif" => Some(Self::Gif),
            "webp" => Some(Self::WebP),
            "mp4" | "m4v" => Some(Self::Mp4),
            "webm" => Some(Self::WebM),
            _ => None,
        }
    }

    /// Returns the format that a file's first bytes show. PNG and WebP may also be stills, and other Matroska
    /// files begin as WebM files do.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Apng),
            [b'G', b'I', b'F', b'8', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ if is_mp4(bytes) => Some(Self::Mp4),
            _ if is_matroska(bytes) => Some(Self::WebM),
            _ => None,
        }
    }

    /// Returns the format's name as error messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apng => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Mp4 => "MP4",
            Self::WebM => "WebM",
        }
    }

    /// Returns the usual ending of a file's name in this format, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Apng => "apng",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
        }
    }

    /// Whether films in this format are written by the program `ffmpeg`.
    pub fn needs_ffmpeg(self) -> bool {
        matches!(self, Self::Mp4 | Self::WebM)
    }
}

impl Film {
    /// Returns the film's bytes in a format; see [`to_apng`](Self::to_apng), [`to_gif`](Self::to_gif),
    /// [`to_webp`](Self::to_webp) and [`to_video`](Self::to_video).
    ///
    /// # Errors
    ///
    /// The errors of the method for the format.
    pub fn encode(&self, format: FilmFormat, text: &PngText, options: &FilmOptions) -> Result<Vec<u8>> {
        match format {
            FilmFormat::Apng => self.to_apng(text),
            FilmFormat::Gif => self.to_gif(text),
            FilmFormat::WebP => self.to_webp(text),
            FilmFormat::Mp4 | FilmFormat::WebM => self.to_video(format, text, options),
        }
    }

    /// Returns the film as the bytes of a lossless animated WebP that loops for ever. The text is stored as
    /// the image description in its EXIF data.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a film without frames, with sides beyond WebP's 16384 pixels or beyond 4
    /// GiB, and [`MediaError::LeftOut`] in a build without WebP.
    ///
    /// [`MediaError::Shape`]: crate::MediaError::Shape
    /// [`MediaError::LeftOut`]: crate::MediaError::LeftOut
    pub fn to_webp(&self, text: &PngText) -> Result<Vec<u8>> {
        #[cfg(feature = "webp")]
        return self.encode_webp(text);
        #[cfg(not(feature = "webp"))]
        {
            let _ = text;
            Err(crate::formats::left_out("WebP", "cannot write the film"))
        }
    }
}
