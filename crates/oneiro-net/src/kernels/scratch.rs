//! Working memory of kernels: aligned buffers that only grow, and slices whose disjoint parts are written by
//! several threads.

use std::marker::PhantomData;

/// One cache line of `f32` values. A vector of lines is aligned for every instruction set.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Number of `f32` values in a cache line.
pub(crate) const LINE: usize = 16;

// SAFETY: an array of sixteen f32 is 64 bytes, the alignment asked for, so there is no padding. Zeros are
// valid.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: the type holds plain numbers without padding, and every bit pattern is valid.
unsafe impl bytemuck::Pod for Line {}

/// A buffer of `f32` at a 64-byte address. It contains zeros at first and never holds uninitialised memory.
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    lines: Vec<Line>,
}

impl AlignedBuffer {
    /// Returns an empty buffer; `const`, for `thread_local!`.
    pub(crate) const fn new() -> AlignedBuffer {
        AlignedBuffer { lines: Vec::new() }
    }

    /// Returns at least `len` elements. The buffer grows if needed and keeps its contents.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(LINE);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; LINE]));
        }
        self.as_mut_slice()
    }

    /// Makes room for `len` elements in total, or returns `None` if memory runs out.
    pub(crate) fn try_reserve(&mut self, len: usize) -> Option<()> {
        self.lines.try_reserve_exact(len.div_ceil(LINE).saturating_sub(self.lines.len())).ok()
    }

    /// Returns the whole buffer.
    pub(crate) fn as_slice(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// Returns the whole buffer for writing.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

/// A mutable slice that several tasks write at the same time, each its own part.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the type is a `&mut [T]` in parts. A caller of `part` promises that no other thread has that part.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: the type is a `&mut [T]` in parts. A caller of `part` promises that no other thread has that part.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Borrows the slice as long as tasks run.
    pub(crate) fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Returns the part `start .. start + len`; checks its bounds.
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
        // SAFETY: the part lies inside the borrowed slice (checked above), and the caller guarantees that no
        // other task has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Returns the address of an element or of the slice's end; checks its bounds.
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
