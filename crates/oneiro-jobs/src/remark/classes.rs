//! Remarks for the user on the classes of a network.

use std::fmt;

use oneiro::model::Activation;

/// A remark on the classes of a network, or on folders that represent classes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClassRemark {
    /// The network has one output, which means yes or no.
    YesOrNo {
        /// The function between logits and probabilities.
        activation: Activation,
    },
    /// The classes do not exclude each other: their probabilities are independent.
    Independent,
    /// The folders are assigned to the classes in sorted order, since not all have the name of a class.
    FoldersInOrder {
        /// A folder without the name of a class.
        unknown: String,
    },
    /// Some folders do not have the name of a class.
    FoldersUnknown {
        /// Number of folders with the name of a class.
        known: usize,
        /// Number of folders in total.
        folders: usize,
        /// A folder without the name of a class.
        unknown: String,
    },
    /// There are folders, but no labels with which their names could be compared.
    FoldersWithoutLabels {
        /// Number of folders that represent classes.
        folders: usize,
        /// Number of the network's classes.
        classes: usize,
    },
}

impl fmt::Display for ClassRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::YesOrNo { activation } => {
                let how = match activation {
                    Activation::Given { .. } => "the output",
                    Activation::Sigmoid | Activation::HardSigmoid { .. } => "its sigmoid",
                    _ => "a sigmoid of it, as the network has none",
                };
                write!(f, "the network has one output, a yes or no: the probability of the yes is {how}")
            }
            Self::Independent => f.write_str(
                "the network's classes are independent (a sigmoid each): their probabilities do not add up to 100 %",
            ),
            Self::FoldersInOrder { unknown } => write!(
                f,
                "the name of the folder \"{unknown}\" fits no single class; there are as many folders as classes, so the first \
                 folder in alphabetical order is taken for class 0, the second for class 1, and so on"
            ),
            Self::FoldersUnknown { known, folders, unknown } => write!(
                f,
                "{known} of {folders} folders are named as a class, \"{unknown}\" is not; images in the others do not count"
            ),
            Self::FoldersWithoutLabels { folders, classes } => write!(
                f,
                "the network has no labels, so no folder's name tells its class; in sorted order they would, but there are \
                 {folders} folders for {classes} classes"
            ),
        }
    }
}
