//! The bytes of a model: its file, the files beside it that hold weights, and the hash of both.

use crate::source::places;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oneiro::model::WeightFiles;
use oneiro_net::Graph;
use oneiro_net::format::onnx;
use oneiro_zoo::embedded;
use oneiro_zoo::features::Feature;
use sha2::{Digest, Sha256};

use super::error::ModelError;
use super::mapped::Mapped;
use crate::error::{During as _, Result, Step};
use crate::files::FileError;

/// A model as it was read.
pub struct Source {
    pub graph: Graph,
    /// SHA-256, hexadecimal: of the model file; where weights lie beside it, of that file followed by each
    /// such file's name and content, each after its length in eight bytes (little-endian), in the order of
    /// their names. Of a network that is no file, of its description.
    pub hash: String,
    /// Where all this lies.
    pub files: Vec<PathBuf>,
    /// The model file itself, if it is one.
    pub bytes: Option<Bytes>,
    /// The files, mapped; memory of weights can be given back to them.
    pub weight_files: Option<Arc<dyn WeightFiles>>,
}

/// Mapped files that hold weights.
#[derive(Debug)]
struct MappedFiles(Vec<Mapped>);

impl WeightFiles for MappedFiles {
    fn give_back(&self, bytes: &[u8]) {
        self.0.iter().for_each(|file| file.give_back(bytes));
    }
}

/// Reads the embedded network.
pub fn embedded() -> Result<Source> {
    let bytes = Bytes::from_static(embedded::model());
    let hash = places::hex(&Sha256::digest(&bytes));
    let graph = onnx::read(bytes).during(|| Step::Load { model: embedded::NAME.into() })?;
    Ok(Source { graph, hash, files: Vec::new(), bytes: None, weight_files: None })
}

/// Builds a feature network.
pub fn feature(feature: Feature) -> Result<Source> {
    let hash = places::hex(&Sha256::digest(feature.description()));
    let graph = feature.graph().during(|| Step::Load { model: feature.name().into() })?;
    Ok(Source { graph, hash, files: Vec::new(), bytes: None, weight_files: None })
}

/// Reads a model file and what lies beside it.
pub fn file(path: &Path) -> Result<Source> {
    let model = model_file(path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut beside: BTreeMap<String, Mapped> = BTreeMap::new();
    let mut read = |location: &str| {
        let file = Mapped::open(&folder.join(location))?;
        let bytes = file.bytes();
        beside.insert(location.to_owned(), file);
        Ok(bytes)
    };
    let graph = onnx::read_with(model.bytes(), &mut read)
        .during(|| Step::Load { model: path.display().to_string() })?;
    let bytes = Some(model.bytes());
    let mut hash = Sha256::new();
    update(&mut hash, &model);
    for (name, content) in &beside {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.as_ref().len() as u64).to_le_bytes());
        update(&mut hash, content);
    }
    let paths = [path.to_owned()].into_iter().chain(beside.keys().map(|name| folder.join(name))).collect();
    let files: Vec<Mapped> = std::iter::once(model).chain(beside.into_values()).collect();
    let weight_files: Option<Arc<dyn WeightFiles>> = Some(Arc::new(MappedFiles(files)));
    Ok(Source { graph, hash: places::hex(&hash.finalize()), files: paths, bytes, weight_files })
}

/// Bytes that are hashed at a time, then given back.
const PIECE: usize = 1 << 22;

/// Hashes a file without keeping it in memory.
fn update(hash: &mut Sha256, file: &Mapped) {
    for piece in file.as_ref().chunks(PIECE) {
        hash.update(piece);
        file.give_back(piece);
    }
}

/// An error that says what to do with a file of another framework.
fn refuse_other_frameworks(path: &Path) -> Result<(), ModelError> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (what, how) = match extension.as_str() {
        "pth" | "pt" | "ckpt" => {
            ("a PyTorch file", "torch.onnx.export(net.eval(), (example,), \"model.onnx\")")
        }
        "h5" | "keras" | "hdf5" => {
            ("a Keras file", "model.export(\"model.onnx\", format=\"onnx\") or python -m tf2onnx.convert")
        }
        "pb" | "tflite" => ("a TensorFlow file", "python -m tf2onnx.convert"),
        "safetensors" => {
            ("weights without their network", "torch.onnx.export from the program that defines it")
        }
        _ => return Ok(()),
    };
    Err(ModelError::OtherFramework { path: path.to_owned(), what, how })
}

fn model_file(path: &Path) -> Result<Mapped> {
    if path.is_dir() {
        return Err(ModelError::IsFolder { path: path.to_owned() }.into());
    }
    refuse_other_frameworks(path)?;
    match Mapped::open_any(path) {
        Ok(file) => Ok(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let built_in = [embedded::NAME].into_iter().chain(Feature::ALL.map(Feature::name)).collect();
            Err(ModelError::NotFound { path: path.to_owned(), built_in }.into())
        }
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }.into()),
    }
}
