//! The general dense convolution engine: an implicit matrix product over taps.
//!
//! One kernel computes convolutions, their adjoints with respect to the input, and transposed convolutions, in one to
//! three dimensions: each is a [`Correlation`] or a few (see [`Correlation::forward_of`], [`Correlation::backward_of`]).
//! Columns (grid positions) are packed block by block straight from the source, multiplied by packed weights in
//! register tiles (`gemm`), and finished by an [`Epilogue`] while they are in the cache.
//!
//! Every output is one chain of multiply-adds: it starts from the bias (or from what the destination holds) and
//! goes through channels, then taps. Blocks, threads and the batch cut or move chains but never reorder them, so that
//! they cannot change a bit of the result.

mod columns;
mod geometry;

pub use geometry::{ConvGeometry, Phase};

use super::clip::{MASK_BITS, clip_row, mask_words};
use super::gemm::{MAX_COLUMNS, MAX_ROWS, Tile, TileShape, tile_of};
use super::isa::Isa;
use super::scratch::{AlignedBuffer, Disjoint};
use columns::Columns;
use rayon::prelude::*;
use std::cell::RefCell;

/// Products of one pass over packed columns (channels · taps): a weight panel of 14 · 256 numbers stays in a
/// first-level cache of 32 KB beside the columns that stream past it.
const DEPTH_BLOCK: usize = 256;
/// Columns packed at a time: 256 · 256 numbers fill a quarter of a second-level cache of 1 MB.
const COLUMN_BLOCK: usize = 256;
/// Rows of a task that writes with steps: their sums stay in the second-level cache until they are scattered.
const SCATTER_ROWS: usize = 256;
/// Fewest rows of a task when rows are split among threads: packing columns costs about as much as 4 rows.
const FEWEST_ROWS: usize = 64;
/// Tasks for each thread, so that an unlucky last one costs little.
const TASKS_PER_THREAD: usize = 4;

/// A dense correlation over planes, in groups. Arrays run D, H, W.
///
/// ```text
/// dst[n, g, m, dst_start + p·dst_step] = bias[g, m] + Σ_c Σ_t w[g, m, c, t] · src[n, g, c, p·src_step + taps[t]]
/// ```
///
/// for every p in `grid`; the source is 0 outside its plane. Destination elements that no p reaches are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// Images.
    pub batch: usize,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Source channels of one group.
    pub c_in: usize,
    /// Destination channels of one group.
    pub c_out: usize,
    /// Source plane.
    pub src: [usize; 3],
    /// Destination plane.
    pub dst: [usize; 3],
    /// Positions to compute.
    pub grid: [usize; 3],
    /// Source steps from one position to the next.
    pub src_step: [usize; 3],
    /// Destination of position 0.
    pub dst_start: [usize; 3],
    /// Destination steps from one position to the next.
    pub dst_step: [usize; 3],
    /// Source offsets of the weights of one channel.
    pub taps: Vec<[isize; 3]>,
}

/// Weights in the order in which the tiles of one instruction set read them.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    isa: Isa,
    groups: usize,
    rows: usize,
    depth: usize,
    /// Rows of every panel but the last.
    panel_rows: usize,
    /// Per group, per panel, per product: the panel's rows.
    data: Vec<f32>,
}

impl PackedWeights {
    /// The instruction set they are packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }

    fn panels(&self) -> usize {
        self.rows.div_ceil(self.panel_rows)
    }

    /// Rows of a panel.
    fn rows_of(&self, panel: usize) -> usize {
        self.panel_rows.min(self.rows - panel * self.panel_rows)
    }

    /// One panel, `[depth][rows of the panel]`.
    fn panel(&self, group: usize, panel: usize) -> &[f32] {
        let start = (group * self.rows + panel * self.panel_rows) * self.depth;
        &self.data[start..start + self.rows_of(panel) * self.depth]
    }
}

/// What is done to every result before it leaves the cache.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// `y = low` where `x < low`, `high` where `x > high`; a NaN stays. ReLU is `low: 0, high: ∞`.
    ///
    /// Masks hold one row for each (image, channel), [`mask_words`] of the plane each, every word of which is
    /// written: bit p % 32 of word p / 32 is position p.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
        /// Set where `x <= low`.
        below: Option<&'a mut [u32]>,
        /// Set where `x >= high`.
        above: Option<&'a mut [u32]>,
    },
}

