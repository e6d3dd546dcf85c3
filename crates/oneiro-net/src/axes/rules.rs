//! Rules for axes: helpers with which operators implement `Operator::axes`.

use super::{Axes, Axis, Kind, Part, Tokens, extent, spatial_kinds};
use crate::ops::Facts;
use std::sync::Arc;

/// A node's inputs: their shapes and constants, and the axes of those that depend on the network's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Shapes of an operator's inputs, and the contents of constant ones.
    pub facts: Facts<'a>,
    /// Axes of each input. `None` for constants, omitted inputs and unknown axes.
    pub axes: &'a [Option<&'a Axes>],
    /// Number of entries (images) in the batch.
    pub batch: usize,
}

impl<'a> Sources<'a> {
    /// The meanings of an input's axes, if they are known.
    pub fn get(&self, input: usize) -> Option<&'a Axes> {
        self.axes.get(input).copied().flatten()
    }

    /// The shape of an operator's input.
    pub fn shape(&self, input: usize) -> &'a [usize] {
        self.facts.get(input).map_or(&[], |fact| fact.shape.as_slice())
    }

    /// Whether an operator's input is a constant.
    pub fn is_constant(&self, input: usize) -> bool {
        self.facts.get(input).is_some_and(|fact| fact.value.is_some())
    }

    /// Axis 0 of a convolution's input: the batch, unless it is known to be something else.
    fn batch_axis(&self, input: usize) -> Axis {
        match self.get(input).and_then(|axes| axes.0.first()) {
            Some(axis) => axis.clone(),
            None => {
                let n = self.shape(input).first().copied().unwrap_or(1);
                vec![Part::new(if n == self.batch { Kind::Batch } else { Kind::Other }, n)]
            }
        }
    }

    /// The axes of a result with new channels on axis 1, computed by windows over the axes after it
    /// (convolutions). With `pointwise`, each position depends on itself only.
    pub fn convolved(&self, output: &[usize], pointwise: bool) -> Axes {
        let mut axes = vec![self.batch_axis(0)];
        axes.extend(output.get(1).map(|&n| vec![Part::new(Kind::Channel, n)]));
        for (i, kind) in (2..).zip(spatial_kinds(output.len())) {
            let known = self.get(0).and_then(|a| a.0.get(i)).filter(|_| pointwise);
            let kept = known.filter(|axis| {
                extent(axis) == output[i] && axis.iter().all(|p| p.kind.is_spatial() || p.extent == 1)
            });
            axes.push(
                kept.filter(|a| !a.is_empty()).cloned().unwrap_or_else(|| vec![Part::new(kind, output[i])]),
            );
        }
        Axes(axes)
    }

    /// The axes of a result computed by windows over the axes after axis 1, with the same channels (pooling,
    /// resizing).
    pub fn resized(&self, output: &[usize]) -> Axes {
        let Some(from) = self.get(0).filter(|a| a.0.len() == output.len()) else {
            return Axes::channels_first_in(self.batch_axis(0), output);
        };
        let mut axes = Axes(from.0.iter().zip(output).map(|(axis, &n)| resized(axis, n)).collect());
        for (at, old) in from.0.iter().enumerate() {
            if let ([old], [new]) = (&old[..], &axes.0[at][..])
                && old.kind.is_spatial()
                && old.kind == new.kind
                && !matches!(old.kind, Kind::Tokens(_))
            {
                // If positions within windows are pooled, the windows are fewer pooled positions apart.
                let [from, to] = [old, new].map(|part| part.step.saturating_mul(part.extent));
                axes.rescale(&old.kind.clone(), from, to);
            }
        }
        axes
    }

    /// The axes of input 0, or (N, C, …) as for convolutions if they are unknown.
    pub fn kept_or_channels_first(&self, output: &[usize]) -> Option<Axes> {
        match self.get(0) {
            Some(axes) if axes.0.len() == output.len() => Some(axes.clone()),
            _ => (output.len() > 2).then(|| Axes::channels_first_in(self.batch_axis(0), output)),
        }
    }

    /// The axes of operands that are broadcast against each other. `None` if the axes of all operands are
    /// unknown.
    pub fn broadcast(&self, output: &[usize]) -> Option<Axes> {
        let operands: Vec<(&Axes, &[usize])> =
            (0..self.axes.len()).filter_map(|i| Some((self.get(i)?, self.shape(i)))).collect();
        if operands.is_empty() {
            return None;
        }
        let axis_of = |i: usize| {
            let from_end = output.len() - i;
            let mut best: Option<(u32, &Axis)> = None;
            let mut clash = false;
            for (axes, shape) in &operands {
                let Some(k) = axes.0.len().checked_sub(from_end) else { continue };
                if shape[k] != output[i] {
                    continue;
                }
                let axis = &axes.0[k];
                // An operand with the shape of the result is more reliable than one that is broadcast to it.
                let rank = 2 * clarity(axis) + u32::from(*shape == output);
                match best {
                    Some((other, known)) if other == rank => clash |= known != axis,
                    Some((other, _)) if other > rank => {}
                    _ => (best, clash) = (Some((rank, axis)), false),
                }
            }
            match best {
                Some((_, axis)) if !clash => axis.clone(),
                Some((_, axis)) if axis.iter().all(|p| p.kind == Kind::Batch) => axis.clone(),
                _ if output[i] == 1 => Axis::new(),
                _ => vec![Part::new(Kind::Other, output[i])],
            }
        };
        Some(Axes((0..output.len()).map(axis_of).collect()))
    }

    /// Returns the meaning of axis `at` of an input, or `Other` if it is unknown.
    pub fn axis(&self, input: usize, at: usize) -> Axis {
        match self.get(input).and_then(|axes| axes.0.get(at)) {
            Some(axis) => axis.clone(),
            None => match self.shape(input).get(at) {
                Some(&n) if n != 1 => vec![Part::new(Kind::Other, n)],
                _ => Axis::new(),
            },
        }
    }

    /// The axes of input 0 after a reduction. Reduced axes disappear, or keep extent 1 if `keep` is set.
    pub fn reduced(&self, reduced: &[usize], keep: bool) -> Option<Axes> {
        let from = self.get(0)?;
        let all: Vec<(usize, Axis)> = from
            .0
            .iter()
            .enumerate()
            .filter(|(i, _)| keep || !reduced.contains(i))
            .map(|(i, axis)| (i, if reduced.contains(&i) { single(axis) } else { axis.clone() }))
            .collect();
        Some(Axes(all.into_iter().map(|(_, axis)| axis).collect()))
    }

    /// The axes of a concatenation along axis `at`.
    pub fn concatenated(&self, at: usize, output: &[usize]) -> Option<Axes> {
        let known: Vec<&Axes> =
            (0..self.axes.len()).filter_map(|i| self.get(i)).filter(|a| a.0.len() == output.len()).collect();
        let first = known.first()?;
        let mut axes = Vec::with_capacity(output.len());
        for (i, &n) in output.iter().enumerate() {
            if i == at {
                axes.push(self.joined(at, n));
                continue;
            }
            let best = known.iter().map(|a| &a.0[i]).max_by_key(|a| clarity(a)).unwrap_or(&first.0[i]);
            axes.push(best.clone());
        }
        let mut axes = Axes(axes);
        if let [Part { kind: Kind::Channel, .. }] = axes.0[at][..] {
            let old = extent(&first.0[at]);
            axes.0[at][0].step = 1;
            axes.rescale_above(at, old, extent(&axes.0[at]));
        }
        Some(axes)
    }

    /// The meaning of the axis along which an operator concatenates its inputs.
    fn joined(&self, at: usize, n: usize) -> Axis {
        let parts: Vec<(Option<&Axis>, usize)> = (0..self.axes.len())
            .filter(|&i| self.facts.get(i).is_some())
            .map(|i| (self.get(i).and_then(|a| a.0.get(at)), self.shape(i).get(at).copied().unwrap_or(0)))
            .collect();
        let named = |axis: &Axis| axis.iter().any(|p| !matches!(p.kind, Kind::Other | Kind::Mixed));
        let known: Vec<&Axis> = parts.iter().filter_map(|(axis, _)| *axis).filter(|a| named(a)).collect();
        let Some(first) = known.first() else {
            // Constant tokens before tokens of unknown meaning. Which of them are patches is unknown, so a
            // mean could not leave the other tokens out.
            let constant = (0..self.axes.len()).any(|i| self.is_constant(i));
            return vec![Part::new(if constant { Kind::Mixed } else { Kind::Other }, n)];
        };
        let of_kind = |kind: &Kind| known.iter().all(|a| a.iter().all(|p| p.kind == *kind));
        if of_kind(&Kind::Channel) {
            return vec![Part::new(Kind::Channel, n)];
        }
        if let [Part { kind, step, .. }] = &first[..]
            && matches!(kind, Kind::Height | Kind::Width | Kind::Time | Kind::Length)
            && of_kind(kind)
        {
            return vec![Part { kind: kind.clone(), extent: n, step: *step }];
        }
        let spatial = |axis: &Axis| axis.iter().all(|p| p.kind.is_spatial());
        if let [patches] = known[..]
            && spatial(patches)
        {
            let before: usize =
                parts.iter().take_while(|(axis, _)| !axis.is_some_and(named)).map(|(_, n)| n).sum();
            return tokens(patches, before, n);
        }
        vec![Part::new(Kind::Other, n)]
    }
}

