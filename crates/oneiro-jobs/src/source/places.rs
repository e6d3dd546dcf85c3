//! Files that jobs are made from: their hashes, and where they are now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::SourceError;
use crate::error::Result;

/// A file that a picture was made from, as the picture's metadata has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// The file's name in the job.
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
                let others = given.iter().map(|(path, _)| (*path).clone()).collect();
                return Err(SourceError::NotFound { file: file.path.clone(), others }.into());
            };
            let mut same = None;
            for path in &there {
                if hash_of(path)? == file.sha256 {
                    same = Some(path);
                    break;
                }
            }
            let Some(same) = same else {
                let (path, sha256) = (first.clone(), file.sha256.clone());
                return Err(SourceError::OtherContent { path, sha256 }.into());
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

/// SHA-256 of a file, hexadecimal.
fn hash_of(path: &Path) -> Result<String> {
    Ok(hash(&oneiro_media::read_bytes(path)?))
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
