//! The error of files and folders of images that cannot be used together.

use std::path::PathBuf;

use oneiro_media::IMAGE_EXTENSIONS;

/// The reason why files or folders of images cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The path of a folder of pictures is no folder.
    #[error("{folder} is not a folder; name one that has images in it")]
    NotAFolder {
        /// The path that is no folder.
        folder: String,
    },
    /// A folder has no pictures in it.
    #[error("there is no image in {folder} ({}), nor a .npy file of bands", IMAGE_EXTENSIONS.join(", "))]
    NoImages {
        /// Path of the folder.
        folder: String,
    },
    /// A folder contains both pictures and `.npy` files of bands.
    #[error(
        "{folder} holds {arrays} .npy files and {pictures} pictures; statistics are of one kind: put them into folders of \
         their own"
    )]
    MixedFolder {
        /// Path of the folder.
        folder: String,
        /// Number of `.npy` files in the folder.
        arrays: usize,
        /// Number of pictures in the folder.
        pictures: usize,
    },
    /// Bands cannot be converted to grey.
    #[error("only pictures in colour can be turned to grey, and {folder} holds bands")]
    GrayBands {
        /// Path of the folder.
        folder: String,
    },
    /// Files have different numbers of bands.
    #[error(
        "{} has {bands} bands, {} has {first_bands}; put them into folders of their own",
        path.display(), first.display()
    )]
    BandsDiffer {
        /// The file with another number of bands than the first.
        path: PathBuf,
        /// The number of bands in this file.
        bands: usize,
        /// The first file of the folder.
        first: PathBuf,
        /// The number of bands in the first file.
        first_bands: usize,
    },
    /// No picture of a folder can be read.
    #[error("none of the {pictures} pictures in {folder} can be read: {first}")]
    NoneReadable {
        /// Number of pictures in the folder.
        pictures: usize,
        /// Path of the folder.
        folder: String,
        /// The reason why the first picture cannot be read.
        first: String,
    },
    /// The given files and folders contain no photo.
    #[error(
        "there is no image in {} ({})",
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "), IMAGE_EXTENSIONS.join(", ")
    )]
    NoPhotos {
        /// The files and folders that were given.
        paths: Vec<PathBuf>,
    },
}
