//! Dense convolution and its adjoint between values in blocks of channels.
//!
//! A [`Correlation`] over taps, computed directly: outputs are cut into ranges of positions and panels of output
//! blocks; for each pass over a few blocks of input channels the source lines are laid out as a slab, and tiles
//! ([`super::tile`]) run over it. Every output is a sum of short chains, whose ends depend on the numbers of channels
//! and taps alone: neither threads nor the batch can change a bit.

use super::tile::{Finish, LANES, MAX_BLOCKS, Tile, TileCall, most_positions, tile_of};
use super::{Ending, Packed, blocks_of, even};
use crate::kernels::correlate::slab::Slab;
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use crate::kernels::team;
use rayon::prelude::*;
use std::cell::RefCell;

/// Multiply-adds of one chain at most. A panel of weights for it, two blocks wide, takes 18 KB: it stays in a
/// first-level cache beside the source that streams past. Longer chains are less accurate.
const CHAIN: usize = 144;

/// Numbers of the destination that a task goes through for every pass: half of a second-level cache of 1 MB.
const TASK_NUMBERS: usize = 128 << 10;

/// Multiply-adds in a cycle: two registers of sixteen, less what tiles lose at their borders.
pub(super) const PRODUCTS: f64 = 28.0;
/// Cycles that a core waits for each weight: 4 bytes at 4 bytes a cycle, its share of the memory's 24 GB/s.
pub(super) const WEIGHT_COST: f64 = 1.0;

/// Columns below which a range is not cut: a few tiles.
const MIN_COLUMNS: usize = 28;
/// Ranges of columns for each thread at most.
const MAX_PARTS: usize = 8;

// What a task costs besides its products, measured on an Intel Xeon of 2023 (Emerald Rapids) within a factor of two.

/// Bytes of weights that arrive in a cycle from the caches that threads share.
const WEIGHT_BYTES: f64 = 8.0;
/// Bytes of sums that come and go in a cycle where they do not fit a second-level cache.
const FAR_BYTES: f64 = 8.0;
/// Cycles to copy the sixteen numbers of a position into a slab.
const SLAB_CYCLES: f64 = 2.0;
/// Cycles to hand over a task.
const TASK_CYCLES: f64 = 4000.0;

/// A correlation with its weights packed.
#[derive(Debug)]
pub struct Dense {
    correlation: Correlation,
    isa: Isa,
    /// Output blocks of each panel of a group, one after another.
    panels: Vec<Panel>,
    weights: Packed,
    /// `[groups · blocks][16]`, zeros where there is no channel.
    bias: Packed,
}

#[derive(Debug, Clone, Copy)]
struct Panel {
    /// First output block in the group.
    first: usize,
    /// Output blocks.
    blocks: usize,
    /// Where its weights begin in those of the group.
    weights: usize,
}

struct Scratch {
    slab: Slab,
    data: AlignedBuffer,
    offsets: Vec<usize>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { slab: Slab::new(), data: AlignedBuffer::new(), offsets: Vec::new() })
    };
}

/// Passes over the input channels of a group: full blocks a few at a time, then what is left of the last one.
#[derive(Clone, Copy)]
struct Pass {
    first_block: usize,
    blocks: usize,
    /// Channels of each block.
    steps: usize,
}

impl Dense {
    /// Whether groups of this many channels can be computed here: blocks must not straddle groups.
    pub fn takes(correlation: &Correlation) -> bool {
        correlation.groups == 1
            || correlation.c_in.is_multiple_of(LANES) && correlation.c_out.is_multiple_of(LANES)
    }

    /// What one image costs, in cycles of a core by a simple count; to be compared with that of other kernels.
    pub fn cost(correlation: &Correlation) -> f64 {
        let Correlation { groups, c_in, c_out, .. } = *correlation;
        let weights = (groups * c_out * c_in * correlation.taps.len()) as f64;
        weights * volume(correlation.grid) as f64 / PRODUCTS + weights * WEIGHT_COST
    }

