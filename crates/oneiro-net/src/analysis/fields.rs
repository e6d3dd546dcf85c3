//! The receptive fields of all values along each spatial axis of each input.

use super::ReceptiveField;
use super::along::{Along, Pass};
use crate::axes::{Axes, Followed, Kind, Part, Sources, spatial_kinds};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Fact, Facts, Reach};

/// For each value, its receptive fields along the axes of every input on which it depends.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    followed: &'a Followed,
    seen: Vec<Vec<(usize, Vec<Along>)>>,
    /// Axes of the inputs, assumed to be channels first if unknown.
    inputs: Vec<(ValueId, Axes)>,
}

impl<'a> Fields<'a> {
    /// Creates the receptive fields of the inputs: each position reads itself.
    pub fn new(graph: &Graph, shapes: &[Vec<usize>], followed: &'a Followed) -> Self {
        let mut fields = Self { followed, seen: vec![Vec::new(); graph.values.len()], inputs: Vec::new() };
        for (i, (input, shape)) in graph.inputs.iter().zip(shapes).enumerate() {
            let known = followed.of(input.value).filter(|axes| axes.parts().any(|p| p.kind.is_spatial()));
            let positions = known.map(positions).filter(|found| !found.is_empty());
            let usual =
                || spatial_kinds(shape.len()).into_iter().zip(shape.iter().skip(2).copied()).collect();
            let positions: Vec<(Kind, usize)> = positions.unwrap_or_else(usual);
            let along = positions.into_iter().map(|(kind, extent)| Along::input(kind, extent));
            fields.seen[input.value.index()].push((i, along.collect()));
            let axes = known.cloned().unwrap_or_else(|| Axes::channels_first(shape));
            fields.inputs.push((input.value, axes));
        }
        fields
    }

    /// Computes the fields of a node's output `index`. Returns them for each input on which the output
    /// depends.
    pub fn follow(
        &mut self,
        node: &Node,
        inputs: &[Option<&Fact>],
        fact: &Fact,
        index: usize,
    ) -> Vec<(usize, ReceptiveField)> {
        let Some(Some(value)) = node.outputs.get(index).copied() else { return Vec::new() };
        let facts = Facts(inputs);
        let axes: Vec<Option<&Axes>> =
            node.inputs.iter().map(|v| v.and_then(|v| self.followed.of(v))).collect();
        let sources = Sources { facts, axes: &axes, batch: self.followed.batch() };
        let known = self.followed.of(value).is_some();
        let to = self.axes_of(value, &fact.shape);
        let made = node.op.axes(&sources, fact, index).filter(|axes| axes.fits(&fact.shape));
        let made = made.unwrap_or_else(|| to.clone());
        let beside = node.op.concatenates();
        let data: Vec<(usize, ValueId)> = node
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(k, v)| v.filter(|v| !self.seen[v.index()].is_empty()).map(|v| (k, v)))
            .collect();
        let mut merged: Vec<(usize, Vec<Along>)> = Vec::new();
        // Of concatenated operands, the largest comes first.
        let mut order = data.clone();
        if beside {
            order.sort_by_key(|(k, _)| std::cmp::Reverse(inputs[*k].map_or(0, Fact::len)));
        }
        for (k, source) in order {
            let from = self.axes_of(source, inputs[k].map_or(&[], |f| f.shape.as_slice()));
            let pass = pass(node, facts, (k, index), (&from, &made, &to), known);
            for (input, along) in &self.seen[source.index()] {
                let seen: Vec<Along> = along.iter().map(|along| along.through(&pass)).collect();
                match merged.iter_mut().find(|(i, _)| i == input) {
                    None => merged.push((*input, seen)),
                    Some((_, own)) => own.iter_mut().zip(&seen).for_each(|(own, other)| {
                        let (beside, others) = if beside { lies_along(&pass, own) } else { (false, false) };
                        own.with(other, beside, others);
                    }),
                }
            }
        }
        if data.len() > 1 && node.op.sums_along(facts, 0).is_some() {
            merged.iter_mut().flat_map(|(_, along)| along).for_each(|along| along.relate(&to));
        }
        merged.sort_by_key(|(i, _)| *i);
        let fields = merged.iter().map(|(i, along)| (*i, field(along, &to))).collect();
        self.seen[value.index()] = merged;
        fields
    }

    fn axes_of(&self, value: ValueId, shape: &[usize]) -> Axes {
        let input = self.inputs.iter().find(|(input, _)| *input == value).map(|(_, axes)| axes);
        let known = input.or_else(|| self.followed.of(value));
        let usual = || if shape.len() > 2 { Axes::channels_first(shape) } else { Axes::batch_only(shape) };
        known.cloned().unwrap_or_else(usual)
    }
}

/// Positions of an input: on its spatial axes, or, for patch tokens, on the axes of their grid.
fn positions(axes: &Axes) -> Vec<(Kind, usize)> {
    let of = |part: &Part| match &part.kind {
        Kind::Tokens(tokens) => tokens.grid.iter().map(|p| (p.kind.clone(), p.extent)).collect(),
        kind if kind.is_spatial() => vec![(kind.clone(), part.extent)],
        _ => Vec::new(),
    };
    axes.parts().flat_map(of).collect()
}

/// Returns whether a concatenation joins operands along the axis that is followed, and whether other tokens
/// are among them.
fn lies_along(pass: &Pass<'_>, along: &Along) -> (bool, bool) {
    match &pass.reach {
        Reach::Axes(axes) => axes.first().map_or((false, false), |(at, _)| along.is_on(pass.made, *at)),
        _ => (false, false),
    }
}

fn pass<'a>(
    node: &Node,
    facts: Facts<'_>,
    (operand, index): (usize, usize),
    (from, made, to): (&'a Axes, &'a Axes, &'a Axes),
    known: bool,
) -> Pass<'a> {
    let op = &node.op;
    let mixed = if operand == 0 { node.op.mixes_along(facts) } else { Vec::new() };
    let summed = node.op.sums_along(facts, operand);
    let reach = match node.op.reach_of(facts, operand, index) {
        _ if summed.is_some() => Reach::Point,
        Reach::Whole if !mixed.is_empty() => Reach::Point,
        // Reduced parts disappear from the result.
        Reach::Whole if op.reduces_axes() => Reach::Point,
        Reach::Whole if op.picks_elements() && from.positions() == to.positions() && to.has_positions() => {
            Reach::Point
        }
        Reach::Regroup if !known => Reach::Whole,
        reach => reach,
    };
    let rank = facts.shape(operand).map_or(0, <[usize]>::len);
    let others = (0..node.inputs.len()).filter(|&i| facts.get(i).is_some_and(|f| f.value.is_none())).count();
    let is_dense = summed.is_some() && rank <= 2 && others == 1;
    Pass { reach, mixed, summed: summed.unwrap_or_default(), is_dense, from, made, to }
}

fn field(along: &[Along], axes: &Axes) -> ReceptiveField {
    let mut field = ReceptiveField { is_regular: true, ..ReceptiveField::default() };
    for along in along {
        let seen = along.report(axes);
        field.extent.push(seen.extent);
        field.stride.push(seen.stride);
        field.first.push(seen.first);
        field.is_regular &= seen.is_regular;
        field.strides_differ |= seen.strides_differ;
    }
    field
}
