//! Reads a folder of pictures as a video, in the natural order of the file names.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Frame, FrameSource, Next, VideoInfo};
use crate::read::{has_image_name, read_image};
use crate::{MediaError, Result};

struct Folder {
    /// Files still to be read; the next one is last in the list.
    files: Vec<PathBuf>,
    /// The first frame's path, width and height: all frames must have its size.
    first: Option<(PathBuf, usize, usize)>,
}

/// Opens a folder of frames; returns its frames and its description.
pub fn open(path: &Path) -> Result<(Box<dyn FrameSource>, VideoInfo)> {
    let mut files = list(path)?;
    let frames = Some(files.len());
    files.reverse();
    let info = VideoInfo { width: 0, height: 0, frames, frames_per_second: None, duration: None };
    Ok((Box::new(Folder { files, first: None }), info))
}

/// Returns a folder's picture files in natural order, without hidden files.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |source| MediaError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if has_image_name(&path) && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        let reason =
            "the folder has no pictures; name one with frames (frame_1.png, frame_2.png, …)".to_owned();
        return Err(MediaError::Video { path: folder.to_owned(), reason });
    }
    files.sort_by(|a, b| {
        let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        natural_order(&name(a), &name(b))
    });
    Ok(files)
}

/// Compares names so that digits in them count as numbers: `frame_2` comes before `frame_10`. Names that
/// differ in leading zeros only are compared byte by byte.
fn natural_order(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let ([first, rest_x @ ..], [second, rest_y @ ..]) = (x, y) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (number_x, number_y);
            (number_x, x) = number(x);
            (number_y, y) = number(y);
            number_x.len().cmp(&number_y.len()).then_with(|| number_x.cmp(number_y))
        } else {
            (x, y) = (rest_x, rest_y);
            first.cmp(second)
        };
        if order.is_ne() {
            return order;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Splits off the digits at the start of a name, without leading zeros.
fn number(name: &[u8]) -> (&[u8], &[u8]) {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let zeros = digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    (&digits[zeros..], rest)
}

impl FrameSource for Folder {
    fn next_frame(&mut self, frame: &mut Frame) -> Result<Next> {
        let Some(path) = self.files.pop() else { return Ok(Next::End(None)) };
        let image = read_image(&path)?;
        match &self.first {
            None => self.first = Some((path, image.width, image.height)),
            Some((_, width, height)) if (*width, *height) == (image.width, image.height) => {}
            Some((first, width, height)) => {
                let reason = format!(
                    "it has {}×{} pixels, and the folder's first frame `{}` has {width}×{height}; frames need one size",
                    image.width,
                    image.height,
                    first.display()
                );
                return Err(MediaError::Video { path, reason });
            }
        }
        *frame = Frame { width: image.width, height: image.height, rgb: image.to_rgb8() };
        Ok(Next::Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::natural_order;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted = [
            "a.png",
            "frame_1.png",
            "frame_2.png",
            "frame_010.png",
            "frame_10.png",
            "frame_11.png",
            "frame_a.png",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| natural_order(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, sorted);
        let long = ["x99999999999999999999999999", "x100000000000000000000000000"];
        assert!(natural_order(long[0].as_bytes(), long[1].as_bytes()).is_lt());
        assert!(natural_order(b"x", b"x1").is_lt());
    }
}
