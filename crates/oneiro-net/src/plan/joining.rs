//! Concatenation without copies: parts are computed where the whole lies, and so are their gradients.

use crate::plan::lowering::{LoweredOperand, LoweredStep, Storage};
use crate::plan::schedule::BackwardLowered;

/// Where a storage lies: in the place of another one, so many numbers from its beginning.
pub(super) type Home = (usize, usize);

/// The outermost storage that `s` lies in, and where.
pub(super) fn home(inside: &[Option<Home>], s: usize) -> Home {
    let (mut at, mut offset) = (s, 0);
    while let Some((outer, by)) = inside[at] {
        (at, offset) = (outer, offset + by);
    }
    (at, offset)
}

/// Lets the operands of concatenations lie inside their results, where each finds one place and is not to stay apart; notes in
/// the steps which do.
///
/// A part may belong to several concatenations if one continues another, as in a densely connected block: then the
/// shorter result lies inside the longer one with all its parts.
pub(super) fn join_values(
    storages: &[Storage],
    steps: &mut [LoweredStep],
    producers: &[Option<usize>],
    apart: impl Fn(usize) -> bool,
) -> Vec<Option<Home>> {
    let mut inside: Vec<Option<Home>> = vec![None; storages.len()];
    for step in steps.iter_mut() {
        let Some(parts) = step.kernel.joins().filter(|_| step.attached.is_none()) else { continue };
        // Each operand's outermost storage, and where that would have to begin.
        let wanted: Vec<Option<(usize, isize)>> = step
            .operands
            .iter()
            .zip(parts)
            .map(|(operand, &(offset, _))| {
                let LoweredOperand::Storage(s) = operand else { return None };
                producers[*s]?;
                let (outer, by) = home(&inside, *s);
                if apart(*s) || apart(outer) {
                    return None;
                }
                (outer != step.output).then_some((outer, offset as isize - by as isize))
            })
            .collect();
        for k in 0..wanted.len() {
            let Some((outer, begin)) = wanted[k] else { continue };
            if inside[outer].is_some() || begin < 0 {
                continue;
            }
            let same: Vec<usize> =
                (0..wanted.len()).filter(|&j| wanted[j].is_some_and(|w| w.0 == outer)).collect();
            let covered: usize = same.iter().map(|&j| parts[j].1).sum();
            let agreed = same.iter().all(|&j| wanted[j] == wanted[k]);
            if agreed && covered == storages[outer].len {
                inside[outer] = Some((step.output, begin as usize));
                same.iter().for_each(|&j| step.in_place[j] = true);
            }
        }
    }
    inside
}

/// The same for gradients: those of parts lie inside that of the whole, which then need not be taken apart. Contributions
/// to the whole add to what others have contributed to its parts. Where that does not come out even, a family of parts is
/// left as it is.
pub(super) fn join_gradients(
    storages: &[Storage],
    steps: &[LoweredStep],
    inside: &[Option<Home>],
    backward: &mut [BackwardLowered],
) -> Vec<Option<Home>> {
    let homes: Vec<Home> = (0..storages.len()).map(|s| home(inside, s)).collect();
    let mut fine: Vec<bool> = vec![true; storages.len()];
    for (s, storage) in storages.iter().enumerate() {
        fine[homes[s].0] &= !storage.seeded && storage.differentiable;
    }
    // Numbers of each family that have been written, as ranges that began with a contribution.
    let joined = |step: &LoweredStep| {
        step.kernel.joins().is_some() && step.in_place.iter().all(|&p| p) && step.attached.is_none()
    };
    for step in steps.iter().filter(|s| s.kernel.joins().is_some() && s.in_place.contains(&true)) {
        fine[homes[step.output].0] &= joined(step);
    }
    let mut written: Vec<Vec<(usize, usize)>> = vec![Vec::new(); storages.len()];
    let mut accumulates: Vec<(usize, usize, bool)> = Vec::new();
    for (i, b) in backward.iter().enumerate() {
        let step = &steps[b.step];
        for (j, c) in b.contributions.iter().enumerate() {
            let (family, begin) = homes[c.storage];
            if !fine[family] || joined(step) {
                continue;
            }
            let end = begin + storages[c.storage].len;
            let covered = overlap(&written[family], begin, end);
            if covered != 0 && covered != end - begin {
                fine[family] = false;
                continue;
            }
            if covered == 0 {
                written[family].push((begin, end));
            }
            accumulates.push((i, j, covered > 0));
        }
    }
    // Storages that lie in others or hold others.
    let mut in_family = vec![false; storages.len()];
    for (s, &(outer, _)) in homes.iter().enumerate().filter(|(s, h)| h.0 != *s) {
        (in_family[s], in_family[outer]) = (true, true);
    }
    for (i, j, accumulate) in accumulates {
        let c = &mut backward[i].contributions[j];
        if fine[homes[c.storage].0] && in_family[c.storage] {
            c.accumulate = accumulate;
        }
    }
    for b in backward.iter_mut() {
        let step = &steps[b.step];
        if joined(step) && fine[homes[step.output].0] {
            b.contributions.iter_mut().for_each(|c| c.shared = true);
        }
    }
    (0..storages.len()).map(|s| inside[s].filter(|_| fine[homes[s].0])).collect()
}

/// How many numbers of `begin .. end` disjoint ranges cover.
fn overlap(ranges: &[(usize, usize)], begin: usize, end: usize) -> usize {
    ranges.iter().map(|&(from, to)| to.min(end).saturating_sub(from.max(begin))).sum()
}
