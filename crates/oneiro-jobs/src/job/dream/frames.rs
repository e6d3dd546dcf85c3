//! Writes the frames of a zoom, or of a dreamt video, into a film.

use std::io::Write;

use oneiro_media::{ApngWriter, Film, FilmOptions, FrameRate, Image, PngText, VideoWriter};

use crate::error::Result;
use crate::job::error::{JobError, Large};
use crate::job::film_kind::FilmKind;
use crate::job::render::film::MAX_PIXELS;

/// The film that frames are written to.
pub(super) struct FilmOf {
    pub format: FilmKind,
    /// Height and width.
    pub size: [usize; 2],
    pub frames: usize,
    pub pace: Pace,
}

/// How long frames are shown.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Hundredths of a second, as in GIF.
    Hundredths(u16),
    /// Frames per second.
    Rate(FrameRate),
}

impl Pace {
    /// Ticks of a frame: hundredths of a second, or frames.
    fn ticks(self) -> u16 {
        match self {
            Self::Hundredths(ticks) => ticks,
            Self::Rate(_) => 1,
        }
    }

    fn rate(self) -> Result<FrameRate> {
        Ok(match self {
            Self::Hundredths(ticks) => {
                FrameRate::new(f64::from(oneiro_media::TICKS_PER_SECOND) / f64::from(ticks))?
            }
            Self::Rate(rate) => rate,
        })
    }
}

/// The destination of frames.
pub(super) struct Frames<'w> {
    pace: Pace,
    destination: Destination<'w>,
}

enum Destination<'w> {
    Apng(ApngWriter<&'w mut dyn Write>),
    /// Formats for which all frames must be in memory: the one palette of a GIF is chosen from all.
    Whole(Film, FilmKind, &'w mut dyn Write, PngText),
    Video(Box<VideoWriter>, &'w mut dyn Write),
}

impl<'w> Frames<'w> {
    pub fn new(film: &FilmOf, out: &'w mut dyn Write, text: PngText) -> Result<Self> {
        let FilmOf { format, size: size @ [h, w], frames, pace } = *film;
        let destination = match format {
            FilmKind::Apng => Destination::Apng(match pace {
                Pace::Hundredths(_) => ApngWriter::new(out, w, h, frames, &text)?,
                Pace::Rate(rate) => ApngWriter::at_rate(out, (w, h), frames, rate, &text)?,
            }),
            FilmKind::Gif | FilmKind::WebP if h * w * frames > MAX_PIXELS => {
                let result = if format == FilmKind::Gif { Large::Gif } else { Large::WebP };
                return Err(JobError::TooLarge { count: frames, things: "frames", size, result }.into());
            }
            FilmKind::Gif | FilmKind::WebP => {
                let film = match pace {
                    Pace::Hundredths(_) => Film::new(),
                    Pace::Rate(rate) => Film::at_rate(rate),
                };
                Destination::Whole(film, format, out, text)
            }
            FilmKind::Mp4 | FilmKind::WebM => {
                let options = FilmOptions::default();
                let writer = VideoWriter::new(format.format(), (w, h), pace.rate()?, &text, &options)?;
                Destination::Video(Box::new(writer), out)
            }
        };
        Ok(Self { pace, destination })
    }

    pub fn push(&mut self, frame: &Image) -> Result<()> {
        let ticks = self.pace.ticks();
        match &mut self.destination {
            Destination::Apng(writer) => writer.push(frame, ticks)?,
            Destination::Whole(film, ..) => film.push(frame, ticks)?,
            Destination::Video(writer, _) => writer.push(frame)?,
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        match self.destination {
            Destination::Apng(writer) => writer.finish()?,
            Destination::Whole(film, format, out, text) => out.write_all(&format.encode(&film, &text)?)?,
            Destination::Video(writer, out) => writer.finish(out)?,
        }
        Ok(())
    }
}
