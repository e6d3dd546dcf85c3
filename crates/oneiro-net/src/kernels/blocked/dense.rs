//! Dense convolution and its adjoint between values in blocks of channels.
//!
//! A [`Correlation`] over taps, computed directly: outputs are cut into ranges of positions and panels of
//! output blocks; for each pass over a few blocks of input channels the source lines are laid out as a slab,
//! and tiles ([`super::tile`]) run over it. Every output is a sum of short chains, whose ends depend on the
//! numbers of channels and taps alone: neither threads nor the batch can change a bit.

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

/// Multiply-adds of one chain at most. A panel of weights for it, two blocks wide, takes 18 KB: it stays in a
/// first-level cache beside the source that streams past. Longer chains are less accurate.
const CHAIN: usize = 144;

/// Multiply-adds in a cycle: two registers of sixteen, less what tiles lose at their borders.
pub(super) const PRODUCTS: f64 = 28.0;
/// Cycles that a core waits for each weight: 4 bytes at 4 bytes a cycle, its share of the memory's 24 GB/s.
pub(super) const WEIGHT_COST: f64 = 1.0;

/// A correlation with its weights packed.
#[derive(Debug)]
pub struct Dense {
    correlation: Correlation,
    isa: Isa,
    /// Output blocks of each panel of a group, one after another.
    panels: Vec<Panel>,
    weights: Weights,
    /// `[groups · blocks][16]`, zeros where there is no channel.
    bias: Packed,
}

#[derive(Debug)]
enum Weights {
    /// In the order in which tiles read them.
    Own(Arc<Packed>),
    /// Those of the convolution of which this is the adjoint.
    Mirrored(Mirror),
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

    /// Cost of one image, in cycles of a core by a simple count; to be compared with that of other
    /// kernels.
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
        let panels = panels_of(&correlation, isa);
        let weights = Weights::Own(Arc::new(pack(&correlation, &panels, weight)));
        let bias = Packed::bias(bias, correlation.groups, correlation.c_out);
        Dense { correlation, isa, panels, weights, bias }
    }

    /// Whether an adjoint should read the weights of its convolution ([`Dense::adjoint_of`]): a second copy
    /// of few weights, or for few positions, costs less than putting them in another order for every run.
    pub fn shares_weights(adjoint: &Correlation) -> bool {
        Mirror::pays(adjoint)
    }

    /// The adjoint of this convolution, or a phase of it, that reads the convolution's weights: `kernel_taps`
    /// says which of its taps each tap of the adjoint is. `None` where this one has no weights of its own.
    pub fn adjoint_of(&self, adjoint: Correlation, kernel_taps: &[usize]) -> Option<Dense> {
        let weights = Weights::Mirrored(Mirror::new(self, kernel_taps)?);
        let panels = panels_of(&adjoint, self.isa);
        let bias = Packed::bias(None, adjoint.groups, adjoint.c_out);
        Some(Dense { correlation: adjoint, isa: self.isa, panels, weights, bias })
    }

    /// Computes into `dst`, or adds to it where `accumulate` is set (the bias is then left out).
    ///
    /// Both in blocks of channels: `src` `[blocks, batch, src]`, `dst` `[blocks, batch, dst]`.
    ///
    /// # Panics
    /// Where a slice does not fit.
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
            // Neighbours, which run side by side, begin with different panels.
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

/// The panels of a group.
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
