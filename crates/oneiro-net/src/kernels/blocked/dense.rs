//! Dense convolution and its adjoint between values in blocks of channels.
//!
//! A [`Correlation`] over taps, computed directly. The outputs are divided into ranges of positions and
//! panels of output blocks. Each pass over a few blocks of input channels copies the source lines it needs
//! into a slab; register tiles ([`super::tile`]) then run over the slab. Every output is a sum of short
//! chains. Where a chain ends depends on the numbers of channels and taps alone, so neither threads nor the
//! batch can change a bit.

mod job;
mod mirror;
mod split;

use super::lanes::LANES;
use super::{Packed, blocks_of, even};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;
use job::Job;
use mirror::Mirror;
use rayon::prelude::*;
use std::sync::Arc;

/// Most multiply-adds of one chain. The weights of one chain for a panel two blocks wide take 18 KB, so they
/// stay in a first-level cache beside the source. Longer chains are less accurate.
const CHAIN: usize = 144;

/// Multiply-adds per cycle of a core: two registers of sixteen, less what tiles lose at their borders.
pub(super) const PRODUCTS: f64 = 28.0;
/// Cycles that a core waits for each weight: 4 bytes at 4 bytes a cycle, the core's share of 24 GB/s of
/// memory bandwidth.
pub(super) const WEIGHT_COST: f64 = 1.0;

/// A correlation with its packed weights.
#[derive(Debug)]
pub struct Dense {
    correlation: Correlation,
    isa: Isa,
    /// Panels of one group, in the order of their output blocks.
    panels: Vec<Panel>,
    weights: Weights,
    /// Shape `[groups · blocks][16]`; lanes without a channel hold zeros.
    bias: Packed,
}

#[derive(Debug)]
enum Weights {
    /// The correlation's own weights, in the order in which tiles read them.
    Own(Arc<Packed>),
    /// The weights of the convolution of which this correlation is the adjoint.
    Mirrored(Mirror),
}

#[derive(Debug, Clone, Copy)]
struct Panel {
    /// Index of the panel's first output block in its group.
    first: usize,
    /// Number of blocks of output channels in the panel.
    blocks: usize,
    /// Offset of the panel's weights within the weights of its group.
    weights: usize,
}

/// One pass over some input channels of a group: a few full blocks, or the last block if it is not full.
#[derive(Clone, Copy)]
struct Pass {
    first_block: usize,
    blocks: usize,
    /// Number of channels that are used of each block.
    steps: usize,
}

impl Dense {
    /// Whether this kernel can compute the correlation. No block may contain channels of two groups.
    pub fn takes(correlation: &Correlation) -> bool {
        correlation.groups == 1
            || correlation.c_in.is_multiple_of(LANES) && correlation.c_out.is_multiple_of(LANES)
    }

    /// Estimated cost of one image in cycles of one core, comparable with the `cost` of other kernels.
    pub fn cost(correlation: &Correlation) -> f64 {
        let Correlation { groups, c_in, c_out, .. } = *correlation;
        let weights = (groups * c_out * c_in * correlation.taps.len()) as f64;
        weights * volume(correlation.grid) as f64 / PRODUCTS + weights * WEIGHT_COST
    }

    /// Packs the weights that `weight(group, out, input, tap)` returns, and a bias `[groups · c_out]`.
    pub fn new(
        correlation: Correlation,
        isa: Isa,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
        bias: Option<&[f32]>,
    ) -> Dense {
        let panels = panels_of(&correlation, isa);
        let weights = Weights::Own(Arc::new(pack(&correlation, &panels, weight)));
        let bias = Packed::bias(bias, correlation.groups, correlation.c_out);
        Dense { correlation, isa, panels, weights, bias }
    }

    /// Whether an adjoint should read the weights of its convolution ([`Dense::adjoint_of`]) instead of its
    /// own copy. A copy is cheaper for few weights or few positions, because shared weights are transposed in
    /// every run.
    pub fn shares_weights(adjoint: &Correlation) -> bool {
        Mirror::pays(adjoint)
    }

