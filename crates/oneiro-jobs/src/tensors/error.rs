//! Why a file of tensors cannot be read or written.

use std::io;
use std::path::PathBuf;

use oneiro_media::MediaError;
use safetensors::SafeTensorError;

/// Why a file of tensors cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A folder was given.
    #[error("{} is a folder; a .safetensors file is needed", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{}: there is no such file; check the spelling and the current folder", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses to read the file.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The file is none of tensors.
    #[error("{} is not a readable safetensors file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the format's reader.
        source: SafeTensorError,
    },
    /// A tensor of numbers other than float32 and float64.
    #[error("{}: tensor \"{name}\" has type {dtype:?}; float32 is needed", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: safetensors::Dtype,
    },
    /// Tensors that cannot be encoded: a shape does not fit its data.
    #[error("the tensors cannot be encoded")]
    Encode(#[from] SafeTensorError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] MediaError),
}
