//! Films in the 256 colours of a GIF.

use color_quant::NeuQuant;
use gif::{AnyExtension, DisposalMethod, Repeat};

use super::{COMMENT_LABEL, Film};
use crate::text::comment;
use crate::{PngText, Result};

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
pub(super) fn bayer(x: usize, y: usize) -> f32 {
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