/// The axis of `n` tokens that starts with `before` other tokens and then has the tokens of `patches`.
pub(crate) fn tokens(patches: &Axis, before: usize, n: usize) -> Axis {
    let inner = match patches.iter().find_map(|p| if let Kind::Tokens(t) = &p.kind { Some(t) } else { None })
    {
        Some(tokens) if patches.len() == 1 => Tokens::clone(tokens),
        Some(_) => return vec![Part::new(Kind::Other, n)],
        None => Tokens { before: 0, grid: patches.clone(), after: 0 },
    };
    let held = inner.before + inner.patches() + inner.after;
    let Some(after) = n.checked_sub(before).and_then(|n| n.checked_sub(held)) else {
        return vec![Part::new(Kind::Other, n)];
    };
    let tokens = Tokens { before: before + inner.before, grid: inner.grid, after: inner.after + after };
    if tokens.before == 0 && tokens.after == 0 {
        return tokens.grid;
    }
    vec![Part::new(Kind::Tokens(Arc::new(tokens)), n)]
}

/// Ranks how certain an axis is: unknown, then mixed by a product over positions, then named.
pub(super) fn clarity(axis: &Axis) -> u32 {
    if axis.iter().any(|p| p.kind == Kind::Other) {
        0
    } else if axis.iter().any(|p| p.kind == Kind::Mixed) {
        1
    } else if axis.is_empty() {
        2
    } else {
        3
    }
}

