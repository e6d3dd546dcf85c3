//! Errors of files: each message names the file, the failed operation, and what to try.

use std::path::PathBuf;

use thiserror::Error;

/// The result of this crate's functions.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// Why a file could not be read or written, or a sheet not be drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Values that cannot be black and white.
    #[error("black at {black} and white at {white}: black has to be below white, and both finite")]
    Levels {
        /// The value for black.
        black: f32,
        /// The value for white.
        white: f32,
    },
    /// A folder was given where a file is expected.
    #[error("cannot read `{}`: it is a folder; name a file in it", path.display())]
    ReadFolder {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("cannot read `{}`: there is no such file; check the spelling and the current folder", path.display())]
    NotFound {
        /// The file asked for.
        path: PathBuf,
    },
    /// The operating system refused to open or read the file.
    #[error("cannot read `{}`: {source}; check its permissions and the disk", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file's first bytes are those of no known format.
    #[error(
        "cannot read `{}`: {what}, not a PNG, JPEG, WebP, GIF, TIFF or BMP picture; convert it to one of these", path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The detected kind of file: "it is empty", "it is of an unknown format", …
        what: String,
    },
    /// The file ends before the picture does.
    #[error("cannot read `{}`: the {format} file is cut off; copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// The file is of a kind of its format that is not read.
    #[error("cannot read `{}`: this kind of {format} is not read ({reason}); save it as PNG", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The file breaks its format's rules.
    #[error(
        "cannot read `{}`: the {format} file is damaged ({reason}); copy it again, or save it anew with an image editor",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// An array that is no picture of bands.
    #[error("cannot read `{}` as a picture of bands: {reason}", path.display())]
    NoBands {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to try.
        reason: String,
    },
    /// A file or folder that holds no optical flow.
    #[error("cannot read `{}` as optical flow: {reason}", path.display())]
    NoFlow {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to try.
        reason: String,
    },
    /// Optical flow that a file's format cannot hold.
    #[error("cannot write optical flow to `{}`: {reason}", path.display())]
    WriteFlow {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to try.
        reason: String,
    },
    /// More pixels or bytes than this crate agrees to hold.
    #[error("cannot read `{}`: {what}; make a smaller copy of it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The quantity that is too large, with the limit.
        what: String,
    },
    /// Only PNG, GIF, JPEG, WebP, MP4, WebM and HTML files carry text about how they were made.
    #[error("cannot read how `{}` was made: {reason}; only pictures, films and pages that oneiro wrote carry that", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// The file's actual format, or the decoder's message.
        reason: String,
    },
    /// A folder stands where the file should go.
    #[error("cannot write `{}`: it is a folder; add a file name", path.display())]
    WriteFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The path ends in no file name.
    #[error("cannot write `{}`: the path has no file name; add one", path.display())]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
    /// The folder for the file does not exist, or is not a folder.
    #[error("cannot write `{}`: {}; {hint}", path.display(), parent_is(parent, *is_file))]
    NoParent {
        /// The file to be written.
        path: PathBuf,
        /// The folder it should be in.
        parent: PathBuf,
        /// Whether the path exists and is no folder.
        is_file: bool,
        /// What to try.
        hint: String,
    },
    /// A format that this build leaves out.
    #[error(
        "{what}: this program was built without {format}; build it with the feature `{}`, or use PNG",
        format.to_lowercase()
    )]
    LeftOut {
        /// What cannot be done: "cannot read `cat.jpg`".
        what: String,
        /// The format.
        format: &'static str,
    },
    /// The ending of the file's name is that of no format for pictures.
    #[error(
        "cannot write `{}`: pictures are written as PNG, JPEG or WebP; use a name that ends in .png, .jpg or .webp",
        path.display()
    )]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder that is no video, or not one of the expected kind.
    #[error("cannot read `{}` as video: {reason}", path.display())]
    Video {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to try.
        reason: String,
    },
    /// The programs for videos cannot be started.
    #[error(
        "{what}: the program `{}` cannot be started ({source}); install ffmpeg, which contains it (Debian and Ubuntu: \
         apt install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg), or give its path; GIF, \
         animated PNG, animated WebP and folders of frames need no such program",
        program.display()
    )]
    NoFfmpeg {
        /// What cannot be done: "cannot read `cat.mp4`".
        what: String,
        /// The program that was tried.
        program: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The program for videos failed.
    #[error("{what}: ffmpeg failed: {reason}")]
    Ffmpeg {
        /// What cannot be done: "cannot read `cat.mp4`".
        what: String,
        /// What the program said.
        reason: String,
    },
    /// The operating system refused to write the file.
    #[error("cannot write `{}`: {source}; {hint}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to try.
        hint: &'static str,
    },
    /// A PNG text entry that the format cannot hold.
    #[error("cannot store the PNG text `{keyword}`: {reason}")]
    Text {
        /// The entry's keyword.
        keyword: String,
        /// What is wrong with it, and what to try.
        reason: String,
    },
    /// Image sizes that fit together nowhere: no pixels, or as many values as the size does not say.
    #[error("{what}")]
    Shape {
        /// What does not fit, with the numbers.
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
