//! A film that is written as its frames come, so that one frame is in memory at a time.

use std::io::Write;

use super::TICKS_PER_SECOND;
use crate::write::{add_text, new_encoder};
use crate::{Image, MediaError, PngText, Result};

/// An animated PNG on its way into a file. Its number of frames is known beforehand. Its still image is the
/// first frame, since only this frame exists when the file is begun.
#[allow(missing_debug_implementations)]
pub struct ApngWriter<W: Write> {
    writer: png::Writer<W>,
    size: (usize, usize),
    /// Frames still to come.
    missing: usize,
}

impl<W: Write> ApngWriter<W> {
    /// Begins a film with this number of frames of this size, and its metadata.
    ///
    /// # Errors
    ///
    /// As [`encode_png`](crate::encode_png), and what writing refuses.
    pub fn new(out: W, width: usize, height: usize, frames: usize, text: &PngText) -> Result<Self> {
        let mut encoder = new_encoder(out, width, height)?;
        add_text(&mut encoder, text)?;
        let size = (width, height);
        let count = u32::try_from(frames).map_err(|e| refused(size, e))?;
        encoder.set_animated(count, 0).map_err(|e| refused(size, e))?;
        Ok(Self { writer: encoder.write_header().map_err(|e| refused(size, e))?, size, missing: frames })
    }

    /// Adds a frame that is shown for a number of hundredths of a second.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if it is not of the film's size, there are enough frames already, or writing
    /// fails.
    pub fn push(&mut self, frame: &Image, ticks: u16) -> Result<()> {
        let size = self.size;
        if (frame.width, frame.height) != size {
            let (w, h) = (frame.width, frame.height);
            return Err(refused(size, format!("a frame is {w}×{h}")));
        }
        self.writer.set_frame_delay(ticks, TICKS_PER_SECOND).map_err(|e| refused(size, e))?;
        self.writer.write_image_data(&frame.to_rgb8()).map_err(|e| refused(size, e))?;
        self.missing = self.missing.saturating_sub(1);
        Ok(())
    }

    /// Ends the film.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if frames are missing or writing fails.
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
    fn missing_frames_are_an_error() {
        let mut bytes = Vec::new();
        let mut film = ApngWriter::new(&mut bytes, 2, 2, 3, &PngText::default()).unwrap();
        film.push(&Image::filled(2, 2, [0.5; 3]), 10).unwrap();
        assert!(film.finish().is_err());
    }
}
