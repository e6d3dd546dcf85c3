//! Why a text names no units.

use crate::numbers::ListError;

/// Why a text names no units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitListError {
    /// A unit that only a scan tells.
    #[error("{unit}: which unit answers a class most is known from a scan of images; none is given")]
    NeedsScan {
        /// The unit.
        unit: String,
    },
    /// A list of numbers that is none.
    #[error("{0}, or all")]
    List(#[from] ListError),
    /// All classes, of a network whose classes cannot be counted.
    #[error("how many classes the network has cannot be told; give a range such as 0-9")]
    ClassCount,
}
