//! The files from which jobs are made: their hashes and current paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oneiro_media::MediaError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::SourceError;
use super::listing::entries;
use crate::error::Result;

/// How many bytes of a file are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A file, or a folder of pictures, from which a picture was made, as stored in the picture's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// The file's name in the job.
    pub path: String,
    /// SHA-256 of the file in hexadecimal. That of a folder is the SHA-256 of what `sha256sum` prints for its
    /// pictures, sorted by name.
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
            there.retain(|p| p.is_file() || p.is_dir());
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

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hash_of_pieces(&[bytes])
}

/// Returns the SHA-256, in hexadecimal, of pieces as if they were joined.
pub fn hash_of_pieces(pieces: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    hex(&digest.finalize())
}

/// Subfolders of a flow folder that contain the pictures of u and v.
const FLOW_FOLDERS: [&str; 2] = ["u", "v"];

/// Returns the SHA-256, in hexadecimal, of a file or of the pictures in a folder. Files are read piece by
/// piece, because videos are long.
fn hash_of(path: &Path) -> Result<String> {
    if path.is_dir() {
        return hash_of_folder(path);
    }
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MediaError::NotFound { path: path.to_owned() },
        _ => MediaError::Read { path: path.to_owned(), source },
    };
    let mut file = File::open(path).map_err(refused)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(length) => digest.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refused(error).into()),
        }
    }
}

fn hash_of_folder(folder: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let folders = FLOW_FOLDERS.map(|name| folder.join(name));
    for inner in std::iter::once(folder.to_owned()).chain(folders).filter(|path| path.is_dir()) {
        for path in entries(&inner)? {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && path.is_file() && oneiro_media::has_image_name(&path) {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                digest.update(format!("{}  {name}\n", hash_of(&path)?));
            }
        }
    }
    Ok(hex(&digest.finalize()))
}

/// Whether a path has the ending of a NumPy array, `.npy`.
pub fn is_npy(path: impl AsRef<Path>) -> bool {
    path.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Returns the files with these names, each with its SHA-256.
pub fn hashed(names: &[String], places: &Places) -> Result<Vec<SourceFile>> {
    let file = |path: &String| Ok(SourceFile { path: path.clone(), sha256: hash_of(places.of(path))? });
    names.iter().map(file).collect()
}

/// Formats bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
