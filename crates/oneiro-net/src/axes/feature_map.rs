//! Views of values as (N, C, positions), whatever the order of their axes. Positions are height and width
//! where the axes are known.

use std::sync::Arc;

use super::{Axes, Kind, Part};
use crate::attributes::{Attribute, Attributes};
use crate::graph::{Graph, Node, Value, ValueId};
use crate::ops::{Operator, build};
use crate::tensor::{Tensor, volume};

/// Operator-set version of the nodes that [`FeatureMap::add_to`] adds.
const OPSET: i64 = 13;

/// How a value becomes (N, C, positions). The order of position axes is: unknown ones, time, height, width.
/// Patch tokens are split into height and width; other tokens are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureMap {
    /// Shape of the value before the conversion.
    from: Vec<usize>,
    /// The value's parts in order. An axis of tokens is one atom.
    atoms: Vec<Atom>,
    /// Extents of all parts, with patches split into their grid.
    split: Vec<usize>,
    /// Index of the split part that is the batch, if there is one.
    batch: Option<usize>,
    /// The split parts in the order of the map's axes.
    order: Vec<usize>,
    /// Shape of the feature map.
    shape: Vec<usize>,
}

/// A part of the value that the conversion to a feature map moves as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Atom {
    extent: usize,
    /// Number of tokens before the image patches, such as a class token.
    before: usize,
    /// Indices of the split parts that come from this part: one, or several for patch tokens.
    split: std::ops::Range<usize>,
    is_tokens: bool,
}

/// The role of a part of the value in its feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Batch,
    Channel,
    Unknown,
    Time,
    Height,
    Width,
    Length,
}

fn role(part: &Part) -> Role {
    match part.kind {
        Kind::Batch => Role::Batch,
        Kind::Time => Role::Time,
        Kind::Height => Role::Height,
        Kind::Width => Role::Width,
        Kind::Length => Role::Length,
        Kind::Channel | Kind::Tokens(_) | Kind::Mixed | Kind::Other => Role::Unknown,
    }
}

