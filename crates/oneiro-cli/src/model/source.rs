//! The bytes of a model: its file, the files beside it that hold weights, and the hash of both.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use oneiro_net::Graph;
use oneiro_net::format::onnx;
use oneiro_zoo::embedded;
use sha2::{Digest, Sha256};

/// A model as it was read.
pub struct Source {
    pub graph: Graph,
    /// SHA-256, hexadecimal: of the model file; where weights lie beside it, of that file followed by each such file's name
    /// and content, each after its length in eight bytes (little-endian), in the order of their names.
    pub hash: String,
}

/// Reads the embedded network.
pub fn embedded() -> Result<Source> {
    let bytes = Bytes::from_static(embedded::model());
    let hash = hex(&Sha256::digest(&bytes));
    let graph = onnx::read(bytes).context("could not load the embedded network")?;
    Ok(Source { graph, hash })
}

/// Reads a model file and what lies beside it.
pub fn file(path: &Path) -> Result<Source> {
    let bytes = model_bytes(path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut beside: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut read = |location: &str| {
        let bytes: Bytes = regular_file(&folder.join(location))?.into();
        beside.insert(location.to_owned(), bytes.clone());
        Ok(bytes)
    };
    let graph = onnx::read_with(bytes.clone(), &mut read)
        .with_context(|| format!("could not load {}", path.display()))?;
    let mut hash = Sha256::new();
    hash.update(&bytes);
    for (name, content) in &beside {
        for part in [name.as_bytes(), &content[..]] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(Source { graph, hash: hex(&hash.finalize()) })
}

/// The content of a regular file: a device or a pipe that a model names could go on for ever.
fn regular_file(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    std::fs::read(path)
}

/// An error that says what to do with a file of another framework.
fn refuse_other_frameworks(path: &Path) -> Result<()> {
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
    bail!("{} is {what}; export it to ONNX first: {how} (see docs/bringing-models.md)", path.display())
}

fn model_bytes(path: &Path) -> Result<Bytes> {
    if path.is_dir() {
        bail!("{} is a folder; name the .onnx file in it", path.display());
    }
    refuse_other_frameworks(path)?;
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => bail!(
            "there is no file {}, and no built-in network of that name (there is {})",
            path.display(),
            embedded::NAME
        ),
        Err(e) => Err(e).with_context(|| format!("could not read {}", path.display())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
