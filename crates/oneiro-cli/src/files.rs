//! Files that results go into: names from units, folders, and raw tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use safetensors::tensor::{Dtype, TensorView};

/// A file name that says which unit is in it: letters, digits, dots and dashes only.
pub fn file_name(unit: &str) -> String {
    let mut name: String = unit
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "unit".into() } else { name.chars().take(120).collect() }
}

/// Where `count` pictures go. One goes into the file given; several go into the folder given.
pub fn picture_paths(out: Option<&Path>, names: &[String]) -> Result<Vec<PathBuf>> {
    let file = |name: &String| PathBuf::from(format!("{}.png", file_name(name)));
    let is_folder = |p: &Path| p.is_dir() || p.as_os_str().to_string_lossy().ends_with(['/', '\\']);
    match (out, names) {
        (None, names) => Ok(unique(names.iter().map(file).collect())),
        (Some(out), [_]) if !is_folder(out) => {
            require_png(out)?;
            Ok(vec![out.to_owned()])
        }
        (Some(folder), names) => {
            if folder.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
                bail!(
                    "--out {}: {} pictures do not fit into one file; name a folder, or use `oneiro sheet`",
                    folder.display(),
                    names.len()
                );
            }
            create_folder(folder)?;
            Ok(unique(names.iter().map(file).collect()).into_iter().map(|f| folder.join(f)).collect())
        }
    }
}

/// Pictures are PNG files, and a name should not say otherwise.
pub fn require_png(path: &Path) -> Result<()> {
    match path.extension() {
        Some(e) if e.eq_ignore_ascii_case("png") => Ok(()),
        _ => bail!("--out {}: pictures are written as PNG; use a name that ends in .png", path.display()),
    }
}

/// Creates a folder for results, parents included.
pub fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_file() {
        bail!("{} is a file; name a folder for the results", folder.display());
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not create the folder {}", folder.display()))
}

/// Fails early if a file could not be written later, before minutes of work are spent.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("{} is a folder; name a file for the result", path.display());
    }
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        bail!("the folder {} does not exist; create it first or name another", folder.display());
    }
    tempfile::Builder::new()
        .prefix(".oneiro-")
        .tempfile_in(folder)
        .with_context(|| format!("cannot write into the folder {}", folder.display()))?;
    Ok(())
}

fn unique(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen: HashMap<PathBuf, usize> = HashMap::new();
    paths
        .into_iter()
        .map(|path| {
            let n = seen.entry(path.clone()).or_insert(0);
            *n += 1;
            if *n == 1 { path } else { path.with_extension(format!("{n}.png")) }
        })
        .collect()
}

/// A named float32 tensor of a result file.
pub struct RawTensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Writes tensors as safetensors, atomically.
pub fn write_tensors(path: &Path, tensors: &[RawTensor], metadata: HashMap<String, String>) -> Result<()> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|t| t.data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, b)| Ok((t.name.clone(), TensorView::new(Dtype::F32, t.shape.clone(), b)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = if metadata.is_empty() { None } else { Some(metadata) };
    let data = safetensors::serialize(views, metadata)?;
    oneiro_media::write_atomic(path, &data)?;
    Ok(())
}

/// A tensor file as read: float tensors by name, and the metadata.
pub struct TensorFile {
    pub tensors: Vec<RawTensor>,
    pub metadata: HashMap<String, String>,
}

/// Reads float32 and float64 tensors of a safetensors file.
pub fn read_tensors(path: &Path) -> Result<TensorFile> {
    if path.is_dir() {
        bail!("{} is a folder; a .safetensors file is needed", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_keep_what_a_file_system_likes() {
        assert_eq!(file_name("conv4_3:5"), "conv4_3-5");
        assert_eq!(file_name("class:traffic light"), "class-traffic-light");
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("::"), "unit");
    }

    #[test]
    fn two_units_never_share_a_file() {
        let paths = picture_paths(None, &["a:1".into(), "a-1".into()]).unwrap();
        assert_ne!(paths[0], paths[1]);
    }
}
