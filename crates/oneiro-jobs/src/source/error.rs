//! Why a file that a job is made from cannot be used.

use std::path::PathBuf;

/// Why a file that a job is made from cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file that a picture was made from is nowhere.
    #[error("{file}: the picture was made from this file, which is not there{}", others_said(others))]
    NotFound {
        /// The file's name, as the picture has it.
        file: String,
        /// Files that were given for it, which have another content.
        others: Vec<PathBuf>,
    },
    /// A file that a picture was made from has another content now.
    #[error(
        "{}: its content is not what the picture was made from (SHA-256 {}…)",
        path.display(), sha256.get(..12).unwrap_or(sha256)
    )]
    OtherContent {
        /// Where the file is.
        path: PathBuf,
        /// The hash that its content had, hexadecimal.
        sha256: String,
    },
    /// A folder without a picture.
    #[error("{}: there is no picture in this folder ({})", folder.display(), oneiro_media::IMAGE_EXTENSIONS.join(", "))]
    NoPicture {
        /// The folder.
        folder: PathBuf,
    },
    /// A data set without images.
    #[error("{}: there are no images here ({}){}", data.display(), oneiro_media::IMAGE_EXTENSIONS.join(", "),
        first.as_ref().map_or(String::new(), |first| format!("; {first}")))]
    NoImages {
        /// The folder or list.
        data: PathBuf,
        /// What is wrong with the first file or folder that could not be read.
        first: Option<String>,
    },
    /// A file without directions in a layer's channels.
    #[error("{}: no directions can be read: {why}", file.display())]
    Directions {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A list of images that cannot be read.
    #[error("{}: this list of images cannot be used: {why}", list.display())]
    List {
        /// The list.
        list: PathBuf,
        /// Why.
        why: String,
    },
    /// No picture of all that there are.
    #[error("at least one picture is needed")]
    NoneWanted,
    /// A picture for a network that takes none.
    #[error("{}the network has no input for pictures", name.as_ref().map_or(String::new(), |name| format!("{name}: ")))]
    NoPictureInput {
        /// The picture, if there is one already.
        name: Option<String>,
    },
    /// A photograph for a network that takes bands.
    #[error(
        "{name}: the network takes pictures of {bands} bands, not photographs: a .npy file of shape [{bands}, height, width], \
         float32 in 0-1"
    )]
    Photograph {
        /// The photograph.
        name: String,
        /// Bands of the network's input.
        bands: usize,
    },
    /// Bands of another number than the network takes.
    #[error(
        "{name}: its shape is {shape:?}, the network takes {bands} bands: [{bands}, height, width]{}",
        if shape[2] == *bands { "; its last axis has as many: save numpy.moveaxis(a, -1, 0)" } else { "" }
    )]
    Bands {
        /// The file.
        name: String,
        /// Its shape.
        shape: [usize; 3],
        /// Bands of the network's input.
        bands: usize,
    },
    /// A mask of several bands.
    #[error("{name}: it has {bands} bands; a mask has one: shape [1, height, width]")]
    Mask {
        /// The file.
        name: String,
        /// Its bands.
        bands: usize,
    },
}

fn others_said(others: &[PathBuf]) -> String {
    let others: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
    if others.is_empty() { String::new() } else { format!(" ({}: another content)", others.join(", ")) }
}
