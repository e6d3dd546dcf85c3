//! Reads videos frame by frame: files that `ffmpeg` decodes, GIF, animated PNG, animated WebP, and folders of
//! frames.
//!
//! Frames are handed out one at a time, so a video of any length needs the memory of only a few frames.
//!
//! Frames are those that the file stores, in the order in which they are shown. A variable frame rate neither
//! drops nor repeats any. Frames are rotated upright as the file says. Non-square pixels stay as stored.
//! Transparent pixels of GIF, PNG and WebP are composited on black; `ffmpeg` drops transparency.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::ffmpeg::Ffmpeg;
use crate::{Image, MediaError, Result};

mod animation;
mod decoded;
mod folder;
mod frames;
mod probe;
mod sampling;
mod timing;

pub use frames::{ChosenFrames, choose_frames};
pub use sampling::{
    ClipStart, FrameChoice, SampledClip, SampledVideo, Sampling, sample_video, sample_video_with,
};

/// Description of a video, known before its frames are read.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// Width in pixels of the frames after rotation upright.
    pub width: usize,
    /// Height in pixels of the frames after rotation upright.
    pub height: usize,
    /// Number of frames that the file's header claims; `None` if it does not say. [`count_frames`] is exact.
    pub frames: Option<usize>,
    /// Average frames per second; `None` for a folder or a still picture, and if the file does not say.
    pub frames_per_second: Option<f64>,
    /// Duration in seconds; `None` if the file does not say.
    pub duration: Option<f64>,
}

/// An iterator over the frames of a video, as RGB stills with values 0–1.
///
/// A file that is damaged or cut off after its first frame yields the frames up to the damage, and those that
/// could be restored. [`damage`](Self::damage) then says what is wrong. No frame follows an error.
#[allow(missing_debug_implementations)]
pub struct VideoReader {
    source: Box<dyn FrameSource>,
    info: VideoInfo,
    frame: Frame,
    /// Whether `frame` has been read but not yet handed out.
    is_pending: bool,
    position: usize,
    damage: Option<String>,
    has_ended: bool,
}

/// A video frame with 8 bits a channel.
#[derive(Debug, Default)]
struct Frame {
    width: usize,
    height: usize,
    /// The pixels as interleaved red, green and blue values, row by row.
    rgb: Vec<u8>,
}

/// The result of reading the next frame.
enum Next {
    /// A frame was read.
    Frame,
    /// There are no more frames; the text says how the file is damaged, if it is.
    End(Option<String>),
}

/// A source of video frames: a folder, an animated picture, or the program `ffmpeg`.
trait FrameSource {
    /// Reads the next frame into `frame`, replacing its content. Must not be called after the end or an
    /// error.
    fn next_frame(&mut self, frame: &mut Frame) -> Result<Next>;
}

impl VideoReader {
    /// Opens a file or a folder of frames and reads the first frame. The kind of a file is recognised by its
    /// content. A still picture is a video of one frame.
    ///
    /// # Errors
    ///
    /// [`MediaError::NotFound`], [`MediaError::Read`]; [`MediaError::NoFfmpeg`] for a file that only `ffmpeg`
    /// reads if the program is missing; [`MediaError::Video`] for an empty file, no video, a video without
    /// pictures, and a folder without frames; [`MediaError::TooLarge`] for frames beyond 128 megapixels;
    /// errors of [`read_image`](crate::read_image) for a folder's first frame.
    pub fn open(path: impl AsRef<Path>, ffmpeg: &Ffmpeg) -> Result<Self> {
        let path = path.as_ref();
        let (mut source, mut info): (Box<dyn FrameSource>, _) = match kind(path)? {
            Kind::Folder => folder::open(path)?,
            Kind::Picture => animation::open(path)?,
            Kind::Other => decoded::open(path, ffmpeg)?,
        };
        let mut frame = Frame::default();
        if let Next::End(damage) = source.next_frame(&mut frame)? {
            let reason = match damage {
                Some(damage) => format!("no frame can be read ({damage}); copy or download it again"),
                None => "it has no frames; name another file".to_owned(),
            };
            return Err(MediaError::Video { path: path.to_owned(), reason });
        }
        (info.width, info.height) = (frame.width, frame.height);
        Ok(Self { source, info, frame, is_pending: true, position: 0, damage: None, has_ended: false })
    }

