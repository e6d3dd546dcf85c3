//! Writes films frame by frame.

use std::io::Write;

use oneiro_media::{ApngWriter, Film, FilmFormat, FilmOptions, FrameRate, Image, PngText, VideoWriter};

use crate::error::Result;

/// Writes a film of equally large frames at a constant rate. PNG, MP4 and WebM need the memory of a few
/// frames. GIF and WebP keep all frames in memory: a GIF's palette depends on all of them, and the WebP
/// encoder takes them all at once.
pub enum FilmWriter<'w> {
    Apng(ApngWriter<&'w mut dyn Write>),
    Video(Box<VideoWriter>, &'w mut dyn Write),
    Whole(Film, FilmFormat, PngText, &'w mut dyn Write),
}

impl<'w> FilmWriter<'w> {
    /// Begins a film with this number of frames of this width and height.
    pub fn new(
        out: &'w mut dyn Write,
        format: FilmFormat,
        size: (usize, usize),
        frames: usize,
        rate: FrameRate,
        text: &PngText,
    ) -> Result<Self> {
        Ok(match format {
            FilmFormat::Apng => Self::Apng(ApngWriter::at_rate(out, size, frames, rate, text)?),
            FilmFormat::Mp4 | FilmFormat::WebM => {
                let writer = VideoWriter::new(format, size, rate, text, &FilmOptions::default())?;
                Self::Video(Box::new(writer), out)
            }
            _ => Self::Whole(Film::at_rate(rate), format, text.clone(), out),
        })
    }

    /// Adds one frame to the film.
    pub fn push(&mut self, frame: &Image) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.push(frame, 1)?,
            Self::Video(writer, _) => writer.push(frame)?,
            Self::Whole(film, ..) => film.push(frame, 1)?,
        }
        Ok(())
    }

    /// Ends the film and writes what is still missing.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.finish()?,
            Self::Video(writer, out) => writer.finish(out)?,
            Self::Whole(film, format, text, out) => {
                out.write_all(&film.encode(format, &text, &FilmOptions::default())?)?;
            }
        }
        Ok(())
    }
}
