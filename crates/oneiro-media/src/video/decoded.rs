//! Reads frames of video files that `ffmpeg` decodes.

use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use super::{Frame, FrameSource, Next, VideoInfo, probe, reading};
use crate::ffmpeg::{Child, Ending, Ffmpeg, file_argument, only_local};
use crate::{MAX_PIXELS, MediaError, Result};

/// Output flags for frames as PPM pictures. Each picture states its size after rotation. The conversion to
/// RGB is `ffmpeg`'s default, with which the frames of data sets are made.
const FRAMES: [&str; 7] = ["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"];
/// Output flags for counting: frames are decoded and dropped, and lines "frame=N" tell the count.
const COUNT: [&str; 5] = ["-progress", "pipe:1", "-f", "null", "-"];
/// Flags that make `ffmpeg` keep every frame: for version 5.1 and later, and for older ones.
const KEEP_FRAMES: [[&str; 2]; 2] = [["-fps_mode", "passthrough"], ["-vsync", "passthrough"]];
/// The most characters of a number in a PPM header, such as a width.
const MAX_WORD: usize = 10;

struct Decoded {
    path: PathBuf,
    child: Option<Child>,
}

/// Starts decoding a file; returns its frames and its description.
pub fn open(path: &Path, ffmpeg: &Ffmpeg) -> Result<(Box<dyn FrameSource>, VideoInfo)> {
    let info = probe::probe(path, ffmpeg)?;
    let child = match start(path, ffmpeg, &FRAMES)? {
        Ok(child) => child,
        Err(ending) => return Err(no_frame(path, &ending)),
    };
    Ok((Box::new(Decoded { path: path.to_owned(), child: Some(child) }), info))
}

/// Returns the exact number of a file's frames, and how the file is damaged, if it is.
pub fn count(path: &Path, ffmpeg: &Ffmpeg) -> Result<(usize, Option<String>)> {
    probe::probe(path, ffmpeg)?;
    let mut child = match start(path, ffmpeg, &COUNT)? {
        Ok(child) => child,
        Err(ending) => return Err(no_frame(path, &ending)),
    };
    let mut count = 0;
    let mut line = String::new();
    let refused = |source| MediaError::Read { path: path.to_owned(), source };
    while child.output.read_line(&mut line).map_err(refused)? > 0 {
        if let Some(number) = line.strip_prefix("frame=").and_then(|text| text.trim().parse().ok()) {
            count = number;
        }
        line.clear();
    }
    let ending = child.finish();
    match end(path, &ending)? {
        damage if count > 0 => Ok((count, damage)),
        _ => Err(no_frame(path, &ending)),
    }
}

/// Starts `ffmpeg` on a file and waits for its first output. The inner `Err` says that it ended without any.
fn start(path: &Path, ffmpeg: &Ffmpeg, output: &[&str]) -> Result<Result<Child, Ending>> {
    let mut ending = None;
    for keep_frames in KEEP_FRAMES {
        let mut args: Vec<OsString> = only_local().into();
        // A single thread, because the restoring of damaged frames may depend on the number of threads.
        args.extend(["-threads", "1", "-i"].map(Into::into));
        args.push(file_argument(path));
        args.extend(["-map", "0:V:0", "-an", "-sn", "-dn"].map(Into::into));
        args.extend(keep_frames.iter().chain(output).map(Into::into));
        let mut child = ffmpeg.start(&reading(path), &args, false)?;
        if !child.output.fill_buf().unwrap_or_default().is_empty() {
            return Ok(Ok(child));
        }
        let ended = child.finish();
        let is_unknown_flag = ended.lines.iter().any(|line| line.contains(&keep_frames[0][1..]));
        ending = Some(ended);
        if !is_unknown_flag {
            break;
        }
    }
    let what = reading(path);
    ending.map(Err).ok_or(MediaError::Ffmpeg { what, reason: "it was not started".to_owned() })
}

