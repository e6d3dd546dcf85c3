//! Batch independence: rules for operators that compute each batch entry independently
//! ([`Operator::by_entry`](super::Operator::by_entry)).
//!
//! Batch entries lie along axis 0. If axis 0 is a multiple of the batch (channels folded into it, for
//! example), each entry has equally many consecutive positions. A view promises only that elements keep their
//! order. Whether axis 0 still counts entries is found by comparing all shapes for the whole batch and for a
//! part (`plan::microbatch`).

use crate::ops::{Facts, Site, axis};

/// Whether an axis of the result is not axis 0, and so lies within each entry.
pub(crate) fn within(at: i64, site: Site<'_>) -> bool {
    axis(at, site.output.shape.len()).is_ok_and(|at| at > 0)
}

/// Whether no input but 0 depends on the data.
pub(crate) fn alone(inputs: Facts<'_>) -> bool {
    (0..inputs.0.len()).all(|i| inputs.get(i).is_none_or(|fact| (i == 0) == fact.value.is_none()))
}

/// Whether every operand, broadcast to the result's shape, has the result's axis 0 or is a constant without
/// such an axis.
pub(crate) fn aligned(site: Site<'_>) -> bool {
    let output = &site.output.shape;
    (0..site.inputs.0.len()).filter_map(|i| site.inputs.get(i)).all(|fact| {
        let same = fact.shape.len() == output.len() && fact.shape.first() == output.first();
        let without = fact.shape.len() < output.len() || fact.shape.first() == Some(&1);
        same || without && fact.value.is_some()
    })
}
