//! Objectives whose units have receptive fields smaller than half of the picture. Such units respond to
//! textures, whose position does not matter.

use std::borrow::Cow;

use oneiro_net::analysis::Layer;

use super::stride;
use crate::model::Model;
use crate::objective::{Objective, Reads, TermKind};
use crate::transform::{Chain, Transform};

/// Returns the chain for one objective with every [`Transform::RollTextures`] resolved. If [`is_texture`]
/// holds for a picture of this size, the transform becomes a roll by up to half of the longer side. Otherwise
/// it is removed.
pub(super) fn resolved<'c>(
    chain: &'c Chain,
    model: &Model,
    layers: Option<&[Layer]>,
    objective: &Objective,
    size: [usize; 2],
) -> Cow<'c, Chain> {
    if !rolls(chain) {
        return Cow::Borrowed(chain);
    }
    let roll = layers.is_some_and(|layers| is_texture(model, layers, objective, size));
    let member = |transform: &Transform| match transform {
        Transform::RollTextures => roll.then_some(Transform::Roll(size[0].max(size[1]) / 2)),
        other => Some(other.clone()),
    };
    let transforms = chain.transforms.iter().filter_map(member).collect();
    Cow::Owned(Chain { transforms, fill: chain.fill.clone() })
}

/// Whether a chain contains [`Transform::RollTextures`].
pub(super) fn rolls(chain: &Chain) -> bool {
    chain.transforms.contains(&Transform::RollTextures)
}

/// Whether every term is a mean over a layer whose receptive field is smaller than half of the picture along
/// both axes.
fn is_texture(model: &Model, layers: &[Layer], objective: &Objective, size: [usize; 2]) -> bool {
    let terms = objective.terms();
    let mut read = terms.iter().filter(|term| term.reads() != Reads::Input).peekable();
    let average = |kind: &TermKind| match kind {
        TermKind::Channel(_) | TermKind::Layer => true,
        TermKind::Direction(direction) => direction.at.is_none(),
        _ => false,
    };
    if read.peek().is_none() || !read.all(|term| average(&term.kind) && term.region.is_all()) {
        return false;
    }
    // If a layer's receptive field is not known, the picture is not rolled.
    let Ok(fields) = stride::fields(model, layers, std::slice::from_ref(objective)) else {
        return false;
    };
    fields.iter().all(|(_, field)| field.extent.iter().rev().zip(size.iter().rev()).all(|(f, n)| 2 * f < *n))
}
