//! Films: frames with delays, written as animated PNG, GIF, animated WebP, MP4 or WebM, with a record of how
//! they were made.
//!
//! The bytes of a film depend on its frames and its text only, as for still pictures. MP4 and WebM also
//! depend on the version of the program `ffmpeg`.
//!
//! - PNG and WebP hold every colour. A viewer without animation shows a PNG film's last frame as a still
//!   image.
//! - A GIF has 256 colours: one palette for the whole film, so that colours do not flicker. NeuQuant chooses
//!   it from pixels of all frames, and an ordered dither hides the steps.
//! - MP4 (H.264) and WebM (VP9) are lossy. Their colours have half the resolution unless [`Chroma::Full`] is
//!   asked for. See [`VideoWriter`].

use crate::text::entries;
use crate::write::{add_text, new_encoder};
use crate::{Image, MediaError, PngText, Result};

mod clip;
#[cfg(feature = "gif")]
mod encode_gif;
#[cfg(feature = "webp")]
mod encode_webp;
mod format;
mod matroska_text;
mod mp4_text;
mod rate;
mod stream;
mod video_writer;

pub use clip::enlarge_pixels;
pub use format::{FilmFormat, FilmOptions};
pub(crate) use matroska_text::{is_matroska, matroska_text};
pub(crate) use mp4_text::{is_mp4, mp4_text};
pub use rate::FrameRate;
pub use stream::ApngWriter;
pub use video_writer::{Chroma, VideoWriter};

use rate::Tick;

/// Whether this build writes GIF films (feature `gif`).
pub const WRITES_GIF: bool = cfg!(feature = "gif");
/// The time unit of [`Film::new`] and [`ApngWriter`]: frames are shown for whole hundredths of a second, as
/// in GIF.
pub const TICKS_PER_SECOND: u16 = 100;
/// The byte that marks a GIF extension block as a comment (GIF89a specification, section 24).
const COMMENT_LABEL: u8 = 0xfe;

/// A film: frames of one size, each with the number of ticks for which it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Film {
    width: usize,
    height: usize,
    frames: Vec<(Vec<u8>, u16)>,
    tick: Tick,
}

impl Film {
    /// A film without frames, whose time unit (tick) is a hundredth of a second.
    pub fn new() -> Film {
        Film::default()
    }

    /// A film without frames, whose time unit (tick) is the duration of one frame at this rate.
    pub fn at_rate(rate: FrameRate) -> Film {
        Film { tick: Tick::frame_of(rate), ..Film::default() }
    }

    /// Returns the film's width and height in pixels; 0 if it has no frames.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Returns the film's number of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether the film has no frames.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a frame that is shown for a number of ticks. A tick is 1/100 s in a film of [`Film::new`], and
    /// one frame's duration in a film of [`Film::at_rate`]. The first frame sets the film's size.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if the frame's size differs from the film's.
    pub fn push(&mut self, frame: &Image, ticks: u16) -> Result<()> {
        if self.is_empty() {
            (self.width, self.height) = (frame.width, frame.height);
        }
        if (frame.width, frame.height) != (self.width, self.height) {
            let what = format!(
                "a frame of {}×{} pixels in a film of {}×{}",
                frame.width, frame.height, self.width, self.height
            );
            return Err(MediaError::Shape { what });
        }
        self.frames.push((frame.to_rgb8(), ticks));
        Ok(())
    }

    /// Shows the last frame for `last` ticks and every other frame for `ticks`.
    pub fn set_times(&mut self, ticks: u16, last: u16) {
        self.frames.iter_mut().for_each(|(_, t)| *t = ticks);
        if let Some((_, t)) = self.frames.last_mut() {
            *t = last;
        }
    }

    fn last(&self) -> Result<&[u8]> {
        let what = || MediaError::Shape { what: "a film needs at least one frame; this one has none".into() };
        Ok(&self.frames.last().ok_or_else(what)?.0)
    }

    fn refused(&self, error: impl std::fmt::Display) -> MediaError {
        let what = format!("cannot encode a film of {}×{} pixels: {error}", self.width, self.height);
        MediaError::Shape { what }
    }

    /// Returns the film as the bytes of an animated PNG that loops for ever.
    ///
    /// # Errors
    ///
    /// The errors of [`encode_png`](crate::encode_png), and [`MediaError::Shape`] for a film without frames.
    pub fn to_apng(&self, text: &PngText) -> Result<Vec<u8>> {
        let still = self.last()?;
        let mut bytes = Vec::new();
        let mut encoder = new_encoder(&mut bytes, self.width, self.height)?;
        add_text(&mut encoder, text)?;
        let refused = |error: png::EncodingError| self.refused(error);
        let count = u32::try_from(self.frames.len()).map_err(|e| self.refused(e))?;
        encoder.set_animated(count, 0).map_err(refused)?;
        encoder.set_sep_def_img(true).map_err(refused)?;
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(still).map_err(refused)?;
        for ((frame, _), (numerator, denominator)) in self.frames.iter().zip(self.apng_delays()) {
            writer.set_frame_delay(numerator, denominator).map_err(refused)?;
            writer.write_image_data(frame).map_err(refused)?;
        }
        writer.finish().map_err(refused)?;
        Ok(bytes)
    }

    /// Returns the film as the bytes of a GIF that loops for ever. The text is stored in a comment of the
    /// GIF.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a film without frames or with sides beyond GIF's 65535 pixels, and
    /// [`MediaError::LeftOut`] in a build without GIF.
    pub fn to_gif(&self, text: &PngText) -> Result<Vec<u8>> {
        #[cfg(feature = "gif")]
        return self.encode_gif(text);
        #[cfg(not(feature = "gif"))]
        {
            let _ = text;
            Err(crate::formats::left_out("GIF", "cannot write the film"))
        }
    }
}

/// Returns the metadata of a GIF: the entries of the first comment that oneiro wrote, or none. `Err` says
/// what is wrong with the file.
pub(crate) fn read_gif_text(bytes: &[u8]) -> Result<PngText, String> {
    const CUT_OFF: &str = "the GIF file is cut off or damaged";
    let cut = || CUT_OFF.to_owned();
    let color_table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    // Size of header and screen descriptor: six bytes and seven. The flags are in byte 10 (GIF89a, 17 and
    // 18).
    let mut at = 13 + color_table(*bytes.get(10).ok_or_else(cut)?);
    let mut found = None;
    loop {
        let block = *bytes.get(at).ok_or_else(cut)?;
        let is_comment = block == 0x21 && bytes.get(at + 1) == Some(&COMMENT_LABEL);
        at += match block {
            0x21 => 2,
            // An image block: ten bytes of descriptor, an optional colour table, and the LZW code size.
            0x2c => 10 + color_table(*bytes.get(at + 9).ok_or_else(cut)?) + 1,
            0x3b => return Ok(found.unwrap_or_default()),
            _ => return Err(cut()),
        };
        let mut data = Vec::new();
        loop {
            let length = usize::from(*bytes.get(at).ok_or_else(cut)?);
            let part = bytes.get(at + 1..at + 1 + length).ok_or_else(cut)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            if is_comment {
                data.extend_from_slice(part);
            }
        }
        if is_comment && found.is_none() {
            found = entries(&data)?;
        }
    }
}

#[cfg(test)]
mod tests;
