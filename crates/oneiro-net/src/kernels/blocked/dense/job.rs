//! The tasks of a direct convolution. A task fills slabs of the source and runs register tiles over them.

use super::{CHAIN, Dense, Panel, Weights};
use crate::kernels::blocked::blocks_of;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::tile::{Tile, TileCall, most_positions, tile_of};
use crate::kernels::correlate::slab::Slab;
use crate::kernels::correlate::volume;
use crate::kernels::epilogue::EpilogueAddresses;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use std::cell::RefCell;
use std::ops::Range;

struct Scratch {
    slab: Slab,
    data: AlignedBuffer,
    /// Transposed weights for one group of products of a panel, if the weights are shared with the
    /// convolution.
    weights: AlignedBuffer,
    offsets: Vec<usize>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch {
            slab: Slab::new(),
            data: AlignedBuffer::new(),
            weights: AlignedBuffer::new(),
            offsets: Vec::new(),
        })
    };
}

/// One call of `Dense::run`, shared by its tasks.
pub(super) struct Job<'a> {
    pub(super) dense: &'a Dense,
    pub(super) src: &'a [f32],
    pub(super) dst: Disjoint<'a, f32>,
    pub(super) accumulate: bool,
    pub(super) epilogue: Option<EpilogueAddresses>,
}

// SAFETY: the addresses in `epilogue` belong to slices that outlive the job. Each task writes only the masks
// of its own outputs.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    pub(super) fn run(&self, image: usize, group: usize, columns: (usize, usize), panels: (usize, usize)) {
        if columns.0 < columns.1 && panels.0 < panels.1 {
            SCRATCH.with_borrow_mut(|scratch| self.run_in(scratch, image, group, columns, panels));
        }
    }

    fn run_in(
        &self,
        scratch: &mut Scratch,
        image: usize,
        group: usize,
        columns: (usize, usize),
        panels: (usize, usize),
    ) {
        let dense = self.dense;
        let c = &dense.correlation;
        let Scratch { slab, data, weights: laid_weights, offsets } = scratch;
        slab.lay(c, columns.0, columns.1, usize::MAX);
        let src_plane = volume(c.src);
        let in_blocks = blocks_of(c.c_in);
        // Distance between two blocks of channels of one image: the images of a batch lie between them.
        let src_block = c.batch * src_plane;
        let source = &self.src[(group * in_blocks * c.batch + image) * src_plane * LANES..];
        let taps = c.taps.len();
        let last = dense.passes().last().map_or(0, |p| p.first_block);
        let mut written = self.accumulate;
        let mut laid = 0;
        for pass in dense.passes() {
            let plane = if slab.direct { src_block } else { slab.len };
            let from = if slab.direct {
                &source[pass.first_block * src_block * LANES..]
            } else {
                let data = data.at_least(pass.blocks * plane * LANES);
                let source = &source[pass.first_block * src_block * LANES..];
                fill(slab, source, src_block, pass.blocks, laid, data);
                laid = laid.max(pass.blocks);
                &*data
            };
            offsets.clear();
            for block in 0..pass.blocks {
                offsets.extend(slab.taps.iter().map(|tap| (block * plane + tap) * LANES));
            }
            let reach = slab.segments.iter().map(|s| s.base + s.len).max().unwrap_or(0) * LANES;
            let furthest = offsets.iter().max().copied().unwrap_or(0);
            assert!(
                offsets.is_empty() || furthest + reach <= from.len(),
                "the slab reaches beyond the source"
            );
            let per_chunk = (CHAIN / pass.steps).max(1);
            let chunks = offsets.len().div_ceil(per_chunk).max(1);
            for chunk in 0..chunks {
                let runs = offsets.len() * chunk / chunks..offsets.len() * (chunk + 1) / chunks;
                let last = pass.first_block == last && chunk + 1 == chunks;
                let products = Products {
                    group,
                    runs: pass.first_block * taps + runs.start..pass.first_block * taps + runs.end,
                    first: pass.first_block * taps * LANES + runs.start * pass.steps,
                    steps: pass.steps,
                };
                for &panel in &dense.panels[panels.0..panels.1] {
                    let weights = products.weights(dense, panel, laid_weights);
                    self.multiply(
                        image,
                        panel,
                        &products,
                        weights,
                        &offsets[runs.clone()],
                        from,
                        slab,
                        written,
                        last,
                    );
                }
                written = true;
            }
        }
    }

    /// Adds the products of some runs to the outputs of one panel. A run is a pair (input block, tap).
    fn multiply(
        &self,
        image: usize,
        panel: Panel,
        products: &Products,
        weights: &[f32],
        offsets: &[usize],
        from: &[f32],
        slab: &Slab,
        written: bool,
        last: bool,
    ) {
        let dense = self.dense;
        let c = &dense.correlation;
        let plane = volume(c.dst);
        let block = products.group * blocks_of(c.c_out) + panel.first;
        let first_plane = block * c.batch + image;
        assert_eq!(weights.len(), offsets.len() * products.steps * panel.blocks * LANES, "weights of {c:?}");
        let bias = &dense.bias.as_slice()[block * LANES..(block + panel.blocks) * LANES];
        let step = if c.is_whole() { 1 } else { c.dst_step[2] };
        let mask_plane = crate::kernels::blocked::mask_plane(plane);
        let epilogue = self
            .epilogue
            .as_ref()
            .filter(|_| last)
            .map_or(std::ptr::null(), |f| f as *const EpilogueAddresses);
        let most = most_positions(dense.isa, panel.blocks);
        let mut tiles = Tiles::new(dense.isa, panel.blocks);
        let mut tiles_run = 0;
        let all_tiles = slab.segments.iter().map(|s| s.len.div_ceil(most)).sum();
        for segment in &slab.segments {
            let end = segment.to + (segment.len - 1) * step;
            // The last output of the last block is in bounds (checked here), so all earlier outputs are, too.
            self.dst.pointer(((first_plane + (panel.blocks - 1) * c.batch) * plane + end + 1) * LANES);
            let count = segment.len.div_ceil(most);
            for tile in 0..count {
                let (x, end) = (segment.len * tile / count, segment.len * (tile + 1) / count);
                let to = segment.to + x * step;
                let (ahead, pace) = products.ahead(dense, panel, weights, tiles_run, all_tiles);
                let call = TileCall {
                    // SAFETY: a segment's base and offsets stay inside the source (asserted by the caller).
                    src: unsafe { from.as_ptr().add((segment.base + x) * LANES) },
                    offsets: offsets.as_ptr(),
                    runs: offsets.len(),
                    steps: products.steps,
                    weights: weights.as_ptr(),
                    ahead,
                    pace,
                    next: (end - x) * LANES,
                    out: self.dst.pointer((first_plane * plane + to) * LANES),
                    out_block: c.batch * plane * LANES,
                    out_step: step * LANES,
                    far: written && products.first == 0,
                    start: if written { std::ptr::null() } else { bias.as_ptr() },
                    epilogue,
                    mask_at: first_plane * mask_plane + to,
                    mask_block: c.batch * mask_plane,
                    mask_step: step,
                };
                // SAFETY: the slices of weights and bias have the panel's lengths. Source and outputs have
                // the positions of the segment (checked above). No other task writes these outputs.
                unsafe { tiles.get(end - x)(&call) };
                tiles_run += 1;
            }
        }
    }
}

