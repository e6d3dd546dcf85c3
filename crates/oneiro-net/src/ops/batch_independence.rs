//! Batch independence: rules for operators that work on each entry of a batch by itself
//! ([`Operator::by_entry`](super::Operator::by_entry)).
//!
//! Entries lie along axis 0. An axis 0 that is a multiple of the batch (of channels folded into it, say)
//! holds as many places for each entry, one behind the other. A view promises no more than that elements stay
//! in order: whether axis 0 is still the entries' is seen by the shapes of all values, for the whole batch
//! and for a part (`plan::microbatch`).

use crate::ops::{Facts, Site, axis};

/// Whether an axis of the result lies within each entry.
pub(crate) fn within(at: i64, site: Site<'_>) -> bool {
    axis(at, site.output.shape.len()).is_ok_and(|at| at > 0)
}

/// Whether input 0 is the only one that depends on the data.
pub(crate) fn alone(inputs: Facts<'_>) -> bool {
    (0..inputs.0.len()).all(|i| inputs.get(i).is_none_or(|fact| (i == 0) == fact.value.is_none()))
}

/// Whether every operand, broadcast to the result's shape, is at the result's place on axis 0, or a constant
/// that has no such axis.
pub(crate) fn aligned(site: Site<'_>) -> bool {
    let output = &site.output.shape;
    (0..site.inputs.0.len()).filter_map(|i| site.inputs.get(i)).all(|fact| {
        let same = fact.shape.len() == output.len() && fact.shape.first() == output.first();
        let without = fact.shape.len() < output.len() || fact.shape.first() == Some(&1);
        same || without && fact.value.is_some()
    })
}
