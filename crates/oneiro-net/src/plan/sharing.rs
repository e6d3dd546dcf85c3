//! Gradients that share one place: where a step passes its output's gradient on as it is, as a sum does to both of its
//! terms, nothing is copied if nobody who still needs the one writes the other.

use crate::plan::blocks::Clock;
use crate::plan::joining::Home;
use crate::plan::lowering::{LoweredStep, Storage};
use crate::plan::schedule::BackwardLowered;

/// Marks the contributions that become unnecessary, and returns for each storage the one whose gradient's place it takes.
pub(super) fn share(
    storages: &[Storage],
    steps: &[LoweredStep],
    producers: &[Option<usize>],
    joined: &[Option<Home>],
    backward: &mut [BackwardLowered],
    clock: Clock,
) -> Vec<usize> {
    // Gradients that lie inside others, or hold others, stay as they are.
    let mut apart = vec![true; storages.len()];
    for (s, inside) in joined.iter().enumerate() {
        if let Some((outer, _)) = inside {
            (apart[s], apart[*outer]) = (false, false);
        }
    }
    let mut homes: Vec<usize> = (0..storages.len()).collect();
    let mut members: Vec<Vec<usize>> = (0..storages.len()).map(|s| vec![s]).collect();
    // The moment at which each gradient is read by the step that computed the value, the last time that it is needed.
    let read = |s: usize| producers[s].map(|p| clock.backward(p));
    // The moments at which steps contribute to each gradient, in order.
    let mut writes: Vec<Vec<usize>> = vec![Vec::new(); storages.len()];
    for b in backward.iter() {
        b.contributions.iter().for_each(|c| writes[c.storage].push(clock.backward(b.step)));
    }
    // The first moment after `time` at which a gradient is changed: by a later contribution or, where that leaves it to
    // its reader, by the masks of the activation function.
    let changed = |s: usize, time: usize| -> usize {
        let masked = producers[s].filter(|&p| steps[p].attached.is_some()).map(|p| clock.backward(p));
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
                && storages[s].len == storages[step.output].len
                && homes[s] == s
                && members[s].len() == 1
                && apart[s]
                && apart[step.output]
                && step.kernel.passes_gradient(c.operand);
            // Nobody changes this gradient before the others are read, nor the others' before this one is.
            let undisturbed = members[home].iter().all(|&m| {
                let read_m = if m == step.output { Some(now) } else { read(m) };
                let quiet = m == step.output || changed(m, now) > read_s;
                read_m.is_some_and(|r| r < changed(s, now)) && quiet
            });
            if fits && undisturbed {
                homes[s] = home;
                members[home].push(s);
                c.shared = true;
            }
        }
    }
    homes
}
