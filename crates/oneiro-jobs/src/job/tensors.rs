//! Raw tensors through a network: their activations and gradients, and comparing them with another
//! framework's numbers. No input is prepared: the network reads the tensors unchanged.

use std::path::PathBuf;

mod activations;
mod feed;
mod golden;

pub use activations::{ActivationsJob, ActivationsReport, TensorInput};
pub use golden::{Agreement, Comparison, GoldenJob};

/// Why tensors do not fit a network, or a file of reference numbers is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// An input without a tensor.
    #[error("input \"{input}\" of the network is not given (given: {})", given.join(", "))]
    Missing {
        /// The input.
        input: String,
        /// Names of the tensors.
        given: Vec<String>,
    },
    /// An input with two tensors.
    #[error("input \"{input}\" is given twice")]
    Twice {
        /// The input.
        input: String,
    },
    /// A tensor for no input.
    #[error("the network has no input \"{name}\"; it has {}", inputs.join(", "))]
    NoInput {
        /// Name of the tensor.
        name: String,
        /// The network's inputs.
        inputs: Vec<String>,
    },
    /// Neither a layer nor an objective.
    #[error("nothing to store: neither a layer nor an objective is named")]
    NothingWanted,
    /// A rule for gradients, and no gradient.
    #[error("a rule for gradients is given, but no objective to take the gradient of")]
    NoGradient,
    /// A tolerance that is none.
    #[error("a tolerance of {value}: a non-negative number is needed")]
    Tolerance {
        /// The number.
        value: f64,
    },
    /// A file of reference numbers without any.
    #[error("{} holds nothing to compare with", path.display())]
    NothingToCompare {
        /// The file.
        path: PathBuf,
    },
    /// A reference number of an objective that the file does not name.
    #[error("{}: \"{tensor}\" belongs to no objective of the metadata", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// Objectives that are not JSON.
    #[error("the metadata \"objectives\" of {}", path.display())]
    Objectives {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        source: serde_json::Error,
    },
}
