//! Reasons why a model file cannot be opened.

use std::io;
use std::path::PathBuf;

/// The reason why a model file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The model file does not exist.
    #[error("there is no file {}; check the spelling and the current folder", path.display())]
    NotFound {
        /// Path of the missing file.
        path: PathBuf,
    },
    /// The path is a folder instead of a model file.
    #[error("{} is a folder; name the .onnx file in it", path.display())]
    IsFolder {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The file belongs to another framework, such as PyTorch.
    #[error("{} is {what}; export it to ONNX first: {how} (see docs/bringing-models.md)", path.display())]
    OtherFramework {
        /// Path of the file.
        path: PathBuf,
        /// The kind of file: "a PyTorch file".
        what: &'static str,
        /// How to export the model to ONNX.
        how: &'static str,
    },
    /// The system cannot read the model or its card.
    #[error("could not read {}", path.display())]
    Read {
        /// Path of the file that cannot be read.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file, or a file with its weights, is no readable ONNX model.
    #[error("could not load {}: {source}", path.display())]
    Network {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with the file.
        source: oneiro_net::Error,
    },
    /// The model card cannot be used.
    #[error("{}: {source}", path.display())]
    Card {
        /// The card's file, or the model file that holds it.
        path: PathBuf,
        /// What is wrong with the card.
        source: crate::card::CardError,
    },
    /// Nothing defines how pictures are prepared for the network.
    #[error(
        "nothing says how pictures are prepared for {}: write the numbers of its training into a model card, {}, such as\n{example}",
        model.display(), card.display()
    )]
    NoCard {
        /// Path of the model file.
        model: PathBuf,
        /// Path at which its card should be.
        card: PathBuf,
        /// An example of a card, for a network trained on ImageNet, with the names of this network's inputs.
        example: String,
    },
    /// The value of an input that is no picture cannot be used.
    #[error("{}: the value of input \"{input}\" {why}", card.display())]
    Value {
        /// The card's file, or the model file that holds it.
        card: PathBuf,
        /// Name of the input.
        input: String,
        /// What is wrong with the value, and what to try.
        why: String,
    },
}
