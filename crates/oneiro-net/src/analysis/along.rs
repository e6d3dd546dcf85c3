//! Receptive fields of a value along one axis of an input, computed from node to node.
//!
//! Positions of a value are counted on a *grid*, as the parts of its axes are ([`crate::axes`]). A position
//! is the sum of the parts' indices times their steps, wherever the parts stand in the shape. So reshapes and
//! transposes move nothing. Windows, slices and resizing give an axis a new grid. [`Reads`] gives, for each
//! position on a grid, the interval of the input that it reads.
//!
//! - A part that is summed or mixed over widens the fields. Within windows (Swin) they grow to the window.
//!   Over a whole axis (attention, global pooling) they grow to the whole input.
//! - A part that is among the channels (space to depth) widens the field of the layer. It adds no positions.
//! - If an operand has other positions than the result, its field is the whole operand. Its stride is
//!   ignored.

use crate::axes::{Axes, Axis, Kind, Part};
use crate::ops::Reach;
use crate::reads::{Reads, rounded};

/// The receptive field of one position of a grid in an input.
#[derive(Debug, Clone)]
struct Grid {
    /// Number of positions: the extent of the topmost part times its step. If it is 1, every position has the
    /// same field.
    positions: usize,
    reads: Reads,
}

/// The receptive field of a value along one axis of an input.
#[derive(Debug, Clone)]
pub(super) struct Along {
    kind: Kind,
    /// Extent of the network's input along this axis.
    input: usize,
    /// The grids of the value: one, or two in products that relate positions of different maps.
    grids: Vec<Grid>,
    /// Whether a global operation makes every field the whole input.
    whole: bool,
    /// The last stride that was known on the way from the input.
    stride: usize,
    /// Whether branches with different strides were joined.
    differ: bool,
}

/// The receptive field along one axis; see [`super::ReceptiveField`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub extent: usize,
    pub stride: usize,
    pub first: i64,
    pub is_regular: bool,
    pub strides_differ: bool,
}

/// The effect of a node on the positions of one operand.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    /// Which positions of its operand an operator reads for each output position.
    pub reach: Reach,
    /// Axes of the operand along which elements depend on each other.
    pub mixed: Vec<usize>,
    /// Axes of the operand over which a product sums.
    pub summed: Vec<usize>,
    /// Whether a flattened map is summed over, as by a convolution of the map's size.
    pub is_dense: bool,
    /// Axes of the operand.
    pub from: &'a Axes,
    /// The meaning of the result's axes, according to the operator's rule.
    pub made: &'a Axes,
    /// Meaning of the result's axes as it is used. Other sources may override the operator's rule.
    pub to: &'a Axes,
}

impl Along {
    /// The fields of an input's axis: each position reads itself.
    pub fn input(kind: Kind, extent: usize) -> Self {
        let grids = vec![Grid { positions: extent, reads: Reads::own() }];
        Self { kind, input: extent, grids, whole: false, stride: 1, differ: false }
    }

    /// Returns the receptive fields after one more node.
    pub fn through(&self, pass: &Pass<'_>) -> Self {
        let mut seen = self.clone();
        match &pass.reach {
            Reach::Nothing | Reach::Point | Reach::Regroup => {}
            Reach::Whole => seen.lose_all(),
            Reach::Axes(axes) => axes.iter().for_each(|(at, reads)| seen.read(*at, reads, pass)),
        }
        let kind = seen.kind.clone();
        for at in &pass.mixed {
            parts_of(pass.from, *at, &kind).iter().for_each(|part| seen.widen(part));
        }
        for at in &pass.summed {
            for part in parts_of(pass.from, *at, &kind) {
                let kept = (0..pass.from.0.len()).any(|other| {
                    !pass.summed.contains(&other) && parts_of(pass.from, other, &kind).contains(&part)
                });
                seen.sum(&part, kept, pass.is_dense);
            }
        }
        seen.carry(pass.from, pass.made);
        if pass.made != pass.to {
            seen.carry(pass.made, pass.to);
        }
        seen.stride = seen.report(pass.to).stride;
        seen
    }

    /// Joins the fields of another operand: at equal positions, or, with `beside`, concatenated along this
    /// axis. With `others`, a concatenated operand without positions holds tokens other than patches.
    pub fn with(&mut self, other: &Self, beside: bool, others: bool) {
        if beside && others && self.grids.is_empty() != other.grids.is_empty() {
            if self.grids.is_empty() {
                *self = other.clone();
            }
            return;
        }
        self.whole |= other.whole;
        self.differ |= other.differ;
        self.stride = match (self.grids.is_empty(), other.grids.is_empty()) {
            (true, false) => other.stride,
            (false, true) => self.stride,
            _ => self.stride.max(other.stride),
        };
        for grid in &other.grids {
            match self.grids.iter_mut().find(|g| g.positions == grid.positions) {
                Some(own) if beside => {
                    self.differ |= own.reads.stride(1) != grid.reads.stride(1);
                    own.reads = own.reads.as_wide_as(&grid.reads);
                }
                Some(own) => {
                    let (reads, same) = own.reads.with(&grid.reads, grid.positions);
                    self.differ |= !same;
                    own.reads = reads;
                }
                None => self.grids.push(grid.clone()),
            }
        }
    }

