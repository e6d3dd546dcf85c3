//! Model files mapped into memory: their weights come in when a plan packs them, and go again once it has.
//!
//! The one place of this crate with `unsafe`. A mapped file has to stay as it is while it is used, which nobody can
//! promise for a file system; what reads it treats the content as bytes that may be anything, and a file that is cut off
//! meanwhile ends the process, as it would end one that runs from it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// A file in memory.
#[derive(Clone)]
pub struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// Maps a regular file; others (a device or a pipe could go on for ever) and empty ones are errors.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // SAFETY: the map is read only; that the file stays as it is, see above.
        Ok(Mapped(Arc::new(unsafe { Mmap::map(&file)? })))
    }

    /// The content; slices of it keep the map alive.
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Gives the memory of a part of the content back, if it is one of this file; it comes in again when it is read.
    pub fn give_back(&self, part: &[u8]) {
        let (start, at) = (self.0.as_ptr() as usize, part.as_ptr() as usize);
        let inside = at >= start && at + part.len() <= start + self.0.len();
        #[cfg(unix)]
        if inside {
            // SAFETY: the map is a private one of a file that nobody writes through it, so its pages can be read again.
            let _ = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at - start, part.len())
            };
        }
        #[cfg(not(unix))]
        let _ = inside;
    }
}