/// Some of the products of which every output of a group is the sum: consecutive runs, each a pair (input
/// block, tap).
struct Products {
    group: usize,
    runs: Range<usize>,
    /// Number of products of an output that come before these.
    first: usize,
    /// Number of products in each run, one for each channel that is used.
    steps: usize,
}

impl Products {
    /// Returns the weights of these products for one panel, in the order in which tiles read them.
    fn weights<'a>(&self, dense: &'a Dense, panel: Panel, laid: &'a mut AlignedBuffer) -> &'a [f32] {
        let c = &dense.correlation;
        let len = self.runs.len() * self.steps * panel.blocks * LANES;
        match &dense.weights {
            Weights::Own(weights) => {
                let per_group = blocks_of(c.c_out) * LANES * c.c_in * c.taps.len();
                let first = self.group * per_group + panel.weights + self.first * panel.blocks * LANES;
                &weights.as_slice()[first..first + len]
            }
            Weights::Mirrored(mirror) => {
                let laid = &mut laid.at_least(len)[..len];
                mirror.lay(dense.isa, self.group, panel, self.runs.clone(), self.steps, laid);
                laid
            }
        }
    }

    /// Returns the part of the next panel's weights that one tile, out of `tiles`, prefetches while it
    /// computes, and the prefetch distance per product. All tiles together prefetch the whole panel.
    fn ahead(
        &self,
        dense: &Dense,
        panel: Panel,
        weights: &[f32],
        tile: usize,
        tiles: usize,
    ) -> (*const f32, usize) {
        let c = &dense.correlation;
        match &dense.weights {
            Weights::Own(_) => {
                let next = panel.blocks * LANES * c.c_in * c.taps.len();
                let pace = (panel.blocks * LANES).div_ceil(tiles);
                (weights.as_ptr().wrapping_add(next + tile * self.runs.len() * self.steps * pace), pace)
            }
            Weights::Mirrored(mirror) => {
                (mirror.ahead(self.group, panel, &self.runs, tile).unwrap_or(weights.as_ptr()), LANES)
            }
        }
    }
}

/// The compiled tiles for one number of blocks. Remembers the tile used last, to save a look-up.
struct Tiles {
    isa: Isa,
    blocks: usize,
    last: Option<(usize, Tile)>,
}

impl Tiles {
    fn new(isa: Isa, blocks: usize) -> Tiles {
        Tiles { isa, blocks, last: None }
    }

    fn get(&mut self, positions: usize) -> Tile {
        match self.last {
            Some((known, tile)) if known == positions => tile,
            _ => {
                let tile = tile_of(self.isa, positions, self.blocks);
                self.last = Some((positions, tile));
                tile
            }
        }
    }
}

/// Copies the source of some channel blocks into slabs. Blocks below `laid` already have their padding zeros.
fn fill(slab: &Slab, source: &[f32], plane: usize, blocks: usize, laid: usize, data: &mut [f32]) {
    for block in 0..blocks {
        let to = &mut data[block * slab.len * LANES..(block + 1) * slab.len * LANES];
        let from = &source[block * plane * LANES..];
        if block >= laid {
            for &(begin, end) in &slab.zeros {
                to[begin * LANES..end * LANES].fill(0.0);
            }
        }
        for piece in &slab.pieces {
            let to = &mut to[piece.to * LANES..(piece.to + piece.len) * LANES];
            if slab.step == 1 {
                to.copy_from_slice(&from[piece.from * LANES..(piece.from + piece.len) * LANES]);
            } else {
                let from = from[piece.from * LANES..].chunks(slab.step * LANES);
                for (to, from) in to.chunks_exact_mut(LANES).zip(from) {
                    to.copy_from_slice(&from[..LANES]);
                }
            }
        }
    }
}