    /// Returns the video's description.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Returns the index of the next frame: the number of frames handed out or skipped.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns how the file is damaged, as a part of a sentence; `None` for an undamaged file, and before the
    /// last frame.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Returns the next frame as interleaved 8-bit values (R,G,B,R,G,B,…), row by row; `None` after the last
    /// frame.
    ///
    /// # Errors
    ///
    /// [`MediaError::Ffmpeg`] if the program is ended from outside, [`MediaError::Video`] for a frame of
    /// another size, and the errors of [`read_image`](crate::read_image) for a folder's frames.
    pub fn next_rgb8(&mut self) -> Option<Result<&[u8]>> {
        match self.advance() {
            Ok(true) => Some(Ok(&self.frame.rgb)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Skips up to `count` frames and returns how many frames were skipped.
    ///
    /// # Errors
    ///
    /// The errors of [`next_rgb8`](Self::next_rgb8).
    pub fn skip_frames(&mut self, count: usize) -> Result<usize> {
        for skipped in 0..count {
            if !self.advance()? {
                return Ok(skipped);
            }
        }
        Ok(count)
    }

    /// Reads the next frame into `frame`; returns false after the last one.
    fn advance(&mut self) -> Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_pending) {
            match self.source.next_frame(&mut self.frame) {
                Ok(Next::Frame) => {}
                Ok(Next::End(damage)) => {
                    (self.damage, self.has_ended) = (damage, true);
                    return Ok(false);
                }
                Err(error) => {
                    self.has_ended = true;
                    return Err(error);
                }
            }
        }
        self.position += 1;
        Ok(true)
    }
}

impl Iterator for VideoReader {
    type Item = Result<Image>;

    fn next(&mut self) -> Option<Self::Item> {
        let (width, height) = (self.info.width, self.info.height);
        let rgb = self.next_rgb8()?;
        Some(rgb.and_then(|rgb| Ok(Image::from_rgb8(width, height, rgb)?)))
    }
}

/// Returns the exact number of frames that a [`VideoReader`] hands out, and how the file is damaged, if it
/// is. All frames are decoded one at a time, because a file's header may be wrong.
///
/// # Errors
///
/// The errors of [`VideoReader::open`] and [`VideoReader::next_rgb8`].
pub fn count_frames(path: impl AsRef<Path>, ffmpeg: &Ffmpeg) -> Result<(usize, Option<String>)> {
    let path = path.as_ref();
    match kind(path)? {
        Kind::Folder => Ok((folder::list(path)?.len(), None)),
        Kind::Other => decoded::count(path, ffmpeg),
        Kind::Picture => {
            let mut reader = VideoReader::open(path, ffmpeg)?;
            let count = reader.skip_frames(usize::MAX)?;
            Ok((count, reader.damage))
        }
    }
}

/// Endings of the names of video files, in lower case.
pub const VIDEO_EXTENSIONS: [&str; 12] =
    ["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ogv", "wmv", "flv", "gif"];

/// Whether a file's name ends in one of [`VIDEO_EXTENSIONS`], in lower or upper case.
pub fn has_video_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|e| VIDEO_EXTENSIONS.contains(&e.as_str()))
}

/// Whether a file's headers say that it is a GIF, PNG or WebP with several frames. False for other files and
/// for unreadable ones.
pub fn is_animation(path: impl AsRef<Path>) -> bool {
    let timing = File::open(path).and_then(|mut file| timing::read(&mut file));
    timing.is_ok_and(|timing| timing.is_some_and(|timing| timing.frames > 1))
}

/// The kind of a video source, which decides the module that reads it.
enum Kind {
    Folder,
    /// A file in a picture format (GIF, PNG, WebP, JPEG, …), animated or still.
    Picture,
    /// Any other file, which `ffmpeg` decodes.
    Other,
}

/// How many leading bytes of a file are read to recognise its kind.
const SIGNATURE_BYTES: u64 = 32;

fn kind(path: &Path) -> Result<Kind> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MediaError::NotFound { path: path.to_owned() },
        _ => MediaError::Read { path: path.to_owned(), source },
    };
    let no_video = |reason: &str| MediaError::Video { path: path.to_owned(), reason: reason.to_owned() };
    let metadata = fs::metadata(path).map_err(refused)?;
    if metadata.is_dir() {
        return Ok(Kind::Folder);
    }
    // Pipes are refused: opening one would wait for its writer, and it cannot be read twice.
    if !metadata.is_file() {
        return Err(no_video("it is a pipe or a device; save it as a file first"));
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(SIGNATURE_BYTES).read_to_end(&mut head).map_err(refused)?;
    if head.is_empty() {
        return Err(no_video("it is empty; copy or download it again"));
    }
    Ok(if animation::is_picture(&head) { Kind::Picture } else { Kind::Other })
}

fn reading(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}
