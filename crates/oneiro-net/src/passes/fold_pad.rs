//! A border of zeros before a convolution becomes the convolution's own padding.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::ops::Facts;
use crate::ops::array::layout::Movement;
use crate::ops::cnn::conv::Conv;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let conv = site.node.op.as_any().downcast_ref::<Conv>().ok_or("not a convolution")?;
    let (index, pad) = site.only_producer()?;
    let movement = pad.op.as_any().downcast_ref::<Movement>().ok_or("its input is not padded")?;
    if pad.epilogue.is_some() {
        return Err("the padded value has an activation function".into());
    }
    let inputs = site.typed.input_facts(pad);
    let (before, after, value) = movement.constant_border(Facts(&inputs)).ok_or("not a constant border")?;
    if value != 0.0 {
        return Err("the border is not zero".into());
    }
    if before[..2].iter().chain(&after[..2]).any(|&p| p != 0) {
        return Err("it pads the batch or the channels".into());
    }
    let sizes = |v: &[i64]| v[2..].iter().map(|&p| usize::try_from(p).ok()).collect::<Option<Vec<_>>>();
    let (before, after) = sizes(&before).zip(sizes(&after)).ok_or("the pad crops")?;
    let window = conv.window.padded(&before, &after).ok_or("the convolution pads by a rule")?;
    let mut inputs = site.node.inputs.clone();
    inputs[0] = pad.inputs[0];
    Ok(Patch::new(
        index,
        TypedNode { op: Arc::new(Conv { window, ..conv.clone() }), inputs, ..site.node.clone() },
    ))
}