/// The memory of one thread.
struct Scratch {
    columns: Columns,
    /// Sums of a task whose destination is not contiguous.
    sums: AlignedBuffer,
    /// A tile that is only partly wanted.
    edge: AlignedBuffer,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch {
            columns: Columns::new(),
            sums: AlignedBuffer::new(),
            edge: AlignedBuffer::new(),
        })
    };
}

impl Correlation {
    /// Packs weights; `weight(group, out, input, tap)` reads one.
    ///
    /// # Panics
    /// Where this machine lacks `isa`.
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

    /// Computes the correlation into `dst`, or adds it to `dst` where `accumulate` is set.
    ///
    /// Shapes: `bias` `[groups · c_out]`, `src` `[batch, groups · c_in, src]`, `dst` `[batch, groups · c_out, dst]`.
    ///
    /// # Panics
    /// Where a slice or the weights do not fit the geometry, the weights are packed for another instruction set, or a
    /// clip is asked for although the grid is not the whole destination.
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
        let clip = match epilogue {
            Epilogue::None => None,
            Epilogue::Clip { low, high, below, above } => {
                assert!(
                    self.is_whole(),
                    "a clip needs a correlation that writes its whole destination: {self:?}"
                );
                let words = self.batch * self.groups * self.c_out * mask_words(columns);
                for mask in [&below, &above].into_iter().flatten() {
                    assert_eq!(mask.len(), words, "words of a mask of {self:?}");
                }
                Some(Clip { low, high, below: below.map(Disjoint::new), above: above.map(Disjoint::new) })
            }
        };
        let shape = TileShape::of(isa);
        let tiles = [weights.panel_rows, weights.rows_of(weights.panels() - 1)].map(|rows| {
            [1, 2]
                .map(|vectors| (vectors * shape.lanes <= shape.columns).then(|| tile_of(isa, rows, vectors)))
        });
        let job = Job {
            correlation: self,
            isa,
            shape,
            tiles,
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
            SCRATCH.with_borrow_mut(|scratch| job.run(scratch, block));
        };
        if tasks == 1 || rayon::current_num_threads() == 1 {
            (0..tasks).for_each(run);
        } else {
            (0..tasks).into_par_iter().for_each(run);
        }
    }

    /// Products of one output.
    fn depth(&self) -> usize {
        self.c_in * self.taps.len()
    }

    /// Whether grid and destination are the same.
    pub(super) fn is_whole(&self) -> bool {
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
        for d in 0..3 {
            let end = self.dst_start[d] + self.grid[d].saturating_sub(1) * self.dst_step[d];
            assert!(self.grid[d] == 0 || end < self.dst[d], "the grid leaves the destination: {self:?}");
            assert!(self.src_step[d] > 0 && self.dst_step[d] > 0, "a step is 0: {self:?}");
        }
    }

    /// Cuts one (image, group) into blocks of columns and of rows. Threads matter here, for speed alone.
    fn split(&self, weights: &PackedWeights, columns: usize) -> Split {
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { threads * TASKS_PER_THREAD };
        // Column blocks begin at whole mask words, of which no two tasks share one.
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

/// How the work is cut into tasks.
struct Split {
    /// Columns of a block, whole mask words.
    columns: usize,
    column_parts: usize,
    /// Weight panels of a task.
    panels: usize,
    row_parts: usize,
}

/// The work of one task: ranges of columns and of weight panels.
#[derive(Clone, Copy)]
struct Block {
    image: usize,
    group: usize,
    columns: (usize, usize),
    panels: (usize, usize),
}

struct Clip<'a> {
    low: f32,
    high: f32,
    below: Option<Disjoint<'a, u32>>,
    above: Option<Disjoint<'a, u32>>,
}

/// One call, as its tasks see it.
struct Job<'a> {
    correlation: &'a Correlation,
    isa: Isa,
    shape: TileShape,
    /// Tiles of a panel and of the last panel, one and two registers wide.
    tiles: [[Option<Tile>; 2]; 2],
    weights: &'a PackedWeights,
    bias: Option<&'a [f32]>,
    src: &'a [f32],
    dst: Disjoint<'a, f32>,
    accumulate: bool,
    clip: Option<Clip<'a>>,
}

