//! Reads frames of GIF, animated PNG and animated WebP; any other picture is a video of one frame.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

#[cfg(feature = "gif")]
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
#[cfg(feature = "webp")]
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, Frames, ImageDecoder, ImageError, ImageResult};

use super::timing::{self, Timing};
use super::{Frame, FrameSource, Next, VideoInfo};
use crate::read::{explain_decoding, limits, read_image};
use crate::{MAX_PIXELS, MediaError, Result, formats};

type Bytes = BufReader<File>;

/// Whether a file's first bytes are those of a picture format.
pub fn is_picture(head: &[u8]) -> bool {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    matches!(image::guess_format(head), Ok(Png | Jpeg | WebP | Gif | Tiff | Bmp))
}

struct Animation {
    path: PathBuf,
    frames: Frames<'static>,
    /// Number of frames read so far.
    count: usize,
    timing: Timing,
}

/// A still picture as a video of one frame, which is taken when it is read.
struct Still(Option<Frame>);

/// Opens an animated or still picture; returns its frames and its description.
pub fn open(path: &Path) -> Result<(Box<dyn FrameSource>, VideoInfo)> {
    let refused = |source| MediaError::Read { path: path.to_owned(), source };
    let timing = timing::read(&mut BufReader::new(File::open(path).map_err(refused)?)).map_err(refused)?;
    let Some(timing) = timing else { return still(path) };
    let format = timing.format;
    formats::require(format, || super::reading(path))?;
    let bytes = BufReader::new(File::open(path).map_err(refused)?);
    let (frames, (width, height)) =
        frames(bytes, format).map_err(|error| explain_decoding(error, path, format))?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let what = format!(
            "frames are {width}×{height} pixels, and the limit is {} million",
            MAX_PIXELS / 1_000_000
        );
        return Err(MediaError::TooLarge { path: path.to_owned(), what });
    }
    let info = VideoInfo {
        width: width as usize,
        height: height as usize,
        frames: Some(timing.frames),
        frames_per_second: (timing.seconds > 0.0).then(|| timing.frames as f64 / timing.seconds),
        duration: (timing.seconds > 0.0).then_some(timing.seconds),
    };
    let path = path.to_owned();
    Ok((Box::new(Animation { path, frames, count: 0, timing }), info))
}

fn still(path: &Path) -> Result<(Box<dyn FrameSource>, VideoInfo)> {
    let image = read_image(path)?;
    let (width, height) = (image.width, image.height);
    let info = VideoInfo { width, height, frames: Some(1), frames_per_second: None, duration: None };
    Ok((Box::new(Still(Some(Frame { width, height, rgb: image.to_rgb8() }))), info))
}

fn frames(bytes: Bytes, format: &str) -> ImageResult<(Frames<'static>, (u32, u32))> {
    match format {
        #[cfg(feature = "gif")]
        "GIF" => {
            let mut decoder = GifDecoder::new(bytes)?;
            decoder.set_limits(limits())?;
            let size = decoder.dimensions();
            Ok((decoder.into_frames(), size))
        }
        #[cfg(feature = "webp")]
        "WebP" => {
            let mut decoder = WebPDecoder::new(bytes)?;
            decoder.set_limits(limits())?;
            let size = decoder.dimensions();
            Ok((decoder.into_frames(), size))
        }
        _ => {
            let decoder = PngDecoder::with_limits(bytes, limits())?;
            let size = decoder.dimensions();
            Ok((decoder.apng()?.into_frames(), size))
        }
    }
}

impl FrameSource for Animation {
    fn next_frame(&mut self, frame: &mut Frame) -> Result<Next> {
        let explain = |error: ImageError| explain_decoding(error, &self.path, self.timing.format);
        match self.frames.next() {
            Some(Ok(next)) => {
                let buffer = next.into_buffer();
                (frame.width, frame.height) = (buffer.width() as usize, buffer.height() as usize);
                frame.rgb.clear();
                frame.rgb.extend(buffer.pixels().flat_map(|pixel| on_black(pixel.0)));
                self.count += 1;
                Ok(Next::Frame)
            }
            Some(Err(error)) if self.count == 0 => Err(explain(error)),
            Some(Err(error)) => {
                Ok(Next::End(Some(format!("the {} file is damaged ({error})", self.timing.format))))
            }
            None if self.count < self.timing.frames || self.timing.is_cut => {
                Ok(Next::End(Some(format!("the {} file is cut off", self.timing.format))))
            }
            None => Ok(Next::End(None)),
        }
    }
}

impl FrameSource for Still {
    fn next_frame(&mut self, frame: &mut Frame) -> Result<Next> {
        match self.0.take() {
            Some(still) => {
                *frame = still;
                Ok(Next::Frame)
            }
            None => Ok(Next::End(None)),
        }
    }
}

/// Composites a pixel on black: multiplies its colour by its opacity.
fn on_black([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    [red, green, blue].map(|value| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8)
}