/// The meaning of an axis after one of its positions was selected.
pub(crate) fn single(axis: &Axis) -> Axis {
    match &axis[..] {
        [Part { kind: kind @ (Kind::Height | Kind::Width | Kind::Time | Kind::Length), step, .. }] => {
            vec![Part { kind: kind.clone(), extent: 1, step: *step }]
        }
        _ if !axis.is_empty() && axis.iter().all(|p| p.kind == Kind::Channel) => {
            vec![Part::new(Kind::Channel, 1)]
        }
        _ => Axis::new(),
    }
}

/// The meaning of an axis whose extent changed by sliding windows or by resizing.
fn resized(axis: &Axis, n: usize) -> Axis {
    match &axis[..] {
        _ if extent(axis) == n => axis.clone(),
        [
            Part {
                kind: kind @ (Kind::Height | Kind::Width | Kind::Time | Kind::Length | Kind::Channel),
                step,
                ..
            },
        ] => {
            vec![Part { kind: kind.clone(), extent: n, step: *step }]
        }
        _ if n == 1 => single(axis),
        _ => vec![Part::new(Kind::Other, n)],
    }
}

impl Axes {
    /// As [`Axes::channels_first`], but with a given meaning of axis 0.
    fn channels_first_in(batch: Axis, shape: &[usize]) -> Axes {
        let mut axes = Axes::channels_first(shape);
        if let Some(first) = axes.0.first_mut() {
            *first = batch;
        }
        axes
    }

    /// Multiplies the step of all parts of a kind by `to / from` if it is at least `from`.
    pub(crate) fn rescale(&mut self, kind: &Kind, from: usize, to: usize) {
        if from == 0 || from == to {
            return;
        }
        for part in self.0.iter_mut().flatten().filter(|p| p.kind == *kind && p.step >= from) {
            part.step = (part.step / from).saturating_mul(to);
        }
    }

    fn rescale_above(&mut self, at: usize, from: usize, to: usize) {
        let own = std::mem::take(&mut self.0[at]);
        self.rescale(&Kind::Channel, from, to);
        self.0[at] = own;
    }
}
