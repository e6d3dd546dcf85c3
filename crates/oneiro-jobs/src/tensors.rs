//! Reads and writes named tensors in safetensors files.

use std::collections::HashMap;
use std::path::Path;

mod error;

pub use error::TensorError;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

type Result<T, E = TensorError> = std::result::Result<T, E>;

/// A named float32 tensor in a file.
pub struct RawTensor {
    /// The tensor's name in the file.
    pub name: String,
    /// Extents of the tensor's axes.
    pub shape: Vec<usize>,
    /// The tensor's elements in row-major order.
    pub data: Vec<f32>,
}

/// Encodes tensors as a safetensors file.
///
/// # Errors
/// If a shape does not fit its data.
pub fn to_bytes(tensors: &[RawTensor], metadata: HashMap<String, String>) -> Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|t| t.data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, b)| Ok((t.name.clone(), TensorView::new(Dtype::F32, t.shape.clone(), b)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = if metadata.is_empty() { None } else { Some(metadata) };
    Ok(safetensors::serialize(views, metadata)?)
}

/// Writes tensors to a safetensors file, atomically.
///
/// # Errors
/// Those of [`to_bytes`], and if the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[RawTensor], metadata: HashMap<String, String>) -> Result<()> {
    Ok(oneiro_media::write_atomic(path, &to_bytes(tensors, metadata)?)?)
}

/// The content of a tensor file: float tensors and metadata.
pub struct TensorFile {
    /// The tensors, sorted by name.
    pub tensors: Vec<RawTensor>,
    /// The metadata of the file.
    pub metadata: HashMap<String, String>,
}

/// Returns the names of the tensors in a safetensors file.
///
/// # Errors
/// If the file of tensors cannot be read.
pub(crate) fn read_names(path: &Path) -> Result<Vec<String>> {
    let bytes = read_bytes(path)?;
    Ok(parsed(path, &bytes)?.names().into_iter().map(str::to_owned).collect())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return Err(TensorError::IsFolder { path: path.to_owned() });
    }
    match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(TensorError::NotFound { path: path.to_owned() })
        }
        read => read.map_err(|source| TensorError::Read { path: path.to_owned(), source }),
    }
}

fn parsed<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>> {
    let broken = |source| TensorError::Unreadable { path: path.to_owned(), source };
    SafeTensors::deserialize(bytes).map_err(broken)
}

/// Reads the tensors of a safetensors file, whose elements have 16 to 64 bits.
pub fn read_tensors(path: &Path) -> Result<TensorFile> {
    let bytes = read_bytes(path)?;
    let file = parsed(path, &bytes)?;
    let broken = |source| TensorError::Unreadable { path: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let data = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Dtype::F16 => {
                view.data().as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()
            }
            Dtype::BF16 => {
                view.data().as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()
            }
            dtype => {
                return Err(TensorError::Type { path: path.to_owned(), name: name.to_owned(), dtype });
            }
        };
        tensors.push(RawTensor { name: name.to_owned(), shape: view.shape().to_vec(), data });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(TensorFile { tensors, metadata: header.metadata().clone().unwrap_or_default() })
}
