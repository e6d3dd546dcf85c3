//! Pictures in files and folders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use oneiro_media::{IMAGE_EXTENSIONS, has_image_name};

/// The pictures that arguments name: files, and those in folders and in folders therein, by name.
pub fn pictures(arguments: &[PathBuf], at_most: Option<usize>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let before = found.len();
            in_folder(path, &mut found)?;
            if found.len() == before {
                let endings = IMAGE_EXTENSIONS.join(", ");
                bail!("{}: there is no picture in this folder ({endings})", path.display());
            }
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    if let Some(at_most) = at_most {
        if at_most == 0 {
            bail!("--limit 0: at least one picture is needed");
        }
        found.truncate(at_most);
    }
    Ok(found)
}

fn in_folder(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let read = || format!("could not read the folder {}", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .with_context(read)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            in_folder(&path, found)?;
        } else if has_image_name(&path) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// What a folder holds, by name.
///
/// # Errors
/// If it can't be listed.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("could not list the folder {}", folder.display()))?;
    entries.sort();
    Ok(entries)
}
