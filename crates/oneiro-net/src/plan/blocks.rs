//! The moments of a plan, and the blocks of memory that are needed from one moment to another.

use std::cmp::Ordering;

use crate::kernels::Region;
use crate::plan::lowered::{Home, Life};
use crate::plan::memory::{self, Block};

/// Moments of a plan. Inputs are written at 0, then every step runs, then objectives write seeds, then the
/// steps run in reverse order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) steps: usize,
}

impl Clock {
    pub(super) fn forward(self, step: usize) -> usize {
        step + 1
    }

    pub(super) fn seed(self) -> usize {
        self.steps + 1
    }

    pub(super) fn backward(self, step: usize) -> usize {
        2 * self.steps + 1 - step
    }

    pub(super) fn end(self) -> usize {
        2 * self.steps + 2
    }

    /// Returns the life of a block over all micro-batches, if each micro-batch needs a block of its own. All
    /// micro-batches run forward before the seeds are written, and all run backward after that. Returns
    /// `None` if the block's life ends within a forward or backward pass, so that the next micro-batch can
    /// reuse it.
    fn over_micro_batches(self, (start, end): Life) -> Option<Life> {
        let (seed, last) = (self.seed(), self.end());
        let own = start == 0 || end == last || (start <= seed && seed <= end);
        let first_way_back = seed + 1;
        let start = if start < seed { 0 } else { start.min(first_way_back) };
        let end = match end.cmp(&seed) {
            Ordering::Less => self.steps,
            Ordering::Equal => seed,
            Ordering::Greater => last,
        };
        own.then_some((start, end))
    }
}

/// Returns the life of each outermost storage, which covers the lives of all storages inside it.
pub(super) fn lives(homes: &[Home], own: impl Iterator<Item = Option<Life>>) -> Vec<Option<Life>> {
    let mut lives = vec![None; homes.len()];
    for (&(home, _), life) in homes.iter().zip(own) {
        if let Some((start, end)) = life {
            touch(&mut lives[home], start);
            touch(&mut lives[home], end);
        }
    }
    lives
}

/// Extends a block's lifetime to include a moment of the schedule.
pub(super) fn touch(life: &mut Option<Life>, time: usize) {
    *life = Some(life.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
}

/// Blocks of the arena, and each micro-batch's part of a block.
#[derive(Debug)]
pub(super) struct Blocks {
    clock: Clock,
    micro_batches: usize,
    blocks: Vec<Block>,
    /// Elements of one micro-batch, and the distance in elements to the next micro-batch.
    of_micro_batch: Vec<(usize, usize)>,
}

impl Blocks {
    pub(super) fn new(clock: Clock, micro_batches: usize) -> Self {
        Self { clock, micro_batches, blocks: Vec::new(), of_micro_batch: Vec::new() }
    }

    /// Adds a block of `len` elements for each micro-batch and returns its index. A block without a life is
    /// empty. If each micro-batch needs its own part, the parts follow each other: without gaps if `packed`,
    /// else at aligned offsets.
    pub(super) fn add(&mut self, len: usize, life: Option<Life>, packed: bool) -> usize {
        let len = if life.is_some() { len } else { 0 };
        let life = life.unwrap_or((0, 0));
        let own = Some(life)
            .filter(|_| self.micro_batches > 1)
            .and_then(|life| self.clock.over_micro_batches(life));
        let stride = if packed { len } else { len.next_multiple_of(memory::ALIGN) };
        let (start, end) = own.unwrap_or(life);
        self.blocks.push(Block {
            len: if own.is_some() { stride * self.micro_batches } else { len },
            start,
            end,
        });
        self.of_micro_batch.push((len, if own.is_some() { stride } else { 0 }));
        self.blocks.len() - 1
    }

    /// Returns the region of each block, and the length of the arena.
    pub(super) fn place(self) -> (Vec<Region>, usize) {
        let (offsets, arena_len) = memory::place(&self.blocks);
        let places = offsets.into_iter().zip(self.of_micro_batch);
        let regions = places.map(|(offset, (len, stride))| Region { offset, len, stride });
        (regions.collect(), arena_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_has_its_own_of_what_outlives_its_way_forward_or_back() {
        // Moments: 0 inputs, 1 to 3 forward, 4 seeds, 5 to 7 backward, 8 the end.
        let clock = Clock { steps: 3 };
        assert_eq!((clock.forward(0), clock.seed(), clock.backward(2), clock.end()), (1, 4, 5, 8));
        // Blocks of inputs (also those that the backward pass reads, or that nothing reads), of targets, of
        // values needed in both passes, and of seeds.
        assert_eq!(clock.over_micro_batches((0, 1)), Some((0, 3)));
        assert_eq!(clock.over_micro_batches((0, 0)), Some((0, 3)));
        assert_eq!(clock.over_micro_batches((0, 7)), Some((0, 8)));
        assert_eq!(clock.over_micro_batches((3, 8)), Some((0, 8)));
        assert_eq!(clock.over_micro_batches((2, 6)), Some((0, 8)));
        assert_eq!(clock.over_micro_batches((4, 5)), Some((4, 8)));
        assert_eq!(clock.over_micro_batches((4, 4)), Some((4, 4)));
        // A block that holds the gradient of an input has this lifetime.
        assert_eq!(clock.over_micro_batches((7, 8)), Some((5, 8)));
        // Blocks that are needed within one forward or backward pass only.
        assert_eq!(clock.over_micro_batches((1, 3)), None);
        assert_eq!(clock.over_micro_batches((5, 7)), None);
    }

    #[test]
    fn what_holds_others_lives_as_long_as_they_do() {
        // Storages 0 and 1 lie in 2. Storage 3 has no life of its own, and 4 lies in it.
        let homes = [(2, 0), (2, 8), (2, 0), (3, 0), (3, 0)];
        let own = [Some((1, 3)), None, Some((4, 5)), None, Some((2, 2))];
        assert_eq!(lives(&homes, own.into_iter()), [None, None, Some((1, 5)), Some((2, 2)), None]);
    }

    #[test]
    fn a_life_grows_in_both_directions() {
        let mut life = None;
        for (time, grown) in [(4, (4, 4)), (6, (4, 6)), (5, (4, 6)), (1, (1, 6))] {
            touch(&mut life, time);
            assert_eq!(life, Some(grown));
        }
    }

    #[test]
    fn micro_batches_lie_one_behind_another_or_share_a_place() {
        let clock = Clock { steps: 3 };
        let mut blocks = Blocks::new(clock, 3);
        let (input, crossing, one_way) = (Some((0, 1)), Some((2, 6)), Some((1, 2)));
        let added = [(20, input, true), (20, crossing, false), (20, one_way, false), (20, None, false)];
        let added = added.map(|(len, life, packed)| blocks.add(len, life, packed));
        assert_eq!(added, [0, 1, 2, 3]);
        let (regions, arena_len) = blocks.place();
        let of = |region: &Region| (region.offset, region.len, region.stride);
        // The aligned block is the largest, so it comes first in the arena.
        let wanted = [(96, 20, 20), (0, 20, 32), (160, 20, 0), (0, 0, 0)];
        assert_eq!(regions.iter().map(of).collect::<Vec<_>>(), wanted);
        assert_eq!(arena_len, 192);
        // Without micro-batches, each block has room for one part.
        let mut blocks = Blocks::new(clock, 1);
        blocks.add(20, input, true);
        let (regions, arena_len) = blocks.place();
        assert_eq!((of(&regions[0]), arena_len), ((0, 20, 0), 32));
    }
}
