//! The sum of a convolution and another value of its shape becomes part of the convolution.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::ops::cnn::conv::{ADDED, Conv};
use crate::ops::math::binary::{Binary, Function};
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let sum = site.node.op.as_any().downcast_ref::<Binary>().ok_or("not a function of two variables")?;
    if sum.function != Function::Add || site.node.inputs.len() != 2 {
        return Err("not a sum".into());
    }
    let facts = site.typed.input_facts(site.node);
    let (Some(Some(a)), Some(Some(b))) = (facts.first(), facts.get(1)) else {
        return Err("a term is missing".into());
    };
    if a.shape != b.shape || a.value.is_some() || b.value.is_some() {
        return Err("the terms have not one shape, or one is a constant".into());
    }
    if site.node.inputs[0] == site.node.inputs[1] {
        return Err("both terms are one value".into());
    }
    merged(site, 0).or_else(|_| merged(site, 1))
}

/// The convolution that computes term `which`, with the other term added.
fn merged(site: Site<'_>, which: usize) -> Result<Patch, NotHere> {
    let (index, producer) = site.only_producer_of(which)?;
    let conv = producer.op.as_any().downcast_ref::<Conv>().ok_or("the term is not a convolution's result")?;
    if producer.epilogue.is_some() || conv.adds {
        return Err("the convolution has an activation function or a sum already".into());
    }
    let mut inputs = producer.inputs.clone();
    inputs.resize(ADDED, None);
    inputs.push(site.node.inputs[1 - which]);
    Ok(Patch::new(
        index,
        TypedNode {
            name: site.node.name.clone(),
            op: Arc::new(Conv { adds: true, ..conv.clone() }),
            inputs,
            outputs: site.node.outputs.clone(),
            epilogue: site.node.epilogue,
        },
    ))
}
