//! Axes after an operator that selects, repeats or pads positions, such as a slice, gather, pad or roll.

use super::rules::{single, tokens};
use super::{Axes, Axis, Kind, Part, Tokens, extent};
use std::sync::Arc;

impl Axes {
    /// Returns the axes of a value, each of which reads positions along an axis of this value. `walks` has
    /// for each axis the axis read, if any, and the position for each index. A position is `None` in a
    /// border.
    pub(crate) fn walked<'p>(
        &self,
        walks: impl IntoIterator<Item = (Option<usize>, &'p [Option<usize>])>,
    ) -> Axes {
        let mut axes = Vec::new();
        let mut shrunk: Vec<(Kind, usize, usize, usize)> = Vec::new();
        for (axis, positions) in walks {
            let Some(from) = axis.and_then(|a| self.0.get(a)) else {
                axes.push(repeated(&Axis::new(), positions.len()));
                continue;
            };
            let to = picked(from, positions);
            if let ([old], [new]) = (&from[..], &to[..])
                && old.kind == new.kind
                && old.extent != new.extent
            {
                shrunk.push((old.kind.clone(), old.step, old.extent, new.extent));
            }
            axes.push(to);
        }
        let mut axes = Axes(axes);
        for (kind, step, old, new) in shrunk {
            if !matches!(kind, Kind::Tokens(_)) {
                axes.rescale(&kind, step.saturating_mul(old), step.saturating_mul(new));
            }
        }
        axes
    }

    /// Returns the axes after one position of axis `at` was selected, which removes the axis.
    pub(crate) fn without(&self, at: usize) -> Axes {
        let mut axes = self.clone();
        if at < axes.0.len() {
            let gone = axes.0.remove(at);
            if let [Part { kind: Kind::Channel, extent, step }] = gone[..] {
                axes.rescale(&Kind::Channel, step.saturating_mul(extent), step);
            }
        }
        axes
    }
}

/// Repeats an axis of one position `n` times.
fn repeated(axis: &Axis, n: usize) -> Axis {
    match &axis[..] {
        _ if n == 1 => axis.clone(),
        [Part { kind, step, .. }] if !matches!(kind, Kind::Batch | Kind::Tokens(_) | Kind::Other) => {
            vec![Part { kind: kind.clone(), extent: n, step: *step }]
        }
        _ => vec![Part::new(Kind::Other, n)],
    }
}

/// The parts of an axis of which only these positions are kept.
fn picked(axis: &Axis, positions: &[Option<usize>]) -> Axis {
    let (old, n) = (extent(axis), positions.len());
    if n == old && positions.iter().copied().eq((0..old).map(Some)) {
        return axis.clone();
    }
    if old == 1 {
        return repeated(axis, n);
    }
    if axis.iter().any(|p| p.kind == Kind::Batch) {
        // After batch entries are reordered, an index no longer means the same entry.
        return if n == 1 { Axis::new() } else { vec![Part::new(Kind::Other, n)] };
    }
    if let [Part { kind: Kind::Tokens(held), .. }] = &axis[..] {
        return of_tokens(held, positions);
    }
    if n == 1 && positions[0].is_some() {
        return single(axis);
    }
    match &axis[..] {
        [Part { kind, step, .. }] => vec![Part { kind: kind.clone(), extent: n, step: *step }],
        _ if axis.iter().all(|p| p.kind == Kind::Channel) => vec![Part::new(Kind::Channel, n)],
        _ if axis.iter().all(|p| p.kind.is_spatial()) => bordered(axis, old, positions),
        _ => vec![Part::new(Kind::Other, n)],
    }
}

/// Adds a border to an axis of patches. The border counts as other tokens.
fn bordered(axis: &Axis, old: usize, positions: &[Option<usize>]) -> Axis {
    let before = positions.iter().take_while(|p| p.is_none()).count();
    let inside = positions.get(before..before + old).unwrap_or_default();
    let all = inside.iter().copied().eq((0..old).map(Some));
    let after = positions.get(before + old..).unwrap_or_default();
    if all && after.iter().all(Option::is_none) {
        return tokens(axis, before, positions.len());
    }
    vec![Part::new(Kind::Other, positions.len())]
}

/// Selects positions of an axis of tokens. The patches must be complete and in order; any other tokens may be
/// selected.
fn of_tokens(held: &Tokens, positions: &[Option<usize>]) -> Axis {
    let patches = held.before..held.before + held.patches();
    let is_patch = |p: &Option<usize>| p.is_some_and(|p| patches.contains(&p));
    let before = positions.iter().take_while(|p| !is_patch(p)).count();
    let inside: Vec<usize> =
        positions[before..].iter().take_while(|p| is_patch(p)).copied().flatten().collect();
    let after = positions.len() - before - inside.len();
    let n = positions.len();
    let all = inside.iter().copied().eq(patches.clone());
    if !all || positions[before + inside.len()..].iter().any(is_patch) {
        return match n {
            1 => Axis::new(),
            _ => vec![Part::new(Kind::Other, n)],
        };
    }
    if before == 0 && after == 0 {
        return held.grid.clone();
    }
    let tokens = Tokens { before, grid: held.grid.clone(), after };
    vec![Part::new(Kind::Tokens(Arc::new(tokens)), n)]
}