    /// Packs weights, `weight(group, out, input, tap)`, and a bias `[groups · c_out]`.
    pub fn new(
        correlation: Correlation,
        isa: Isa,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
        bias: Option<&[f32]>,
    ) -> Dense {
        isa.require();
        assert!(Dense::takes(&correlation), "blocks of channels straddle groups: {correlation:?}");
        correlation.check_grid();
        let Correlation { groups, c_in, c_out, .. } = correlation;
        let taps = correlation.taps.len();
        let blocks = blocks_of(c_out);
        let width = best_width(&correlation, isa, blocks);
        let depth = c_in * taps;
        let panels: Vec<Panel> = (0..blocks)
            .step_by(width)
            .map(|first| Panel { first, blocks: width.min(blocks - first), weights: first * LANES * depth })
            .collect();
        let per_group = blocks * LANES * depth;
        let mut weights = Packed::zeros(groups * per_group);
        weights.as_mut_slice().par_chunks_mut((LANES * depth * width).max(1)).enumerate().for_each(
            |(i, to)| {
                let (group, panel) = (i / panels.len().max(1), &panels[i % panels.len()]);
                let mut at = 0;
                for block in 0..blocks_of(c_in) {
                    for tap in 0..taps {
                        for input in block * LANES..c_in.min((block + 1) * LANES) {
                            let rows = to[at..at + panel.blocks * LANES].iter_mut().enumerate();
                            for (lane, to) in rows {
                                let out = panel.first * LANES + lane;
                                *to = if out < c_out { weight(group, out, input, tap) } else { 0.0 };
                            }
                            at += panel.blocks * LANES;
                        }
                    }
                }
            },
        );
        let bias = Packed::bias(bias, groups, c_out);
        Dense { correlation, isa, panels, weights, bias }
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Computes into `dst`, or adds to it where `accumulate` is set (the bias is then left out).
    ///
    /// Both in blocks of channels: `src` `[blocks, batch, src]`, `dst` `[blocks, batch, dst]`.
    ///
    /// # Panics
    /// Where a slice does not fit.
    pub fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, ending: &mut Ending<'_>) {
        let c = &self.correlation;
        let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
        let (in_blocks, out_blocks) = (blocks_of(c.c_in), blocks_of(c.c_out));
        assert_eq!(src.len(), c.batch * c.groups * in_blocks * src_plane * LANES, "source of {c:?}");
        assert_eq!(dst.len(), c.batch * c.groups * out_blocks * dst_plane * LANES, "destination of {c:?}");
        let columns = volume(c.grid);
        if columns == 0 || c.batch * c.groups * out_blocks == 0 {
            return;
        }
        let finish = ending.finish(dst, c.batch * c.groups * out_blocks, dst_plane);
        let job = Job { dense: self, src, dst: Disjoint::new(dst), accumulate, finish };
        let split = self.split(columns);
        let tasks = c.batch * c.groups * split.column_parts * split.panel_parts;
        let run = |task: usize| {
            let (task, column_part) = (task / split.column_parts, task % split.column_parts);
            let (task, panel_part) = (task / split.panel_parts, task % split.panel_parts);
            job.run(
                task / c.groups,
                task % c.groups,
                even(split.column_parts, column_part, columns),
                even(split.panel_parts, panel_part, self.panels.len()),
            );
        };
        team::each(tasks, 1, run);
    }

