//! The metadata of results: how a result was made.
//!
//! A picture contains text entries: the program and its kernels, the model with its hash and the
//! preprocessing of its inputs, and the facts that users need most. The entry `job` is complete, as JSON: the
//! schema's version, the kind of job, the job, and which of the job's results the picture is. Files of
//! version 0.1.0 have no such entry; [`crate::again`] reconstructs their jobs from the other entries.

use std::num::ParseIntError;
use std::str::FromStr;

use oneiro::card::Card;
use oneiro_media::PngText;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::job::{Job, Place, Run};
use crate::model::LoadedModel;
use crate::source::places;
use crate::source::places::SourceFile;

pub(crate) mod error;

pub use error::{Drawing, ProvenanceError};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the JSON schema in files.
pub(crate) const SCHEMA: u32 = 1;
/// Key of the entry that contains the job.
pub(crate) const JOB: &str = "job";

/// Returns the name of the kernels that this machine uses, on which the last bits of results depend.
pub fn kernels() -> &'static str {
    oneiro_net::Isa::detect().name()
}

/// Returns the entries of the program: version and kernels.
pub fn text_of_program() -> PngText {
    let mut text = PngText::default();
    text.push("version", VERSION);
    text.push("kernels", kernels());
    text
}

/// Returns the entries with which the metadata of every picture of a network begin: version, kernels, the
/// model and the preprocessing of its inputs.
///
/// # Errors
/// If the card cannot be written as TOML.
pub fn text_of_model(model: &LoadedModel) -> Result<PngText> {
    let mut text = text_of_program();
    text.push("model", &model.source);
    text.push("model-sha256", &model.hash);
    text.push("preparation", model.recorded_card().to_toml()?);
    Ok(text)
}

/// The content of the metadata entry `job`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed<J> {
    pub schema: u32,
    pub kind: String,
    pub output: Place,
    /// Files from which the job is made, with their hashes.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceFile>,
    pub job: J,
}

/// Adds the job to the metadata of one of its results.
///
/// # Errors
/// If a file from which the job is made cannot be read.
pub fn seal<J: Job>(run: &Run<'_>, text: &mut PngText, job: &J, output: Place) -> Result<()> {
    if run.is_legacy() {
        return Ok(());
    }
    let places = run.places();
    let sources = places::hashed(&job.sources(), &places)?;
    // The job is not converted to a JSON value first, which would write every f32 with the digits of an f64.
    let sealed = Sealed { schema: SCHEMA, kind: J::KIND.into(), output, sources, job };
    text.push(JOB, serde_json::to_string(&sealed)?);
    Ok(())
}

/// The program and the network with which a result was made.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Version of the program that made the result.
    pub version: String,
    /// Name of the instruction set whose kernels made the result.
    pub kernels: String,
    /// The network; `None` for results that only concern pictures.
    pub network: Option<Network>,
}

/// A network as described in a result's metadata.
#[derive(Debug, Clone)]
pub struct Network {
    /// The model's name as the user gave it.
    pub model: String,
    /// SHA-256 of the model's file in hexadecimal.
    pub hash: String,
    /// The card with the preprocessing of the inputs.
    pub card: Card,
}

impl Origin {
    /// Reads the program and the network from a result's metadata.
    ///
    /// # Errors
    /// If an entry of the metadata is missing.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key: &str| required(text, key);
        let network = match text.get("model") {
            None => None,
            Some(model) => Some(Network {
                model: model.to_owned(),
                hash: get("model-sha256")?,
                card: Card::parse(&get("preparation")?).map_err(|source| ProvenanceError::Card { source })?,
            }),
        };
        Ok(Self { version: get("version")?, kernels: get("kernels")?, network })
    }
}

/// Returns the metadata entry with this key.
///
/// # Errors
/// If the metadata have no such entry.
pub(crate) fn required(text: &PngText, key: &str) -> Result<String> {
    text.get(key).map(str::to_owned).ok_or_else(|| ProvenanceError::Missing { entry: key.to_owned() }.into())
}

/// Parses a JSON entry. `what` describes the content for errors.
pub(crate) fn json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    Ok(serde_json::from_str(text).map_err(|source| ProvenanceError::Json { what, source })?)
}

/// Parses a TOML entry. `what` describes the content for errors.
pub(crate) fn toml<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    Ok(toml::from_str(text).map_err(|source| ProvenanceError::Toml { what, source: Box::new(source) })?)
}

/// Parses an entry that is a number. `what` describes the content for errors.
pub(crate) fn number<T: FromStr<Err = ParseIntError>>(what: &'static str, text: &str) -> Result<T> {
    Ok(text.parse().map_err(|source| ProvenanceError::Number { what, source })?)
}
