//! `Relu` and `Clip` become the activation function of the step that computes their input.

use super::{NotHere, Patch, Site};
use crate::kernels::{Bounds, EpilogueFunction};
use crate::ops::nn::activation::Activation;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    site.node.op.as_any().downcast_ref::<Activation>().ok_or("not a Relu or Clip")?;
    let bounds = site.node.epilogue.and_then(|f| f.bounds()).ok_or("it has no bounds")?;
    let (index, producer) = site.only_producer()?;
    // Two clamps in a row are one, if their intervals meet.
    let bounds = match producer.epilogue {
        None => bounds,
        Some(EpilogueFunction::Swish { .. }) => {
            return Err("its producer has another activation function".into());
        }
        Some(EpilogueFunction::Clip { bounds: first, .. }) => Bounds {
            low: bounds.low.max(first.low),
            high: bounds.high.min(first.high),
            saturates: bounds.saturates && first.saturates,
        },
    };
    if producer.op.is_view() || producer.outputs.len() > 1 {
        return Err("its producer moves no data, or has several results".into());
    }
    if bounds.low >= bounds.high || bounds.low.is_nan() || bounds.high.is_nan() {
        return Err("the bounds are not an interval".into());
    }
    Ok(Patch::new(
        index,
        TypedNode {
            name: site.node.name.clone(),
            op: producer.op.clone(),
            inputs: producer.inputs.clone(),
            outputs: site.node.outputs.clone(),
            epilogue: Some(EpilogueFunction::clip(bounds)),
        },
    ))
}
