//! Stores the results of a scan in one SQLite file.
//!
//! `write` creates the file, [`read`](mod@read) queries it. `schema.sql` is its schema; `docs/scan.md`
//! describes every column.

pub(crate) mod error;
pub mod read;
pub(crate) mod write;

pub use error::StoreError;
pub use read::ScanFile;

/// The version of the scan file's schema.
pub const SCHEMA_VERSION: i64 = 1;
/// The name of the SQLite file in a scan's folder.
pub const FILE: &str = "scan.sqlite";

/// The lists of example images that a scan stores for each unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The images with the largest activation at any position of the unit's map.
    Best,
    /// The images whose largest activation is the smallest.
    Worst,
    /// The images with the largest mean over the unit's map.
    BestByMean,
}

impl List {
    /// All lists of examples that a scan has for a unit.
    pub const ALL: [Self; 3] = [Self::Best, Self::Worst, Self::BestByMean];

    /// Returns the number by which the SQLite file identifies the list.
    pub fn number(self) -> i64 {
        self as i64
    }
}
