//! Places blocks with known lifetimes in one arena, so that blocks needed at the same time do not overlap.

/// A block of the arena: its length and the first and last moment at which it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Number of elements in the block.
    pub len: usize,
    /// First moment at which the block is needed.
    pub start: usize,
    /// Last moment at which the block is needed.
    pub end: usize,
}

/// Blocks begin at multiples of this many elements: 64 bytes, a cache line.
pub const ALIGN: usize = 16;

/// Returns an offset for each block, and the length of the arena.
///
/// The largest blocks are placed first, each at the lowest offset that is free during its life (greedy by
/// size, Pisarchyk & Lee, "Efficient memory management for deep neural net inference", 2020, section 5.2).
pub fn place(blocks: &[Block]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..blocks.len()).filter(|&i| blocks[i].len > 0).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].len), blocks[i].start, i));
    let mut offsets = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut total = 0;
    for i in order {
        let block = blocks[i];
        let mut at = 0;
        // `placed` is sorted by offset. Among the blocks with overlapping lives, the first gap that is large
        // enough is taken.
        for &p in &placed {
            let other = blocks[p];
            if other.end < block.start || block.end < other.start {
                continue;
            }
            if at + block.len <= offsets[p] {
                break;
            }
            at = at.max((offsets[p] + other.len).next_multiple_of(ALIGN));
        }
        offsets[i] = at;
        total = total.max((at + block.len).next_multiple_of(ALIGN));
        let position = placed.partition_point(|&p| offsets[p] <= at);
        placed.insert(position, i);
    }
    (offsets, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_live_together_do_not_overlap() {
        let mut state = 1u64;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % n) as usize
        };
        for _ in 0..50 {
            let blocks: Vec<Block> = (0..60)
                .map(|_| {
                    let start = next(50);
                    Block { len: next(1000), start, end: start + next(10) }
                })
                .collect();
            let (offsets, total) = place(&blocks);
            for i in 0..blocks.len() {
                assert!(offsets[i] + blocks[i].len <= total);
                for j in 0..i {
                    let (a, b) = (blocks[i], blocks[j]);
                    let together = a.start <= b.end && b.start <= a.end && a.len > 0 && b.len > 0;
                    let overlap = offsets[i] < offsets[j] + b.len && offsets[j] < offsets[i] + a.len;
                    assert!(!(together && overlap), "{a:?} at {} and {b:?} at {}", offsets[i], offsets[j]);
                }
            }
        }
    }

    #[test]
    fn memory_is_reused_along_a_chain() {
        let chain: Vec<Block> = (0..10).map(|i| Block { len: 160, start: i, end: i + 1 }).collect();
        assert_eq!(place(&chain).1, 320);
    }

    fn block(len: usize, start: usize, end: usize) -> Block {
        Block { len, start, end }
    }

    #[test]
    fn the_last_moment_of_a_block_is_still_its_own() {
        assert_eq!(place(&[block(16, 0, 1), block(16, 2, 3)]), (vec![0, 0], 16));
        assert_eq!(place(&[block(16, 0, 1), block(16, 1, 2)]), (vec![0, 16], 32));
    }

    #[test]
    fn blocks_begin_at_cache_lines_and_empty_ones_take_nothing() {
        let (offsets, total) = place(&[block(17, 0, 5), block(1, 0, 5), block(0, 0, 5), block(5, 0, 5)]);
        assert_eq!((offsets, total), (vec![0, 48, 0, 32], 64));
        assert_eq!(place(&[]), (vec![], 0));
    }

    #[test]
    fn a_gap_between_two_blocks_is_filled() {
        // The middle block of three ends early. A smaller block then takes its place.
        let blocks = [block(64, 0, 9), block(48, 0, 4), block(32, 0, 9), block(16, 5, 9), block(16, 6, 9)];
        assert_eq!(place(&blocks), (vec![0, 64, 112, 64, 80], 144));
        // A block that fits no gap is placed after all others.
        let blocks = [block(64, 0, 9), block(48, 0, 4), block(48, 0, 9), block(32, 4, 9)];
        assert_eq!(place(&blocks), (vec![0, 64, 112, 160], 192));
    }
}
