//! Reads and writes optical flow files: Middlebury's `.flo`, NumPy's `.npy` and `.npz`, and folders of JPEG
//! pairs.

mod arrays;
mod flo;
mod npz;
mod pairs;

use std::io::Read;
use std::path::Path;

use crate::flow::Flow;
use crate::{MediaError, Result, npy, read_bytes, write_atomic};

pub use arrays::{encode_npy, npy_header};
pub use flo::{decode_flo, encode_flo};
pub use pairs::{FLOW_BOUND, encode_flow_pair, read_flow_pairs, write_flow_pairs};

/// How many leading bytes of a file are read to recognise its format.
const SIGNATURE_BYTES: u64 = 8;

/// Reads optical flow. The format is recognised by the file's content:
///
/// - `.flo` (Middlebury): one field; flow that the file marks as unknown becomes NaN.
/// - `.npy`: `[T, 2, H, W]`, `[T, H, W, 2]`, `[2, H, W]`, `[H, W, 2]` or `[2T, H, W]`.
/// - `.npz`: the array `flow`, or the only one, in one of these shapes.
/// - a folder of pictures, with motions up to [`FLOW_BOUND`]: see [`read_flow_pairs`].
///
/// # Errors
///
/// If the file cannot be read, is none of these, is damaged, or its shape has two readings.
pub fn read_flow(path: impl AsRef<Path>) -> Result<Flow> {
    let path = path.as_ref();
    if path.is_dir() {
        return read_flow_pairs(path, FLOW_BOUND);
    }
    let bytes = read_bytes(path)?;
    let damaged = |format| move |reason| MediaError::Damaged { path: path.into(), format, reason };
    let none = |reason| MediaError::NoFlow { path: path.into(), reason };
    if bytes.starts_with(flo::MAGIC) {
        decode_flo(&bytes).map_err(damaged("flo"))
    } else if bytes.starts_with(npy::MAGIC) {
        arrays::flow_of(npy::parse(&bytes).map_err(damaged("npy"))?).map_err(none)
    } else if bytes.starts_with(npz::MAGIC) {
        let entry = npz::array(&bytes).map_err(none)?;
        arrays::flow_of(npy::parse(&entry).map_err(damaged("npz"))?).map_err(none)
    } else {
        Err(none(
            "it is no .flo, .npy or .npz file; for pictures of flow, name their folder instead".to_owned(),
        ))
    }
}

/// Whether a file or folder holds optical flow that [`read_flow`] can read. A file is recognised by its first
/// bytes, a folder by the names of its pictures or subfolders.
///
/// # Errors
///
/// If the file or folder does not exist or cannot be read.
pub fn is_flow(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    if path.is_dir() {
        return pairs::is_folder_of_pairs(path);
    }
    let refused = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => MediaError::NotFound { path: path.into() },
        _ => MediaError::Read { path: path.into(), source },
    };
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    std::fs::File::open(path)
        .map_err(refused)?
        .take(SIGNATURE_BYTES)
        .read_to_end(&mut head)
        .map_err(refused)?;
    Ok([flo::MAGIC, npy::MAGIC, npz::MAGIC].iter().any(|magic| head.starts_with(magic)))
}

/// Writes optical flow in the format of the name's ending: `.npy` (`[T, 2, H, W]`, float32), or `.flo` for a
/// single field.
///
/// # Errors
///
/// Another ending, several fields for `.flo`, and the errors of [`write_atomic`].
pub fn write_flow(path: impl AsRef<Path>, flow: &Flow) -> Result<()> {
    let path = path.as_ref();
    let refused = |reason: String| MediaError::WriteFlow { path: path.into(), reason };
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let bytes = match ending.as_deref() {
        Some("npy") => encode_npy(flow),
        Some("flo") => encode_flo(flow).map_err(refused)?,
        _ => return Err(refused("use a name that ends in .npy, or in .flo for one field".into())),
    };
    write_atomic(path, &bytes)
}

#[cfg(test)]
mod tests;
