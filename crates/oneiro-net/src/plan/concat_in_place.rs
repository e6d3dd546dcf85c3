//! Concatenation in place: parts are computed inside the whole, and their gradients inside its gradient.

use crate::plan::lowered::{BackwardLowered, Home, LoweredOperand, LoweredStep, Storage, home};

/// Places operands of concatenations inside their results, where each finds one place and `apart` does not
/// forbid it. Marks them in the steps' `in_place`.
///
/// A part may belong to several concatenations if one continues another, as in a densely connected block:
/// then the shorter result lies inside the longer one with all its parts.
pub(super) fn values(
    storages: &[Storage],
    steps: &mut [LoweredStep],
    producers: &[Option<usize>],
    apart: impl Fn(usize) -> bool,
) -> Vec<Option<Home>> {
    let mut inside: Vec<Option<Home>> = vec![None; storages.len()];
    for step in steps.iter_mut() {
        let Some(parts) = step.kernel.concat_parts().filter(|_| step.epilogue.is_none()) else { continue };
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

/// Places gradients of parts inside the gradient of the whole, which then needs no copies to its parts.
///
/// A contribution to the whole adds to earlier contributions to its parts. Where these cover the whole only
/// partly, all parts of that whole keep gradients of their own.
pub(super) fn gradients(
    storages: &[Storage],
    steps: &[LoweredStep],
    inside: &[Option<Home>],
    backward: &mut [BackwardLowered],
) -> Vec<Option<Home>> {
    let homes: Vec<Home> = (0..storages.len()).map(|s| home(inside, s)).collect();
    let mut fine: Vec<bool> = vec![true; storages.len()];
    for (s, storage) in storages.iter().enumerate() {
        fine[homes[s].0] &= !storage.seeded && !storage.kept && storage.differentiable;
    }
    let concatenated = |step: &LoweredStep| {
        step.kernel.concat_parts().is_some() && step.in_place.iter().all(|&p| p) && step.epilogue.is_none()
    };
    for step in steps.iter().filter(|s| s.kernel.concat_parts().is_some() && s.in_place.contains(&true)) {
        fine[homes[step.output].0] &= concatenated(step);
    }
    // Ranges of each whole that contributions have written.
    let mut written: Vec<Vec<(usize, usize)>> = vec![Vec::new(); storages.len()];
    let mut accumulates: Vec<(usize, usize, bool)> = Vec::new();
    for (i, b) in backward.iter().enumerate() {
        let step = &steps[b.step];
        for (j, c) in b.contributions.iter().enumerate() {
            let (whole, begin) = homes[c.storage];
            if !fine[whole] || concatenated(step) {
                continue;
            }
            let end = begin + storages[c.storage].len;
            let covered = overlap(&written[whole], begin, end);
            if covered != 0 && covered != end - begin {
                fine[whole] = false;
                continue;
            }
            if covered == 0 {
                written[whole].push((begin, end));
            }
            accumulates.push((i, j, covered > 0));
        }
    }
    // Storages that lie in others or hold others.
    let mut in_place = vec![false; storages.len()];
    for (s, &(outer, _)) in homes.iter().enumerate().filter(|(s, h)| h.0 != *s) {
        (in_place[s], in_place[outer]) = (true, true);
    }
    for (i, j, accumulate) in accumulates {
        let c = &mut backward[i].contributions[j];
        if fine[homes[c.storage].0] && in_place[c.storage] {
            c.accumulate = accumulate;
        }
    }
    for b in backward.iter_mut() {
        let step = &steps[b.step];
        if concatenated(step) && fine[homes[step.output].0] {
            b.contributions.iter_mut().for_each(|c| c.aliased = true);
        }
    }
    (0..storages.len()).map(|s| inside[s].filter(|_| fine[homes[s].0])).collect()
}

/// Number of elements of `begin .. end` that disjoint ranges cover.
fn overlap(ranges: &[(usize, usize)], begin: usize, end: usize) -> usize {
    ranges.iter().map(|&(from, to)| to.min(end).saturating_sub(from.max(begin))).sum()
}
