//! Remarks on the classes of a network.

use std::fmt;

use oneiro::model::Activation;

/// A remark on the classes of a network, or on folders that stand for them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClassRemark {
    /// A network with one output.
    YesOrNo {
        /// The function between logits and probabilities.
        activation: Activation,
    },
    /// Classes that exclude no others.
    Independent,
    /// Folders that are taken for the classes in sorted order, as not all are named as one.
    FoldersInOrder {
        /// A folder that names no class.
        unknown: String,
    },
    /// Folders of which some name no class.
    FoldersUnknown {
        /// Folders that do.
        known: usize,
        /// Folders in all.
        folders: usize,
        /// A folder that does not.
        unknown: String,
    },
    /// Folders, and no labels to find their names in.
    FoldersWithoutLabels {
        /// Folders in all.
        folders: usize,
        /// Classes of the network.
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
                "\"{unknown}\" names no class, or several; the folders are taken for the classes in sorted order"
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
