//! Encodes films as GIF: chooses a palette of 256 colours and dithers every frame with it.

use color_quant::NeuQuant;
use gif::{AnyExtension, DisposalMethod, Repeat};

use super::{COMMENT_LABEL, Film};
use crate::text::comment;
use crate::{PngText, Result};

/// About how many pixels of the film the GIF's palette is chosen from.
const PALETTE_SAMPLES: usize = 1 << 18;
/// Number of colours in a GIF's palette.
const COLORS: usize = 256;
/// Sampling factor of the NeuQuant algorithm: it learns from one pixel in this number. Its author allows 1
/// (all pixels) to 30.
const NEUQUANT_SAMPLING: i32 = 3;
/// Largest shift of a channel's value by the dither, in levels of 255: about the distance of two palette
/// colours.
const DITHER: f32 = 8.0;
/// How many leading bits of each channel are used as the key when palette colours are looked up.
const LOOKUP_BITS: u32 = 6;

impl Film {
    /// See [`Film::to_gif`].
    pub(super) fn encode_gif(&self, text: &PngText) -> Result<Vec<u8>> {
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
        encoder.write_raw_extension(AnyExtension(COMMENT_LABEL), &[comment.as_bytes()]).map_err(refused)?;
        for ((frame, _), delay) in self.frames.iter().zip(self.gif_delays()) {
            let indices = self.dithered(frame, &mut nearest);
            let frame = gif::Frame {
                delay,
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

    /// Samples RGBA pixels of all frames for the palette, more from later frames: a film of an optimization
    /// starts grey and ends with the finished picture.
    fn palette_samples(&self) -> Vec<u8> {
        let (pixels, frames) = (self.width * self.height, self.frames.len());
        let weights = frames * (frames + 1) / 2;
        let mut samples = Vec::new();
        for (k, (frame, _)) in self.frames.iter().enumerate() {
            let wanted = (PALETTE_SAMPLES * (k + 1) / weights).max(1);
            // An odd step, because an even step in a frame of even width would sample every other column
            // only.
            let step = (pixels / wanted).max(1) | 1;
            for rgb in frame.chunks_exact(3).skip(k % step).step_by(step) {
                samples.extend([rgb[0], rgb[1], rgb[2], u8::MAX]);
            }
        }
        samples
    }

    /// Returns a frame as palette indices, with ordered dithering.
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

/// Returns the value of Bayer's 8×8 ordered-dither matrix at a pixel, from -1 to 1.
pub(super) fn bayer(x: usize, y: usize) -> f32 {
    let (x, y) = (x % 8, y % 8);
    let crossed = x ^ y;
    let bit = |v: usize, k: usize| v >> k & 1;
    let rank = (0..3).fold(0, |rank, k| rank << 2 | bit(crossed, k) << 1 | bit(y, k));
    (2 * rank + 1) as f32 / 64.0 - 1.0
}

/// Finds the nearest palette colour and caches the results.
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
