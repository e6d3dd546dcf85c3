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
    /// No tensor is given for an input.
    #[error("input \"{input}\" of the network is not given (given: {})", given.join(", "))]
    Missing {
        /// Name of the input.
        input: String,
        /// Names of the tensors that were given.
        given: Vec<String>,
    },
    /// Two tensors are given for the same input.
    #[error("input \"{input}\" is given twice")]
    Twice {
        /// Name of the input.
        input: String,
    },
    /// A tensor has the name of no input.
    #[error("the network has no input \"{name}\"; it has {}", inputs.join(", "))]
    NoInput {
        /// Name of the tensor.
        name: String,
        /// Names of the network's inputs.
        inputs: Vec<String>,
    },
    /// Neither a layer nor an objective is requested.
    #[error("nothing to store: neither a layer nor an objective is named")]
    NothingWanted,
    /// A rule for gradients is given, but no gradient is requested.
    #[error("a rule for gradients is given, but no objective to take the gradient of")]
    NoGradient,
    /// The tolerance of a comparison is not allowed.
    #[error("a tolerance of {value}: a non-negative number is needed")]
    Tolerance {
        /// The tolerance that was given.
        value: f64,
    },
    /// A file of reference values contains no values.
    #[error("{} holds nothing to compare with", path.display())]
    NothingToCompare {
        /// Path of the file.
        path: PathBuf,
    },
    /// A reference value belongs to an objective that the file does not list.
    #[error("{}: \"{tensor}\" belongs to no objective of the metadata", path.display())]
    Stray {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// The list of objectives is not valid JSON.
    #[error("the metadata \"objectives\" of {}", path.display())]
    Objectives {
        /// Path of the file.
        path: PathBuf,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
}
