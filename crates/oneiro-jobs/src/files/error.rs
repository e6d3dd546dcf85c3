//! Why a file or folder cannot be read, made or written.

use std::io;
use std::path::PathBuf;

/// Why a file or folder cannot be read, made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refuses to read a file.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The system refuses to list a folder.
    #[error("could not list the folder {}", folder.display())]
    List {
        /// The folder.
        folder: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The system refuses to make a folder.
    #[error("could not create the folder {}", folder.display())]
    Create {
        /// The folder.
        folder: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A file stands where a folder of this name should be.
    #[error("{} is a file; name a folder for the results", path.display())]
    IsFile {
        /// The file.
        path: PathBuf,
    },
    /// A folder would be inside a file.
    #[error("{}: {} is a file, in which there can be no folder", folder.display(), file.display())]
    InsideFile {
        /// The folder asked for.
        folder: PathBuf,
        /// The file on its path.
        file: PathBuf,
    },
    /// A folder could not be made later.
    #[error("could not make the folder {}", folder.display())]
    Make {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: Box<FileError>,
    },
    /// A folder stands where a file should be.
    #[error("{} is a folder; name a file for the result", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of a file is not there.
    #[error("the folder {} does not exist; create it first or name another", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A name that the file system does not take.
    #[error("{}: the name is too long for this file system", path.display())]
    LongName {
        /// The file.
        path: PathBuf,
    },
    /// A folder that nothing can be written into.
    #[error("cannot write into the folder {}: {kind}", folder.display())]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// The system's own error.
        kind: io::ErrorKind,
    },
}
