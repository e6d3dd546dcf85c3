//! Gradient aliases: a step that passes its output's gradient on unchanged, as a sum does to both terms,
//! copies nothing. Operand and output then have their gradients in one place.
//!
//! An alias needs that no later write to either gradient comes before the last read of the other.

use crate::plan::blocks::Clock;
use crate::plan::lowered::{BackwardLowered, Home, LoweredStep, Storage};

/// Marks contributions that become unnecessary. Returns for each storage the storage whose gradient shares
/// its place.
pub(super) fn alias(
    storages: &[Storage],
    steps: &[LoweredStep],
    producers: &[Option<usize>],
    concatenated: &[Option<Home>],
    backward: &mut [BackwardLowered],
    clock: Clock,
) -> Vec<usize> {
    // Gradients that lie inside others, or hold others, stay as they are.
    let mut apart = vec![true; storages.len()];
    for (s, inside) in concatenated.iter().enumerate() {
        if let Some((outer, _)) = inside {
            (apart[s], apart[*outer]) = (false, false);
        }
    }
    let mut homes: Vec<usize> = (0..storages.len()).collect();
    let mut members: Vec<Vec<usize>> = (0..storages.len()).map(|s| vec![s]).collect();
    // The last read of a gradient: by the step that computed the value.
    let read = |s: usize| producers[s].map(|p| clock.backward(p));
    // The moments at which steps contribute to each gradient, in order.
    let mut writes: Vec<Vec<usize>> = vec![Vec::new(); storages.len()];
    for b in backward.iter() {
        b.contributions.iter().for_each(|c| writes[c.storage].push(clock.backward(b.step)));
    }
    // The first change of a gradient after `time`: by a later contribution, or by its reader, which applies
    // the activation mask.
    let changed = |s: usize, time: usize| -> usize {
        let masked = producers[s].filter(|&p| steps[p].epilogue.is_some()).map(|p| clock.backward(p));
        writes[s].iter().copied().chain(masked).filter(|&t| t > time).min().unwrap_or(usize::MAX)
    };
    for b in backward.iter_mut() {
        let step = &steps[b.step];
        let now = clock.backward(b.step);
        let home = homes[step.output];
        for c in &mut b.contributions {
            let s = c.storage;
            let Some(read_s) = read(s) else { continue };
            let fits = !c.accumulate
                && !storages[s].seeded
                && !storages[s].kept
                && !storages[home].kept
                && storages[s].len == storages[step.output].len
                && homes[s] == s
                && members[s].len() == 1
                && apart[s]
                && apart[step.output]
                && step.kernel.passes_gradient(c.operand);
            // No change of this gradient comes before the last read of the others, and vice versa.
            let undisturbed = members[home].iter().all(|&m| {
                let read_m = if m == step.output { Some(now) } else { read(m) };
                let quiet = m == step.output || changed(m, now) > read_s;
                read_m.is_some_and(|r| r < changed(s, now)) && quiet
            });
            if fits && undisturbed {
                homes[s] = home;
                members[home].push(s);
                c.aliased = true;
            }
        }
    }
    homes
}
