//! One block of memory for all activations and gradients of a plan, cut into regions.
//!
//! A plan decides in advance where every value lives. A step then takes a [`frame`](Arena::frame): the
//! regions that it writes, as slices, and a [`Reader`] for everything else. The checks in the two make the
//! steps free of `unsafe`.

use super::pages::Pages;
use std::marker::PhantomData;

/// The most regions that one step writes.
pub const MAX_WRITES: usize = 8;

/// A range of an [`Arena`], in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Region {
    /// First number.
    pub offset: usize,
    /// Numbers.
    pub len: usize,
    /// Distance from the region of one micro-batch to that of the next ([`Arena::select_micro_batch`]), in
    /// elements; 0 for a region that all share.
    pub stride: usize,
}

impl Region {
    /// A region that all micro-batches share.
    pub const fn new(offset: usize, len: usize) -> Region {
        Region { offset, len, stride: 0 }
    }

    /// Where it lies in a micro-batch. Saturates, so that a nonsense region fails the bounds check.
    pub fn in_micro_batch(self, micro_batch: usize) -> Region {
        Region { offset: self.offset.saturating_add(self.stride.saturating_mul(micro_batch)), ..self }
    }

    /// The regions of several micro-batches, which lie one behind another, as one.
    ///
    /// # Panics
    /// Where there is something between them.
    pub fn of_micro_batches(self, micro_batches: usize) -> Region {
        assert!(
            micro_batches == 1 || self.stride == self.len,
            "{self:?} of several micro-batches is not in one piece"
        );
        Region::new(self.offset, self.len.saturating_mul(micro_batches))
    }

    /// One past the last number; saturates, so that a nonsense region fails the bounds check.
    pub fn end(self) -> usize {
        self.offset.saturating_add(self.len)
    }

    /// Whether the two have a number in common.
    pub fn overlaps(self, other: Region) -> bool {
        self.len > 0 && other.len > 0 && self.offset < other.end() && other.offset < self.end()
    }
}

/// `f32` storage of fixed length at a 64-byte address; zeros at first.
pub struct Arena {
    memory: Pages,
    len: usize,
    micro_batch: usize,
}

impl Arena {
    /// Storage for `len` numbers. Where the system has no such memory the process ends; see
    /// [`Arena::try_new`].
    pub fn new(len: usize) -> Arena {
        Arena { memory: Pages::new(len), len, micro_batch: 0 }
    }

    /// Storage for `len` numbers, or `None` where the system has no such memory.
    pub fn try_new(len: usize) -> Option<Arena> {
        Some(Arena { memory: Pages::try_new(len)?, len, micro_batch: 0 })
    }

    /// Numbers in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// From now on regions are those of this micro-batch ([`Region::in_micro_batch`]); at first of number 0.
    pub fn select_micro_batch(&mut self, micro_batch: usize) {
        self.micro_batch = micro_batch;
    }

    /// A region, to read.
    ///
    /// # Panics
    /// Where the region leaves the arena.
    #[track_caller]
    pub fn slice(&self, region: Region) -> &[f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        &self.memory.as_slice()[region.offset..region.end()]
    }

    /// A region, to write.
    ///
    /// # Panics
    /// Where the region leaves the arena.
    #[track_caller]
    pub fn slice_mut(&mut self, region: Region) -> &mut [f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        &mut self.memory.as_mut_slice()[region.offset..region.end()]
    }

    /// The regions that a step writes, and a reader of all the others.
    ///
    /// # Panics
    /// Where a region leaves the arena, or two of them overlap (empty ones never do).
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
        // SAFETY: the regions lie inside the memory and have nothing in common (checked above); the arena is
        // borrowed for as long as the slices live; the reader gives out nothing that overlaps them.
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
    /// A region.
    ///
    /// # Panics
    /// Where the region leaves the arena or overlaps one that the step writes.
    #[track_caller]
    pub fn read(&self, region: Region) -> &'a [f32] {
        let region = region.in_micro_batch(self.micro_batch);
        check_bounds(region, self.len);
        for &written in &self.writes {
            assert!(!region.overlaps(written), "a step reads {region:?} while it writes {written:?}");
        }
        // SAFETY: the region lies inside the memory, which is borrowed for 'a, and shares nothing with the
        // mutable slices of the frame (both checked above).
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
