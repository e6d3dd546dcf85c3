//! Reads the files from which jobs are made: pictures, masks, vectors, clips, data sets, image statistics.

use std::path::Path;

pub mod clips;
pub mod dataset;
pub mod directions;
pub(crate) mod error;
mod folder_error;
pub mod framing;
pub mod listing;
pub mod materials;
pub mod places;
pub mod references;

pub use error::SourceError;
pub use folder_error::FolderError;

/// Returns a short name for a picture's file: its name without folder and ending.
pub fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.to_owned(), |s| s.to_string_lossy().into_owned())
}
