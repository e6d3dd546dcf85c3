//! Files that jobs are made from: their hashes, and where they are now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file that a picture was made from, as the picture's metadata has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// What the job calls it.
    pub path: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Where the files are now that a picture was made from, by the names that it has for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places(BTreeMap<String, PathBuf>);

impl Places {
    /// Where a file of this name is.
    pub fn of<'a>(&'a self, name: &'a str) -> &'a Path {
        self.0.get(name).map_or(Path::new(name), PathBuf::as_path)
    }

    /// Finds files by their content: among those given, where they were, beside the picture.
    pub fn find(files: &[SourceFile], picture: &Path, given: &[PathBuf]) -> Result<Self> {
        let given: Vec<(&PathBuf, String)> =
            given.iter().map(|path| Ok((path, hash_of(path)?))).collect::<Result<_>>()?;
        let folder = picture.parent().unwrap_or(Path::new(""));
        let mut places = BTreeMap::new();
        for file in files {
            let path = Path::new(&file.path);
            let was =
                [Some(path.to_owned()), Some(folder.join(path)), path.file_name().map(|n| folder.join(n))];
            let known = given.iter().find(|(_, hash)| *hash == file.sha256).map(|(path, _)| (*path).clone());
            let mut there: Vec<PathBuf> = known.into_iter().chain(was.into_iter().flatten()).collect();
            there.retain(|p| p.is_file());
            let Some(first) = there.first() else {
                let others: Vec<String> = given.iter().map(|(path, _)| path.display().to_string()).collect();
                let others = match others[..] {
                    [] => String::new(),
                    _ => format!(" ({}: another content)", others.join(", ")),
                };
                bail!(
                    "{}: the picture was made from this file, which is not there; say with --image where it is now{others}",
                    file.path
                );
            };
            let mut same = None;
            for path in &there {
                if hash_of(path)? == file.sha256 {
                    same = Some(path);
                    break;
                }
            }
            let Some(same) = same else {
                bail!(
                    "{}: its content is not what the picture was made from (SHA-256 {}…); name the right file with --image",
                    first.display(),
                    file.sha256.get(..12).unwrap_or(&file.sha256)
                );
            };
            places.insert(file.path.clone(), same.clone());
        }
        Ok(Self(places))
    }
}

/// SHA-256, hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// That of a file.
fn hash_of(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(hash(&bytes))
}

/// Whether a file is an array by its name.
pub fn is_npy(path: impl AsRef<Path>) -> bool {
    path.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Files by name with their hashes.
pub fn hashed(names: &[String], places: &Places) -> Result<Vec<SourceFile>> {
    let file = |path: &String| Ok(SourceFile { path: path.clone(), sha256: hash_of(places.of(path))? });
    names.iter().map(file).collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
