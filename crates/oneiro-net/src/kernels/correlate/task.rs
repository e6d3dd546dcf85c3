//! One task of a correlation: some columns of one image and group, times some panels of its weights.

use super::columns::Columns;
use super::{Correlation, PackedWeights, volume};
use crate::kernels::clip::{Clip, MASK_BITS, mask_words};
use crate::kernels::gemm::{MAX_COLUMNS, MAX_ROWS, Tile, TileShape, tile_of};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use std::cell::RefCell;

/// Most products (channels · taps) of one pass over packed columns. A weight panel of 14 rows of 256 products
/// then stays in a first-level cache of 32 KB beside the columns.
const DEPTH_BLOCK: usize = 256;

/// Working memory of one thread.
struct Scratch {
    columns: Columns,
    /// Sums of a task whose destination is not contiguous.
    sums: AlignedBuffer,
    /// Sums of a tile that is wider than the columns left.
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

/// The work of one task: ranges of columns and of weight panels.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) image: usize,
    pub(super) group: usize,
    /// Linear grid positions, first and end. The first begins a mask word.
    pub(super) columns: (usize, usize),
    /// Index of the first weight panel, and the index after the last.
    pub(super) panels: (usize, usize),
}

/// One call of `Correlation::run`, shared by its tasks.
pub(super) struct Job<'a> {
    pub(super) correlation: &'a Correlation,
    pub(super) isa: Isa,
    pub(super) tiles: Tiles,
    pub(super) weights: &'a PackedWeights,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) src: &'a [f32],
    pub(super) dst: Disjoint<'a, f32>,
    pub(super) accumulate: bool,
    pub(super) clip: Option<Clip<'a>>,
}

/// The compiled tiles that a job needs.
pub(super) struct Tiles {
    shape: TileShape,
    /// Tiles for full panels and for the last panel, each one and two registers wide.
    by_panel: [[Option<Tile>; 2]; 2],
}

impl Tiles {
    /// Chooses the tiles for weights, which must have at least one row.
    pub(super) fn of(weights: &PackedWeights) -> Tiles {
        let shape = TileShape::of(weights.isa);
        let by_panel = [weights.panel_rows, weights.rows_of(weights.panels() - 1)].map(|rows| {
            [1, 2].map(|vectors| {
                (vectors * shape.lanes <= shape.columns).then(|| tile_of(weights.isa, rows, vectors))
            })
        });
        Tiles { shape, by_panel }
    }
}

/// Zeros from which chains without a bias start.
static ZEROS: [f32; MAX_ROWS] = [0.0; MAX_ROWS];

impl Job<'_> {
    /// Computes the outputs of one task.
    pub(super) fn run(&self, block: Block) {
        SCRATCH.with_borrow_mut(|scratch| self.run_in(scratch, block));
    }

    fn run_in(&self, scratch: &mut Scratch, block: Block) {
        let correlation = self.correlation;
        let (begin, end) = block.columns;
        let width = end - begin;
        let whole = correlation.is_whole();
        let plane = volume(correlation.dst);
        let first_row = block.panels.0 * self.weights.panel_rows;
        let rows = (block.panels.1 * self.weights.panel_rows).min(correlation.c_out) - first_row;
        let Scratch { columns, sums, edge } = scratch;
        columns.prepare(correlation, begin, end, self.tiles.shape.columns);

        // Between passes, the sums are kept in the destination itself if its columns are contiguous, else in
        // scratch memory.
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

    /// Index of the destination's row for an image, group and channel.
    fn row(&self, block: Block, channel: usize) -> usize {
        (block.image * self.correlation.groups + block.group) * self.correlation.c_out + channel
    }

    /// The bias of a panel's rows, or zeros: the start of their sums.
    fn start(&self, group: usize, panel: usize) -> &[f32] {
        let first = panel * self.weights.panel_rows;
        let rows = self.weights.rows_of(panel);
        self.bias.map_or(&ZEROS[..rows], |bias| &bias[group * self.correlation.c_out + first..][..rows])
    }

    /// Adds `products.1` products of one weight panel, from number `products.0` on, to the sums of the block.
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
        let tiles = &self.tiles.by_panel[usize::from(rows != self.weights.panel_rows)];
        let start = start.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let columns = block.columns.1 - block.columns.0;
        let sum_row = panel * self.weights.panel_rows - first_row;
        for (strip, first_column) in (0..columns).step_by(self.tiles.shape.columns).enumerate() {
            let vectors = (columns - first_column)
                .div_ceil(self.tiles.shape.lanes)
                .min(self.tiles.shape.columns / self.tiles.shape.lanes);
            let width = vectors * self.tiles.shape.lanes;
            let Some(tile) = tiles[vectors - 1] else { unreachable!("a width that the family has") };
            let strip = &packed[strip * distance..][..count * self.tiles.shape.columns];
            // SAFETY: `tile_of` has checked the instruction set. `weights` and `strip` have `count` rows, of
            // the panel's height and of the full tile's width. The sums have this task's rows and columns,
            // which no other task has. A tile that is wider than the columns left works in `edge`, which has
            // the size of a full tile.
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
        for channel in 0..self.weights.rows_of(panel) {
            let row = self.row(block, panel * self.weights.panel_rows + channel);
            let first_word = row * mask_words(plane) + begin / MASK_BITS;
            // SAFETY: rows and columns of this block belong to this task alone. So do their mask words, since
            // blocks of columns begin at a new word.
            unsafe {
                let row = self.dst.part(row * plane + begin, end - begin);
                clip.apply(self.isa, row, first_word);
            }
        }
    }

    /// Starts the sums from the destination's contents plus the bias.
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

    /// Writes the finished sums to their places in the destination.
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
                // The last element is in bounds (its end is checked here), so the ones before it are.
                self.dst.pointer(start + (len - 1) * dst_step[2] + 1);
                for i in 0..len {
                    visit(row, position - begin + i, self.dst.pointer(start).wrapping_add(i * dst_step[2]));
                }
                position += len;
            }
        }
    }
}

/// Memory for the sums of a task.
struct Sums {
    start: *mut f32,
    stride: usize,
    /// Number of elements that may be written in each row.
    width: usize,
}
