//! Atomic writing of files: a reader finds the complete new file or the old one, never a part.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{MediaError, Result};

/// How many bytes of a file's name its temporary file repeats in its own name. Common file systems allow
/// names of 255 bytes.
const MAX_REPEATED_NAME: usize = 180;

/// Writes a file atomically, so that it is complete or absent: the bytes go to a hidden neighbour,
/// `.NAME.….tmp`, which is then renamed, replacing an older file of the name. On failure the temporary file
/// is removed and an older file stays as it was. A symbolic link is followed; a device or pipe is written to
/// directly.
///
/// # Errors
///
/// An error with its own message for each of: a folder of that name, a parent folder that is missing or is a
/// file, and a refusal of the operating system (permissions, a read-only or full disk).
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write_atomic_with(path, |file| file.write_all(bytes).map_err(|e| write_refused(path, e)))
}

fn write_refused(path: &Path, source: io::Error) -> MediaError {
    let source = plain(&source);
    MediaError::Write { hint: write_hint(source.kind()), path: path.to_owned(), source }
}

/// Returns the operating system's error without the temporary file's name, which would confuse the user.
fn plain(error: &io::Error) -> io::Error {
    match (error.raw_os_error(), error.kind()) {
        (Some(code), _) => io::Error::from_raw_os_error(code),
        (None, io::ErrorKind::Other) => io::Error::other(error.to_string()),
        // `tempfile` wraps errors to add the file's name; only the error's kind can be taken back out.
        (None, kind) => io::Error::from(kind),
    }
}

/// Does what [`write_atomic`] does for bytes that a function writes piece by piece, for files too large for
/// memory. If the function fails, no file is left behind.
///
/// # Errors
///
/// Those of [`write_atomic`], and those of the function. A failure to write is returned even if the function
/// ignores or replaces it.
pub fn write_atomic_with<E: From<MediaError>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = path.as_ref();
    let target = follow_link(path);
    let refused = |source: io::Error| write_refused(path, source);
    if let Ok(metadata) = fs::metadata(&target) {
        if metadata.is_dir() {
            return Err(MediaError::WriteFolder { path: path.to_owned() }.into());
        }
        if !metadata.is_file() {
            let device = OpenOptions::new().write(true).open(&target).map_err(refused)?;
            let mut device = Witness { inner: device, failure: None };
            let written = write(&mut device);
            return device.failure.map_or(written, |failure| Err(refused(failure).into()));
        }
    }
    let ends_in_separator = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(name) = target.file_name().filter(|_| !ends_in_separator) else {
        return Err(MediaError::NoFileName { path: path.to_owned() }.into());
    };
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_parent(path, parent)?;

    let temporary = create_beside(parent, &name.to_string_lossy()).map_err(refused)?;
    let mut buffered = Witness { inner: BufWriter::new(temporary), failure: None };
    let written = write(&mut buffered);
    if let Some(failure) = buffered.failure {
        return Err(refused(failure).into());
    }
    written?;
    let temporary = buffered.inner.into_inner().map_err(|e| refused(e.into_error()))?;
    temporary.persist(&target).map_err(|e| refused(e.error))?;
    Ok(())
}

/// A writer that keeps its first failure, because the callback may swallow it or report another error.
struct Witness<W> {
    inner: W,
    failure: Option<io::Error>,
}

impl<W> Witness<W> {
    fn seen<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && error.kind() != io::ErrorKind::Interrupted
            && self.failure.is_none()
        {
            self.failure = Some(plain(error));
        }
        outcome
    }
}

impl<W: Write> Write for Witness<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.inner.write(bytes);
        self.seen(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.inner.flush();
        self.seen(outcome)
    }
}

/// Returns the file to which a symbolic link points, so that renaming replaces that file and not the link.
fn follow_link(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    if is_link { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() }
}

fn check_parent(path: &Path, parent: &Path) -> Result<()> {
    if parent.is_dir() {
        return Ok(());
    }
    let is_file = parent.exists();
    let hint = if is_file {
        "choose another path".to_owned()
    } else {
        format!("make it first (mkdir -p '{}') or choose another path", parent.display())
    };
    Err(MediaError::NoParent { path: path.to_owned(), parent: parent.to_owned(), is_file, hint })
}

/// Creates a temporary file with a unique hidden name in the same folder. It is removed unless it is renamed.
fn create_beside(parent: &Path, name: &str) -> io::Result<NamedTempFile> {
    let end = (0..=name.len().min(MAX_REPEATED_NAME)).rev().find(|&at| name.is_char_boundary(at));
    let prefix = format!(".{}.", &name[..end.unwrap_or(0)]);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    // The usual permissions of a new file; the system subtracts the process's umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(parent)
}

/// Returns advice for the user after the system refused to write a file or to make a folder.
pub fn write_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space or choose another disk",
        io::ErrorKind::InvalidFilename => "choose a shorter file name",
        _ => "check the path and the disk",
    }
}

#[cfg(test)]
mod tests;