impl FeatureMap {
    /// Returns the map of a value with these axes and this shape, with `batch` entries. Returns `None` if its
    /// channels are unknown, or its batch entries are not separate.
    pub fn of(axes: &Axes, shape: &[usize], batch: usize) -> Option<Self> {
        let channel = axes.channel()?;
        if !axes.fits(shape) || axes.batch() != batch && axes.has_batch() || !axes.has_batch() && batch != 1 {
            return None;
        }
        let mut map = FeatureMap {
            from: shape.to_vec(),
            atoms: Vec::new(),
            split: Vec::new(),
            batch: None,
            order: Vec::new(),
            shape: Vec::new(),
        };
        // The role of each split part in the feature map, and its step.
        let mut parts: Vec<(Role, usize)> = Vec::new();
        let push = |map: &mut FeatureMap, parts: &mut Vec<(Role, usize)>, role: Role, part: &Part| {
            let split = map.split.len()..map.split.len() + 1;
            map.atoms.push(Atom { extent: part.extent, before: 0, split, is_tokens: false });
            map.split.push(part.extent);
            parts.push((role, part.step));
        };
        for (i, axis) in axes.0.iter().enumerate() {
            let features: Vec<&Part> =
                axis.iter().filter(|p| i == channel && p.kind != Kind::Batch).collect();
            if axis.is_empty() {
                // In a network for one picture, convolutions treat the first axis of extent 1 as the batch.
                let role = match i {
                    _ if i == channel => Role::Channel,
                    0 if !axes.has_batch() => Role::Batch,
                    _ => Role::Unknown,
                };
                push(&mut map, &mut parts, role, &Part::new(Kind::Other, 1));
            }
            for part in axis {
                match &part.kind {
                    _ if features.iter().any(|p| std::ptr::eq(*p, part)) => {
                        push(&mut map, &mut parts, Role::Channel, part);
                    }
                    Kind::Tokens(tokens) => {
                        let split = map.split.len()..map.split.len() + tokens.grid.len();
                        let before = tokens.before;
                        map.atoms.push(Atom { extent: part.extent, before, split, is_tokens: true });
                        for patch in &tokens.grid {
                            map.split.push(patch.extent);
                            parts.push((role(patch), patch.step));
                        }
                    }
                    _ => push(&mut map, &mut parts, role(part), part),
                }
            }
        }
        let mut batches = (0..parts.len()).filter(|&i| parts[i].0 == Role::Batch);
        map.batch = batches.next().filter(|_| batches.next().is_none());
        // Two parts of one kind with equal steps cannot belong to one axis, so their meaning is unknown.
        let twins = |i: usize| {
            (0..parts.len()).any(|k| k != i && parts[k] == parts[i] && map.split[k] > 1 && map.split[i] > 1)
        };
        let unclear: Vec<bool> = (0..parts.len()).map(|i| parts[i].0 > Role::Unknown && twins(i)).collect();
        for (part, unclear) in parts.iter_mut().zip(unclear) {
            if unclear {
                part.0 = Role::Unknown;
            }
        }
        map.order = (0..parts.len()).collect();
        map.order.sort_by(|&a, &b| {
            let (role, other) = (parts[a].0, parts[b].0);
            let by_step = match role {
                Role::Channel | Role::Unknown => std::cmp::Ordering::Equal,
                _ => parts[b].1.cmp(&parts[a].1),
            };
            role.cmp(&other).then(by_step).then(a.cmp(&b))
        });
        let extent = |role: Role| {
            let of_role = map.order.iter().filter(|&&i| parts[i].0 == role);
            of_role.clone().next().map(|_| of_role.map(|&i| map.split[i]).product::<usize>())
        };
        map.shape.push(extent(Role::Batch).unwrap_or(1));
        map.shape.push(extent(Role::Channel).unwrap_or(1));
        let unknown = map.order.iter().filter(|&&i| parts[i].0 == Role::Unknown).map(|&i| map.split[i]);
        let spatial = [Role::Time, Role::Height, Role::Width, Role::Length].into_iter().filter_map(extent);
        let positions: Vec<usize> = unknown.chain(spatial).collect();
        map.shape.extend(positions);
        Some(map)
    }

    /// Shape of the feature map: batch, channels, then the axes of positions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether the value already has the map's form.
    pub fn is_identity(&self) -> bool {
        !self.has_tokens() && self.is_in_order() && self.shape == self.from
    }

    /// Whether the map holds all elements of the value.
    pub fn is_whole(&self) -> bool {
        volume(&self.shape) == volume(&self.from)
    }

    fn has_tokens(&self) -> bool {
        self.atoms.iter().any(|atom| atom.is_tokens)
    }

    fn is_in_order(&self) -> bool {
        let mut large = self.order.iter().filter(|&&i| self.split[i] != 1);
        let mut last = 0;
        large.all(|&i| std::mem::replace(&mut last, i) <= i)
    }

