//! Pictures in files and folders.

use std::path::{Path, PathBuf};

use oneiro_media::has_image_name;

use super::error::SourceError;
use crate::error::Result;
use crate::files::FileError;

/// The pictures that arguments name: files, and those in folders and in folders therein, by name.
pub fn pictures(arguments: &[PathBuf], at_most: Option<usize>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let before = found.len();
            in_folder(path, &mut found)?;
            if found.len() == before {
                return Err(SourceError::NoPicture { folder: path.clone() }.into());
            }
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    if let Some(at_most) = at_most {
        if at_most == 0 {
            return Err(SourceError::NoneWanted.into());
        }
        found.truncate(at_most);
    }
    Ok(found)
}

fn in_folder(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            in_folder(&path, found)?;
        } else if has_image_name(&path) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The contents of a folder, by name.
///
/// # Errors
/// If it can't be listed.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|source| FileError::List { folder: folder.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}