/// Starts of chains without a bias.
static ZEROS: [f32; MAX_ROWS] = [0.0; MAX_ROWS];

impl Job<'_> {
    fn run(&self, scratch: &mut Scratch, block: Block) {
        let correlation = self.correlation;
        let (begin, end) = block.columns;
        let width = end - begin;
        let whole = correlation.is_whole();
        let plane = volume(correlation.dst);
        let first_row = block.panels.0 * self.weights.panel_rows;
        let rows = (block.panels.1 * self.weights.panel_rows).min(correlation.c_out) - first_row;
        let Scratch { columns, sums, edge } = scratch;
        columns.prepare(correlation, begin, end, self.shape.columns);

        // Where sums are kept between passes: in the destination itself where its columns lie side by side.
        let sums = Sums {
            start: if whole {
                self.dst.pointer(self.row(block, first_row) * plane + begin)
            } else {
                sums.at_least(rows * width.next_multiple_of(MAX_COLUMNS)).as_mut_ptr()
            },
            stride: if whole { plane } else { width.next_multiple_of(MAX_COLUMNS) },
            width: if whole { width } else { width.next_multiple_of(MAX_COLUMNS) },
        };
        if self.accumulate {
            self.load(block, first_row, rows, &sums);
        }

        let src_plane = volume(correlation.src);
        let taps = correlation.taps.len();
        let first_channel = (block.image * correlation.groups + block.group) * correlation.c_in;
        let channels = if taps == 0 { 0 } else { correlation.c_in };
        let passes = channels.div_ceil((DEPTH_BLOCK / taps.max(1)).max(1)).max(1);
        let per_pass = channels.div_ceil(passes);
        for pass in 0..passes {
            let from = pass * per_pass;
            let count = per_pass.min(channels - from);
            let source = &self.src[(first_channel + from) * src_plane..];
            let (packed, distance) = columns.pack(self.isa, source, src_plane, count);
            for panel in block.panels.0..block.panels.1 {
                let start = (pass == 0 && !self.accumulate).then(|| self.start(block.group, panel));
                let products = (from * taps, count * taps);
                self.multiply(block, panel, products, packed, distance, start, &sums, edge, first_row);
                if pass + 1 == passes && whole {
                    self.finish(block, panel, plane);
                }
            }
        }
        if !whole {
            self.scatter(block, first_row, rows, &sums);
        }
    }

    /// The row of (image, group, channel) in the destination.
    fn row(&self, block: Block, channel: usize) -> usize {
        (block.image * self.correlation.groups + block.group) * self.correlation.c_out + channel
    }

    /// The start of the chains of a panel's rows.
    fn start(&self, group: usize, panel: usize) -> &[f32] {
        let first = panel * self.weights.panel_rows;
        let rows = self.weights.rows_of(panel);
        self.bias.map_or(&ZEROS[..rows], |bias| &bias[group * self.correlation.c_out + first..][..rows])
    }

    /// Adds the products `products.0 ..` (`products.1` of them) of one weight panel to the sums of the block.
    fn multiply(
        &self,
        block: Block,
        panel: usize,
        products: (usize, usize),
        packed: &[f32],
        distance: usize,
        start: Option<&[f32]>,
        sums: &Sums,
        edge: &mut AlignedBuffer,
        first_row: usize,
    ) {
        let rows = self.weights.rows_of(panel);
        let (first, count) = products;
        let weights = &self.weights.panel(block.group, panel)[first * rows..(first + count) * rows];
        let tiles = &self.tiles[usize::from(rows != self.weights.panel_rows)];
        let start = start.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let columns = block.columns.1 - block.columns.0;
        let sum_row = panel * self.weights.panel_rows - first_row;
        for (strip, first_column) in (0..columns).step_by(self.shape.columns).enumerate() {
            let vectors = (columns - first_column)
                .div_ceil(self.shape.lanes)
                .min(self.shape.columns / self.shape.lanes);
            let width = vectors * self.shape.lanes;
            let Some(tile) = tiles[vectors - 1] else { unreachable!("a width that the family has") };
            let strip = &packed[strip * distance..][..count * self.shape.columns];
            // SAFETY: the family is there (`tile_of` asked). `weights` and `strip` have `count` rows of the panel's and of the
            // family's width. The sums have this task's rows and columns, which no other task has; where the tile is
            // wider than what is left of them, it works in `edge`, which has a full tile.
            unsafe {
                let at = sums.start.add(sum_row * sums.stride + first_column);
                if first_column + width <= sums.width {
                    tile(count, weights.as_ptr(), strip.as_ptr(), at, sums.stride, start);
                } else {
                    let edge = edge.at_least(MAX_ROWS * MAX_COLUMNS).as_mut_ptr();
                    let wanted = sums.width - first_column;
                    for row in 0..rows {
                        let from = at.add(row * sums.stride);
                        if start.is_null() {
                            std::ptr::copy_nonoverlapping(from, edge.add(row * MAX_COLUMNS), wanted);
                        }
                    }
                    tile(count, weights.as_ptr(), strip.as_ptr(), edge, MAX_COLUMNS, start);
                    for row in 0..rows {
                        std::ptr::copy_nonoverlapping(
                            edge.add(row * MAX_COLUMNS),
                            at.add(row * sums.stride),
                            wanted,
                        );
                    }
                }
            }
        }
    }

    /// Clips the finished rows of a panel.
    fn finish(&self, block: Block, panel: usize, plane: usize) {
        let Some(clip) = &self.clip else { return };
        let (begin, end) = block.columns;
        let words = mask_words(end - begin);
        for channel in 0..self.weights.rows_of(panel) {
            let row = self.row(block, panel * self.weights.panel_rows + channel);
            let mask = row * mask_words(plane) + begin / MASK_BITS;
            // SAFETY: rows and columns of this block belong to this task alone, and column blocks begin at whole words.
            unsafe {
                let below = clip.below.as_ref().map(|below| below.part(mask, words));
                let above = clip.above.as_ref().map(|above| above.part(mask, words));
                let row = self.dst.part(row * plane + begin, end - begin);
                clip_row(self.isa, row, clip.low, clip.high, below, above);
            }
        }
    }

    /// Begins the sums with what the destination holds, and the bias.
    fn load(&self, block: Block, first_row: usize, rows: usize, sums: &Sums) {
        let bias = |row: usize| {
            self.bias.map_or(0.0, |bias| bias[block.group * self.correlation.c_out + first_row + row])
        };
        if self.correlation.is_whole() && self.bias.is_none() {
            return;
        }
        self.each(block, first_row, rows, |row, column, dst| {
            // SAFETY: the sum and the destination of this block's rows and columns belong to this task alone.
            unsafe { *sums.start.add(row * sums.stride + column) = *dst + bias(row) }
        });
    }

    /// Writes the finished sums to their places.
    fn scatter(&self, block: Block, first_row: usize, rows: usize, sums: &Sums) {
        self.each(block, first_row, rows, |row, column, dst| {
            // SAFETY: the sum and the destination of this block's rows and columns belong to this task alone.
            unsafe { *dst = *sums.start.add(row * sums.stride + column) }
        });
    }

    /// Calls `visit(row, column, destination)` for the elements of a block.
    #[inline(always)]
    fn each(&self, block: Block, first_row: usize, rows: usize, visit: impl Fn(usize, usize, *mut f32)) {
        let Correlation { dst, grid, dst_start, dst_step, .. } = self.correlation;
        let (begin, end) = block.columns;
        for row in 0..rows {
            let plane = self.row(block, first_row + row) * volume(*dst);
            let mut position = begin;
            while position < end {
                let (line, x) = (position / grid[2], position % grid[2]);
                let z = dst_start[0] + line / grid[1] * dst_step[0];
                let y = dst_start[1] + line % grid[1] * dst_step[1];
                let start = plane + (z * dst[1] + y) * dst[2] + dst_start[2] + x * dst_step[2];
                let len = (grid[2] - x).min(end - position);
                // The last element is in bounds (checked here), so the ones before it are.
                self.dst.pointer(start + (len - 1) * dst_step[2]);
                for i in 0..len {
                    visit(row, position - begin + i, self.dst.pointer(start).wrapping_add(i * dst_step[2]));
                }
                position += len;
            }
        }
    }
}

/// Where the sums of a task are kept.
struct Sums {
    start: *mut f32,
    stride: usize,
    /// Numbers of each row that may be written.
    width: usize,
}

/// Elements of a box.
fn volume(extent: [usize; 3]) -> usize {
    extent.iter().product()
}

#[cfg(test)]
mod tests;
