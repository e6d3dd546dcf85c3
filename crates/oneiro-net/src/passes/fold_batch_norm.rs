//! `BatchNormalization` after a convolution scales its filters and shifts its bias.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::ops::Facts;
use crate::ops::cnn::batch_norm::BatchNorm;
use crate::ops::cnn::conv::Conv;
use crate::tensor::Tensor;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let norm = site.node.op.as_any().downcast_ref::<BatchNorm>().ok_or("not a BatchNormalization")?;
    let (index, conv) = site.only_producer()?;
    let op = conv.op.as_any().downcast_ref::<Conv>().ok_or("its input is not a convolution's result")?;
    if conv.epilogue.is_some() || op.adds {
        return Err("the convolution has an activation function or a sum".into());
    }
    let norm_inputs = site.typed.input_facts(site.node);
    let (scale, shift) = norm.scale_and_shift(Facts(&norm_inputs))?;
    let conv_inputs = site.typed.input_facts(conv);
    let conv_inputs = Facts(&conv_inputs);
    let filters = conv_inputs.need_constant(1)?.shape()[0];
    if filters != scale.len() {
        return Err("the normalisation does not match the filters".into());
    }
    // Two factors of a filter are one.
    let factors = match &op.scale {
        None => scale.clone(),
        Some(first) => {
            first.iter().zip(&scale).map(|(a, b)| (f64::from(*a) * f64::from(*b)) as f32).collect()
        }
    };
    let bias: Vec<f32> = match conv_inputs.constant(2)? {
        None => shift,
        Some(b) => {
            let b = b.as_floats()?;
            if b.len() != scale.len() {
                return Err("the bias does not match the filters".into());
            }
            (0..b.len())
                .map(|c| (f64::from(b[c]) * f64::from(scale[c]) + f64::from(shift[c])) as f32)
                .collect()
        }
    };
    Ok(Patch {
        swallowed: index,
        before: vec![],
        node: TypedNode {
            name: site.node.name.clone(),
            op: Arc::new(Conv { scale: Some(Arc::new(factors)), ..op.clone() }),
            inputs: vec![conv.inputs[0], conv.inputs[1], None],
            outputs: site.node.outputs.clone(),
            epilogue: site.node.epilogue,
        },
        constants: vec![(2, Tensor::floats(&[filters], bias))],
    })
}
