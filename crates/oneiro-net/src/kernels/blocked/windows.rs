//! Which taps of a sliding window lie inside the source, position by position.

use crate::kernels::scratch::Disjoint;
use crate::kernels::team;

/// Positions of one task: enough to outweigh the cost of handing it over, few enough to stay in a cache.
const TASK_POSITIONS: usize = 1024;

/// One tap of a line of outputs. Only taps whose source line exists are listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineTap {
    /// Index of the tap in the kernel.
    pub(super) tap: usize,
    /// Index of the first position of the source line that the tap reads.
    pub(super) line: usize,
    /// Offset of the tap along the line. The tap of output x reads the position x · step + offset.
    pub(super) x: isize,
}

/// Returns the range of outputs x for which `0 <= x·step + tap < line` holds for every tap.
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

/// Divides `planes` planes, each of `lines` lines of `width` positions, into pieces. Calls
/// `work(plane, first line, end line)` for each piece.
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

/// Returns the address of a part of a slice that only one task uses.
///
/// # Safety
/// The contract of [`Disjoint::part`].
pub(super) unsafe fn part(all: &Disjoint<'_, f32>, start: usize, len: usize) -> *mut f32 {
    // SAFETY: the caller guarantees that no other task uses the part.
    unsafe { all.part(start, len) }.as_mut_ptr()
}
