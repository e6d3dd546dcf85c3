//! The error of a text that is no list of units.

use crate::numbers::ListError;

/// The reason why a text is no list of units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitListError {
    /// The unit is described by a property that only a scan knows.
    #[error("{unit}: which unit answers a class most is known from a scan of images; none is given")]
    NeedsScan {
        /// The unit as the user wrote it.
        unit: String,
    },
    /// A list of numbers cannot be parsed.
    #[error("{0}, or all")]
    List(#[from] ListError),
    /// All classes were requested, but the number of classes is not known.
    #[error("how many classes the network has cannot be told; give a range such as 0-9")]
    ClassCount,
}
