//! Which taps of a sliding window lie inside the source, position by position.

use crate::kernels::scratch::Disjoint;
use crate::kernels::team;

/// Positions of one task: large beside the cost of handing it over, small beside a cache.
const TASK_POSITIONS: usize = 1024;

/// The taps of one line of outputs: those whose source line exists, with what they need of the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineTap {
    /// Which tap it is.
    pub(super) tap: usize,
    /// The first position of its source line.
    pub(super) line: usize,
    /// Offset along the line, from the output's position times the step.
    pub(super) x: isize,
}

/// The range of outputs x for which `0 <= x·step + tap < line` holds for every tap.
pub(super) fn interior(taps: &[LineTap], count: usize, step: usize, line: usize) -> (usize, usize) {
    let (mut from, mut to) = (0, count);
    for tap in taps {
        let below = (-tap.x).max(0) as usize;
        from = from.max(below.div_ceil(step));
        let room = line as isize - tap.x;
        to = to.min(if room <= 0 { 0 } else { (room as usize).div_ceil(step) });
    }
    (from.min(count), to.max(from).min(count))
}

/// Calls `work(plane, first line, end line)` for pieces of `planes` planes of `lines` lines with `width`
/// positions.
pub(super) fn each_piece(
    planes: usize,
    lines: usize,
    width: usize,
    work: impl Fn(usize, usize, usize) + Sync,
) {
    let pieces = (lines * width).div_ceil(TASK_POSITIONS).clamp(1, lines.max(1));
    let run = |i: usize| {
        let (plane, piece) = (i / pieces, i % pieces);
        work(plane, lines * piece / pieces, lines * (piece + 1) / pieces);
    };
    let at_least = (TASK_POSITIONS * pieces / (lines * width).max(1)).max(1);
    team::each(planes * pieces, at_least, run);
}

/// A part of a slice as numbers for a task that has it alone.
///
/// # Safety
/// As [`Disjoint::part`].
pub(super) unsafe fn part(all: &Disjoint<'_, f32>, start: usize, len: usize) -> *mut f32 {
    // SAFETY: the caller has the part alone.
    unsafe { all.part(start, len) }.as_mut_ptr()
}