    /// Returns an adjoint of this convolution, or one phase of it, that reads this convolution's weights.
    /// `kernel_taps` maps each tap of the adjoint to a tap of this convolution. Returns `None` if this
    /// convolution has no weights of its own.
    pub fn adjoint_of(&self, adjoint: Correlation, kernel_taps: &[usize]) -> Option<Dense> {
        let weights = Weights::Mirrored(Mirror::new(self, kernel_taps)?);
        let panels = panels_of(&adjoint, self.isa);
        let bias = Packed::bias(None, adjoint.groups, adjoint.c_out);
        Some(Dense { correlation: adjoint, isa: self.isa, panels, weights, bias })
    }

    /// Computes the correlation into `dst`, or adds it to `dst` if `accumulate` is set; the bias is then left
    /// out.
    ///
    /// Both slices are in blocks of channels: `src` `[blocks, batch, src]`, `dst` `[blocks, batch, dst]`.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, epilogue: &mut Epilogue<'_>) {
        let c = &self.correlation;
        let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
        let (in_blocks, out_blocks) = (blocks_of(c.c_in), blocks_of(c.c_out));
        assert_eq!(src.len(), c.batch * c.groups * in_blocks * src_plane * LANES, "source of {c:?}");
        assert_eq!(dst.len(), c.batch * c.groups * out_blocks * dst_plane * LANES, "destination of {c:?}");
        let columns = volume(c.grid);
        if columns == 0 || c.batch * c.groups * out_blocks == 0 {
            return;
        }
        let epilogue = epilogue.addresses(dst, c.batch * c.groups * out_blocks, dst_plane);
        let job = Job { dense: self, src, dst: Disjoint::new(dst), accumulate, epilogue };
        let split = self.split(columns);
        let tasks = c.batch * c.groups * split.column_parts * split.panel_parts;
        let run = |task: usize| {
            let (task, turn) = (task / split.panel_parts, task % split.panel_parts);
            let (task, column_part) = (task / split.column_parts, task % split.column_parts);
            // Neighbouring tasks run at the same time, so they begin with different panels.
            let panel_part = (turn + column_part) % split.panel_parts;
            job.run(
                task / c.groups,
                task % c.groups,
                even(split.column_parts, column_part, columns),
                even(split.panel_parts, panel_part, self.panels.len()),
            );
        };
        team::each(tasks, 1, run);
    }

    fn passes(&self) -> impl Iterator<Item = Pass> {
        let c = &self.correlation;
        let taps = c.taps.len();
        let (full, tail) = if taps == 0 { (0, 0) } else { (c.c_in / LANES, c.c_in % LANES) };
        let per_pass = (CHAIN / LANES / taps.max(1)).max(1);
        // The smallest number of passes, of nearly equal length.
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

/// Divides the output blocks of a group into panels.
fn panels_of(correlation: &Correlation, isa: Isa) -> Vec<Panel> {
    isa.require();
    assert!(Dense::takes(correlation), "blocks of channels straddle groups: {correlation:?}");
    correlation.check_grid();
    let blocks = blocks_of(correlation.c_out);
    let width = split::best_width(correlation, isa, blocks);
    let depth = correlation.c_in * correlation.taps.len();
    let panel = |first| Panel { first, blocks: width.min(blocks - first), weights: first * LANES * depth };
    (0..blocks).step_by(width).map(panel).collect()
}

/// Weights in the order in which tiles read them: groups, panels, blocks of inputs, taps, inputs, outputs of
/// the panel.
fn pack(
    correlation: &Correlation,
    panels: &[Panel],
    weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
) -> Packed {
    let Correlation { groups, c_in, c_out, .. } = *correlation;
    let taps = correlation.taps.len();
    let depth = c_in * taps;
    let mut weights = Packed::zeros(groups * blocks_of(c_out) * LANES * depth);
    let mut rest = weights.as_mut_slice();
    let mut parts = Vec::with_capacity(groups * panels.len());
    for group in 0..groups {
        for panel in panels {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(panel.blocks * LANES * depth);
            parts.push((group, panel, part));
            rest = behind;
        }
    }
    parts.into_par_iter().for_each(|(group, panel, to)| {
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
    });
    weights
}
