//! Encodes films as animated WebP (RFC 9649, 2.7): each frame is a chunk that contains the data of a still
//! WebP.

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::Film;
use crate::still::{MAX_WEBP_SIDE, exif};
use crate::{PngText, Result};

/// Flags of the `VP8X` header chunk: the file has EXIF data, and the file is an animation.
const HAS_EXIF: u8 = 0x08;
const HAS_ANIMATION: u8 = 0x02;
/// Flag of an animation frame: the frame replaces the previous one, and is not blended over it.
const REPLACES: u8 = 0x02;
/// Length of a still WebP's file header in bytes: "RIFF", the length, "WEBP".
const RIFF_HEAD: usize = 12;
/// The longest delay of a frame that the format holds, in milliseconds (24 bits).
const MAX_DELAY: u64 = (1 << 24) - 1;

impl Film {
    /// See [`Film::to_webp`].
    pub(super) fn encode_webp(&self, text: &PngText) -> Result<Vec<u8>> {
        self.last()?;
        let (width, height) = (self.width, self.height);
        if width.max(height) > MAX_WEBP_SIDE {
            return Err(self.refused(format!("a side of a WebP has at most {MAX_WEBP_SIDE}")));
        }
        let (last_column, last_row) = (width as u32 - 1, height as u32 - 1);
        let size = [three_bytes(last_column), three_bytes(last_row)].concat();
        let exif = if text.0.is_empty() { None } else { Some(exif(text)?) };
        let flags = HAS_ANIMATION | if exif.is_some() { HAS_EXIF } else { 0 };
        let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
        self.add_chunk(&mut bytes, b"VP8X", &[&[flags, 0, 0, 0], &size])?;
        // The `ANIM` chunk: a black background, and loop count 0, which means without end.
        self.add_chunk(&mut bytes, b"ANIM", &[&[0, 0, 0, u8::MAX], &[0, 0]])?;
        for ((frame, _), delay) in self.frames.iter().zip(self.webp_delays()) {
            let mut still = Vec::new();
            let encoder = WebPEncoder::new_lossless(&mut still);
            encoder
                .write_image(frame, width as u32, height as u32, ExtendedColorType::Rgb8)
                .map_err(|error| self.refused(error))?;
            let delay = three_bytes(delay.min(MAX_DELAY) as u32);
            let pixels = still.get(RIFF_HEAD..).unwrap_or_default();
            self.add_chunk(&mut bytes, b"ANMF", &[&[0; 6], &size, &delay, &[REPLACES], pixels])?;
        }
        if let Some(exif) = exif {
            self.add_chunk(&mut bytes, b"EXIF", &[&exif])?;
        }
        let length = u32::try_from(bytes.len() - 8).map_err(|error| self.refused(error))?;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        Ok(bytes)
    }

    /// Appends a RIFF chunk: name, length and content, padded to an even length (RFC 9649, 2.3).
    fn add_chunk(&self, bytes: &mut Vec<u8>, name: &[u8; 4], parts: &[&[u8]]) -> Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(|error| self.refused(error))?;
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&length.to_le_bytes());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend(std::iter::repeat_n(0, length as usize % 2));
        Ok(())
    }
}

fn three_bytes(value: u32) -> [u8; 3] {
    let [low, middle, high, _] = value.to_le_bytes();
    [low, middle, high]
}
