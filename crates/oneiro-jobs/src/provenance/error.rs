//! The error of a result that cannot be recreated from its metadata.

use std::num::ParseIntError;
use std::path::PathBuf;

/// The reason why a result cannot be recreated from its metadata.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvenanceError {
    /// The file has no metadata of this program.
    #[error(
        "{} does not say how it was made; only pictures as oneiro wrote them do (programs that save them anew, and many \
         sites, drop it)",
        path.display()
    )]
    Nothing {
        /// Path of the file.
        path: PathBuf,
    },
    /// A metadata entry is missing.
    #[error("it does not say its \"{entry}\"")]
    Missing {
        /// Name of the entry.
        entry: String,
    },
    /// A metadata entry is no valid JSON for its content.
    #[error("{what} cannot be read")]
    Json {
        /// What the entry contains: "its job".
        what: &'static str,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// A metadata entry is no valid TOML for its content.
    #[error("{what} cannot be read")]
    Toml {
        /// What the entry contains: "its settings".
        what: &'static str,
        /// The error of the TOML parser.
        source: Box<toml::de::Error>,
    },
    /// A metadata entry is no number.
    #[error("{what} cannot be read")]
    Number {
        /// What the entry contains: "its seed".
        what: &'static str,
        /// The error of the number's parser.
        source: ParseIntError,
    },
    /// The stored preprocessing of inputs is no valid model card.
    #[error("how its inputs were prepared cannot be read")]
    Card {
        /// The error of the card's parser.
        source: oneiro::card::CardError,
    },
    /// The stored display of pictures is unknown.
    #[error("how it is shown cannot be read: {why}")]
    Display {
        /// Why the display cannot be read.
        why: String,
    },
    /// A newer version of the program wrote the job.
    #[error(
        "its job is written in version {schema} of the schema, this program knows {known}: a newer oneiro made it"
    )]
    NewerSchema {
        /// Version of the schema in which the job is written.
        schema: u32,
        /// Version of the schema that this program knows.
        known: u32,
    },
    /// The kind of job is unknown.
    #[error("it is of kind \"{kind}\", which this version does not know; it knows {}", known.join(", "))]
    UnknownKind {
        /// The kind that the metadata name.
        kind: String,
        /// The kinds of jobs that this program knows.
        known: Vec<&'static str>,
    },
    /// The result has no recipe of pictures of units.
    #[error("{}", no_recipe(kind))]
    NoRecipe {
        /// The kind of job that made the result.
        kind: &'static str,
    },
    /// The result's parts have different presets.
    #[error("it shows several recipes: {}", names.join(", "))]
    SeveralRecipes {
        /// The names of the presets.
        names: Vec<String>,
    },
    /// A change makes equal what the result shows side by side.
    #[error("it shows several recipes or seeds side by side, which this change would make equal")]
    EqualRows,
    /// The result is no dream.
    #[error("it is no dream")]
    NoDream,
    /// Version 0.1.0 wrote the result, which did not store its job as a whole.
    #[error("version 0.1.0 wrote it, whose settings can be used again but not changed")]
    OldRecipe,
    /// The result is a drawing of version 0.1.0, which did not store how to make it.
    #[error("it is {drawing} of version 0.1.0, which did not write down enough")]
    Drawing {
        /// The type of drawing that the file holds.
        drawing: Drawing,
    },
    /// The layout has cells for another number of units.
    #[error("its layout is not one of {units} units")]
    Layout {
        /// The number of units that the metadata describe.
        units: usize,
    },
    /// The content of the model file differs from that of the model with which the result was made.
    #[error(
        "{model} is not the model that the picture was made with: its SHA-256 is {}…, the picture's {}…",
        sha256.get(..12).unwrap_or(sha256), original.get(..12).unwrap_or(original)
    )]
    OtherModel {
        /// Path of the model's file.
        model: String,
        /// SHA-256 of the model's file in hexadecimal.
        sha256: String,
        /// The hash of the result's model in hexadecimal.
        original: String,
    },
}

/// Drawings that version 0.1.0 could not recreate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drawing {
    /// The plot that compares inversions.
    Plot,
    /// The picture that shows image statistics.
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

/// Says why a kind of result has no recipe that is changed or used for other pictures.
fn no_recipe(kind: &str) -> String {
    match kind {
        "dream" => {
            "it is a dream, whose recipe is of another kind: only other dreams can be made by it".to_owned()
        }
        "demo" | "health" => {
            format!(
                "it is of kind \"{kind}\", which chooses its recipe itself; take one of its pictures, or a sheet"
            )
        }
        _ => format!("it is of kind \"{kind}\", for which nothing is optimised, so it has no recipe"),
    }
}
