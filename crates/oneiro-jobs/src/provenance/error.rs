//! Why a result cannot be made again from what it says of itself.

use std::num::ParseIntError;
use std::path::PathBuf;

/// Why a result cannot be made again from what it says of itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvenanceError {
    /// A file that says nothing.
    #[error(
        "{} does not say how it was made; only pictures as oneiro wrote them do (programs that save them anew, and many \
         sites, drop it)",
        path.display()
    )]
    Nothing {
        /// The file.
        path: PathBuf,
    },
    /// An entry that is not there.
    #[error("it does not say its \"{entry}\"")]
    Missing {
        /// The entry.
        entry: String,
    },
    /// An entry that is no JSON of its kind.
    #[error("{what} cannot be read")]
    Json {
        /// Content of the entry: "its job".
        what: &'static str,
        /// The reader's error.
        source: serde_json::Error,
    },
    /// An entry that is no TOML of its kind.
    #[error("{what} cannot be read")]
    Toml {
        /// Content of the entry: "its settings".
        what: &'static str,
        /// The reader's error.
        source: Box<toml::de::Error>,
    },
    /// An entry that is no number.
    #[error("{what} cannot be read")]
    Number {
        /// Content of the entry: "its seed".
        what: &'static str,
        /// The reader's error.
        source: ParseIntError,
    },
    /// A preparation of inputs that is no model card.
    #[error("how its inputs were prepared cannot be read")]
    Card {
        /// The reader's error.
        source: oneiro::card::CardError,
    },
    /// A way to show pictures that there is not.
    #[error("how it is shown cannot be read: {why}")]
    Display {
        /// The reader's error.
        why: String,
    },
    /// A job of a newer version of the program.
    #[error(
        "its job is written in version {schema} of the schema, this program knows {known}: a newer oneiro made it"
    )]
    NewerSchema {
        /// Version of the schema that the job is written in.
        schema: u32,
        /// Version of the schema that this program knows.
        known: u32,
    },
    /// A job of a kind that is not known.
    #[error("it is of kind \"{kind}\", which this version does not know; it knows {}", known.join(", "))]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The kinds that are known.
        known: Vec<&'static str>,
    },
    /// A drawing of version 0.1.0, which it did not write down how to make.
    #[error("it is {drawing} of version 0.1.0, which did not write down enough")]
    Drawing {
        /// Which.
        drawing: Drawing,
    },
    /// A layout of another number of units.
    #[error("its layout is not one of {units} units")]
    Layout {
        /// The number of units.
        units: usize,
    },
    /// A model of another content than the result was made with.
    #[error(
        "{model} is not the model that the picture was made with: its SHA-256 is {}…, the picture's {}…",
        sha256.get(..12).unwrap_or(sha256), original.get(..12).unwrap_or(original)
    )]
    OtherModel {
        /// The model's file.
        model: String,
        /// Its hash, hexadecimal.
        sha256: String,
        /// The hash of the result's model, hexadecimal.
        original: String,
    },
}

/// Drawings that version 0.1.0 could not make again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drawing {
    /// The plot of an inversion.
    Plot,
    /// The picture of statistics.
    Spectrum,
}

impl std::fmt::Display for Drawing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plot => "a plot",
            Self::Spectrum => "the picture of a spectrum",
        })
    }
}