    /// Widens the fields by parts that occur on two axes of a product of data, such as attention scores.
    pub fn relate(&mut self, result: &Axes) {
        let all: Vec<Vec<Part>> = (0..result.0.len()).map(|at| parts_of(result, at, &self.kind)).collect();
        for (at, parts) in all.iter().enumerate() {
            for part in parts.iter().filter(|part| all[..at].iter().flatten().any(|p| p == *part)) {
                self.widen(part);
            }
        }
    }

    /// Returns the receptive field along this axis of a value with these axes.
    pub fn report(&self, axes: &Axes) -> Seen {
        let whole = |stride| Seen {
            extent: self.input,
            stride,
            first: 0,
            is_regular: true,
            strides_differ: self.differ,
        };
        let channel = axes.channel();
        let parts = |at: usize| parts_of(axes, at, &self.kind);
        let places: Vec<Part> = (0..axes.0.len()).filter(|at| Some(*at) != channel).flat_map(parts).collect();
        let step = places.iter().map(|part| part.step).min().unwrap_or(1);
        let Some(grid) = self.grids.iter().max_by_key(|grid| grid.positions) else {
            let positions = places.iter().map(|part| part.extent).product::<usize>();
            let stride = if positions > 1 { rounded(self.input, positions) } else { self.stride };
            return whole(stride);
        };
        let step = if grid.positions > 1 { step } else { 1 };
        let stride = grid.reads.stride(step);
        if self.whole || self.grids.len() > 1 {
            return whole(stride);
        }
        // Parts among the channels belong to the layer's field. But the topmost part of a flattened map
        // counts positions.
        let top = channel.into_iter().flat_map(parts).filter(|part| reaches(part) == grid.positions);
        let places: Vec<Part> = places.iter().cloned().chain(top).collect();
        let Some(reads) = grid.freed(&places) else { return whole(stride) };
        Seen {
            extent: reads.extent(),
            stride,
            first: reads.first(),
            is_regular: reads.is_regular() && step == 1,
            strides_differ: self.differ,
        }
    }

    /// Returns whether axis `at` holds positions of this kind, and whether these are patches among other
    /// tokens.
    pub fn is_on(&self, axes: &Axes, at: usize) -> (bool, bool) {
        let axis = axes.0.get(at).filter(|axis| has(axis, &self.kind));
        let tokens = |axis: &Axis| axis.iter().any(|part| matches!(part.kind, Kind::Tokens(_)));
        (axis.is_some(), axis.is_some_and(tokens))
    }

    fn lose_all(&mut self) {
        self.whole = true;
        self.grids.clear();
    }

    /// Replaces the positions along axis `at` by those that an operator reads.
    fn read(&mut self, at: usize, reads: &Reads, pass: &Pass<'_>) {
        let (Some(from), Some(made)) = (pass.from.0.get(at), pass.made.0.get(at)) else { return };
        let held = parts_of(pass.from, at, &self.kind);
        let spreads = |axis: &Axis| axis.len() != 1 || matches!(axis[0].kind, Kind::Tokens(_));
        // If only tokens that are no patches are added or removed, the patches keep their receptive fields.
        if !has(from, &self.kind) || spreads(from) && held == parts_of(pass.made, at, &self.kind) {
            return;
        }
        let of = grid_of(made, &self.kind);
        let read = |grid: &Grid| {
            let Some(source) = grid.along(from, &self.kind) else {
                return grid.within(grid_of(from, &self.kind)?, of?, reads);
            };
            grid_on(reads.of(&source)?, of.as_ref()?)
        };
        let grids: Vec<Option<Grid>> = self.grids.iter().map(read).collect();
        self.whole |= grids.iter().any(Option::is_none);
        self.grids = grids.into_iter().flatten().collect();
    }

    /// Positions that differ only in this part get the union of their receptive fields.
    fn widen(&mut self, part: &Part) {
        let own = |grid: &Grid| grid.positions == reaches(part);
        if self.grids.iter().any(own) || self.grids.is_empty() {
            self.whole = true;
            return;
        }
        let widened = self.grids.iter().map(|grid| {
            let reads = grid.reads.widened(part.step, part.extent)?;
            Some(Grid { positions: grid.positions, reads })
        });
        match widened.collect::<Option<Vec<_>>>() {
            Some(grids) => self.grids = grids,
            None => self.lose_all(),
        }
    }

    /// Applies a sum over this part. With `kept`, another axis of the operand has the part, too.
    fn sum(&mut self, part: &Part, kept: bool, is_dense: bool) {
        let own = |grid: &Grid| grid.positions == reaches(part);
        if is_dense
            && let [grid] = &mut self.grids[..]
            && own(grid)
        {
            *grid = Grid { positions: 1, reads: grid.reads.joined(grid.positions) };
            return;
        }
        self.widen(part);
        if !kept {
            self.grids.retain(|grid| !own(grid));
        }
    }

