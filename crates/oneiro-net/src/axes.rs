//! The meaning of the axes of a network's values: which axis holds channels, and which hold positions or
//! tokens.
//!
//! `LAYER:CHANNEL` needs the axis that the network uses as channels. Convolutions have it on axis 1.
//! ConvNeXt, Swin and ViT have it on the last axis, although their files' inputs are channels first. So the
//! meaning of axes is followed from the inputs through every operator ([`follow`]).
//!
//! An axis is a product of [`Part`]s, the most significant first, because a reshape may join and split axes.
//! Tokens are `[Height, Width]`, a batch of windows is `[Batch, Height/7, Width/7]`, and heads are the upper
//! part of `Channel`. A part knows its extent and its step: the distance between neighbours on the axis from
//! which it was split. So a value with its axes in any order can be viewed as a map (N, C, H, W):
//! [`FeatureMap`].
//!
//! Each operator gives its effect on axes in [`Operator::axes`](crate::ops::Operator::axes), with the helpers
//! of [`Sources`]. If the channel axis cannot be derived, [`Axes::channel`] is `None`, and `LAYER:CHANNEL` is
//! refused.

use std::fmt;
use std::sync::Arc;

mod feature_map;
mod follow;
mod moved;
mod product;
mod regroup;
mod rules;
mod stated;

pub use feature_map::{FeatureMap, rows};
pub use follow::{Followed, follow};
pub use rules::Sources;
pub use stated::parse;

/// The meaning of an index along an axis, or along a part of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The index counts the entries of a batch.
    Batch,
    /// The index counts channels (features).
    Channel,
    /// The index counts the frames of a film.
    Time,
    /// The index counts the rows of a picture.
    Height,
    /// The index counts the columns of a picture.
    Width,
    /// The index counts the positions of a one-dimensional signal.
    Length,
    /// Patch tokens together with other tokens before or after them.
    Tokens(Arc<Tokens>),
    /// Features that are no channels: the result of a product that sums over positions.
    Mixed,
    /// The meaning of the index is unknown.
    Other,
}

/// An axis of tokens: `before` other tokens (class, registers), the patches in the order of `grid`, then
/// `after` other tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Number of tokens before the image patches, such as a class token.
    pub before: usize,
    /// The axes of the grid that the image patches form (rows, columns).
    pub grid: Vec<Part>,
    /// Number of tokens after the image patches.
    pub after: usize,
}

impl Tokens {
    /// Number of image patches.
    pub fn patches(&self) -> usize {
        extent(&self.grid)
    }
}

/// A factor of an axis: an axis is a product of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the indices along this part of an axis mean.
    pub kind: Kind,
    /// Number of indices along this part of an axis.
    pub extent: usize,
    /// Distance between neighbouring indices, in positions of the undivided axis of this kind.
    pub step: usize,
}

impl Part {
    /// Creates the part that covers a whole axis of this kind.
    pub fn new(kind: Kind, extent: usize) -> Self {
        Self { kind, extent, step: 1 }
    }
}

impl Kind {
    /// Whether an index of this kind is a position in a picture, a clip or a signal.
    pub fn is_spatial(&self) -> bool {
        matches!(self, Kind::Time | Kind::Height | Kind::Width | Kind::Length | Kind::Tokens(_))
    }
}

/// The product of the extents of some parts of axes.
pub fn extent(parts: &[Part]) -> usize {
    parts.iter().fold(1, |n, part| n.saturating_mul(part.extent))
}

/// The parts of one axis, the most significant first. An axis without parts has extent 1 and no meaning.
pub type Axis = Vec<Part>;

/// The meaning of each axis of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes(pub Vec<Axis>);

/// The kinds of a convolution's spatial axes, for a value of this rank.
pub(crate) fn spatial_kinds(rank: usize) -> Vec<Kind> {
    match rank {
        3 => vec![Kind::Length],
        4 => vec![Kind::Height, Kind::Width],
        5 => vec![Kind::Time, Kind::Height, Kind::Width],
        _ => vec![Kind::Other; rank.saturating_sub(2)],
    }
}

impl Axes {
    /// The axes of a convolution's operand: batch, channel, (time,) height, width.
    pub fn channels_first(shape: &[usize]) -> Self {
        let kinds = [Kind::Batch, Kind::Channel].into_iter().chain(spatial_kinds(shape.len()));
        Self(kinds.zip(shape).map(|(kind, &n)| vec![Part::new(kind, n)]).collect())
    }

    /// The axes batch, (time,) height, width, channel.
    pub fn channels_last(shape: &[usize]) -> Self {
        let mut first = shape.to_vec();
        if let (3.., Some(channels)) = (shape.len(), shape.last()) {
            first.remove(shape.len() - 1);
            first.insert(1, *channels);
        }
        let mut axes = Self::channels_first(&first);
        if axes.0.len() >= 3 {
            let channels = axes.0.remove(1);
            axes.0.push(channels);
        }
        axes
    }

