//! Memory that kernels work in: aligned buffers that only grow, and slices whose disjoint parts several
//! threads write.

use std::marker::PhantomData;

/// One cache line of numbers; a vector of these is aligned for every instruction set.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Numbers in a cache line.
pub(crate) const LINE: usize = 16;

// SAFETY: an array of sixteen f32 is 64 bytes, the alignment asked for, so there is no padding; zeros are
// valid.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above: plain numbers, no padding, every bit pattern valid.
unsafe impl bytemuck::Pod for Line {}

/// A buffer of `f32` at a 64-byte address. It begins with zeros and never holds anything uninitialised.
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    lines: Vec<Line>,
}

impl AlignedBuffer {
    /// An empty buffer; `const`, for `thread_local!`.
    pub(crate) const fn new() -> AlignedBuffer {
        AlignedBuffer { lines: Vec::new() }
    }

    /// At least `len` numbers, grown where needed; old contents stay.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(LINE);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; LINE]));
        }
        self.as_mut_slice()
    }

    /// Makes room for `len` numbers in all, if the system has it.
    pub(crate) fn try_reserve(&mut self, len: usize) -> Option<()> {
        self.lines.try_reserve_exact(len.div_ceil(LINE).saturating_sub(self.lines.len())).ok()
    }

    /// All that is there.
    pub(crate) fn as_slice(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All that is there, to write.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

/// A mutable slice that several tasks write at once, each its own part.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` in parts; whoever takes a part promises in `part` that no other thread has it.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Borrows the slice for as long as tasks run.
    pub(crate) fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The part `start .. start + len`, bounds checked.
    ///
    /// # Safety
    /// No two parts that are alive at the same time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(
            start <= self.len && len <= self.len - start,
            "part {start}+{len} lies outside a slice of {}",
            self.len
        );
        // SAFETY: the part lies inside the borrowed slice (checked above), and the caller has it alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// The address of an element, bounds checked (the end is allowed).
    pub(crate) fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len, "element {index} lies outside a slice of {}", self.len);
        self.start.wrapping_add(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_only_grows() {
        let mut buffer = AlignedBuffer::new();
        buffer.at_least(40)[39] = 7.0;
        assert_eq!(buffer.at_least(3).len(), 48);
        assert_eq!(buffer.at_least(100)[39], 7.0);
        assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
    }
}
