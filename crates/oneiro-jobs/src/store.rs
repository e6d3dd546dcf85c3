//! What a scan has found, in one SQLite file.
//!
//! `write` makes the file, [`read`](mod@read) answers questions about it. `schema.sql` is its
//! form; `docs/scan.md` says what each column means.

pub(crate) mod error;
pub mod read;
pub(crate) mod write;

pub use error::StoreError;
pub use read::ScanFile;

/// The version of the file's form.
pub const SCHEMA_VERSION: i64 = 1;
/// The name of the file in a scan's folder.
pub const FILE: &str = "scan.sqlite";

/// The lists of examples of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The largest activations anywhere in the map.
    Best,
    /// The smallest of the largest activations.
    Worst,
    /// The largest means over the map.
    BestByMean,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Best, Self::Worst, Self::BestByMean];

    /// Its number in the file.
    pub fn number(self) -> i64 {
        self as i64
    }
}
