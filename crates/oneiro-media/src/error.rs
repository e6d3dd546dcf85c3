//! Errors of reading and writing media files: each message names the file, the failed operation, and what to
//! try.

use std::path::PathBuf;

use thiserror::Error;

/// The result of this crate's functions.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// Why a file could not be read or written, or a contact sheet or plot could not be drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The values chosen to be shown as black and white are not finite, or black is not below white.
    #[error("black at {black} and white at {white}: black has to be below white, and both finite")]
    Levels {
        /// The pixel value that should be shown as black.
        black: f32,
        /// The pixel value that should be shown as white.
        white: f32,
    },
    /// A folder was given where a file is expected.
    #[error("cannot read `{}`: it is a folder; name a file in it", path.display())]
    ReadFolder {
        /// The folder that was given in place of a file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("cannot read `{}`: there is no such file; check the spelling and the current folder", path.display())]
    NotFound {
        /// The file that does not exist.
        path: PathBuf,
    },
    /// The operating system refused to open or read the file.
    #[error("cannot read `{}`: {source}; check its permissions and the disk", path.display())]
    Read {
        /// The file that could not be opened or read.
        path: PathBuf,
        /// The error that the operating system gave.
        source: std::io::Error,
    },
    /// The file's first bytes are those of no known format.
    #[error(
        "cannot read `{}`: {what}, not a PNG, JPEG, WebP, GIF, TIFF or BMP picture; convert it to one of these", path.display()
    )]
    UnknownFormat {
        /// The file whose format was not recognised.
        path: PathBuf,
        /// The detected kind of file: "it is empty", "it is of an unknown format", …
        what: String,
    },
    /// The file ends before the picture in it is complete.
    #[error("cannot read `{}`: the {format} file is cut off; copy or download it again", path.display())]
    Truncated {
        /// The file that is cut off.
        path: PathBuf,
        /// The name of the file's format, such as "JPEG".
        format: &'static str,
    },
    /// The file's format is known, but the decoder does not read this variant of it.
    #[error("cannot read `{}`: this kind of {format} is not read ({reason}); save it as PNG", path.display())]
    Unsupported {
        /// The file that cannot be decoded.
        path: PathBuf,
        /// The name of the file's format, such as "TIFF".
        format: &'static str,
        /// The decoder's message.
        reason: String,
    },
    /// The file's content breaks the rules of its format.
    #[error(
        "cannot read `{}`: the {format} file is damaged ({reason}); copy it again, or save it anew with an image editor",
        path.display()
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// The name of the file's format, such as "PNG".
        format: &'static str,
        /// The decoder's message.
        reason: String,
    },
    /// A `.npy` file whose array is not an image of bands (channels), rows and columns.
    #[error("cannot read `{}` as a picture of bands: {reason}", path.display())]
    NoBands {
        /// The `.npy` file.
        path: PathBuf,
        /// What is wrong with the array, and what to try.
        reason: String,
    },
    /// A file or folder that was given as optical flow, but holds none.
    #[error("cannot read `{}` as optical flow: {reason}", path.display())]
    NoFlow {
        /// The file or folder without optical flow.
        path: PathBuf,
        /// What is wrong with it, and what to try.
        reason: String,
    },
    /// Optical flow that a file's format cannot hold.
    #[error("cannot write optical flow to `{}`: {reason}", path.display())]
    WriteFlow {
        /// The file or folder that should hold the optical flow.
        path: PathBuf,
        /// Why the format cannot hold this flow, and what to try.
        reason: String,
    },
    /// The file has more pixels or bytes than this crate reads.
    #[error("cannot read `{}`: {what}; make a smaller copy of it", path.display())]
    TooLarge {
        /// The file that is too large.
        path: PathBuf,
        /// The quantity that is too large (pixels, bytes), with the limit.
        what: String,
    },
    /// The file has no record of how oneiro made it: only PNG, GIF, JPEG, WebP, MP4, WebM and HTML can carry
    /// one.
    #[error("cannot read how `{}` was made: {reason}; only pictures, films and pages that oneiro wrote carry that", path.display())]
    NoText {
        /// The file without such a record.
        path: PathBuf,
        /// The file's actual format, or the decoder's message.
        reason: String,
    },
    /// A folder exists at the path where a file should be written.
    #[error("cannot write `{}`: it is a folder; add a file name", path.display())]
    WriteFolder {
        /// The folder that is in the way.
        path: PathBuf,
    },
    /// The path of the output file ends in no file name.
    #[error("cannot write `{}`: the path has no file name; add one", path.display())]
    NoFileName {
        /// The path without a file name.
        path: PathBuf,
    },
    /// The folder in which a file should be written does not exist, or is not a folder.
    #[error("cannot write `{}`: {}; {hint}", path.display(), parent_is(parent, *is_file))]
    NoParent {
        /// The file that should be written.
        path: PathBuf,
        /// The folder that the file should be in.
        parent: PathBuf,
        /// Whether `parent` exists but is not a folder.
        is_file: bool,
        /// Advice for the user, such as to make the folder.
        hint: String,
    },
    /// The file's format was left out of this build of the program.
    #[error(
        "{what}: this program was built without {format}; build it with the feature `{}`, or use PNG",
        format.to_lowercase()
    )]
    LeftOut {
        /// The operation that failed: "cannot read `cat.jpg`".
        what: String,
        /// The name of the format that the build lacks, such as "JPEG".
        format: &'static str,
    },
    /// The output file's name does not end as the name of a PNG, JPEG or WebP file.
    #[error(
        "cannot write `{}`: pictures are written as PNG, JPEG or WebP; use a name that ends in .png, .jpg or .webp",
        path.display()
    )]
    Ending {
        /// The file that should be written.
        path: PathBuf,
    },
    /// A file or folder that is no video, or not one of the expected kind.
    #[error("cannot read `{}` as video: {reason}", path.display())]
    Video {
        /// The file or folder that was given as a video.
        path: PathBuf,
        /// What is wrong with it, and what to try.
        reason: String,
    },
    /// The program `ffmpeg` or `ffprobe`, which reads and writes videos, cannot be started.
    #[error(
        "{what}: the program `{}` cannot be started ({source}); install ffmpeg, which contains it (Debian and Ubuntu: \
         apt install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg), or give its path; GIF, \
         animated PNG, animated WebP and folders of frames need no such program",
        program.display()
    )]
    NoFfmpeg {
        /// The operation that failed: "cannot read `cat.mp4`".
        what: String,
        /// The program that could not be started.
        program: PathBuf,
        /// The error that the operating system gave.
        source: std::io::Error,
    },
    /// The program `ffmpeg` or `ffprobe` was started and failed.
    #[error("{what}: ffmpeg failed: {reason}")]
    Ffmpeg {
        /// The operation that failed: "cannot read `cat.mp4`".
        what: String,
        /// The program's own error message.
        reason: String,
    },
    /// The operating system refused to write the file.
    #[error("cannot write `{}`: {source}; {hint}", path.display())]
    Write {
        /// The file that could not be written.
        path: PathBuf,
        /// The error that the operating system gave.
        source: std::io::Error,
        /// Advice for the user, such as to free some space.
        hint: &'static str,
    },
    /// A keyword or text about how a picture was made that PNG cannot store.
    #[error("cannot store the PNG text `{keyword}`: {reason}")]
    Text {
        /// The keyword of the text.
        keyword: String,
        /// What is wrong with the keyword or text, and what to try.
        reason: String,
    },
    /// Image sizes that do not fit together: no pixels, or a number of values that differs from the size.
    #[error("{what}")]
    Shape {
        /// Which sizes do not fit, with the numbers.
        what: String,
    },
}

impl From<oneiro_image::ShapeError> for MediaError {
    fn from(error: oneiro_image::ShapeError) -> Self {
        MediaError::Shape { what: error.0 }
    }
}

fn parent_is(parent: &std::path::Path, is_file: bool) -> String {
    let parent = parent.display();
    if is_file {
        format!("`{parent}` is not a folder")
    } else {
        format!("the folder `{parent}` does not exist")
    }
}
