//! Divides the work of a direct convolution into tasks: panels of output blocks, times ranges of positions.

use super::{Dense, Weights};
use crate::kernels::blocked::blocks_of;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::tile::{MAX_BLOCKS, most_positions};
use crate::kernels::correlate::{Correlation, Reading};
use crate::kernels::isa::Isa;
use crate::kernels::team;

/// Output elements that stay in a core's cache from one pass to the next: half of a second-level cache of 1
/// MB. A task with more of them reads and writes them in memory in every pass.
const TASK_NUMBERS: usize = 128 << 10;

/// Fewest columns (output positions) of a range: a few tiles.
const MIN_COLUMNS: usize = 28;
/// Most ranges of columns (output positions) for each thread.
const MAX_PARTS: usize = 8;

// Costs of a task other than its products, measured within a factor of two on an Intel Xeon of 2023 (Emerald
// Rapids).

/// Bytes of weights that a core reads per cycle from the caches that all threads share.
const WEIGHT_BYTES: f64 = 8.0;
/// Bytes of partial sums that a core reads or writes per cycle if they do not fit its second-level cache.
const FAR_BYTES: f64 = 8.0;
/// Cycles to transpose one weight of the convolution for its adjoint.
const TURN_CYCLES: f64 = 0.4;
/// Cycles to copy the sixteen values of a position into a slab.
const SLAB_CYCLES: f64 = 2.0;
/// Cycles to hand over a task to a thread.
const TASK_CYCLES: f64 = 4000.0;
/// Cycles that a pass over a block of outputs loses while another core writes the neighbouring columns. Cache
/// lines prefetched beyond the last column then move between the two cores (AMD Zen 5, 2025: 2400 to 2600
/// cycles).
const BORDER_CYCLES: f64 = 2500.0;

/// Into how many ranges of columns and of panels the outputs of one image and group are divided.
pub(super) struct Split {
    pub(super) column_parts: usize,
    pub(super) panel_parts: usize,
}

impl Dense {
    /// Divides the outputs of one image and group into ranges of columns and of panels, so that the estimated
    /// number of cycles is smallest. The number of threads changes the division, hence the speed, but no
    /// result.
    pub(super) fn split(&self, columns: usize) -> Split {
        let c = &self.correlation;
        let threads = team::threads();
        let images = c.batch * c.groups;
        let depth = c.c_in * c.taps.len();
        let panels = self.panels.len();
        let in_blocks = blocks_of(c.c_in);
        let end =
            |d: usize, of: fn(isize, isize) -> isize| c.taps.iter().map(|t| t[d]).reduce(of).unwrap_or(0);
        let (low, high) = ([0, 1, 2].map(|d| end(d, isize::min)), [0, 1, 2].map(|d| end(d, isize::max)));
        let direct = c.src_step == [1; 3] && low.iter().all(|&l| l >= 0) && high == low;
        let halo = (high[1] - low[1]) as usize * c.src[2] + (high[0] - low[0]) as usize * c.src[1] * c.src[2];
        let passes = (depth / super::CHAIN).max(1);
        let turn = if matches!(self.weights, Weights::Mirrored(_)) { TURN_CYCLES } else { 0.0 };
        let cycles = |column_parts: usize, panel_parts: usize| -> f64 {
            let columns = columns.div_ceil(column_parts) as f64;
            let blocks = blocks_of(c.c_out) as f64 * panels.div_ceil(panel_parts) as f64 / panels as f64;
            let sums = columns * blocks * LANES as f64;
            let products = columns * blocks * depth as f64 / 2.0;
            let weights = blocks * (LANES * depth) as f64 * (4.0 / WEIGHT_BYTES + turn);
            let slab = if direct { 0.0 } else { (columns + halo as f64) * in_blocks as f64 * SLAB_CYCLES };
            let revisits =
                if sums > TASK_NUMBERS as f64 { sums * passes as f64 * 8.0 / FAR_BYTES } else { 0.0 };
            let tasks = images * column_parts * panel_parts;
            // If a thread has several tasks, neighbouring ranges are computed at different times.
            let meets = column_parts > 1 && tasks < 2 * threads;
            let border = if meets { blocks * passes as f64 * BORDER_CYCLES } else { 0.0 };
            // Counts rounds of tasks: in the last round, threads may be idle.
            tasks.div_ceil(threads) as f64 * (products + weights + slab + revisits + border + TASK_CYCLES)
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
}

/// Returns the number of blocks in a panel that takes the fewest cycles. A tile needs half a cycle for each
/// multiply-add and each load, and at least the latency of a multiply-add for each product.
pub(super) fn best_width(correlation: &Correlation, isa: Isa, blocks: usize) -> usize {
    /// Cycles until the result of a multiply-add can be used by the next (Intel and AMD, 2015 to 2024: 4).
    const LATENCY: f64 = 4.0;
    let line = if correlation.is_whole() { Reading::of(correlation).grid[2] } else { correlation.grid[2] };
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
    // Two blocks win a tie, because they read the source half as often as one block does.
    widths
        .min_by(|&a, &b| cycles(a).total_cmp(&cycles(b)).then((a != 2).cmp(&(b != 2))).then(a.cmp(&b)))
        .unwrap_or(1)
}
