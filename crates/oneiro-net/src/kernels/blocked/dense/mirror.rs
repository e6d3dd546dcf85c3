//! Weights of an adjoint that are read from those of its convolution, so that memory holds one copy for both
//! directions.
//!
//! Tiles read weights in the order of their own direction: before the tiles of a few products run, blocks of
//! 16 × 16 numbers are transposed in registers, into memory that stays in a first-level cache.

use super::{Dense, Panel, Weights};
use crate::kernels::blocked::isa_dispatch::isa_dispatch;
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::blocked::{Packed, blocks_of};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::isa::Isa;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of weights below which a second copy costs less than transposing them each time.
const FEWEST_BYTES: usize = 64 << 10;

/// Positions below which they are not transposed either: a block takes about as long as its products at
/// twelve positions.
const FEWEST_POSITIONS: usize = 128;

/// The weights of a convolution, seen from its adjoint.
#[derive(Debug)]
pub(super) struct Mirror {
    packed: Arc<Packed>,
    /// Of the convolution, as are the numbers below.
    panels: Vec<Panel>,
    c_in: usize,
    out_blocks: usize,
    taps: usize,
    /// Which of its taps each tap of the adjoint is.
    kernel_taps: Vec<usize>,
}

impl Mirror {
    /// Whether an adjoint should be without weights of its own.
    pub(super) fn pays(adjoint: &Correlation) -> bool {
        let weights = adjoint.groups * adjoint.c_in * adjoint.c_out * adjoint.taps.len();
        weights * size_of::<f32>() >= FEWEST_BYTES && volume(adjoint.grid) >= FEWEST_POSITIONS
    }

    /// `None` where the convolution has no weights to lend.
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

    /// The weights of some runs, (block of inputs, tap) pairs of the adjoint, for one of its panels: for each
    /// run `steps` products of the panel's width.
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

    /// Where the convolution's weights for an output block, and the input blocks from `input` on, begin.
    fn start(&self, group: usize, out: usize, tap: usize, input: usize) -> usize {
        let panel = self.panels[out / self.panels[0].blocks];
        let rows = LANES.min(self.c_in - input * LANES);
        let product = input * LANES * self.taps + tap * rows;
        group * self.out_blocks * LANES * self.c_in * self.taps
            + panel.weights
            + product * panel.blocks * LANES
            + (out - panel.first) * LANES
    }

    /// What the panel after `panel` reads for some runs: the weights of each of the convolution's panels lie
    /// together, and `piece` counts these. `None` where there is no more.
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

    /// The products of output block `out` with input block `input`, by which the convolution goes, as rows of
    /// inputs.
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
        // SAFETY: both slices have what the call says.
        unsafe { transpose(isa, &call) }
    }
}

/// `to[j][i] = from[i][j]` for i below `rows` and j below `columns`, 0 for the other i up to 16.
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
/// `rows` rows of sixteen numbers can be read, and `columns` of them written.
#[inline(always)]
unsafe fn transpose_in<X: Lanes>(call: &Transpose) {
    // SAFETY: as the caller grants.
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
