//! Large blocks of memory, in huge pages if the system offers them.
//!
//! A pass reads all weights and much of the arena once. With pages of 4 KB, each entry of the translation
//! cache (TLB) would serve a few vectors only, so the system is asked for pages of 2 MB. Anonymous maps
//! contain zeros at first.

use super::scratch::AlignedBuffer;
use memmap2::MmapMut;

/// Size in bytes from which memory is mapped instead of allocated: one huge page.
const LARGE: usize = 1 << 21;

/// `f32` storage at a 64-byte address, filled with zeros at first.
pub(crate) struct Pages {
    memory: Memory,
    len: usize,
}

enum Memory {
    Small(AlignedBuffer),
    Mapped(MmapMut),
}

impl Default for Pages {
    fn default() -> Self {
        Pages { memory: Memory::Small(AlignedBuffer::new()), len: 0 }
    }
}

impl Pages {
    /// Returns memory for `len` elements, or `None` if memory runs out.
    pub(crate) fn try_new(len: usize) -> Option<Pages> {
        let bytes = len.checked_mul(size_of::<f32>())?;
        if bytes >= LARGE
            && let Ok(map) = MmapMut::map_anon(bytes)
        {
            // A system without huge pages refuses this advice. The error is ignored, because small pages work
            // as well.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            return Some(Pages { memory: Memory::Mapped(map), len });
        }
        let mut memory = AlignedBuffer::new();
        memory.try_reserve(len)?;
        memory.at_least(len);
        Some(Pages { memory: Memory::Small(memory), len })
    }

    /// Returns memory for `len` elements. If memory runs out, the process ends.
    pub(crate) fn new(len: usize) -> Pages {
        match Pages::try_new(len) {
            Some(pages) => pages,
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<f32>()),
        }
    }

    /// Number of elements in the allocated memory.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match &self.memory {
            Memory::Small(buffer) => &buffer.as_slice()[..self.len],
            Memory::Mapped(map) => &bytemuck::cast_slice(map)[..self.len],
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.len;
        match &mut self.memory {
            Memory::Small(buffer) => &mut buffer.as_mut_slice()[..len],
            Memory::Mapped(map) => &mut bytemuck::cast_slice_mut(map)[..len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_pieces_are_aligned_and_zero() {
        for len in [0, 1, 1000, LARGE / 4, LARGE / 4 + 1, LARGE] {
            let mut pages = Pages::new(len);
            assert_eq!((pages.len(), pages.as_slice().len()), (len, len));
            assert!(pages.as_slice().iter().all(|&x| x == 0.0));
            assert_eq!(pages.as_slice().as_ptr() as usize % 64, 0);
            pages.as_mut_slice().fill(1.0);
        }
        assert!(Pages::try_new(usize::MAX / 8).is_none());
    }
}
