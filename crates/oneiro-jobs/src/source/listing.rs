//! Lists pictures in files and folders.

use std::path::{Path, PathBuf};

use oneiro_media::has_image_name;
use walkdir::DirEntry;

use super::error::SourceError;
use crate::error::Result;
use crate::files::FileError;

/// Returns the given files, and the pictures in given folders and their subfolders, sorted by name within
/// each folder.
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

/// Returns the contents of a folder, sorted by name.
///
/// # Errors
/// If the folder cannot be listed.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|source| FileError::List { folder: folder.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}

/// Whether a file or folder is visible: its name does not begin with a dot.
pub(crate) fn is_shown(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
}
