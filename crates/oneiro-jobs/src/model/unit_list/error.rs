//! Why a text names no units.

/// Numbers in a range beyond which it is a slip.
pub(super) const MOST: usize = 100_000;

/// Why a text names no units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitListError {
    /// A part that is no number.
    #[error("\"{part}\" is no whole number; use 0-15 or 5,12,40, or all")]
    NoNumber {
        /// The part.
        part: String,
    },
    /// A range whose end lies before its beginning.
    #[error("the range {part} runs backwards")]
    Backwards {
        /// The range.
        part: String,
    },
    /// A range of more than anybody looks at.
    #[error("the range {part} is too long; at most {MOST} numbers fit")]
    TooLong {
        /// The range.
        part: String,
    },
    /// All classes, of a network whose classes cannot be counted.
    #[error("how many classes the network has cannot be told; give a range such as 0-9")]
    ClassCount,
}
