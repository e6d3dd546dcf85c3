//! Values fed to inputs that are no pictures.

use serde::{Deserialize, Serialize};

/// A value fed to an input: a number, or the numbers of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum FeedValue {
    /// A truth value, 0 or 1.
    Truth(bool),
    /// One number everywhere.
    Number(f32),
    /// A `.npy` file; beside the card, if the card names it.
    File(String),
    /// A file with the SHA-256 of its content, hexadecimal, as pictures record it.
    Hashed(HashedFile),
}

/// A file and its content's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedFile {
    /// Where it is, or was.
    pub file: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

impl FeedValue {
    /// The number, if it is one.
    pub fn number(&self) -> Option<f32> {
        match self {
            Self::Truth(truth) => Some(f32::from(u8::from(*truth))),
            Self::Number(number) => Some(*number),
            Self::File(_) | Self::Hashed(_) => None,
        }
    }
}
