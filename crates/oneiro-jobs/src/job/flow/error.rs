//! The error of optical flow that cannot be computed, read or written.

use std::path::PathBuf;

/// The reason why optical flow cannot be computed, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// A video, or the chosen part of it, has fewer than two frames.
    #[error(
        "{input}: optical flow needs two frames, and {} of it; {}",
        if *frames == 1 { "there is one".to_owned() } else { format!("there are {frames}") },
        if *chosen { "choose more of its frames" } else { "name a video with more" }
    )]
    FewFrames {
        /// Path of the video.
        input: String,
        /// Number of frames of the video, or of its chosen part.
        frames: usize,
        /// Whether only a part of the video was chosen.
        chosen: bool,
    },
    /// The first flow field that was chosen lies beyond the last field of the file.
    #[error(
        "{input}: it has {fields} flow fields, and those from {start} on were chosen; fields count from 0"
    )]
    NoFields {
        /// Path of the flow file.
        input: String,
        /// Number of flow fields in the file.
        fields: usize,
        /// Index of the first field that was chosen.
        start: usize,
    },
    /// A setting for computing flow was given, but the file already holds flow.
    #[error(
        "{input}: this is optical flow already, which is shown and converted as it is; leave out {setting}"
    )]
    AlreadyFlow {
        /// Path of the file or folder with flow.
        input: String,
        /// The setting that has no effect: "the size".
        setting: &'static str,
    },
    /// Optical flow in a file is not finite.
    #[error("{path}: a number of its flow is {value}; fill it first", path = path.display())]
    FlowNotFinite {
        /// The file.
        path: PathBuf,
        /// The number.
        value: f32,
    },
    /// Several flow fields were to go into a file that holds one.
    #[error("a .flo file holds one flow field, and there are {fields}; write .npy, or choose two frames")]
    SeveralFields {
        /// Number of flow fields.
        fields: usize,
    },
    /// The length of motion that is drawn as white is not allowed.
    #[error("the bound of the motion is {bound}; a number above 0 is needed")]
    Bound {
        /// The motion in pixels per frame.
        bound: f32,
    },
    /// The temporary file for flow cannot be written or read.
    #[error(
        "flow fields of {}x{} pixels cannot be kept in a temporary file ({source}): each needs {} kB in {}; free some space \
         there, or choose another folder for temporary files (TMPDIR)",
        size[0], size[1], bytes.div_ceil(1000), std::env::temp_dir().display()
    )]
    Spool {
        /// Height and width of the flow fields.
        size: [usize; 2],
        /// Number of bytes that each flow field takes.
        bytes: u64,
        /// The operating system's error.
        source: std::io::Error,
    },
}