    /// Adds nodes that compute the map of a value. Returns their result.
    pub fn add_to(&self, graph: &mut Graph, value: ValueId) -> ValueId {
        if self.is_identity() {
            return value;
        }
        let (mut last, mut shape) = (value, self.from.clone());
        if self.has_tokens() {
            let first = self.atoms.iter().position(|atom| atom.is_tokens);
            // The batch has the same index in atoms and in split parts if it comes before the first axis of
            // tokens.
            let batch = self.batch.filter(|&b| first.is_none_or(|at| b < at));
            let atoms: Vec<usize> = self.atoms.iter().map(|atom| atom.extent).collect();
            last = reshape(graph, last, &mut shape, &atoms, batch);
            for (at, atom) in self.atoms.iter().enumerate().filter(|(_, atom)| atom.is_tokens) {
                let patches: usize = self.split[atom.split.clone()].iter().product();
                let bounds = [atom.before, atom.before + patches, at];
                let bounds = bounds.map(|n| Some(add_constant(graph, &[n as i64])));
                let inputs = std::iter::once(Some(last)).chain(bounds).collect();
                last = add_node(graph, value, "Slice", inputs, vec![]);
                shape[at] = patches;
            }
        }
        if !self.is_in_order() || self.has_tokens() {
            last = reshape(graph, last, &mut shape, &self.split, self.batch);
        }
        if !self.is_in_order() {
            let order: Vec<i64> = self.order.iter().map(|&i| i as i64).collect();
            last =
                add_node(graph, value, "Transpose", vec![Some(last)], vec![("perm", Attribute::Ints(order))]);
            shape = self.order.iter().map(|&i| self.split[i]).collect();
        }
        let batch = self.batch.map(|_| 0);
        reshape(graph, last, &mut shape, &self.shape, batch)
    }

    /// Computes the map of a value's data, for all batch entries.
    pub fn gather(&self, data: &[f32]) -> Vec<f32> {
        // For each split part, the distance between neighbours in the data.
        let mut steps = vec![0; self.split.len()];
        let (mut start, mut step) = (0, 1);
        for atom in self.atoms.iter().rev() {
            start += atom.before * step;
            let mut within = step;
            for part in atom.split.clone().rev() {
                steps[part] = within;
                within *= self.split[part];
            }
            step *= atom.extent;
        }
        let mut offsets = vec![start];
        for &i in &self.order {
            offsets = offsets
                .iter()
                .flat_map(|&offset| (0..self.split[i]).map(move |k| (offset, k)))
                .map(|(offset, k)| offset + k * steps[i])
                .collect();
        }
        offsets.into_iter().map(|at| data[at]).collect()
    }
}

/// Adds a value of shape (N, n), made of a value whose batch entries are rows of `n` elements on some axis.
pub fn rows(graph: &mut Graph, value: ValueId, n: usize) -> ValueId {
    let shape = add_constant(graph, &[-1, n as i64]);
    add_node(graph, value, "Reshape", vec![Some(value), Some(shape)], vec![])
}

fn reshape(
    graph: &mut Graph,
    value: ValueId,
    from: &mut Vec<usize>,
    to: &[usize],
    batch: Option<usize>,
) -> ValueId {
    if from == to {
        return value;
    }
    let free = |(i, &n): (usize, &usize)| if Some(i) == batch { -1 } else { n as i64 };
    let extents: Vec<i64> = to.iter().enumerate().map(free).collect();
    *from = to.to_vec();
    let shape = add_constant(graph, &extents);
    add_node(graph, value, "Reshape", vec![Some(value), Some(shape)], vec![])
}

fn add_constant(graph: &mut Graph, ints: &[i64]) -> ValueId {
    let name = unused_name(graph, "extents");
    graph.values.push(Value { name, constant: Some(Tensor::ints(&[ints.len()], ints.to_vec())) });
    ValueId(graph.values.len() as u32 - 1)
}

fn add_node(
    graph: &mut Graph,
    of: ValueId,
    op: &str,
    inputs: Vec<Option<ValueId>>,
    attributes: Vec<(&str, Attribute)>,
) -> ValueId {
    let name = unused_name(graph, &format!("{} (map)", graph.name(of)));
    graph.values.push(Value { name: name.clone(), constant: None });
    let output = ValueId(graph.values.len() as u32 - 1);
    let op: Arc<dyn Operator> = build(op, &Attributes::new(OPSET, attributes));
    graph.nodes.push(Node { name, module: None, op, inputs, outputs: vec![Some(output)] });
    output
}

fn unused_name(graph: &Graph, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    while graph.find_value(&name).is_some() || graph.nodes.iter().any(|n| n.name == name) {
        name.push('\'');
    }
    name
}