fn no_frame(path: &Path, ending: &Ending) -> MediaError {
    if ending.was_killed {
        return MediaError::Ffmpeg { what: reading(path), reason: ending.words() };
    }
    let reason = match ending.lines.as_slice() {
        [] => "its video stream has no frames; name another file".to_owned(),
        _ => format!("no frame can be decoded ({}); copy or download it again", ending.words()),
    };
    MediaError::Video { path: path.to_owned(), reason }
}

/// Returns the damage that `ffmpeg` reported at its end, or an error if it was ended from outside.
fn end(path: &Path, ending: &Ending) -> Result<Option<String>> {
    if ending.was_killed {
        return Err(MediaError::Ffmpeg { what: reading(path), reason: ending.words() });
    }
    let is_sound = ending.is_success && ending.lines.is_empty();
    Ok((!is_sound).then(|| format!("ffmpeg says: {}", ending.words())))
}

impl FrameSource for Decoded {
    fn next_frame(&mut self, frame: &mut Frame) -> Result<Next> {
        let Some(child) = &mut self.child else { return Ok(Next::End(None)) };
        match read_ppm(&mut child.output, frame) {
            Ok(()) => Ok(Next::Frame),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let ending = self.child.take().map(Child::finish);
                Ok(Next::End(ending.map_or(Ok(None), |ending| end(&self.path, &ending))?))
            }
            Err(source) => {
                self.child = None;
                Err(MediaError::Read { path: self.path.clone(), source })
            }
        }
    }
}

/// Reads a binary 8-bit PPM picture from `ffmpeg`'s output. The end of the stream is
/// [`io::ErrorKind::UnexpectedEof`].
fn read_ppm(stream: &mut impl Read, frame: &mut Frame) -> io::Result<()> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("ffmpeg sent {what}"));
    if word(stream)? != "P6" {
        return Err(invalid("no PPM picture"));
    }
    let mut side = || word(stream)?.parse::<u32>().map_err(|_| invalid("a PPM picture without a size"));
    let (width, height) = (side()?, side()?);
    if word(stream)? != "255"
        || u64::from(width) * u64::from(height) > MAX_PIXELS
        || width == 0
        || height == 0
    {
        return Err(invalid("a PPM picture of another kind"));
    }
    (frame.width, frame.height) = (width as usize, height as usize);
    frame.rgb.resize(3 * frame.width * frame.height, 0);
    stream.read_exact(&mut frame.rgb)
}

/// Reads a word of a PPM header and the white space character after it.
fn word(stream: &mut impl Read) -> io::Result<String> {
    let mut word = String::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        if byte[0].is_ascii_whitespace() {
            return Ok(word);
        }
        word.push(byte[0].into());
        if word.len() > MAX_WORD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "ffmpeg sent no PPM picture"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_pictures_is_read_one_by_one() {
        let stream =
            [&b"P6\n2 1\n255\n\x01\x02\x03\n\x05\x06"[..], b"P6\n1 1\n255\nabc", b"P6\n1 1\n255\nab"];
        let stream = stream.concat();
        let mut rest = stream.as_slice();
        let mut frame = Frame::default();
        read_ppm(&mut rest, &mut frame).unwrap();
        assert_eq!((frame.width, frame.height, &frame.rgb[..]), (2, 1, &[1, 2, 3, b'\n', 5, 6][..]));
        read_ppm(&mut rest, &mut frame).unwrap();
        assert_eq!((frame.width, frame.height, &frame.rgb[..]), (1, 1, &b"abc"[..]));
        let error = read_ppm(&mut rest, &mut frame).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn other_streams_are_errors() {
        for stream in
            ["P5\n1 1\n255\nabc", "P6\n0 1\n255\n", "P6\n99999999 99999\n255\n", "P6\n1 1\n65535\nabcabc"]
        {
            let error = read_ppm(&mut stream.as_bytes(), &mut Frame::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{stream}");
        }
    }
}
