//! Reasons why no output holds the scores of classes.

/// The reason why no output holds the scores of classes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The network has no output.
    #[error("the network has no output")]
    None,
    /// The card names an output that does not exist.
    #[error("the network has no output \"{name}\"; its outputs are {outputs}")]
    Unknown {
        /// The output's name in the card.
        name: String,
        /// Names of the network's outputs, with their shapes.
        outputs: String,
    },
    /// The output that the card names holds no scores.
    #[error("the output \"{output}\" holds no row of class scores; the network's outputs are {outputs}")]
    NoScores {
        /// Name of the output.
        output: String,
        /// Names of the network's outputs, with their shapes.
        outputs: String,
    },
    /// No output of the network holds class scores.
    #[error("none of the network's outputs holds a row of class scores: {outputs}")]
    NoneHasScores {
        /// Names of the network's outputs, with their shapes.
        outputs: String,
    },
}
