//! Model files mapped into memory. Pages of weights are loaded when a plan packs them, and released
//! afterwards.
//!
//! This is the only module of the crate with `unsafe`. A mapped file must not change while it is used, which
//! no program can guarantee for a file system. Readers treat its content as arbitrary bytes. If the file is
//! truncated while it is mapped, the process ends.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The content of a file, mapped into memory if possible.
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
    /// Maps a regular file. Other files are an error, because a device or a pipe may never end.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        // The check comes before opening, because opening a pipe waits for a writer.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Mapped(Arc::new(Content::Read(Vec::new()))));
        }
        let file = File::open(path)?;
        // SAFETY: the map is read only. That the file does not change is an assumption, see the head of this
        // module.
        Ok(Mapped(Arc::new(Content::Map(unsafe { Mmap::map(&file)? }))))
    }

    /// Maps a regular file, or reads another file to its end.
    pub fn open_any(path: &Path) -> io::Result<Mapped> {
        if std::fs::metadata(path)?.is_file() {
            return Mapped::open(path);
        }
        Ok(Mapped(Arc::new(Content::Read(std::fs::read(path)?))))
    }

    /// Returns the content. Slices of it keep the map alive.
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Releases the memory of a part of the content, if it belongs to this file. The system loads it again
    /// when it is read.
    pub fn give_back(&self, part: &[u8]) {
        let Content::Map(map) = &*self.0 else { return };
        let (start, at) = (map.as_ptr() as usize, part.as_ptr() as usize);
        let inside = at >= start && at + part.len() <= start + map.len();
        #[cfg(unix)]
        if inside {
            // SAFETY: the map is read-only and of a file, so no written data is lost. Released pages are
            // loaded again from the file, which is assumed not to change (see the head of this module). The
            // range lies inside the map.
            let _ = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at - start, part.len())
            };
        }
        #[cfg(not(unix))]
        let _ = inside;
    }
}
