//! Weights of an adjoint that are read from those of its convolution, so that memory holds one copy for both directions.
//!
//! Tiles read weights in the order of their own direction. Before a run that order is laid out in memory which all layers
//! share: blocks of 16 × 16 numbers, transposed in registers.

use super::{Dense, Panel};
use crate::kernels::blocked::families::families;
use crate::kernels::blocked::lanes::Lanes;
use crate::kernels::blocked::tile::LANES;
use crate::kernels::blocked::{Packed, blocks_of};
use crate::kernels::correlate::Correlation;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use crate::kernels::team;
use std::cell::Cell;
use std::sync::Arc;

/// Bytes of weights below which a second copy costs less than laying it out each time.
const FEWEST_BYTES: usize = 64 << 10;
/// Bytes of weights above which laying them out would take as much memory as it saves.
const MOST_BYTES: usize = 16 << 20;
/// Blocks of 16 × 16 numbers that are worth handing to another thread: some ten microseconds.
const TASK_BLOCKS: usize = 256;

thread_local! {
    /// What the layers of a pass share. Taken out while in use, so that a thread that meanwhile runs another pass has its own.
    static LAID: Cell<AlignedBuffer> = const { Cell::new(AlignedBuffer::new()) };
}

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
        (FEWEST_BYTES..=MOST_BYTES).contains(&(weights * size_of::<f32>()))
    }

    /// `None` where the convolution has no weights to lend.
    pub(super) fn new(of: &Dense, kernel_taps: &[usize]) -> Option<Mirror> {
        let super::Weights::Own(packed) = &of.weights else { return None };
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

    /// Lays the weights out as `adjoint` reads them, and works with them.
    pub(super) fn with<R>(&self, adjoint: &Dense, work: impl FnOnce(&[f32]) -> R) -> R {
        let c = &adjoint.correlation;
        let len = c.groups * blocks_of(c.c_out) * LANES * c.c_in * c.taps.len();
        let mut buffer = LAID.take();
        let laid = &mut buffer.at_least(len)[..len];
        self.lay(adjoint, laid);
        let result = work(laid);
        LAID.set(buffer);
        result
    }

    fn lay(&self, adjoint: &Dense, laid: &mut [f32]) {
        let c = &adjoint.correlation;
        let (panels, in_blocks) = (adjoint.panels.len(), blocks_of(c.c_in));
        let per_group = blocks_of(c.c_out) * LANES * c.c_in * c.taps.len();
        let laid = Disjoint::new(laid);
        let blocks = self.kernel_taps.len() * adjoint.panels.first().map_or(1, |p| p.blocks);
        team::each(c.groups * panels * in_blocks, TASK_BLOCKS.div_ceil(blocks.max(1)), |task| {
            let (task, block) = (task / in_blocks, task % in_blocks);
            let (group, panel) = (task / panels, adjoint.panels[task % panels]);
            let (width, steps) = (panel.blocks * LANES, LANES.min(c.c_in - block * LANES));
            let start = group * per_group + panel.weights + block * LANES * c.taps.len() * width;
            // SAFETY: every task has the products of one block with one panel, which lie side by side.
            let to = unsafe { laid.part(start, c.taps.len() * steps * width) };
            for (&tap, to) in self.kernel_taps.iter().zip(to.chunks_exact_mut(steps * width)) {
                for v in 0..panel.blocks {
                    self.transpose(
                        adjoint.isa,
                        group,
                        block,
                        tap,
                        panel.first + v,
                        &mut to[v * LANES..],
                        width,
                    );
                }
            }
        });
    }

    /// The products of output block `out` with input block `input`, by which the convolution goes, as rows of inputs.
    fn transpose(
        &self,
        isa: Isa,
        group: usize,
        out: usize,
        tap: usize,
        input: usize,
        to: &mut [f32],
        to_step: usize,
    ) {
        let panel = self.panels[out / self.panels[0].blocks];
        let rows = LANES.min(self.c_in - input * LANES);
        let from_step = panel.blocks * LANES;
        let product = input * LANES * self.taps + tap * rows;
        let start = group * self.out_blocks * LANES * self.c_in * self.taps
            + panel.weights
            + product * from_step
            + (out - panel.first) * LANES;
        let from = &self.packed.as_slice()[start..start + (rows - 1) * from_step + LANES];
        let columns = to.len().saturating_sub(LANES) / to_step + 1;
        assert!(to.len() >= LANES && columns <= LANES, "rows of the adjoint's weights");
        let call = Transpose { from: from.as_ptr(), from_step, rows, to: to.as_mut_ptr(), to_step, columns };
        // SAFETY: both slices have what the call says (sliced and counted above).
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

families! {
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
