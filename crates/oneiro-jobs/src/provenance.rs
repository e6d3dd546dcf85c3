//! Provenance: the metadata of results.
//!
//! A picture holds entries of text: the program and its kernels, the model with its hash and how its inputs
//! were prepared, and the facts that users need most. The entry `job` is the whole of it as JSON: the
//! schema's version, the kind of job, the job, and which of its results this is. Files of version 0.1.0 have
//! no such entry; [`crate::again`] reads their jobs out of the others.

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

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the JSON that files hold.
pub(crate) const SCHEMA: u32 = 1;
/// The entry that holds the job.
pub(crate) const JOB: &str = "job";

/// The kernels of this machine, which decide the last bits.
pub fn kernels() -> &'static str {
    oneiro_net::Isa::detect().name()
}

/// The text of program alone: version and kernels.
pub fn text_of_program() -> PngText {
    let mut text = PngText::default();
    text.push("version", VERSION);
    text.push("kernels", kernels());
    text
}

/// The text that every picture of a network begins with: version, kernels, the model and how its inputs were
/// prepared.
///
/// # Errors
/// If the card can't be written as TOML.
pub fn text_of_model(model: &LoadedModel) -> Result<PngText> {
    let mut text = text_of_program();
    text.push("model", &model.source);
    text.push("model-sha256", &model.hash);
    text.push("preparation", model.recorded_card().to_toml()?);
    Ok(text)
}

/// The entry `job`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed<J> {
    pub schema: u32,
    pub kind: String,
    pub output: Place,
    /// Files that the job is made from, with their hashes.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceFile>,
    pub job: J,
}

/// Adds the job to the metadata of one of its results.
///
/// # Errors
/// If a file that the job is made from can't be read.
pub fn seal<J: Job>(run: &Run<'_>, text: &mut PngText, job: &J, output: Place) -> Result<()> {
    if run.is_legacy() {
        return Ok(());
    }
    let places = run.places();
    let sources = places::hashed(&job.sources(), &places)?;
    // Not by way of a value, which would print every f32 as the f64 that it is.
    let sealed = Sealed { schema: SCHEMA, kind: J::KIND.into(), output, sources, job };
    text.push(JOB, serde_json::to_string(&sealed)?);
    Ok(())
}

/// The program and the network that a result was made with.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Version of the program.
    pub version: String,
    /// Kernel family.
    pub kernels: String,
    /// The network; `None` for results about pictures alone.
    pub network: Option<Network>,
}

/// A network as a result names it.
#[derive(Debug, Clone)]
pub struct Network {
    /// The model's name as the user gave it.
    pub model: String,
    /// SHA-256 of its file, hexadecimal.
    pub hash: String,
    /// How its inputs were prepared.
    pub card: Card,
}

impl Origin {
    /// Reads what a result says of its program and model.
    ///
    /// # Errors
    /// If an entry is missing.
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

/// The text under a keyword that has to be there.
///
/// # Errors
/// If it is not.
pub(crate) fn required(text: &PngText, key: &str) -> Result<String> {
    text.get(key).map(str::to_owned).ok_or_else(|| ProvenanceError::Missing { entry: key.to_owned() }.into())
}

/// An entry of JSON; `what` is what it holds.
pub(crate) fn json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    Ok(serde_json::from_str(text).map_err(|source| ProvenanceError::Json { what, source })?)
}

/// An entry of TOML; `what` is what it holds.
pub(crate) fn toml<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    Ok(toml::from_str(text).map_err(|source| ProvenanceError::Toml { what, source: Box::new(source) })?)
}

/// An entry that is a number; `what` is what it holds.
pub(crate) fn number<T: FromStr<Err = ParseIntError>>(what: &'static str, text: &str) -> Result<T> {
    Ok(text.parse().map_err(|source| ProvenanceError::Number { what, source })?)
}
