//! What can go wrong between a request and a picture.

use crate::card::CardError;
use crate::objective::ExpressionError;
use crate::transform::TransformError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be visualized.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network could not be read, compiled or run.
    #[error(transparent)]
    Network(#[from] oneiro_net::Error),
    /// The model card cannot be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// An objective or a unit cannot be read.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A chain of transforms cannot be read.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// An objective asks for something that its layer does not have.
    #[error("{0}")]
    Unit(String),
    /// Settings that do not fit the model or each other.
    #[error("{0}")]
    Settings(String),
    /// Whoever watched the work ended it.
    #[error("stopped before the end")]
    Stopped,
    /// The objective or its gradient stopped being a number.
    #[error(
        "the objective {objective} is no longer a finite number at step {step}; \
         a smaller learning rate may help, or the network's weights are not finite"
    )]
    NotFinite {
        /// The objective.
        objective: String,
        /// Step of the optimisation.
        step: usize,
    },
}
