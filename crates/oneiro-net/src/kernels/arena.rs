//! One block of memory for all activations and gradients of a plan, cut into regions.
//!
//! A plan decides in advance where every value lies. Each step of the plan then takes a
//! [`frame`](Arena::frame): the regions that it writes, as slices, and a [`Reader`] for all other regions.
//! `frame` and the reader check bounds and overlaps, so that the code of the steps needs no `unsafe`.

use super::pages::Pages;
use std::marker::PhantomData;

/// The largest number of regions that one step of a plan writes.
pub const MAX_WRITES: usize = 8;

/// A range of an [`Arena`], counted in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Region {
    /// Index in the arena of the region's first element.
    pub offset: usize,
    /// Number of elements in the region.
    pub len: usize,
    /// Distance in elements between the regions of two neighbouring micro-batches (see
    /// [`Arena::select_micro_batch`]). It is 0 if all micro-batches share one region.
    pub stride: usize,
}

impl Region {
    /// A region that all micro-batches share.
    pub const fn new(offset: usize, len: usize) -> Region {
        Region { offset, len, stride: 0 }
    }

    /// Returns one region that covers the first `micro_batches` micro-batches, whose regions must be
    /// adjacent.
    pub fn in_micro_batch(self, micro_batch: usize) -> Region {
        Region { offset: self.offset.saturating_add(self.stride.saturating_mul(micro_batch)), ..self }
    }

    /// If there are gaps between the regions of the micro-batches.
    ///
    /// # Panics
    /// If there are gaps between the regions of the micro-batches.
    pub fn of_micro_batches(self, micro_batches: usize) -> Region {
        assert!(
            micro_batches == 1 || self.stride == self.len,
            "{self:?} of several micro-batches is not in one piece"
        );
        Region::new(self.offset, self.len.saturating_mul(micro_batches))
    }

    /// One past the last element. The sum saturates, so that an invalid region fails the bounds check.
    pub fn end(self) -> usize {
        self.offset.saturating_add(self.len)
    }

    /// Whether the two regions share an element.
    pub fn overlaps(self, other: Region) -> bool {
        self.len > 0 && other.len > 0 && self.offset < other.end() && other.offset < self.end()
    }
}

/// `f32` storage of fixed length at a 64-byte address, filled with zeros at first.
pub struct Arena {
    memory: Pages,
    len: usize,
    micro_batch: usize,
}

impl Arena {
    /// Allocates storage for `len` elements. If memory runs out, the process ends; [`Arena::try_new`] returns
    /// `None` instead.
    pub fn new(len: usize) -> Arena {
        Arena { memory: Pages::new(len), len, micro_batch: 0 }
    }

    /// Allocates storage for `len` elements, or returns `None` if memory runs out.
    pub fn try_new(len: usize) -> Option<Arena> {
        Some(Arena { memory: Pages::try_new(len)?, len, micro_batch: 0 })
    }

    /// Number of elements in the arena.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Selects the micro-batch to which all later accesses refer ([`Region::in_micro_batch`]). Micro-batch 0
    /// is selected at first.
    pub fn select_micro_batch(&mut self, micro_batch: usize) {
        self.micro_batch = micro_batch;
    }

    /// Returns a region of the arena for reading.
    ///
    /// # Panics
    /// If the region exceeds the arena.
    #[track_caller]
    pub fn slice(&self, region: Region) -> &[f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        &self.memory.as_slice()[region.offset..region.end()]
    }

    /// Returns a region of the arena for writing.
    ///
    /// # Panics
    /// If the region exceeds the arena.
    #[track_caller]
    pub fn slice_mut(&mut self, region: Region) -> &mut [f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        &mut self.memory.as_mut_slice()[region.offset..region.end()]
    }

    /// Returns the regions that a step of a plan writes, and a reader of all other regions.
    ///
    /// # Panics
    /// If a region exceeds the arena, or two regions overlap. Empty regions never overlap.
    #[track_caller]
    pub fn frame<const N: usize>(&mut self, writes: [Region; N]) -> (Reader<'_>, [&mut [f32]; N]) {
        const { assert!(N <= MAX_WRITES, "a step writes too many regions") };
        let writes = writes.map(|region| region.in_micro_batch(self.micro_batch));
        for (index, &region) in writes.iter().enumerate() {
            check_bounds(region, self.len);
            for &other in &writes[..index] {
                assert!(!region.overlaps(other), "a step writes {region:?} and {other:?}, which overlap");
            }
        }
        let start = self.memory.as_mut_slice().as_mut_ptr();
        let mut kept = [Region::default(); MAX_WRITES];
        kept[..N].copy_from_slice(&writes);
        let reader =
            Reader { start, len: self.len, micro_batch: self.micro_batch, writes: kept, arena: PhantomData };
        // SAFETY: the regions lie inside the memory and do not overlap (checked above). The arena is borrowed
        // as long as the slices live, and the reader returns nothing that overlaps them.
        let slices = writes
            .map(|region| unsafe { std::slice::from_raw_parts_mut(start.add(region.offset), region.len) });
        (reader, slices)
    }
}

