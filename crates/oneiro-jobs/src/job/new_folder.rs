//! Writes a folder of results completely, or not at all.

use std::path::{Path, PathBuf};

use oneiro_media::{MediaError, write_hint};

use super::outputs::{Content, Folder};
use super::{Place, Sink};
use crate::error::Result;
use crate::files::{FileError, check_folder};

/// A new folder to which results are written under their suggested names. They are collected in a hidden
/// folder beside it, which is renamed when all results are written. Without [`finish`](Self::finish), the
/// hidden folder is removed.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    hidden: tempfile::TempDir,
    within: Folder,
}

impl NewFolder {
    /// Prepares a folder that does not exist yet, or is empty.
    ///
    /// # Errors
    /// If the folder has files, or cannot be created.
    pub fn new(path: &Path) -> Result<Self> {
        check_folder(path)?;
        // Collecting the components removes a slash at the end.
        let path: PathBuf = path.components().collect();
        let refused = |source| FileError::Create { folder: path.clone(), source };
        if path.is_dir() && std::fs::read_dir(&path).map_err(refused)?.next().is_some() {
            return Err(FileError::NotEmpty { folder: path }.into());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(refused)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".tmp");
        // The folder gets the usual permissions of new folders, from which the system subtracts the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let hidden = builder.tempdir_in(parent).map_err(refused)?;
        let within = Folder::new(hidden.path());
        Ok(Self { path, hidden, within })
    }

    /// Renames the hidden folder to its final name.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn finish(self) -> Result<()> {
        let path = &self.path;
        let refused = |source: std::io::Error| {
            let hint = write_hint(source.kind());
            MediaError::Write { hint, path: path.clone(), source }
        };
        if path.is_dir() {
            std::fs::remove_dir(path).map_err(refused)?;
        }
        std::fs::rename(self.hidden.path(), path).map_err(refused)?;
        // The hidden folder has been renamed, so it must not be removed.
        let _ = self.hidden.keep();
        Ok(())
    }
}

impl Sink for NewFolder {
    fn wants(&self, place: Place) -> bool {
        self.within.wants(place)
    }

    fn take(&mut self, place: Place, name: &str, content: Content<'_>) -> Result<()> {
        self.within.take(place, name, content)
    }

    fn take_bytes(&mut self, place: Place, name: &str, bytes: &[u8]) -> Result<()> {
        self.within.take_bytes(place, name, bytes)
    }

    fn take_file(&mut self, place: Place, name: &str, file: &Path) -> Result<()> {
        self.within.take_file(place, name, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_when_it_is_finished() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/new/");
        let count = |path: &Path| std::fs::read_dir(path).map(Iterator::count).unwrap_or(0);
        let mut folder = NewFolder::new(&path).unwrap();
        folder.take_bytes(Place::picture(0), "x.png", b"x").unwrap();
        assert!(!path.exists());
        drop(folder);
        assert_eq!(count(&place.path().join("a")), 0);
        let mut folder = NewFolder::new(&path).unwrap();
        folder.take_bytes(Place::picture(0), "x.png", b"x").unwrap();
        folder.finish().unwrap();
        assert_eq!((count(&path), count(&place.path().join("a"))), (1, 1));
        assert!(NewFolder::new(&path).unwrap_err().to_string().contains("is not empty"));
    }
}
