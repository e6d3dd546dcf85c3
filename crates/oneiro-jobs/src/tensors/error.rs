//! The error of a file of tensors that cannot be read or written.

use std::io;
use std::path::PathBuf;

use oneiro_media::MediaError;
use safetensors::SafeTensorError;

/// The reason why a file of tensors cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The path of a tensor file is a folder.
    #[error("{} is a folder; a .safetensors file is needed", path.display())]
    IsFolder {
        /// Path of the folder.
        path: PathBuf,
    },
    /// There is no file of tensors at the path.
    #[error("{}: there is no such file; check the spelling and the current folder", path.display())]
    NotFound {
        /// Path of the file.
        path: PathBuf,
    },
    /// The operating system cannot read the file.
    #[error("could not read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is no safetensors file.
    #[error("{} is not a readable safetensors file", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The error of the safetensors parser.
        source: SafeTensorError,
    },
    /// A tensor's element type is not supported.
    #[error("{}: tensor \"{name}\" has type {dtype:?}; float32 is needed", path.display())]
    Type {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Element type of the tensor.
        dtype: safetensors::Dtype,
    },
    /// Tensors cannot be encoded, since a shape does not fit its data.
    #[error("the tensors cannot be encoded")]
    Encode(#[from] SafeTensorError),
    /// The file of tensors cannot be written.
    #[error(transparent)]
    Write(#[from] MediaError),
}