    /// Keeps the grids that a value with axes `to` still has after axes `from`.
    fn carry(&mut self, from: &Axes, to: &Axes) {
        let kind = &self.kind;
        let all = |axes: &Axes| (0..axes.0.len()).flat_map(|at| parts_of(axes, at, kind)).collect::<Vec<_>>();
        let parts = all(to);
        let carried = |grid: &Grid| {
            if grid.positions == 1 {
                // An operand that is broadcast along an axis has a single position there.
                return parts.is_empty().then(|| grid.clone());
            }
            if parts.iter().any(|part| reaches(part) == grid.positions) {
                return Some(grid.clone());
            }
            // The result's axis has as many indices, but may count positions in another step.
            let at = (0..from.0.len())
                .find(|&at| parts_of(from, at, kind).iter().any(|part| reaches(part) == grid.positions))?;
            let (axis, next) = (&from.0[at], to.0.get((at + to.0.len()).checked_sub(from.0.len())?)?);
            let of =
                grid_of(next, kind).filter(|_| crate::axes::extent(axis) == crate::axes::extent(next))?;
            grid_on(grid.along(axis, kind)?, &of)
        };
        let grids: Vec<Option<Grid>> = self.grids.iter().map(carried).collect();
        self.whole |= grids.iter().any(Option::is_none);
        self.grids = grids.into_iter().flatten().collect();
    }
}

impl Grid {
    /// Returns the receptive fields of the indices along an axis.
    fn along(&self, axis: &Axis, kind: &Kind) -> Option<Reads> {
        if self.positions == 1 {
            return Some(self.reads.clone());
        }
        let large: Vec<&Part> = axis.iter().filter(|part| part.extent > 1).collect();
        let (top, lower) = large.split_first()?;
        if top.kind != *kind || reaches(top) != self.positions {
            return None;
        }
        let own: Vec<Part> = large.iter().filter(|p| p.kind == *kind).map(|p| Part::clone(p)).collect();
        let step = |part: &Part| if part.kind == *kind { part.step } else { 0 };
        let lower: Vec<(usize, usize)> = lower.iter().map(|part| (part.extent, step(part))).collect();
        Reads::digits(top.step, &lower)?.of(&self.freed(&own)?)
    }

    /// Applies reads within each window. The axis `from` holds positions within a window, and other axes
    /// distinguish the windows.
    fn within(&self, from: (usize, usize), to: (usize, usize), reads: &Reads) -> Option<Grid> {
        let ((old, 1), (new, 1)) = (from, to) else { return None };
        let windows = (self.positions / old.max(1)).checked_mul(old).filter(|n| *n == self.positions)? / old;
        let reads = reads.within(old, new)?.of(&self.reads)?;
        Some(Grid { positions: windows.checked_mul(new)?, reads })
    }

    /// Returns the receptive fields of positions that may differ in every part of the grid but these.
    fn freed(&self, parts: &[Part]) -> Option<Reads> {
        let mut reads = self.reads.clone();
        let mut sorted: Vec<&Part> = parts.iter().filter(|p| reaches(p) <= self.positions).collect();
        sorted.sort_by_key(|part| part.step);
        let mut base = 1;
        for part in sorted {
            if part.step > base {
                reads = reads.widened(base, part.step / base)?;
            }
            base = base.max(reaches(part));
        }
        (base == self.positions || self.positions == 1).then_some(reads)
    }
}

/// Returns the number of positions and the step of an axis that holds positions of one kind and nothing else.
fn grid_of(axis: &Axis, kind: &Kind) -> Option<(usize, usize)> {
    let [part] = &axis[..] else { return None };
    (part.kind == *kind).then_some((part.extent, part.step))
}

/// Returns the grid of positions for an axis whose indices have these receptive fields.
fn grid_on(reads: Reads, &(extent, step): &(usize, usize)) -> Option<Grid> {
    if extent == 1 || step == 1 {
        return Some(Grid { positions: extent, reads });
    }
    let reads = Reads::repeated(step).of(&reads)?;
    Some(Grid { positions: extent.checked_mul(step)?, reads })
}

/// The number of positions of the undivided axis up to the part's last index.
fn reaches(part: &Part) -> usize {
    part.extent.saturating_mul(part.step)
}

fn has(axis: &Axis, kind: &Kind) -> bool {
    axis.iter().any(|part| match &part.kind {
        Kind::Tokens(tokens) => has(&tokens.grid, kind),
        own => own == kind,
    })
}

/// Returns the parts of one kind with more than one position on an axis. They include parts of patches among
/// other tokens.
fn parts_of(axes: &Axes, at: usize, kind: &Kind) -> Vec<Part> {
    let parts = axes.0.get(at).into_iter().flatten();
    let inside = parts.flat_map(|part| match &part.kind {
        Kind::Tokens(tokens) => tokens.grid.as_slice(),
        _ => std::slice::from_ref(part),
    });
    inside.filter(|part| part.kind == *kind && part.extent > 1).cloned().collect()
}
