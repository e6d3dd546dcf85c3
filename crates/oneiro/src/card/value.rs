//! Values fed to inputs that are no pictures.

use serde::{Deserialize, Serialize};

/// A value for an input: a number, or a file of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum FeedValue {
    /// A boolean, fed as 0 or 1.
    Truth(bool),
    /// One number for all elements of the input.
    Number(f32),
    /// A `.npy` file. A relative path in a card starts at the card's folder.
    File(String),
    /// A file with the SHA-256 of its content in hexadecimal, as metadata of pictures records it.
    Hashed(HashedFile),
}

/// A file, with the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedFile {
    /// Path of the file when it was read.
    pub file: String,
    /// SHA-256 of the file's content, in hexadecimal.
    pub sha256: String,
}

impl FeedValue {
    /// Returns the number, unless the value is a file.
    pub fn number(&self) -> Option<f32> {
        match self {
            Self::Truth(truth) => Some(f32::from(u8::from(*truth))),
            Self::Number(number) => Some(*number),
            Self::File(_) | Self::Hashed(_) => None,
        }
    }
}
