//! Films: pictures in time to animated PNG, GIF, animated WebP, MP4 and WebM, with how they were made.
//!
//! Bytes are a function of the frames and the text, as for still pictures; those of MP4 and WebM depend on
//! the version of the program `ffmpeg`, too.
//!
//! - PNG and WebP hold every colour. The still image of a PNG, for viewers that show no animation, is the
//!   last frame.
//! - A GIF has 256 colours: one palette for the whole film, chosen by NeuQuant from pixels of all frames, so
//!   that colours do not flicker, and an ordered dither with a fixed pattern.
//! - MP4 (H.264) and WebM (VP9) are lossy, and colours have half the resolution unless [`Chroma::Full`] is
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
/// Delays of [`Film::new`] and [`ApngWriter`] are counted in hundredths of a second, as GIF does.
pub const TICKS_PER_SECOND: u16 = 100;
/// The label of a GIF's comments (GIF89a, 24).
const COMMENT_LABEL: u8 = 0xfe;

/// Pictures of one size, each with the time that it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Film {
    width: usize,
    height: usize,
    frames: Vec<(Vec<u8>, u16)>,
    tick: Tick,
}

impl Film {
    /// A film without frames, whose ticks are hundredths of a second.
    pub fn new() -> Film {
        Film::default()
    }

    /// A film without frames, whose ticks last one frame of this rate.
    pub fn at_rate(rate: FrameRate) -> Film {
        Film { tick: Tick::frame_of(rate), ..Film::default() }
    }

    /// Width and height in pixels; 0 without frames.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a frame that is shown for a number of ticks: hundredths of a second of [`Film::new`], frames of
    /// [`Film::at_rate`]. The first frame sets the film's size.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if it is not of the film's size.
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

    /// Sets the time of every frame, and that of the last, in ticks.
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

    /// The bytes of an animated PNG that plays for ever.
    ///
    /// # Errors
    ///
    /// As [`encode_png`](crate::encode_png), and [`MediaError::Shape`] for a film without frames.
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

    /// The bytes of a GIF that plays for ever; the text is a comment of it.
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

/// Metadata of a GIF: the entries of oneiro's first comment in it, none if it has no such comment. `Err` says
/// what is wrong with the file.
pub(crate) fn read_gif_text(bytes: &[u8]) -> Result<PngText, String> {
    const CUT_OFF: &str = "the GIF file is cut off or damaged";
    let cut = || CUT_OFF.to_owned();
    let color_table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    // Header and screen descriptor: six bytes each and one more, the flags at 10 (GIF89a, 17 and 18).
    let mut at = 13 + color_table(*bytes.get(10).ok_or_else(cut)?);
    let mut found = None;
    loop {
        let block = *bytes.get(at).ok_or_else(cut)?;
        let is_comment = block == 0x21 && bytes.get(at + 1) == Some(&COMMENT_LABEL);
        at += match block {
            0x21 => 2,
            // Descriptor, its colour table, and the code size.
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
