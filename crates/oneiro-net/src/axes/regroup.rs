//! Axes that a reshape joins and splits. The elements keep their order, and so do the parts.

use super::{Axes, Axis, Kind, Part};

impl Axes {
    /// Returns the axes of the value under another shape with the same number of elements.
    pub(crate) fn regrouped(&self, shape: &[usize]) -> Axes {
        let parts: Vec<Part> = self.0.iter().flatten().cloned().collect();
        // Axes of extent 1 have no parts, so they are dropped here and added where the shape has them.
        let mut left = parts.into_iter().rev().collect::<Vec<_>>();
        let mut axes: Vec<Axis> = Vec::with_capacity(shape.len());
        for (i, &n) in shape.iter().enumerate() {
            match take(&mut left, n) {
                Some(axis) => axes.push(axis),
                None => {
                    // From this axis on, the shape does not divide the elements along known parts.
                    axes.extend(shape[i..].iter().map(|&n| vec![Part::new(Kind::Other, n)]));
                    return Axes(axes);
                }
            }
        }
        // Parts of extent 1 that are left over go to the last axis.
        if let Some(last) = axes.last_mut() {
            last.extend(left.into_iter().rev());
        }
        axes.iter_mut().for_each(join);
        Axes(axes)
    }
}

/// Takes parts from the end of `left` whose product is `n`. The last part taken is split if necessary.
fn take(left: &mut Vec<Part>, n: usize) -> Option<Axis> {
    let mut axis = Axis::new();
    if n == 1 {
        axis.extend(left.pop_if(|part| part.extent == 1));
        return Some(axis);
    }
    let mut wanted = n;
    while wanted > 1 {
        let part = left.pop()?;
        if part.extent == 0 || n == 0 {
            return None;
        }
        if wanted.is_multiple_of(part.extent) {
            wanted /= part.extent;
            axis.push(part);
        } else if part.extent.is_multiple_of(wanted) {
            let (upper, lower) = split(&part, wanted);
            axis.push(upper);
            left.push(lower);
            wanted = 1;
        } else {
            return None;
        }
    }
    Some(axis)
}

/// Splits a part into two: `n` indices with a larger step, and the indices between them.
fn split(part: &Part, n: usize) -> (Part, Part) {
    let rest = part.extent / n;
    // The two halves of a split axis of tokens have no known meaning.
    let kind = if matches!(part.kind, Kind::Tokens(_)) { Kind::Other } else { part.kind.clone() };
    let upper = Part { kind: kind.clone(), extent: n, step: part.step.saturating_mul(rest) };
    (upper, Part { kind, extent: rest, step: part.step })
}

/// Joins neighbouring parts that together are one part of the same axis.
pub(super) fn join(axis: &mut Axis) {
    let mut joined = Axis::with_capacity(axis.len());
    for part in axis.drain(..) {
        match joined.last_mut() {
            Some(upper)
                if upper.kind == part.kind
                    && !matches!(part.kind, Kind::Tokens(_))
                    && upper.step == part.step.saturating_mul(part.extent) =>
            {
                upper.extent = upper.extent.saturating_mul(part.extent);
                upper.step = part.step;
            }
            _ => joined.push(part),
        }
    }
    *axis = joined;
}
