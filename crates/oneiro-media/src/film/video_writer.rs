//! Writes films as MP4 and WebM with the program `ffmpeg`.

use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::NamedTempFile;

use super::{Film, FilmFormat, FilmOptions, FrameRate};
use crate::ffmpeg::{Child, file_argument, only_local};
use crate::text::{check_entry, comment};
use crate::{Image, MediaError, PngText, Result};

/// The resolution of colours in a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chroma {
    /// One colour for each 2×2 pixels, and a brightness for each pixel (4:2:0): every player shows it.
    #[default]
    Half,
    /// A colour for each pixel (4:4:4): closer to the original, but some players and browsers refuse it.
    Full,
}

/// H.264 settings that change values by single levels of 255; `docs/video-files.md` has the measurements.
const H264: [&str; 8] = ["-c:v", "libx264", "-preset", "medium", "-crf", "10", "-movflags", "+faststart"];
/// VP9 settings with the same quality factor, which changes values even less. One tile, so that the bytes do
/// not depend on the number of threads.
const VP9: [&str; 14] = [
    "-c:v",
    "libvpx-vp9",
    "-crf",
    "10",
    "-b:v",
    "0",
    "-deadline",
    "good",
    "-cpu-used",
    "2",
    "-row-mt",
    "0",
    "-tile-columns",
    "0",
];
/// Flags for reproducible bytes: no time stamps, no random identifiers, one thread.
const SAME_BYTES: [&str; 6] = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"];
/// Flags that declare the colour space of HDTV (BT.709) in the file, so that every player shows the same
/// colours.
const COLORS: [&str; 8] =
    ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"];
/// Filter for the conversion from RGB, with flags that make it round alike on every processor.
const SCALE: &str = "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact";

/// Encodes a video through `ffmpeg`, with one frame in memory at a time. The output goes to a temporary file
/// in the system's temporary folder first.
///
/// H.264 with [`Chroma::Half`] needs an even width and height. An odd side is extended by one column at the
/// right or one row at the bottom, which repeats the last one; see [`encoded_size`](Self::encoded_size). VP9
/// holds every size.
#[derive(Debug)]
pub struct VideoWriter {
    child: Option<Child>,
    format: FilmFormat,
    size: (usize, usize),
    encoded: (usize, usize),
    /// Number of frames written so far.
    count: usize,
    file: NamedTempFile,
    /// Keeps the temporary file with the metadata until `ffmpeg` has ended.
    _text: NamedTempFile,
}

impl VideoWriter {
    /// Begins a video of frames of this size at a constant rate. The text goes into the `comment` of the
    /// file, where [`read_text`](crate::read_text) finds it.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoFfmpeg`] if the program is missing, [`MediaError::Text`] as for a PNG,
    /// [`MediaError::Shape`] for a size without pixels and a format that is not MP4 or WebM, and
    /// [`MediaError::Ffmpeg`] if no temporary file can be made.
    pub fn new(
        format: FilmFormat,
        (width, height): (usize, usize),
        rate: FrameRate,
        text: &PngText,
        options: &FilmOptions,
    ) -> Result<Self> {
        let encoder: &[&str] = match format {
            FilmFormat::Mp4 => &H264,
            FilmFormat::WebM => &VP9,
            _ => {
                let what = format!("a video is MP4 or WebM, not {}", format.name());
                return Err(MediaError::Shape { what });
            }
        };
        if width == 0 || height == 0 {
            return Err(MediaError::Shape { what: "a video needs frames with at least one pixel".into() });
        }
        text.0.iter().try_for_each(|(keyword, value)| check_entry(keyword, value))?;
        let refused =
            |error: io::Error| failed(format, format!("no temporary file can be written ({error})"));
        let file = NamedTempFile::new().map_err(refused)?;
        let mut metadata = NamedTempFile::new().map_err(refused)?;
        metadata
            .write_all(metadata_file(text).as_bytes())
            .and_then(|()| metadata.flush())
            .map_err(refused)?;

        let encoded = Self::encoded_size(format, options.chroma, (width, height));
        let pixels = match options.chroma {
            Chroma::Half => "yuv420p",
            Chroma::Full => "yuv444p",
        };
        let mut args: Vec<OsString> = only_local().into();
        args.extend(["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size"].map(Into::into));
        args.push(format!("{}x{}", encoded.0, encoded.1).into());
        args.extend(["-framerate".into(), rate.argument().into(), "-i".into(), "pipe:0".into()]);
        args.extend(only_local());
        args.extend(["-f".into(), "ffmetadata".into(), "-i".into(), file_argument(metadata.path())]);
        args.extend(["-map", "0:v", "-map_metadata", "1", "-vf"].map(Into::into));
        args.extend([SCALE.into(), "-pix_fmt".into(), pixels.into()]);
        args.extend([&SAME_BYTES[..], &COLORS, encoder].concat().into_iter().map(Into::into));
        args.extend(["-f".into(), format.extension().into(), "-y".into(), file_argument(file.path())]);
        let child = options.ffmpeg.start(&writing(format), &args, true)?;
        let size = (width, height);
        Ok(Self { child: Some(child), format, size, encoded, count: 0, file, _text: metadata })
    }

