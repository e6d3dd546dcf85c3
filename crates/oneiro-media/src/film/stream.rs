//! Writes an animated PNG frame by frame, so that only one frame is in memory.

use std::io::Write;

use super::FrameRate;
use super::rate::Tick;
use crate::write::{add_text, new_encoder};
use crate::{Image, MediaError, PngText, Result};

/// Writes an animated PNG whose number of frames is known in advance. Viewers without animation show the
/// first frame as a still, because only this frame exists when the file is begun.
#[allow(missing_debug_implementations)]
pub struct ApngWriter<W: Write> {
    writer: png::Writer<W>,
    size: (usize, usize),
    tick: Tick,
    /// Ticks (time units) of all frames written so far.
    ticks: u64,
    /// How many frames are still to be written.
    missing: usize,
}

impl<W: Write> ApngWriter<W> {
    /// Begins an animated PNG with this number of frames of this size, and its metadata. Its time unit (tick)
    /// is a hundredth of a second.
    ///
    /// # Errors
    ///
    /// The errors of [`encode_png`](crate::encode_png), and [`MediaError::Shape`] if writing fails.
    pub fn new(out: W, width: usize, height: usize, frames: usize, text: &PngText) -> Result<Self> {
        Self::begin(out, (width, height), frames, Tick::default(), text)
    }

    /// Begins an animated PNG whose time unit (tick) is the duration of one frame at this rate.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new).
    pub fn at_rate(
        out: W,
        size: (usize, usize),
        frames: usize,
        rate: FrameRate,
        text: &PngText,
    ) -> Result<Self> {
        Self::begin(out, size, frames, Tick::frame_of(rate), text)
    }

    fn begin(
        out: W,
        (width, height): (usize, usize),
        frames: usize,
        tick: Tick,
        text: &PngText,
    ) -> Result<Self> {
        let mut encoder = new_encoder(out, width, height)?;
        add_text(&mut encoder, text)?;
        let size = (width, height);
        let count = u32::try_from(frames).map_err(|e| refused(size, e))?;
        encoder.set_animated(count, 0).map_err(|e| refused(size, e))?;
        let writer = encoder.write_header().map_err(|e| refused(size, e))?;
        Ok(Self { writer, size, tick, ticks: 0, missing: frames })
    }

    /// Adds a frame that is shown for this number of ticks.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if the frame's size differs from the film's, if all announced frames were
    /// already written, or if writing fails.
    pub fn push(&mut self, frame: &Image, ticks: u16) -> Result<()> {
        let size = self.size;
        if (frame.width, frame.height) != size {
            let (w, h) = (frame.width, frame.height);
            return Err(refused(size, format!("a frame is {w}×{h}")));
        }
        let (numerator, denominator) = self.tick.apng_delay(self.ticks, ticks);
        self.ticks += u64::from(ticks);
        self.writer.set_frame_delay(numerator, denominator).map_err(|e| refused(size, e))?;
        self.writer.write_image_data(&frame.to_rgb8()).map_err(|e| refused(size, e))?;
        self.missing = self.missing.saturating_sub(1);
        Ok(())
    }

    /// Ends the film and completes the file.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if fewer frames were written than announced, or writing fails.
    pub fn finish(self) -> Result<()> {
        let size = self.size;
        if self.missing > 0 {
            return Err(refused(size, format!("{} of its frames are missing", self.missing)));
        }
        self.writer.finish().map_err(|e| refused(size, e))
    }
}

fn refused((width, height): (usize, usize), error: impl std::fmt::Display) -> MediaError {
    MediaError::Shape { what: format!("cannot write a film of {width}×{height} pixels: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode_image, decode_text};

    #[test]
    fn a_film_is_written_frame_by_frame_and_says_how_it_was_made() {
        let mut bytes = Vec::new();
        let text = PngText(vec![("seed".into(), "7".into())]);
        let mut film = ApngWriter::new(&mut bytes, 4, 3, 2, &text).unwrap();
        film.push(&Image::filled(4, 3, [0.2, 0.4, 0.6]), 10).unwrap();
        assert!(film.push(&Image::filled(3, 4, [0.0; 3]), 10).is_err());
        film.push(&Image::filled(4, 3, [1.0, 0.0, 0.0]), 20).unwrap();
        film.finish().unwrap();
        let still = decode_image(&bytes, "film.png").unwrap();
        assert_eq!(still, Image::filled(4, 3, [51.0 / 255.0, 102.0 / 255.0, 153.0 / 255.0]));
        assert_eq!(decode_text(&bytes, "film.png").unwrap(), text);
        assert_eq!(bytes.windows(4).filter(|w| w == b"fcTL").count(), 2);
    }

    #[test]
    fn a_film_at_a_rate_has_the_delays_of_one_in_memory() {
        let rate = FrameRate::new(30000.0 / 1001.0).unwrap();
        let mut bytes = Vec::new();
        let mut film = ApngWriter::at_rate(&mut bytes, (2, 2), 2, rate, &PngText::default()).unwrap();
        let mut whole = crate::Film::at_rate(rate);
        for level in [0.0, 1.0] {
            film.push(&Image::filled(2, 2, [level; 3]), 1).unwrap();
            whole.push(&Image::filled(2, 2, [level; 3]), 1).unwrap();
        }
        film.finish().unwrap();
        let delays = |bytes: &[u8]| -> Vec<Vec<u8>> {
            let chunks = bytes.windows(4).enumerate().filter(|(_, name)| name == b"fcTL");
            chunks.map(|(at, _)| bytes[at + 24..at + 28].to_vec()).collect()
        };
        assert_eq!(delays(&bytes), delays(&whole.to_apng(&PngText::default()).unwrap()));
        assert_eq!(delays(&bytes), [[3, 233, 117, 48]; 2]);
    }

    #[test]
    fn missing_frames_are_an_error() {
        let mut bytes = Vec::new();
        let mut film = ApngWriter::new(&mut bytes, 2, 2, 3, &PngText::default()).unwrap();
        film.push(&Image::filled(2, 2, [0.5; 3]), 10).unwrap();
        assert!(film.finish().is_err());
    }
}
