//! Model files mapped into memory: their weights come in when a plan packs them, and go again once it has.
//!
//! The one place of this crate with `unsafe`. A mapped file has to stay as it is while it is used, which
//! nobody can promise for a file system; what reads it treats the content as bytes that may be anything, and
//! a file that is cut off meanwhile ends the process, as it would end one that runs from it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The content of a file, mapped into memory where that can be done.
#[derive(Debug, Clone)]
pub struct Mapped(Arc<Content>);

#[derive(Debug)]
enum Content {
    Map(Mmap),
    Read(Vec<u8>),
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        match &*self.0 {
            Content::Map(map) => map,
            Content::Read(bytes) => bytes,
        }
    }
}

impl Mapped {
    /// Maps a regular file; for others (a device or a pipe could go on for ever) it is an error.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        // Before it is opened: that waits for whoever writes to a pipe.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Mapped(Arc::new(Content::Read(Vec::new()))));
        }
        let file = File::open(path)?;
        // SAFETY: the map is read only; that the file stays as it is, see above.
        Ok(Mapped(Arc::new(Content::Map(unsafe { Mmap::map(&file)? }))))
    }

    /// Maps a regular file, and reads anything else to its end.
    pub fn open_any(path: &Path) -> io::Result<Mapped> {
        if std::fs::metadata(path)?.is_file() {
            return Mapped::open(path);
        }
        Ok(Mapped(Arc::new(Content::Read(std::fs::read(path)?))))
    }

    /// The content; slices of it keep it alive.
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Gives the memory of a part of the content back, if it is one of this file; it comes in again when it
    /// is read.
    pub fn give_back(&self, part: &[u8]) {
        let Content::Map(map) = &*self.0 else { return };
        let (start, at) = (map.as_ptr() as usize, part.as_ptr() as usize);
        let inside = at >= start && at + part.len() <= start + map.len();
        #[cfg(unix)]
        if inside {
            // SAFETY: the map is read-only and of a file, so nothing written is lost. Dropped pages come in
            // again from the file, which stays as it is (see above). The range lies inside the map.
            let _ = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at - start, part.len())
            };
        }
        #[cfg(not(unix))]
        let _ = inside;
    }
}
