//! Weights of an adjoint that are read from its convolution's packed weights, so that memory holds one copy
//! for both directions.
//!
//! Tiles read weights in the order of their own direction. So blocks of 16 × 16 weights are transposed in
//! registers before the tiles run. The transposed weights stay in a first-level cache.

use super::{Dense, Panel, Weights};
use crate::kernels::blocked::isa_dispatch::isa_dispatch;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::blocked::{Packed, blocks_of};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::isa::Isa;
use std::ops::Range;
use std::sync::Arc;

/// If the weights take fewer bytes, a second copy costs less than transposing them in every run.
const FEWEST_BYTES: usize = 64 << 10;

/// If the adjoint has fewer positions, a second copy is cheaper. Transposing a block takes about as long as
/// its products at twelve positions.
const FEWEST_POSITIONS: usize = 128;

/// The packed weights of a convolution, read by its adjoint.
#[derive(Debug)]
pub(super) struct Mirror {
    packed: Arc<Packed>,
    /// Panels of the convolution. All counts below are the convolution's, too.
    panels: Vec<Panel>,
    c_in: usize,
    out_blocks: usize,
    taps: usize,
    /// Maps each tap of the adjoint to a tap of the convolution.
    kernel_taps: Vec<usize>,
}

impl Mirror {
    /// Whether an adjoint should share its convolution's weights instead of keeping a copy.
    pub(super) fn pays(adjoint: &Correlation) -> bool {
        let weights = adjoint.groups * adjoint.c_in * adjoint.c_out * adjoint.taps.len();
        weights * size_of::<f32>() >= FEWEST_BYTES && volume(adjoint.grid) >= FEWEST_POSITIONS
    }

    /// Returns `None` if the convolution itself has no weights of its own.
    pub(super) fn new(of: &Dense, kernel_taps: &[usize]) -> Option<Mirror> {
        let Weights::Own(packed) = &of.weights else { return None };
        let c = &of.correlation;
        Some(Mirror {
            packed: packed.clone(),
            panels: of.panels.clone(),
            c_in: c.c_in,
            out_blocks: blocks_of(c.c_out),
            taps: c.taps.len(),
            kernel_taps: kernel_taps.to_vec(),
        })
    }

    /// Writes the weights of some runs for one panel of the adjoint. A run is a pair (input block, tap) of
    /// the adjoint; it has `steps` products of the panel's width.
    pub(super) fn lay(
        &self,
        isa: Isa,
        group: usize,
        panel: Panel,
        runs: Range<usize>,
        steps: usize,
        to: &mut [f32],
    ) {
        let (taps, width) = (self.kernel_taps.len(), panel.blocks * LANES);
        for (run, to) in runs.zip(to.chunks_exact_mut(steps * width)) {
            let (block, tap) = (run / taps, self.kernel_taps[run % taps]);
            for v in 0..panel.blocks {
                self.transpose(isa, group, block, tap, panel.first + v, steps, &mut to[v * LANES..], width);
            }
        }
    }

    /// Offset of the convolution's weights for an output block, a tap and the input blocks from `input` on.
    fn start(&self, group: usize, out: usize, tap: usize, input: usize) -> usize {
        let panel = self.panels[out / self.panels[0].blocks];
        let rows = LANES.min(self.c_in - input * LANES);
        let product = input * LANES * self.taps + tap * rows;
        group * self.out_blocks * LANES * self.c_in * self.taps
            + panel.weights
            + product * panel.blocks * LANES
            + (out - panel.first) * LANES
    }

    /// Returns the address of weights that the next panel of the adjoint will read, for prefetching. `piece`
    /// counts the convolution's panels, each of which is contiguous in memory. Returns `None` after the last
    /// piece.
    pub(super) fn ahead(
        &self,
        group: usize,
        panel: Panel,
        runs: &Range<usize>,
        piece: usize,
    ) -> Option<*const f32> {
        let taps = self.kernel_taps.len();
        let input = panel.first + panel.blocks;
        let run = runs.start + piece * self.panels[0].blocks * taps;
        (runs.contains(&run) && input * LANES < self.c_in).then(|| {
            let start = self.start(group, run / taps, 0, input);
            self.packed.as_slice()[start..].as_ptr()
        })
    }

    /// Transposes the weights between output block `out` and input block `input` of the convolution: rows are
    /// inputs in the convolution's order, and become columns.
    fn transpose(
        &self,
        isa: Isa,
        group: usize,
        out: usize,
        tap: usize,
        input: usize,
        columns: usize,
        to: &mut [f32],
        to_step: usize,
    ) {
        let rows = LANES.min(self.c_in - input * LANES);
        let from_step = self.panels[out / self.panels[0].blocks].blocks * LANES;
        let start = self.start(group, out, tap, input);
        let from = &self.packed.as_slice()[start..start + (rows - 1) * from_step + LANES];
        let to = &mut to[..(columns - 1) * to_step + LANES];
        let call = Transpose { from: from.as_ptr(), from_step, rows, to: to.as_mut_ptr(), to_step, columns };
        // SAFETY: both slices have the lengths that `call` names.
        unsafe { transpose(isa, &call) }
    }
}

/// Transposes a matrix: `to[j][i] = from[i][j]` for i below `rows` and j below `columns`. For i from `rows`
/// to 15, `to[j][i]` becomes 0.
struct Transpose {
    from: *const f32,
    from_step: usize,
    rows: usize,
    to: *mut f32,
    to_step: usize,
    columns: usize,
}

isa_dispatch! {
    fn transpose(&Transpose) = transpose_in
}

/// # Safety
/// `rows` rows of sixteen elements can be read from `from`, and `columns` rows of sixteen written to `to`.
#[inline(always)]
unsafe fn transpose_in<X: Lanes>(call: &Transpose) {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let mut rows = [X::splat(0.0); LANES];
        for (i, row) in rows.iter_mut().enumerate().take(call.rows) {
            *row = X::load(call.from.add(i * call.from_step));
        }
        for (j, column) in X::transpose(rows).into_iter().enumerate().take(call.columns) {
            column.store(call.to.add(j * call.to_step));
        }
    }
}