    /// Cuts one (image, group) into ranges of columns and of panels: the cut that takes the fewest cycles by a simple
    /// count. Threads matter here, for speed alone.
    fn split(&self, columns: usize) -> Split {
        let c = &self.correlation;
        let threads = rayon::current_num_threads();
        let images = c.batch * c.groups;
        let depth = c.c_in * c.taps.len();
        let panels = self.panels.len();
        let in_blocks = blocks_of(c.c_in);
        let end =
            |d: usize, of: fn(isize, isize) -> isize| c.taps.iter().map(|t| t[d]).reduce(of).unwrap_or(0);
        let (low, high) = ([0, 1, 2].map(|d| end(d, isize::min)), [0, 1, 2].map(|d| end(d, isize::max)));
        let direct = c.src_step == [1; 3] && low.iter().all(|&l| l >= 0) && high == low;
        let halo = (high[1] - low[1]) as usize * c.src[2] + (high[0] - low[0]) as usize * c.src[1] * c.src[2];
        let passes = (depth / CHAIN).max(1);
        let cycles = |column_parts: usize, panel_parts: usize| -> f64 {
            let columns = columns.div_ceil(column_parts) as f64;
            let blocks = blocks_of(c.c_out) as f64 * panels.div_ceil(panel_parts) as f64 / panels as f64;
            let sums = columns * blocks * LANES as f64;
            let products = columns * blocks * depth as f64 / 2.0;
            let weights = blocks * (LANES * depth) as f64 * 4.0 / WEIGHT_BYTES;
            let slab = if direct { 0.0 } else { (columns + halo as f64) * in_blocks as f64 * SLAB_CYCLES };
            let revisits =
                if sums > TASK_NUMBERS as f64 { sums * passes as f64 * 8.0 / FAR_BYTES } else { 0.0 };
            let tasks = images * column_parts * panel_parts;
            // A last round that is not full leaves threads idle; many rounds even out.
            tasks.div_ceil(threads) as f64 * (products + weights + slab + revisits + TASK_CYCLES)
        };
        let most_columns = columns.div_ceil(MIN_COLUMNS).min(MAX_PARTS * threads);
        let candidates = (1..=most_columns).flat_map(|column_parts| {
            (1..=panels.min(4 * threads)).map(move |panel_parts| (column_parts, panel_parts))
        });
        let (column_parts, panel_parts) = candidates
            .map(|(columns, panels)| (cycles(columns, panels), columns, panels))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or((1, 1), |(_, columns, panels)| (columns, panels));
        Split { column_parts, panel_parts }
    }

    /// How far the weights that a later panel reads for the same products lie from those of this panel.
    fn ahead(&self, panel: Panel, _products: usize, depth: usize) -> usize {
        panel.blocks * LANES * depth
    }

    fn passes(&self) -> impl Iterator<Item = Pass> {
        let c = &self.correlation;
        let taps = c.taps.len();
        let (full, tail) = if taps == 0 { (0, 0) } else { (c.c_in / LANES, c.c_in % LANES) };
        let per_pass = (CHAIN / LANES / taps.max(1)).max(1);
        // As many passes as needed, nearly equal.
        let passes = full.div_ceil(per_pass);
        let whole = (0..passes).map(move |i| {
            let (first, end) = (full * i / passes, full * (i + 1) / passes);
            Pass { first_block: first, blocks: end - first, steps: LANES }
        });
        let rest = (tail > 0).then_some(Pass { first_block: full, blocks: 1, steps: tail });
        let none = (full == 0 && tail == 0).then_some(Pass { first_block: 0, blocks: 0, steps: LANES });
        whole.chain(rest).chain(none)
    }
}

struct Split {
    column_parts: usize,
    panel_parts: usize,
}

/// One call, as its tasks see it.
struct Job<'a> {
    dense: &'a Dense,
    src: &'a [f32],
    dst: Disjoint<'a, f32>,
    accumulate: bool,
    finish: Option<Finish>,
}

