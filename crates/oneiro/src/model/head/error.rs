//! Why no output holds the scores of classes.

/// Why no output holds the scores of classes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The network has no output.
    #[error("the network has no output")]
    None,
    /// The card names an output that is not there.
    #[error("the network has no output \"{name}\"; its outputs are {outputs}")]
    Unknown {
        /// The name.
        name: String,
        /// The outputs with their shapes, in words.
        outputs: String,
    },
    /// The output that the card names holds something else.
    #[error("the output \"{output}\" holds no row of class scores; the network's outputs are {outputs}")]
    NoScores {
        /// The output.
        output: String,
        /// The outputs with their shapes, in words.
        outputs: String,
    },
    /// Every output holds something else.
    #[error("none of the network's outputs holds a row of class scores: {outputs}")]
    NoneHasScores {
        /// The outputs with their shapes, in words.
        outputs: String,
    },
}
