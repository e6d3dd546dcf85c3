//! Two transpositions in a row are one, or none if the second undoes the first.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::attributes::Attributes;
use crate::ops::array::layout::Movement;
use crate::ops::build;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let rank = site
        .node
        .inputs
        .first()
        .copied()
        .flatten()
        .and_then(|v| site.typed.fact(v).ok())
        .map_or(0, |f| f.shape.len());
    let order = |node: &TypedNode| match node.op.as_any().downcast_ref::<Movement>() {
        Some(Movement::Transpose(None)) => Ok((0..rank).rev().collect()),
        Some(Movement::Transpose(Some(order))) if order.len() == rank => Ok(order.clone()),
        _ => Err(NotHere::from("not a Transpose")),
    };
    let second = order(site.node)?;
    let (index, producer) = site.only_producer()?;
    let first = order(producer)?;
    if producer.epilogue.is_some() || site.node.epilogue.is_some() {
        return Err("an activation function is attached".into());
    }
    let both: Vec<usize> = second.iter().map(|&axis| first[axis]).collect();
    let op = if both.iter().enumerate().all(|(i, &axis)| i == axis) {
        build("Identity", &Attributes::new(1, vec![]))
    } else {
        Arc::new(Movement::Transpose(Some(both)))
    };
    Ok(Patch::new(index, TypedNode { op, inputs: producer.inputs.clone(), ..site.node.clone() }))
}
