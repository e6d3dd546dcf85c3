//! The error of a file or folder that cannot be read, created or written.

use std::io;
use std::path::PathBuf;

/// The reason why a file or folder cannot be read, created or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system cannot read a file.
    #[error("could not read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The operating system cannot list a folder.
    #[error("could not list the folder {}", folder.display())]
    List {
        /// Path of the folder.
        folder: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The operating system cannot create a folder.
    #[error("could not create the folder {}", folder.display())]
    Create {
        /// Path of the folder.
        folder: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file has the path of a folder that is to be created.
    #[error("{} is a file; name a folder for the results", path.display())]
    IsFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// The folder for results must be new or empty, but it has files.
    #[error("the folder {} is not empty; name a new one", folder.display())]
    NotEmpty {
        /// Path of the folder.
        folder: PathBuf,
    },
    /// A folder is requested below the path of a file.
    #[error("{}: {} is a file, in which there can be no folder", folder.display(), file.display())]
    InsideFile {
        /// Path of the requested folder.
        folder: PathBuf,
        /// The file that is part of this path.
        file: PathBuf,
    },
    /// A check has found that a folder could not be created.
    #[error("could not make the folder {}", folder.display())]
    Make {
        /// Path of the folder.
        folder: PathBuf,
        /// Why the folder could not be created.
        source: Box<FileError>,
    },
    /// A folder has the path of a file that is to be written.
    #[error("{} is a folder; name a file for the result", path.display())]
    IsFolder {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The folder of a file does not exist.
    #[error("the folder {} does not exist; create it first or name another", folder.display())]
    NoFolder {
        /// Path of the folder.
        folder: PathBuf,
    },
    /// The file system does not accept the file's name.
    #[error("{}: the name is too long for this file system", path.display())]
    LongName {
        /// Path of the file.
        path: PathBuf,
    },
    /// No file can be written into a folder.
    #[error("cannot write into the folder {}: {kind}", folder.display())]
    NotWritable {
        /// Path of the folder.
        folder: PathBuf,
        /// The operating system's error.
        kind: io::ErrorKind,
    },
}