    /// A batch axis, and further axes of unknown meaning.
    pub fn batch_only(shape: &[usize]) -> Self {
        let kind = |i: usize| if i == 0 { Kind::Batch } else { Kind::Other };
        Self(shape.iter().enumerate().map(|(i, &n)| vec![Part::new(kind(i), n)]).collect())
    }

    /// All parts of all axes, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().flatten()
    }

    /// Returns the axis that holds the channels. Returns `None` if several axes may hold them or none is
    /// known to.
    pub fn channel(&self) -> Option<usize> {
        let holds = |kind: Kind| {
            self.0.iter().enumerate().filter(move |(_, a)| a.iter().any(|p| p.kind == kind)).map(|(i, _)| i)
        };
        if holds(Kind::Mixed).next().is_some() {
            return None;
        }
        let mut holders = holds(Kind::Channel);
        match (holders.next(), holders.next()) {
            (Some(at), None) => self.has_all_channels(at).then_some(at),
            (Some(_), Some(_)) => None,
            // With a batch axis and a single other axis, that axis holds the features. An axis of extent 1
            // cannot hold anything else either.
            (None, _) if self.0.len() == 2 && self.is_batch(0) => Some(1),
            (None, _) if self.0.len() < 3 || self.relates_positions() => None,
            (None, _) if self.0[1].is_empty() => Some(1),
            (None, _) if self.0.last().is_some_and(Vec::is_empty) => Some(self.0.len() - 1),
            (None, _) => None,
        }
    }

    /// Whether an axis counts batch entries and nothing else.
    pub fn is_batch(&self, axis: usize) -> bool {
        self.0.get(axis).is_some_and(|a| !a.is_empty() && a.iter().all(|p| p.kind == Kind::Batch))
    }

    /// Whether two axes count positions of the same kind, as attention maps do.
    fn relates_positions(&self) -> bool {
        let of_kind = |axis: &Axis, kind: &Kind| {
            axis.iter().any(|p| p.kind == *kind || matches!(p.kind, Kind::Tokens(_)))
        };
        [Kind::Time, Kind::Height, Kind::Width, Kind::Length]
            .iter()
            .any(|kind| self.0.iter().filter(|axis| of_kind(axis, kind)).count() > 1)
    }

    /// Whether an axis holds all parts of the channels: no part of them was summed over, such as the channels
    /// within heads.
    fn has_all_channels(&self, at: usize) -> bool {
        let mut parts: Vec<&Part> =
            self.0[at].iter().filter(|p| p.kind == Kind::Channel && p.extent > 1).collect();
        parts.sort_by_key(|p| p.step);
        let mut step = 1;
        parts.iter().all(|p| {
            let next = p.step == step;
            step = step.saturating_mul(p.extent);
            next
        })
    }

    /// The product of the extents of all batch parts.
    pub(crate) fn batch(&self) -> usize {
        self.parts().filter(|p| p.kind == Kind::Batch).fold(1, |n, p| n.saturating_mul(p.extent))
    }

    /// Kinds, steps and extents of all spatial parts, sorted.
    pub(crate) fn positions(&self) -> Vec<(String, usize, usize)> {
        let spatial = self.parts().filter(|p| p.kind.is_spatial() && p.extent > 1);
        let mut positions: Vec<_> = spatial.map(|p| (format!("{:?}", p.kind), p.step, p.extent)).collect();
        positions.sort();
        positions
    }

    /// Whether any axis counts several positions in space or time.
    pub(crate) fn has_positions(&self) -> bool {
        self.parts().any(|p| p.kind.is_spatial() && p.extent > 1)
    }

    /// Whether any axis counts entries of the batch.
    pub(crate) fn has_batch(&self) -> bool {
        self.parts().any(|p| p.kind == Kind::Batch)
    }
}

impl fmt::Display for Axes {
    /// Writes `N,C,H,W`, `N,H,W,C` or `N,tokens,C`. The parts of an axis with several meanings are joined by
    /// `*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.channel();
        for (i, axis) in self.0.iter().enumerate() {
            if i > 0 {
                write!(f, ",")?;
            }
            if channel == Some(i) {
                write!(f, "C")?;
                continue;
            }
            write!(f, "{}", axis_name(axis))?;
        }
        Ok(())
    }
}

/// Returns the name of an axis other than the channel axis.
fn axis_name(axis: &[Part]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in axis.iter().filter(|p| p.extent > 1 || p.kind == Kind::Batch || axis.len() == 1) {
        let name = match part.kind {
            Kind::Batch => "N",
            Kind::Channel if part.step > 1 => "heads",
            Kind::Channel => "features",
            Kind::Time => "T",
            Kind::Height => "H",
            Kind::Width => "W",
            Kind::Length => "L",
            Kind::Tokens(_) => "tokens",
            Kind::Mixed => "mixed",
            Kind::Other => "?",
        };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    let spatial = |name: &&str| matches!(*name, "T" | "H" | "W" | "L");
    if names.iter().filter(|n| spatial(n)).count() > 1 {
        let windows = names.contains(&"N");
        names.retain(|n| !spatial(n));
        names.push(if windows { "windows" } else { "tokens" });
    }
    if names.is_empty() { "1".into() } else { names.join("*") }
}

#[cfg(test)]
mod tests;
