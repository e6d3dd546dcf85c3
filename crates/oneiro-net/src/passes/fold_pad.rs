//! Makes a border of zeros before a convolution the convolution's own padding.

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

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::ops::cnn::conv::Conv;
    use crate::ops::{Attribute, Facts};
    use crate::passes::testing::{Net, ints};

    /// A 3×3 convolution of a padded input with `channels` channels. Returns the padded value and the result.
    fn padded(
        channels: usize,
        pads: &[i64],
        value: f32,
        mode: &str,
        conv: &[(&str, Attribute)],
    ) -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2, 5, 5]);
        let pads = net.ints("pads", pads);
        let value = net.floats("value", &[], &[value]);
        let mode = [("mode", Attribute::Text(mode.into()))];
        let padded = net.node("Pad", "padded", &[x, pads, value], &mode);
        let w = net.weights("w", &[2, channels, 3, 3]);
        let y = net.node("Conv", "y", &[padded, w], conv);
        (net, [padded, y])
    }

    const BORDER: [i64; 8] = [0, 0, 1, 2, 0, 0, 3, 4];

    #[test]
    fn a_border_of_zeros_adds_to_the_padding() {
        for (conv, pads) in [(vec![], [1, 2, 3, 4]), (vec![("pads", ints(&[1, 1, 2, 2]))], [2, 3, 5, 6])] {
            let (net, [_, y]) = padded(2, &BORDER, 0.0, "constant", &conv);
            let mut net = net.build(&[y]);
            let shape = net.typed.fact(y).unwrap().shape.clone();
            assert_eq!(net.nodes(), ["padded = Pad(x, pads, value)", "y = Conv(padded, w)"]);
            assert_eq!(net.after(at), ["y = Conv(x, w)"]);
            let window = net.op::<Conv>(0).window.resolve(&[5, 5], Some(&[3, 3])).unwrap();
            assert_eq!([window.before, window.after].concat(), pads);
            let inputs = net.typed.input_facts(&net.typed.nodes[0]);
            assert_eq!(net.typed.nodes[0].op.infer(Facts(&inputs)).unwrap()[0].shape, shape);
        }
    }

    #[test]
    fn other_borders_stay() {
        let refuses = |(net, [_, y]): (Net, [ValueId; 2]), why: &str| net.build(&[y]).refuses(at, "y", why);
        refuses(padded(2, &BORDER, 1.0, "constant", &[]), "the border is not zero");
        refuses(padded(2, &BORDER, 0.0, "edge", &[]), "not a constant border");
        refuses(padded(3, &[0, 1, 0, 0, 0, 0, 0, 0], 0.0, "constant", &[]), "the channels");
        refuses(padded(2, &[0, 0, -1, 0, 0, 0, 0, 0], 0.0, "constant", &[]), "the pad crops");
        let rule = [("auto_pad", Attribute::Text("SAME_UPPER".into()))];
        refuses(padded(2, &BORDER, 0.0, "constant", &rule), "pads by a rule");
    }

    #[test]
    fn a_border_that_something_else_reads_stays() {
        let why = "a target or has another reader";
        let (net, [padded_value, y]) = padded(2, &BORDER, 0.0, "constant", &[]);
        net.build(&[y, padded_value]).refuses(at, "y", why);
        let (mut net, [padded_value, y]) = padded(2, &BORDER, 0.0, "constant", &[]);
        let z = net.node("Neg", "z", &[padded_value], &[]);
        net.build(&[y, z]).refuses(at, "y", why);
    }
}
