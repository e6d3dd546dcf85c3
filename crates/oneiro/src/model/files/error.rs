//! Why a model file cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why a model file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no file {}; check the spelling and the current folder", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A folder in place of a model file.
    #[error("{} is a folder; name the .onnx file in it", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file of another framework.
    #[error("{} is {what}; export it to ONNX first: {how} (see docs/bringing-models.md)", path.display())]
    OtherFramework {
        /// The file.
        path: PathBuf,
        /// "a PyTorch file"
        what: &'static str,
        /// How to export it.
        how: &'static str,
    },
    /// The system refuses to read the model or its card.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The file, or one with weights beside it, is no ONNX model that can be read.
    #[error("could not load {}: {source}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: oneiro_net::Error,
    },
    /// The card cannot be used.
    #[error("{}: {source}", path.display())]
    Card {
        /// The card's file, or the model file that holds it.
        path: PathBuf,
        /// Why not.
        source: crate::card::CardError,
    },
    /// Nothing says how pictures are prepared for the network.
    #[error(
        "nothing says how pictures are prepared for {}: write the numbers of its training into a model card, {}, such as\n{example}",
        model.display(), card.display()
    )]
    NoCard {
        /// The model file.
        model: PathBuf,
        /// Where its card belongs.
        card: PathBuf,
        /// A card for a network of colour pictures trained on ImageNet, with the names of this network's
        /// inputs.
        example: String,
    },
    /// The value of an input that is no picture cannot be used.
    #[error("{}: the value of input \"{input}\" {why}", card.display())]
    Value {
        /// The card's file, or the model file that holds it.
        card: PathBuf,
        /// The input.
        input: String,
        /// Why not, and what to try.
        why: String,
    },
}
