//! The general dense convolution engine: an implicit matrix product over taps.
//!
//! One kernel computes convolutions, their adjoints with respect to the input, and transposed convolutions,
//! in one to three dimensions. Each of them is one [`Correlation`] or several (see
//! [`Correlation::forward_of`], [`Correlation::backward_of`]). Columns (grid positions) are packed block by
//! block straight from the source and multiplied by packed weights in register tiles (`gemm`). An
//! [`Epilogue`] finishes them while they are in the cache.
//!
//! Every output is a sum of short chains of multiply-adds in a fixed order. It starts from the bias or from
//! the destination's contents, and runs through channels, then taps. Where a chain ends depends on the
//! numbers of channels and taps alone. So blocks of columns, threads and the batch cannot change a bit of the
//! result.

mod columns;
mod geometry;
pub(crate) mod slab;
mod task;

pub(crate) use columns::Reading;
pub use geometry::{ConvGeometry, Phase};

use super::clip::{Clip, MASK_BITS};
use super::epilogue::{Epilogue, EpilogueFunction};
use super::gemm::TileShape;
use super::isa::Isa;
use super::scratch::Disjoint;
use rayon::prelude::*;
use task::{Block, Job, Tiles};

/// Columns packed at a time: 256 columns of 256 products fill a quarter of a second-level cache of 1 MB.
const COLUMN_BLOCK: usize = 256;
/// Most rows of a task whose destination is not contiguous: its sums stay in the second-level cache until
/// they are scattered.
const SCATTER_ROWS: usize = 256;
/// Fewest rows of a task if rows are divided among threads. Packing columns costs about as much as computing
/// 4 rows.
const FEWEST_ROWS: usize = 64;
/// Tasks for each thread. With several, threads wait less for the last task.
const TASKS_PER_THREAD: usize = 4;

/// A dense correlation over planes, in groups of channels. Extents and offsets are in the order D, H, W.
///
/// ```text
/// dst[n, g, m, dst_start + p·dst_step]
///     = bias[g, m] + Σ_c Σ_t w[g, m, c, t] · src[n, g, c, p·src_step + taps[t]]
/// ```
///
/// for every p in `grid`. The source is 0 outside its plane. Destination elements that no p reaches keep
/// their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// Number of images.
    pub batch: usize,
    /// Number of groups of channels.
    pub groups: usize,
    /// Number of source channels in each group.
    pub c_in: usize,
    /// Number of destination channels in each group.
    pub c_out: usize,
    /// Extent of the source: depth, height, width.
    pub src: [usize; 3],
    /// Extent of the destination: depth, height, width.
    pub dst: [usize; 3],
    /// Extent of the grid of positions to compute.
    pub grid: [usize; 3],
    /// Distance in the source between neighbouring grid positions.
    pub src_step: [usize; 3],
    /// Position in the destination of grid position 0.
    pub dst_start: [usize; 3],
    /// Distance in the destination between neighbouring grid positions.
    pub dst_step: [usize; 3],
    /// Offset in the source of each tap of the kernel.
    pub taps: Vec<[isize; 3]>,
}

/// Weights in the order in which the tiles of one instruction set read them.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    isa: Isa,
    groups: usize,
    rows: usize,
    depth: usize,
    /// Number of rows in every panel but the last.
    panel_rows: usize,
    /// Weights by group, panel, product and row of the panel, in this order.
    data: Vec<f32>,
}

impl PackedWeights {
    fn panels(&self) -> usize {
        self.rows.div_ceil(self.panel_rows)
    }

    /// Number of rows in a panel.
    fn rows_of(&self, panel: usize) -> usize {
        self.panel_rows.min(self.rows - panel * self.panel_rows)
    }

    /// Returns one panel, `[depth][rows of the panel]`.
    fn panel(&self, group: usize, panel: usize) -> &[f32] {
        let start = (group * self.rows + panel * self.panel_rows) * self.depth;
        &self.data[start..start + self.rows_of(panel) * self.depth]
    }
}

impl Correlation {
    /// Packs the weights that `weight(group, out, input, tap)` returns.
    ///
    /// # Panics
    /// If this machine lacks `isa`.
    pub fn pack(&self, isa: Isa, weight: impl Fn(usize, usize, usize, usize) -> f32) -> PackedWeights {
        isa.require();
        let depth = self.depth();
        let panel_rows = TileShape::of(isa).panel_rows(self.c_out);
        let mut data = Vec::with_capacity(self.groups * self.c_out * depth);
        for group in 0..self.groups {
            for first in (0..self.c_out).step_by(panel_rows) {
                for input in 0..self.c_in {
                    for tap in 0..self.taps.len() {
                        let rows = first..self.c_out.min(first + panel_rows);
                        data.extend(rows.map(|out| weight(group, out, input, tap)));
                    }
                }
            }
        }
        PackedWeights { isa, groups: self.groups, rows: self.c_out, depth, panel_rows, data }
    }