// SAFETY: the addresses in `finish` are of slices that outlive the job; tasks write masks at disjoint places, those of
// their own outputs.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    fn run(&self, image: usize, group: usize, columns: (usize, usize), panels: (usize, usize)) {
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
        let Scratch { slab, data, offsets } = scratch;
        slab.lay(c, columns.0, columns.1, usize::MAX);
        let src_plane = volume(c.src);
        let in_blocks = blocks_of(c.c_in);
        // From one block of channels to the next lie the other images.
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
                let finish = pass.first_block == last && chunk + 1 == chunks;
                let products = pass.first_block * taps * LANES + runs.start * pass.steps;
                for &panel in &dense.panels[panels.0..panels.1] {
                    self.multiply(
                        (group * blocks_of(c.c_out) + panel.first) * c.batch + image,
                        group,
                        panel,
                        products,
                        pass.steps,
                        &offsets[runs.clone()],
                        from,
                        slab,
                        written,
                        finish,
                    );
                }
                written = true;
            }
        }
    }

    /// Adds the products of some runs to the outputs of one panel.
    fn multiply(
        &self,
        first_plane: usize,
        group: usize,
        panel: Panel,
        products: usize,
        steps: usize,
        offsets: &[usize],
        from: &[f32],
        slab: &Slab,
        written: bool,
        finish: bool,
    ) {
        let dense = self.dense;
        let c = &dense.correlation;
        let plane = volume(c.dst);
        let per_group = blocks_of(c.c_out) * LANES * c.c_in * c.taps.len();
        let first = group * per_group + panel.weights + products * panel.blocks * LANES;
        let weights = &dense.weights.as_slice()[first..first + offsets.len() * steps * panel.blocks * LANES];
        let bias = (group * blocks_of(c.c_out) + panel.first) * LANES;
        let bias = &dense.bias.as_slice()[bias..bias + panel.blocks * LANES];
        let step = if c.is_whole() { 1 } else { c.dst_step[2] };
        let mask_plane = super::mask_plane(plane);
        let finish = self.finish.as_ref().filter(|_| finish).map_or(std::ptr::null(), |f| f as *const Finish);
        let most = most_positions(dense.isa, panel.blocks);
        let mut tiles = Tiles::new(dense.isa, panel.blocks);
        // What the next panel reads of these runs, a piece for each of the first tiles.
        let mut pieces = 0;
        let mut ahead =
            weights.as_ptr().wrapping_add(dense.ahead(panel, offsets.len() * steps, c.c_in * c.taps.len()));
        for segment in &slab.segments {
            let end = segment.to + (segment.len - 1) * step;
            // The last output of the last block is in bounds (checked here), so those before it are.
            self.dst.pointer(((first_plane + (panel.blocks - 1) * c.batch) * plane + end + 1) * LANES);
            let count = segment.len.div_ceil(most);
            for tile in 0..count {
                let (x, end) = (segment.len * tile / count, segment.len * (tile + 1) / count);
                let to = segment.to + x * step;
                let call = TileCall {
                    // SAFETY: a segment's base and offsets stay inside the source (asserted by the caller).
                    src: unsafe { from.as_ptr().add((segment.base + x) * LANES) },
                    offsets: offsets.as_ptr(),
                    runs: offsets.len(),
                    steps,
                    weights: weights.as_ptr(),
                    ahead,
                    out: self.dst.pointer((first_plane * plane + to) * LANES),
                    out_block: c.batch * plane * LANES,
                    out_step: step * LANES,
                    start: if written { std::ptr::null() } else { bias.as_ptr() },
                    finish,
                    mask_at: first_plane * mask_plane + to,
                    mask_block: c.batch * mask_plane,
                    mask_step: step,
                };
                // SAFETY: weights and bias have what the panel asks for (sliced above), the source and the outputs
                // what the segment asks for (checked above); no other task writes these outputs.
                unsafe { tiles.get(end - x)(&call) };
                pieces += 1;
                ahead = if pieces < panel.blocks {
                    ahead.wrapping_add(offsets.len() * steps * LANES)
                } else {
                    weights.as_ptr()
                };
            }
        }
    }
}

/// The compiled tiles of one number of blocks; the last one is remembered.
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

/// Fills the slabs of some blocks; those below `laid` have their zeros already.
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

/// The width of panels, in blocks, that takes the fewest cycles by a simple count: a tile needs half a cycle for each
/// multiply-add and for each load, and at least the latency of a multiply-add for each product.
fn best_width(correlation: &Correlation, isa: Isa, blocks: usize) -> usize {
    /// Cycles from a multiply-add to the next that needs its result (Intel and AMD, 2015 to 2024: 4).
    const LATENCY: f64 = 4.0;
    let line = if correlation.is_whole() {
        crate::kernels::correlate::Reading::of(correlation).grid[2]
    } else {
        correlation.grid[2]
    };
    let cycles = |width: usize| -> f64 {
        let of = |panel: usize| -> f64 {
            let most = most_positions(isa, panel);
            let count = line.div_ceil(most).max(1);
            (0..count)
                .map(|i| (line * (i + 1) / count - line * i / count) as f64)
                .map(|r| {
                    let panel = panel as f64;
                    (r * panel / 2.0).max((r + panel) / 2.0).max(LATENCY)
                })
                .sum()
        };
        let (full, rest) = (blocks / width, blocks % width);
        full as f64 * of(width) + if rest > 0 { of(rest) } else { 0.0 }
    };
    let widths = (1..=MAX_BLOCKS.min(blocks.max(1))).filter(|&w| most_positions(isa, w) > 0);
    // Two blocks win a tie: they read the source half as often as one.
    widths
        .min_by(|&a, &b| cycles(a).total_cmp(&cycles(b)).then((a != 2).cmp(&(b != 2))).then(a.cmp(&b)))
        .unwrap_or(1)
}
