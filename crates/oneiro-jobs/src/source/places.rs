//! The files from which jobs are made: their hashes and current paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::SourceError;
use crate::error::Result;

/// A file from which a picture was made, as stored in the picture's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// The file's name in the job.
    pub path: String,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: String,
}

/// The current paths of the files from which a picture was made, by their names in the picture's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places(BTreeMap<String, PathBuf>);

impl Places {
    /// Returns the current path of the file with this name.
    pub fn of<'a>(&'a self, name: &'a str) -> &'a Path {
        self.0.get(name).map_or(Path::new(name), PathBuf::as_path)
    }

    /// Finds files by their content: among the given files, at their old paths, and in the picture's folder.
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

/// Returns the SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the SHA-256 of a file in hexadecimal.
fn hash_of(path: &Path) -> Result<String> {
    Ok(hash(&oneiro_media::read_bytes(path)?))
}

/// Whether a file has the extension of a numpy array.
pub fn is_npy(path: impl AsRef<Path>) -> bool {
    path.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Returns the files of these names with their hashes.
pub fn hashed(names: &[String], places: &Places) -> Result<Vec<SourceFile>> {
    let file = |path: &String| Ok(SourceFile { path: path.clone(), sha256: hash_of(places.of(path))? });
    names.iter().map(file).collect()
}

/// Formats bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
