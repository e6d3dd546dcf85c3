//! The formats of films, as jobs store them.

use std::path::Path;

use oneiro_media::{Ffmpeg, Film, FilmFormat, FilmOptions, PngText};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The endings of films' names, as messages list them.
pub const ENDINGS: &str =
    "animated PNG (.png, .apng), GIF (.gif), animated WebP (.webp), MP4 (.mp4) or WebM (.webm)";

/// The format of films.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FilmKind {
    /// Animated PNG.
    #[default]
    Apng,
    /// GIF.
    Gif,
    /// Animated WebP.
    WebP,
    /// MP4, by the program `ffmpeg`.
    Mp4,
    /// WebM, by the program `ffmpeg`.
    WebM,
}

impl FilmKind {
    const ALL: [Self; 5] = [Self::Apng, Self::Gif, Self::WebP, Self::Mp4, Self::WebM];

    /// Returns the kind for a format.
    pub fn of(format: FilmFormat) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.format() == format)
    }

    /// Returns the kind for a file name's extension.
    pub fn of_name(path: &Path) -> Option<Self> {
        FilmFormat::of_name(path).and_then(Self::of)
    }

    /// Returns the kind for a file's first bytes. What is no film counts as PNG.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        FilmFormat::of_bytes(bytes).and_then(Self::of).unwrap_or_default()
    }

    /// Returns the format of files.
    pub fn format(self) -> FilmFormat {
        match self {
            Self::Apng => FilmFormat::Apng,
            Self::Gif => FilmFormat::Gif,
            Self::WebP => FilmFormat::WebP,
            Self::Mp4 => FilmFormat::Mp4,
            Self::WebM => FilmFormat::WebM,
        }
    }

    /// Returns the extension of file names.
    pub fn extension(self) -> &'static str {
        self.format().extension()
    }

    /// Encodes a film.
    ///
    /// # Errors
    /// Those of [`Film::encode`].
    pub(crate) fn encode(self, film: &Film, text: &PngText) -> Result<Vec<u8>> {
        Ok(film.encode(self.format(), text, &FilmOptions::default())?)
    }

    /// Checks that the program that writes the format is there, before long work.
    ///
    /// # Errors
    /// [`oneiro_media::MediaError::NoFfmpeg`].
    pub fn check_program(self) -> Result<()> {
        if self.format().needs_ffmpeg() {
            Ffmpeg::default().version()?;
        }
        Ok(())
    }
}