#[track_caller]
fn check_bounds(region: Region, len: usize) {
    assert!(region.end() <= len, "{region:?} leaves an arena of {len} numbers");
}

/// Reads an [`Arena`] except for the regions that are being written.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    start: *const f32,
    len: usize,
    micro_batch: usize,
    writes: [Region; MAX_WRITES],
    arena: PhantomData<&'a [f32]>,
}

impl<'a> Reader<'a> {
    /// Returns a region of the arena for reading.
    ///
    /// # Panics
    /// If the region exceeds the arena or overlaps a region that is being written.
    #[track_caller]
    pub fn read(&self, region: Region) -> &'a [f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        for &written in &self.writes {
            assert!(!region.overlaps(written), "a step reads {region:?} while it writes {written:?}");
        }
        // SAFETY: the region lies inside the memory, which is borrowed for `'a`. It does not overlap the
        // mutable slices of the frame. Both are checked above.
        unsafe { std::slice::from_raw_parts(self.start.add(region.offset), region.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    fn region(offset: usize, len: usize) -> Region {
        Region::new(offset, len)
    }

    #[test]
    fn a_frame_writes_its_regions_and_reads_the_others() {
        let mut arena = Arena::new(100);
        arena.slice_mut(region(0, 10)).fill(1.0);
        let (reader, [a, b, none]) = arena.frame([region(10, 20), region(50, 50), region(15, 0)]);
        a.copy_from_slice(&[reader.read(region(0, 10)), reader.read(region(30, 10))].concat());
        b.fill(3.0);
        assert!(none.is_empty());
        assert_eq!(arena.slice(region(9, 12)).iter().sum::<f32>(), 11.0);
        assert_eq!(arena.slice(region(49, 3)), [0.0, 3.0, 3.0]);
        assert_eq!(arena.slice(region(0, 0)).len(), 0);
        assert_eq!(arena.slice(region(0, 1)).as_ptr() as usize % 64, 0);
    }

    #[test]
    fn every_turn_has_its_own_regions_and_shares_the_others() {
        let (own, shared) = (Region { stride: 16, ..region(0, 10) }, region(48, 4));
        let mut arena = Arena::new(52);
        for micro_batch in 0..3 {
            arena.select_micro_batch(micro_batch);
            let (reader, [written]) = arena.frame([own]);
            written.fill(1.0 + micro_batch as f32 + reader.read(shared)[0]);
            arena.slice_mut(shared).fill(10.0);
        }
        arena.select_micro_batch(0);
        let first = |at: usize| arena.slice(region(at, 1))[0];
        assert_eq!([first(0), first(10), first(16), first(32), first(42)], [1.0, 0.0, 12.0, 13.0, 0.0]);
        let dense = Region { stride: 10, ..region(3, 10) };
        assert_eq!(dense.of_micro_batches(3), region(3, 30));
        arena.select_micro_batch(3);
        assert!(catch_unwind(|| arena.slice(Region { stride: 16, ..region(0, 10) })).is_err());
    }

    #[test]
    fn what_would_alias_or_leave_the_arena_panics() {
        let writes = [
            ([region(0, 10), region(9, 1)], false),
            ([region(0, 10), region(10, 1)], true),
            ([region(5, 5), region(0, 20)], false),
            ([region(99, 2), region(0, 1)], false),
            ([region(usize::MAX, 2), region(0, 1)], false),
            ([region(100, 0), region(0, 100)], true),
        ];
        let reads = [
            (region(0, 5), true),
            (region(0, 6), false),
            (region(9, 1), false),
            (region(10, 90), true),
            (region(10, 91), false),
            (region(7, 0), true),
        ];
        let mut failures = Vec::new();
        for (regions, fine) in writes {
            let run = catch_unwind(|| Arena::new(100).frame(regions).1.len());
            if run.is_ok() != fine {
                failures.push(format!("writes {regions:?}"));
            }
        }
        for (read, fine) in reads {
            let run = catch_unwind(|| Arena::new(100).frame([region(5, 5)]).0.read(read).len());
            if run.is_ok() != fine {
                failures.push(format!("read {read:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
