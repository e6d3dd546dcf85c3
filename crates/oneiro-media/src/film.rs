//! Films: pictures in time to animated PNG and GIF, with how they were made.
//!
//! Bytes are a function of the frames and the text, as for still pictures. A PNG holds every colour; its
//! still image, for viewers that show no animation, is the last frame. A GIF has 256 colours: one palette for
//! the whole film, chosen by NeuQuant from pixels of all frames, so that colours do not flicker, and an
//! ordered dither with a fixed pattern.

use color_quant::NeuQuant;
use gif::{AnyExtension, DisposalMethod, Extension, Repeat};

use crate::text::{comment, entries};
use crate::write::{add_text, new_encoder};
use crate::{Image, MediaError, PngText, Result};

mod stream;

pub use stream::ApngWriter;

/// Delays are counted in hundredths of a second, as GIF does.
pub const TICKS_PER_SECOND: u16 = 100;
/// Pixels from which a GIF's palette is chosen, about.
const PALETTE_SAMPLES: usize = 1 << 18;
/// Colours of a GIF.
const COLORS: usize = 256;
/// Sampling factor of NeuQuant: it learns from one pixel in this number (1 is all pixels; its author's range
/// is 1 to 30).
const NEUQUANT_SAMPLING: i32 = 3;
/// Half the range that the dither adds, in levels of 255: about the distance of two colours of a palette.
const DITHER: f32 = 8.0;
/// Bits of each channel that tell colours apart when the nearest of the palette is looked up.
const LOOKUP_BITS: u32 = 6;

/// Pictures of one size, each with the time that it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Film {
    width: usize,
    height: usize,
    frames: Vec<(Vec<u8>, u16)>,
}

impl Film {
    /// A film without frames.
    pub fn new() -> Film {
        Film::default()
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a frame that is shown for a number of hundredths of a second. The first frame sets the film's
    /// size.
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

    /// Sets the time of every frame, and that of the last.
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
        for (frame, ticks) in &self.frames {
            writer.set_frame_delay(*ticks, TICKS_PER_SECOND).map_err(refused)?;
            writer.write_image_data(frame).map_err(refused)?;
        }
        writer.finish().map_err(refused)?;
        Ok(bytes)
    }

    /// The bytes of a GIF that plays for ever; the text is a comment of it.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a film without frames or with sides beyond GIF's 65535 pixels.
    pub fn to_gif(&self, text: &PngText) -> Result<Vec<u8>> {
        self.last()?;
        let refused = |error: gif::EncodingError| self.refused(error);
        let side = |n: usize| u16::try_from(n).map_err(|_| self.refused("a side of a GIF has at most 65535"));
        let (width, height) = (side(self.width)?, side(self.height)?);
        let palette = NeuQuant::new(NEUQUANT_SAMPLING, COLORS, &self.palette_samples());
        let mut nearest = Nearest::new(&palette);
        let mut bytes = Vec::new();
        let mut encoder =
            gif::Encoder::new(&mut bytes, width, height, &palette.color_map_rgb()).map_err(refused)?;
        encoder.set_repeat(Repeat::Infinite).map_err(refused)?;
        let comment = comment(text);
        encoder
            .write_raw_extension(AnyExtension(Extension::Comment as u8), &[comment.as_bytes()])
            .map_err(refused)?;
        for (frame, ticks) in &self.frames {
            let indices = self.dithered(frame, &mut nearest);
            let frame = gif::Frame {
                delay: *ticks,
                dispose: DisposalMethod::Keep,
                width,
                height,
                buffer: indices.into(),
                ..gif::Frame::default()
            };
            encoder.write_frame(&frame).map_err(refused)?;
        }
        drop(encoder);
        Ok(bytes)
    }

    /// Pixels of all frames as RGBA, more of the later ones: a film starts from grey and ends on the picture.
    fn palette_samples(&self) -> Vec<u8> {
        let (pixels, frames) = (self.width * self.height, self.frames.len());
        let weights = frames * (frames + 1) / 2;
        let mut samples = Vec::new();
        for (k, (frame, _)) in self.frames.iter().enumerate() {
            let wanted = (PALETTE_SAMPLES * (k + 1) / weights).max(1);
            // An odd step, lest only every other column is seen.
            let step = (pixels / wanted).max(1) | 1;
            for rgb in frame.chunks_exact(3).skip(k % step).step_by(step) {
                samples.extend([rgb[0], rgb[1], rgb[2], u8::MAX]);
            }
        }
        samples
    }

    /// A frame in colours of the palette.
    fn dithered(&self, frame: &[u8], nearest: &mut Nearest<'_>) -> Vec<u8> {
        let pixel = |(i, rgb): (usize, &[u8])| {
            let shift = DITHER * bayer(i % self.width, i / self.width);
            let moved =
                [rgb[0], rgb[1], rgb[2]].map(|v| (f32::from(v) + shift).round().clamp(0.0, 255.0) as u8);
            nearest.index(moved)
        };
        frame.chunks_exact(3).enumerate().map(pixel).collect()
    }
}

/// The ordered dither of Bayer's 8×8 matrix at a pixel, from -1 to 1.
fn bayer(x: usize, y: usize) -> f32 {
    let (x, y) = (x % 8, y % 8);
    let crossed = x ^ y;
    let bit = |v: usize, k: usize| v >> k & 1;
    let rank = (0..3).fold(0, |rank, k| rank << 2 | bit(crossed, k) << 1 | bit(y, k));
    (2 * rank + 1) as f32 / 64.0 - 1.0
}

/// The nearest colour of a palette, remembered.
struct Nearest<'a> {
    palette: &'a NeuQuant,
    known: Vec<Option<u8>>,
}

impl<'a> Nearest<'a> {
    fn new(palette: &'a NeuQuant) -> Self {
        Self { palette, known: vec![None; 1 << (3 * LOOKUP_BITS)] }
    }

    fn index(&mut self, rgb: [u8; 3]) -> u8 {
        const DROPPED: u32 = u8::BITS - LOOKUP_BITS;
        let at = rgb.iter().fold(0, |at, v| at << LOOKUP_BITS | usize::from(v >> DROPPED));
        *self.known[at].get_or_insert_with(|| {
            let middle = |v: u8| v >> DROPPED << DROPPED | 1 << (DROPPED - 1);
            let [r, g, b] = rgb.map(middle);
            self.palette.index_of(&[r, g, b, u8::MAX]) as u8
        })
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
        let is_comment = block == 0x21 && bytes.get(at + 1) == Some(&(Extension::Comment as u8));
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
