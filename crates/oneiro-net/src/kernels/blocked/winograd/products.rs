//! Transformed weights, and their products with transformed tiles at every point.

use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::tile::{MAX_BLOCKS, TileCall, most_positions, tile_of};
use crate::kernels::blocked::{Packed, blocks_of};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use rayon::prelude::*;
use std::cell::RefCell;

/// Memory of one task, of the planar or of the line transform.
pub(super) struct Scratch {
    pub(super) source: AlignedBuffer,
    pub(super) product: AlignedBuffer,
    pub(super) offsets: Vec<usize>,
}

thread_local! {
    /// Each thread's memory for Winograd's transforms.
    pub(super) static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { source: AlignedBuffer::new(), product: AlignedBuffer::new(), offsets: Vec::new() })
    };
}

/// Most multiply-adds of one chain, as for direct convolution.
const CHAIN: usize = 144;

/// Transformed weights, in the order in which register tiles read them.
#[derive(Debug)]
pub(super) struct Products {
    isa: Isa,
    points: usize,
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    /// Number of taps along the axis that is not transformed: frames, or lines of a line filtering.
    depth: usize,
    /// Number of output blocks in each panel but the last.
    pub(super) width: usize,
    /// Transformed weights: `[points][panels][blocks, taps in depth][steps][width][16]`.
    weights: Packed,
}

impl Products {
    /// Packs transformed weights. `filter(out, input, tap in depth, put)` calls `put(point, value)` for each
    /// point.
    pub(super) fn new(
        isa: Isa,
        points: usize,
        [c_in, c_out, depth]: [usize; 3],
        filter: impl Fn(usize, usize, usize, &mut dyn FnMut(usize, f32)) + Sync,
    ) -> Products {
        let blocks = blocks_of(c_out);
        let width = (1..=2.min(blocks)).rev().find(|&w| most_positions(isa, w) > 0).unwrap_or(1);
        let per_point = blocks * LANES * c_in * depth;
        let mut weights = Packed::zeros(points * per_point);
        let all = Disjoint::new(weights.as_mut_slice());
        (0..blocks).into_par_iter().for_each(|block| {
            let first = block / width * width;
            let panel_blocks = width.min(blocks - first);
            for out in block * LANES..c_out.min((block + 1) * LANES) {
                for input in 0..c_in {
                    let (in_block, step) = (input / LANES, input % LANES);
                    let steps = LANES.min(c_in - in_block * LANES);
                    for z in 0..depth {
                        let product = in_block * LANES * depth + z * steps + step;
                        let at = first * LANES * c_in * depth
                            + (product * panel_blocks + block - first) * LANES
                            + out % LANES;
                        filter(out, input, z, &mut |point, value| {
                            // SAFETY: each weight has one place, and each block of outputs belongs to one
                            // task.
                            unsafe { all.part(point * per_point + at, 1)[0] = value };
                        });
                    }
                }
            }
        });
        Products { isa, points, c_in, c_out, depth, width, weights }
    }

    /// Number of panels into which the output blocks are divided.
    pub(super) fn panels(&self) -> usize {
        blocks_of(self.c_out).div_ceil(self.width)
    }

    /// Whether the weights fit a second-level cache beside the transformed tiles.
    pub(super) fn are_small(&self) -> bool {
        self.points * self.c_in * self.c_out * self.depth <= super::SMALL_WEIGHTS
    }

    /// Computes the products of some panels at every point. `source` is `[points][blocks][in_plane][16]` with
    /// `in_point` elements from one point to the next. `product` is
    /// `[points][blocks of the panels][positions][16]`. Taps in depth are `shift` positions apart.
    pub(super) fn multiply(
        &self,
        panels: (usize, usize),
        [positions, in_plane, shift]: [usize; 3],
        source: &[f32],
        in_point: usize,
        product: &mut [f32],
        out_point: usize,
        offsets: &mut Vec<usize>,
    ) {
        let (in_blocks, out_blocks) = (blocks_of(self.c_in), blocks_of(self.c_out));
        offsets.clear();
        for block in 0..in_blocks {
            offsets.extend((0..self.depth).map(|z| (block * in_plane + z * shift) * LANES));
        }
        assert!(source.len() >= (self.points - 1) * in_point + in_blocks * in_plane * LANES);
        assert!(in_plane >= positions + (self.depth - 1) * shift);
        let depth = self.c_in * self.depth;
        let per_point = out_blocks * LANES * depth;
        // Runs of whole blocks of channels come first, then the runs of the last, incomplete block.
        let whole = self.c_in / LANES * self.depth;
        let chunks = whole.div_ceil(CHAIN / LANES);
        let tail = self.c_in % LANES;
        static ZEROS: [f32; MAX_BLOCKS * LANES] = [0.0; MAX_BLOCKS * LANES];
        for point in 0..self.points {
            let from = &source[point * in_point..];
            let weights = &self.weights.as_slice()[point * per_point..(point + 1) * per_point];
            for panel in panels.0..panels.1 {
                let first = panel * self.width;
                let blocks = self.width.min(out_blocks - first);
                let to = point * out_point + (first - panels.0 * self.width) * positions * LANES;
                let to = &mut product[to..to + blocks * positions * LANES];
                let count = positions.div_ceil(most_positions(self.isa, blocks));
                let panel = &weights[first * LANES * depth..];
                let mut run = |runs: std::ops::Range<usize>, steps: usize, written: bool| {
                    let first = runs.start * LANES * blocks * LANES;
                    let weights = &panel[first..first + runs.len() * steps * blocks * LANES];
                    let pace = (blocks * LANES).div_ceil(count);
                    let mut ahead = weights.as_ptr().wrapping_add(blocks * LANES * depth);
                    for tile in 0..count {
                        let (at, end) = (positions * tile / count, positions * (tile + 1) / count);
                        let call = TileCall {
                            src: from[at * LANES..].as_ptr(),
                            offsets: offsets[runs.clone()].as_ptr(),
                            runs: runs.len(),
                            steps,
                            weights: weights.as_ptr(),
                            ahead,
                            pace,
                            next: (end - at) * LANES,
                            out: to[at * LANES..].as_mut_ptr(),
                            out_block: positions * LANES,
                            out_step: LANES,
                            far: false,
                            start: if written { std::ptr::null() } else { ZEROS.as_ptr() },
                            epilogue: std::ptr::null(),
                            mask_at: 0,
                            mask_block: 0,
                            mask_step: 0,
                        };
                        // SAFETY: the source has every block and frame (asserted). Weights and products are
                        // slices of the right lengths.
                        unsafe { tile_of(self.isa, end - at, blocks)(&call) };
                        ahead = ahead.wrapping_add(runs.len() * steps * pace);
                    }
                };
                for chunk in 0..chunks {
                    run(whole * chunk / chunks..whole * (chunk + 1) / chunks, LANES, chunk > 0);
                }
                if tail > 0 {
                    run(whole..whole + self.depth, tail, chunks > 0);
                }
            }
        }
    }
}