    /// Returns the width and height of a video's frames for pictures of this width and height.
    pub fn encoded_size(
        format: FilmFormat,
        chroma: Chroma,
        (width, height): (usize, usize),
    ) -> (usize, usize) {
        match (format, chroma) {
            (FilmFormat::Mp4, Chroma::Half) => (width.next_multiple_of(2), height.next_multiple_of(2)),
            _ => (width, height),
        }
    }

    /// Encodes one more frame.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] if the frame's size differs from the video's, [`MediaError::Ffmpeg`] if the
    /// program has ended.
    pub fn push(&mut self, frame: &Image) -> Result<()> {
        if (frame.width, frame.height) != self.size {
            let (width, height) = self.size;
            let what =
                format!("a frame of {}×{} pixels in a video of {width}×{height}", frame.width, frame.height);
            return Err(MediaError::Shape { what });
        }
        self.push_rgb8(&frame.to_rgb8())
    }

    fn push_rgb8(&mut self, rgb: &[u8]) -> Result<()> {
        let padded;
        let rgb = if self.size == self.encoded {
            rgb
        } else {
            padded = self.padded(rgb);
            &padded
        };
        let input = self.child.as_mut().and_then(|child| child.input.as_mut());
        let written = input.ok_or(io::ErrorKind::BrokenPipe.into()).and_then(|input| input.write_all(rgb));
        if let Err(error) = written {
            return Err(self.end().err().unwrap_or_else(|| failed(self.format, error.to_string())));
        }
        self.count += 1;
        Ok(())
    }

    /// Extends a frame to the encoded size by repeating its last column and row.
    fn padded(&self, rgb: &[u8]) -> Vec<u8> {
        let (width, height) = self.encoded;
        let mut padded = Vec::with_capacity(3 * width * height);
        for row in rgb.chunks_exact(3 * self.size.0) {
            padded.extend_from_slice(row);
            padded.extend_from_within(padded.len() - 3 * (width - self.size.0)..);
        }
        padded.extend_from_within(padded.len() - 3 * width * (height - self.size.1)..);
        padded
    }

    /// Waits for `ffmpeg` to end; the error says why it failed.
    fn end(&mut self) -> Result<()> {
        let Some(child) = self.child.take() else { return Err(failed(self.format, "it has ended".into())) };
        let ending = child.finish();
        if ending.is_success { Ok(()) } else { Err(failed(self.format, ending.words())) }
    }

    /// Ends the video and writes its bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a video without frames; [`MediaError::Ffmpeg`] if the program fails, for
    /// example because it was built without the encoder; errors of `out`.
    pub fn finish(mut self, out: &mut dyn Write) -> Result<()> {
        if self.count == 0 {
            return Err(MediaError::Shape {
                what: "a film needs at least one frame; this one has none".into(),
            });
        }
        self.end()?;
        let format = self.format;
        let copied = self.file.as_file_mut().seek(SeekFrom::Start(0)).and_then(|_| {
            let mut part = vec![0; 64 << 10];
            loop {
                match self.file.read(&mut part)? {
                    0 => return Ok(()),
                    length => out.write_all(&part[..length])?,
                }
            }
        });
        copied.map_err(|error| failed(format, error.to_string()))
    }
}

impl Film {
    /// Returns the film as the bytes of an MP4 or WebM file. All frames of the file have the same duration:
    /// the greatest common divisor of the film's. Frames that are shown longer are repeated.
    ///
    /// # Errors
    ///
    /// The errors of [`VideoWriter`].
    pub fn to_video(&self, format: FilmFormat, text: &PngText, options: &FilmOptions) -> Result<Vec<u8>> {
        self.last()?;
        let (rate, repeats) = self.constant_rate();
        let mut writer = VideoWriter::new(format, self.size(), rate, text, options)?;
        for ((frame, _), repeats) in self.frames.iter().zip(repeats) {
            for _ in 0..repeats {
                writer.push_rgb8(frame)?;
            }
        }
        let mut bytes = Vec::new();
        writer.finish(&mut bytes)?;
        Ok(bytes)
    }
}

fn writing(format: FilmFormat) -> String {
    format!("cannot write the {} film", format.name())
}

fn failed(format: FilmFormat, reason: String) -> MediaError {
    MediaError::Ffmpeg { what: writing(format), reason }
}

/// Returns the text in `ffmpeg`'s metadata format: keys and values, with a backslash before special
/// characters. A file is used because command-line arguments have a limited length.
fn metadata_file(text: &PngText) -> String {
    let mut file = String::from(";FFMETADATA1\n");
    if text.0.is_empty() {
        return file;
    }
    file.push_str("comment=");
    for character in comment(text).chars() {
        if matches!(character, '=' | ';' | '#' | '\\' | '\n') {
            file.push('\\');
        }
        file.push(character);
    }
    file.push('\n');
    file
}
