//! Writes the frames of a zoom into a film.

use std::io::Write;

use oneiro::dream::Zoom;
use oneiro_media::{ApngWriter, Film, Image, PngText};

use crate::error::Result;
use crate::job::error::{JobError, Large};
use crate::job::render::film::{Format, MAX_PIXELS};

/// Display time of a frame of a zoom, in hundredths of a second.
pub(super) const FRAME_TICKS: u16 = 10;

/// The destination of a zoom's frames.
pub(super) enum Frames<'w> {
    Apng(ApngWriter<&'w mut dyn Write>),
    Gif(Film, &'w mut dyn Write, PngText),
}

impl<'w> Frames<'w> {
    pub fn new(
        format: Format,
        out: &'w mut dyn Write,
        size: [usize; 2],
        zoom: &Zoom,
        text: PngText,
    ) -> Result<Self> {
        let [h, w] = size;
        Ok(match format {
            Format::Apng => Self::Apng(ApngWriter::new(out, w, h, zoom.frames, &text)?),
            // The one palette of a GIF is chosen from all frames, so all must be in memory.
            Format::Gif if h * w * zoom.frames > MAX_PIXELS => {
                let (count, result) = (zoom.frames, Large::Gif);
                return Err(JobError::TooLarge { count, things: "frames", size, result }.into());
            }
            Format::Gif => Self::Gif(Film::new(), out, text),
        })
    }

    pub fn push(&mut self, frame: &Image) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.push(frame, FRAME_TICKS)?,
            Self::Gif(film, ..) => film.push(frame, FRAME_TICKS)?,
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.finish()?,
            Self::Gif(film, out, text) => {
                out.write_all(&film.to_gif(&text)?)?;
            }
        }
        Ok(())
    }
}
