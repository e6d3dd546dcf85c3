//! Named tensors in safetensors files.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use safetensors::tensor::{Dtype, TensorView};

/// A named float32 tensor of a result file.
pub struct RawTensor {
    /// Its name in the file.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its numbers, in C order.
    pub data: Vec<f32>,
}

/// Tensors as the bytes of a safetensors file.
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

/// Writes tensors as safetensors, atomically.
///
/// # Errors
/// As [`to_bytes`], or if the file can't be written.
pub fn write_tensors(path: &Path, tensors: &[RawTensor], metadata: HashMap<String, String>) -> Result<()> {
    Ok(oneiro_media::write_atomic(path, &to_bytes(tensors, metadata)?)?)
}

/// A tensor file as read: float tensors by name, and the metadata.
pub struct TensorFile {
    /// The tensors, by name.
    pub tensors: Vec<RawTensor>,
    /// Texts beside them.
    pub metadata: HashMap<String, String>,
}

/// Reads float32 and float64 tensors of a safetensors file.
pub fn read_tensors(path: &Path) -> Result<TensorFile> {
    if path.is_dir() {
        bail!("{} is a folder; a .safetensors file is needed", path.display());
    }
    let bytes = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            bail!("{}: there is no such file; check the spelling and the current folder", path.display())
        }
        read => read.with_context(|| format!("could not read {}", path.display()))?,
    };
    let broken = || format!("{} is not a readable safetensors file", path.display());
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).with_context(broken)?;
    let file = safetensors::SafeTensors::deserialize(&bytes).with_context(broken)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let data = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            other => bail!("{}: tensor \"{name}\" has type {other:?}; float32 is needed", path.display()),
        };
        tensors.push(RawTensor { name: name.to_owned(), shape: view.shape().to_vec(), data });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(TensorFile { tensors, metadata: header.metadata().clone().unwrap_or_default() })
}