    /// Computes the correlation into `dst`, or adds it to `dst` if `accumulate` is set.
    ///
    /// Shapes: `bias` `[groups · c_out]`, `src` `[batch, groups · c_in, src]`, `dst` `[batch, groups · c_out,
    /// dst]`.
    ///
    /// # Panics
    /// If a slice or the weights do not fit the geometry, or the weights are packed for another instruction
    /// set. Also if a clip is asked for although the grid is not the whole destination.
    pub fn run(
        &self,
        isa: Isa,
        weights: &PackedWeights,
        bias: Option<&[f32]>,
        src: &[f32],
        dst: &mut [f32],
        accumulate: bool,
        epilogue: Epilogue<'_>,
    ) {
        isa.require();
        self.check(isa, weights, bias, src, dst);
        let columns = volume(self.grid);
        if columns * self.batch * self.groups * self.c_out == 0 {
            return;
        }
        let clip = self.clip_of(epilogue);
        let job = Job {
            correlation: self,
            isa,
            tiles: Tiles::of(weights),
            weights,
            bias,
            src,
            dst: Disjoint::new(dst),
            accumulate,
            clip,
        };
        let split = self.split(weights, columns);
        let tasks = self.batch * self.groups * split.row_parts * split.column_parts;
        let run = |task: usize| {
            let (task, column_part) = (task / split.column_parts, task % split.column_parts);
            let (task, row_part) = (task / split.row_parts, task % split.row_parts);
            let begin = column_part * split.columns;
            let first = row_part * split.panels;
            let block = Block {
                image: task / self.groups,
                group: task % self.groups,
                columns: (begin, columns.min(begin + split.columns)),
                panels: (first, weights.panels().min(first + split.panels)),
            };
            job.run(block);
        };
        if tasks == 1 || rayon::current_num_threads() == 1 {
            (0..tasks).for_each(run);
        } else {
            (0..tasks).into_par_iter().for_each(run);
        }
    }

    /// Returns the clip that an epilogue asks for, with its masks.
    ///
    /// # Panics
    /// If the epilogue has other work, or the grid is not the whole destination.
    pub(super) fn clip_of<'a>(&self, epilogue: Epilogue<'a>) -> Option<Clip<'a>> {
        let Epilogue { add: None, slopes: None, activation_masks: [None, None], function } = epilogue else {
            panic!("a correlation in plain order clips only");
        };
        let EpilogueFunction::Clip { bounds, below, above } = function? else {
            panic!("a correlation in plain order clips only");
        };
        assert!(self.is_whole(), "a clip needs a correlation that writes its whole destination: {self:?}");
        Some(Clip::new(
            self.batch * self.groups * self.c_out,
            volume(self.dst),
            bounds.low,
            bounds.high,
            below,
            above,
        ))
    }

    /// Number of products that are summed for each output.
    fn depth(&self) -> usize {
        self.c_in * self.taps.len()
    }

    /// Whether the grid covers the whole destination.
    pub(crate) fn is_whole(&self) -> bool {
        self.grid == self.dst && self.dst_start == [0; 3] && self.dst_step == [1; 3]
    }

    fn check(&self, isa: Isa, weights: &PackedWeights, bias: Option<&[f32]>, src: &[f32], dst: &[f32]) {
        let channels = self.groups * self.c_out;
        assert_eq!(src.len(), self.batch * self.groups * self.c_in * volume(self.src), "source of {self:?}");
        assert_eq!(dst.len(), self.batch * channels * volume(self.dst), "destination of {self:?}");
        assert_eq!(bias.map_or(channels, <[f32]>::len), channels, "bias of {self:?}");
        assert_eq!(weights.isa, isa, "instruction set of the weights of {self:?}");
        let packed = (weights.groups, weights.rows, weights.depth);
        assert_eq!(packed, (self.groups, self.c_out, self.depth()), "weights of {self:?}");
        self.check_grid();
    }

    /// Panics if the grid exceeds the destination or a step is 0.
    pub(crate) fn check_grid(&self) {
        for d in 0..3 {
            let end = self.dst_start[d] + self.grid[d].saturating_sub(1) * self.dst_step[d];
            assert!(self.grid[d] == 0 || end < self.dst[d], "the grid leaves the destination: {self:?}");
            assert!(self.src_step[d] > 0 && self.dst_step[d] > 0, "a step is 0: {self:?}");
        }
    }

    /// Divides the outputs of one image and group into blocks of columns and of rows. The number of threads
    /// changes the division, hence the speed, but no result.
    fn split(&self, weights: &PackedWeights, columns: usize) -> Split {
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { threads * TASKS_PER_THREAD };
        // A block of columns begins at a new mask word, so that no two tasks share a word.
        let strips = columns.div_ceil(MASK_BITS);
        let column_parts = columns.div_ceil(COLUMN_BLOCK);
        let block = strips.div_ceil(column_parts) * MASK_BITS;
        let column_parts = columns.div_ceil(block);
        let tasks = self.batch * self.groups * column_parts;
        let most_rows = if self.is_whole() { usize::MAX } else { SCATTER_ROWS };
        let row_parts = wanted
            .div_ceil(tasks)
            .min(weights.rows / FEWEST_ROWS)
            .max(weights.rows.div_ceil(most_rows))
            .max(1);
        let panels = weights.panels().div_ceil(row_parts);
        Split { columns: block, column_parts, panels, row_parts: weights.panels().div_ceil(panels) }
    }
}

/// How the outputs of one image and group are divided into tasks.
struct Split {
    /// Number of columns in a block, a multiple of the bits of a mask word.
    columns: usize,
    column_parts: usize,
    /// Number of weight panels that one task uses.
    panels: usize,
    row_parts: usize,
}

/// Number of elements in a box of this extent.
pub(crate) fn volume(extent: [usize; 3]) -> usize {
    extent.iter().product()
}

#[cfg(test)]
pub(crate) mod tests;
