//! A value that is quantized and at once dequantized by the same scale is a clamped value: nothing is rounded
//! on data.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::kernels::EpilogueFunction;
use crate::ops::Facts;
use crate::ops::math::quantize::clamp_of_pair;
use crate::ops::nn::activation::Activation;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    if !site.node.op.decodes_integers() {
        return Err("it does not dequantize".into());
    }
    let (index, producer) = site.only_producer()?;
    let (to, from) = (site.typed.input_facts(producer), site.typed.input_facts(site.node));
    let bounds = clamp_of_pair(producer.op.as_ref(), Facts(&to), site.node.op.as_ref(), Facts(&from))
        .ok_or("its input is not quantized by the same single scale")?;
    Ok(Patch::new(
        index,
        TypedNode {
            name: site.node.name.clone(),
            op: Arc::new(Activation::Clip(bounds)),
            inputs: producer.inputs[..1].to_vec(),
            outputs: site.node.outputs.clone(),
            epilogue: Some(EpilogueFunction::clip(bounds)),
        },
    ))
}
