//! The bytes of a model: its file, further files with weights, and the hash of both.

use crate::source::places;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oneiro::model::WeightFiles;
use oneiro::model::files::{Mapped, ModelFiles, OpenError};
use oneiro_net::Graph;
#[cfg(feature = "embedded")]
use oneiro_net::format::onnx;
use oneiro_zoo::embedded;
use oneiro_zoo::features::Feature;
use sha2::{Digest, Sha256};

use super::error::ModelError;
use crate::error::{During as _, Result, Step};
use crate::files::FileError;

/// A model as read from its files.
pub struct Source {
    pub graph: Graph,
    /// SHA-256 in hexadecimal. Without further files, this is the hash of the model file. Otherwise, the hash
    /// of the model file followed by the name and content of each file with weights, in the order of their
    /// names. Each name and content follows its length as eight bytes (little-endian). For a network that is
    /// no file, the hash of its description.
    pub hash: String,
    /// Paths of all files of the model.
    pub files: Vec<PathBuf>,
    /// The bytes of the model file, if the model is a file.
    pub bytes: Option<Bytes>,
    /// The memory-mapped files. Physical memory of weights can be returned to them.
    pub weight_files: Option<Arc<dyn WeightFiles>>,
}

/// Reads the embedded network, with its card.
#[cfg(feature = "embedded")]
pub fn embedded() -> Result<(Source, String)> {
    let bytes = Bytes::from_static(embedded::model());
    let hash = places::hex(&Sha256::digest(&bytes));
    let graph = onnx::read(bytes).during(|| Step::Load { model: embedded::NAME.into() })?;
    let source = Source { graph, hash, files: Vec::new(), bytes: None, weight_files: None };
    Ok((source, embedded::card().to_owned()))
}

/// Returns an error, as this build does not include the network.
#[cfg(not(feature = "embedded"))]
pub fn embedded() -> Result<(Source, String)> {
    Err(ModelError::LeftOut { name: embedded::NAME }.into())
}

/// Builds a feature network, such as histograms of oriented gradients.
pub fn feature(feature: Feature) -> Result<Source> {
    let hash = places::hex(&Sha256::digest(feature.description()));
    let graph = feature.graph().during(|| Step::Load { model: feature.name().into() })?;
    Ok(Source { graph, hash, files: Vec::new(), bytes: None, weight_files: None })
}

/// Reads a model file and further files with weights.
pub fn file(path: &Path) -> Result<Source> {
    let (graph, files) = ModelFiles::read(path).or_else(|error| refused(path, error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut hash = Sha256::new();
    update(&mut hash, &files.model);
    for (name, content) in &files.beside {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.as_ref().len() as u64).to_le_bytes());
        update(&mut hash, content);
    }
    Ok(Source {
        graph,
        hash: places::hex(&hash.finalize()),
        files: [path.to_owned()]
            .into_iter()
            .chain(files.beside.keys().map(|name| folder.join(name)))
            .collect(),
        bytes: Some(files.model.bytes()),
        weight_files: Some(Arc::new(files)),
    })
}

/// Converts the error of a file that cannot be opened. If the file does not exist, the error names the
/// built-in networks.
fn refused<T>(path: &Path, error: OpenError) -> Result<T> {
    match error {
        OpenError::NotFound { path } => {
            let network = cfg!(feature = "embedded").then_some(embedded::NAME);
            let built_in = network.into_iter().chain(Feature::ALL.map(Feature::name)).collect();
            Err(ModelError::NotFound { path, built_in }.into())
        }
        OpenError::Read { path, source } => Err(FileError::Read { path, source }.into()),
        OpenError::Network { source, .. } => {
            Err(source).during(|| Step::Load { model: path.display().to_string() })
        }
        other => Err(ModelError::Open(other).into()),
    }
}

/// Number of bytes that are hashed at a time, before their physical memory is returned.
const PIECE: usize = 1 << 22;

/// Hashes a file without keeping it in memory.
fn update(hash: &mut Sha256, file: &Mapped) {
    for piece in file.as_ref().chunks(PIECE) {
        hash.update(piece);
        file.give_back(piece);
    }
}
