//! Runs raw tensors through a network: returns activations and gradients, and compares them with values of
//! another framework. Inputs are not preprocessed: the network reads the tensors unchanged.

use std::path::PathBuf;

mod activations;
mod feed;
mod golden;

pub use activations::{ActivationsJob, ActivationsReport, TensorInput};
pub use golden::{Agreement, Comparison, GoldenJob};

/// The reason why tensors do not fit a network, or why a file of reference values cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// An input has no tensor.
    #[error("input \"{input}\" of the network is not given (given: {})", given.join(", "))]
    Missing {
        /// The input.
        input: String,
        /// Names of the given tensors.
        given: Vec<String>,
    },
    /// An input has two tensors.
    #[error("input \"{input}\" is given twice")]
    Twice {
        /// The input.
        input: String,
    },
    /// A tensor has the name of no input.
    #[error("the network has no input \"{name}\"; it has {}", inputs.join(", "))]
    NoInput {
        /// Name of the tensor.
        name: String,
        /// The network's inputs.
        inputs: Vec<String>,
    },
    /// Neither a layer nor an objective is requested.
    #[error("nothing to store: neither a layer nor an objective is named")]
    NothingWanted,
    /// A rule for gradients is given, but no gradient is requested.
    #[error("a rule for gradients is given, but no objective to take the gradient of")]
    NoGradient,
    /// A tolerance is not allowed.
    #[error("a tolerance of {value}: a non-negative number is needed")]
    Tolerance {
        /// The tolerance.
        value: f64,
    },
    /// A file of reference values contains none.
    #[error("{} holds nothing to compare with", path.display())]
    NothingToCompare {
        /// The file.
        path: PathBuf,
    },
    /// A reference value belongs to an objective that the file does not list.
    #[error("{}: \"{tensor}\" belongs to no objective of the metadata", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// The list of objectives is not valid JSON.
    #[error("the metadata \"objectives\" of {}", path.display())]
    Objectives {
        /// The file.
        path: PathBuf,
        /// The JSON error.
        source: serde_json::Error,
    },
}
