//! Measures the peak rate of floating-point operations of this machine, as a bound for the times of kernels.

use super::lanes::LANES;
use super::tile::{MAX_BLOCKS, TileCall, most_positions, tile_of};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::AlignedBuffer;
use crate::kernels::team;

/// Products of a tile: so few that weights and source stay in a first-level cache.
const DEPTH: usize = 128;

/// Runs `repetitions` tiles of multiply-adds on every thread of the pool, with all operands in the
/// first-level cache. Returns the number of floating-point operations.
pub fn multiply_in_cache(isa: Isa, repetitions: usize) -> u64 {
    isa.require();
    let blocks = (1..=2).rev().find(|&b| most_positions(isa, b) > 0).unwrap_or(1);
    let positions = most_positions(isa, blocks);
    let threads = rayon::current_num_threads();
    team::run(|| {
        team::each(threads, 1, |_| {
            let mut memory = [(); 3].map(|()| AlignedBuffer::new());
            let [source, weights, out] = &mut memory;
            let source = &*source.at_least((positions + DEPTH / LANES * positions) * LANES);
            let weights = &*weights.at_least(DEPTH * blocks * LANES);
            let out = out.at_least(MAX_BLOCKS * positions * LANES);
            let offsets: Vec<usize> = (0..DEPTH / LANES).map(|run| run * positions * LANES).collect();
            let call = TileCall {
                src: source.as_ptr(),
                offsets: offsets.as_ptr(),
                runs: offsets.len(),
                steps: LANES,
                weights: weights.as_ptr(),
                ahead: weights.as_ptr(),
                pace: LANES,
                next: 0,
                out: out.as_mut_ptr(),
                out_block: positions * LANES,
                out_step: LANES,
                far: false,
                start: weights.as_ptr(),
                epilogue: std::ptr::null(),
                mask_at: 0,
                mask_block: 0,
                mask_step: 0,
            };
            let tile = tile_of(isa, positions, blocks);
            for _ in 0..repetitions {
                // SAFETY: the buffers have the lengths that this number of runs, positions and blocks needs.
                unsafe { tile(std::hint::black_box(&call)) };
            }
        });
    });
    (2 * threads * repetitions * DEPTH * positions * blocks * LANES) as u64
}
