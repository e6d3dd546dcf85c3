//! Errors of files, given to a job, that cannot be used.

use std::path::PathBuf;

/// Why a file that was given to a job cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file from which a picture was made is not found.
    #[error("{file}: the picture was made from this file, which is not there{}", others_said(others))]
    NotFound {
        /// The file's name in the picture's metadata.
        file: String,
        /// The files that the user gave, whose content differs.
        others: Vec<PathBuf>,
    },
    /// The content of a file from which a picture was made has changed.
    #[error(
        "{}: its content is not what the picture was made from (SHA-256 {}…)",
        path.display(), sha256.get(..12).unwrap_or(sha256)
    )]
    OtherContent {
        /// The file's path.
        path: PathBuf,
        /// The hash of the former content in hexadecimal.
        sha256: String,
    },
    /// A folder has no picture.
    #[error("{}: there is no picture in this folder ({})", folder.display(), oneiro_media::IMAGE_EXTENSIONS.join(", "))]
    NoPicture {
        /// The folder without pictures.
        folder: PathBuf,
    },
    /// A data set has no images.
    #[error("{}: there are no images here ({}){}", data.display(), oneiro_media::IMAGE_EXTENSIONS.join(", "),
        first.as_ref().map_or(String::new(), |first| format!("; {first}")))]
    NoImages {
        /// The folder or list that was given as a data set.
        data: PathBuf,
        /// The problem with the first file or folder that could not be read.
        first: Option<String>,
    },
    /// A file contains no directions over a layer's channels.
    #[error("{}: no directions can be read: {why}", file.display())]
    Directions {
        /// The file that was given for directions.
        file: PathBuf,
        /// What is wrong with the file.
        why: String,
    },
    /// Optical flow that belongs to a clip cannot be used.
    #[error("{}: this optical flow cannot be used for {clip}: {why}", file.display())]
    Flow {
        /// The file or folder of the flow.
        file: PathBuf,
        /// Name of the clip to which the flow belongs.
        clip: String,
        /// Why the flow cannot be used.
        why: String,
    },
    /// A clip of one frame is given to a network that reads flow.
    #[error(
        "{clip}: it has one frame, which shows no motion, and the network reads flow; a video is needed, or a file of flow"
    )]
    NoMotion {
        /// The clip's file.
        clip: String,
    },
    /// A file is given as the flow of several clips.
    #[error(
        "{}: this file is the flow of one clip, and there are {clips}; name a folder with a flow file for each",
        file.display()
    )]
    OneFlow {
        /// The flow file that was given.
        file: PathBuf,
        /// Number of clips that were given.
        clips: usize,
    },
    /// No clip was found in the given files and folders.
    #[error(
        "there is no clip in {}: videos ({}), animated pictures, or folders of frames are needed",
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
        oneiro_media::VIDEO_EXTENSIONS.join(", ")
    )]
    NoClips {
        /// The files and folders that were given.
        paths: Vec<PathBuf>,
    },
    /// The clips that the network sees have too many pixels.
    #[error(
        "{clips} clips of {frames} frames of {height}x{width} pixels have more than {} million pixels; take fewer clips",
        oneiro_media::MAX_PIXELS / 1_000_000
    )]
    ManyClips {
        /// Number of clips of each video.
        clips: usize,
        /// Number of frames of a clip.
        frames: usize,
        /// Rows of each frame.
        height: usize,
        /// Pixels in each row of a frame.
        width: usize,
    },
    /// The stride of frames or the number of clips is 0.
    #[error("{what} is 0; at least 1 is needed")]
    Zero {
        /// The setting that is 0: "the stride of frames".
        what: &'static str,
    },
    /// A list of images cannot be read.
    #[error("{}: this list of images cannot be used: {why}", list.display())]
    List {
        /// The list's file.
        list: PathBuf,
        /// What is wrong with the list.
        why: String,
    },
    /// The number of pictures to take was set to zero.
    #[error("at least one picture is needed")]
    NoneWanted,
    /// A picture is given, but the network takes none.
    #[error("{}the network has no input for pictures", name.as_ref().map_or(String::new(), |name| format!("{name}: ")))]
    NoPictureInput {
        /// The picture's name, if it is already known.
        name: Option<String>,
    },
    /// A photograph is given, but the network takes bands.
    #[error(
        "{name}: the network takes pictures of {bands} bands, not photographs: a .npy file of shape [{bands}, height, width], \
         float32 in 0-1"
    )]
    Photograph {
        /// Name of the photograph.
        name: String,
        /// Number of bands of the network's input.
        bands: usize,
    },
    /// An image has another number of bands than the network's input.
    #[error(
        "{name}: its shape is {shape:?}, the network takes {bands} bands: [{bands}, height, width]{}",
        if shape[2] == *bands { "; its last axis has as many: save numpy.moveaxis(a, -1, 0)" } else { "" }
    )]
    Bands {
        /// The image's file.
        name: String,
        /// The shape of the file's array: bands, height, width.
        shape: [usize; 3],
        /// Number of bands of the network's input.
        bands: usize,
    },
    /// A mask has more than one band.
    #[error("{name}: it has {bands} bands; a mask has one: shape [1, height, width]")]
    Mask {
        /// The mask's file.
        name: String,
        /// Number of bands in the mask's file.
        bands: usize,
    },
}

fn others_said(others: &[PathBuf]) -> String {
    let others: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
    if others.is_empty() { String::new() } else { format!(" ({}: another content)", others.join(", ")) }
}
