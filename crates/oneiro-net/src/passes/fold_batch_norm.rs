//! Folds a `BatchNormalization` after a convolution into it: filters are scaled and the bias is shifted.

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
    // If the convolution already has factors for its filters, both factors are multiplied.
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

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::ops::Attribute;
    use crate::ops::cnn::conv::Conv;
    use crate::passes::attach_clip;
    use crate::passes::testing::Net;

    /// Adds a normalization with factors 3 and 1, means 1 and 2, and shifts 10 and 20.
    fn normalized(net: &mut Net, name: &str, x: ValueId) -> ValueId {
        let parts: [(&str, [f32; 2]); 4] =
            [("scale", [6.0, 4.0]), ("shift", [10.0, 20.0]), ("mean", [1.0, 2.0]), ("variance", [4.0, 16.0])];
        let parts = parts.map(|(part, values)| net.floats(&format!("{name}.{part}"), &[2], &values));
        let exact = [("epsilon", Attribute::Float(0.0))];
        net.node("BatchNormalization", name, &[&[x], &parts[..]].concat(), &exact)
    }

    /// A convolution with two filters.
    fn convolution(bias: Option<[f32; 2]>) -> (Net, ValueId) {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let mut operands = vec![x, net.weights("w", &[2, 2, 1, 1])];
        operands.extend(bias.map(|b| net.floats("b", &[2], &b)));
        let conv = net.node("Conv", "conv", &operands, &[]);
        (net, conv)
    }

    #[test]
    fn factors_and_bias_go_into_the_convolution_and_its_weights_stay() {
        // The expected biases are (0 − 1)·3 + 10 and (0 − 2)·1 + 20, or (3 − 1)·3 + 10 and (6 − 2)·1 + 20.
        for (bias, folded) in [(None, [7.0, 18.0]), (Some([3.0, 6.0]), [16.0, 24.0])] {
            let (mut net, conv) = convolution(bias);
            let y = normalized(&mut net, "y", conv);
            let mut net = net.build(&[y]);
            assert_eq!(net.nodes().len(), 2);
            assert_eq!(net.after(at), ["y = Conv(x, w, new[2])"]);
            assert_eq!(net.op::<Conv>(0).scale.as_deref(), Some(&vec![3.0, 1.0]));
            assert_eq!(net.operand(0, 2), folded);
            assert_eq!(net.operand(0, 1), [1.0, 2.0, 3.0, 4.0]);
        }
    }

    #[test]
    fn factors_of_two_in_a_row_multiply() {
        let (mut net, conv) = convolution(None);
        let first = normalized(&mut net, "first", conv);
        let y = normalized(&mut net, "y", first);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(at), ["y = Conv(x, w, new[2])"]);
        assert_eq!(net.op::<Conv>(0).scale.as_deref(), Some(&vec![9.0, 1.0]));
        assert_eq!(net.operand(0, 2), [(7.0 - 1.0) * 3.0 + 10.0, 18.0 - 2.0 + 20.0]);
    }

    #[test]
    fn a_convolution_that_something_else_reads_stays() {
        let why = "a target or has another reader";
        let (mut net, conv) = convolution(None);
        let y = normalized(&mut net, "y", conv);
        net.build(&[y, conv]).refuses(at, "y", why);
        let (mut net, conv) = convolution(None);
        let y = normalized(&mut net, "y", conv);
        let z = net.node("Neg", "z", &[conv], &[]);
        net.build(&[y, z]).refuses(at, "y", why);
    }

    #[test]
    fn a_normalization_elsewhere_stays() {
        // In this graph, the normalization comes before the convolution.
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let before = normalized(&mut net, "before", x);
        let w = net.weights("w", &[2, 2, 1, 1]);
        let y = net.node("Conv", "y", &[before, w], &[]);
        net.build(&[y]).refuses(at, "before", "the input is fed");
        // An activation function lies between the two: as a node of its own, and attached.
        let (mut net, conv) = convolution(None);
        let relu = net.node("Relu", "relu", &[conv], &[]);
        let y = normalized(&mut net, "y", relu);
        let mut net = net.build(&[y]);
        assert_eq!(
            net.at("y", |site| at(site).map(|_| ())),
            Err("its input is not a convolution's result".into())
        );
        net.after(attach_clip::at);
        net.refuses(at, "y", "has an activation function");
    }

    #[test]
    fn statistics_and_weights_that_are_no_constants_stay() {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.input("w", &[2, 2, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let y = normalized(&mut net, "y", conv);
        net.build(&[y]).refuses(at, "y", "constant");

        let (mut net, conv) = convolution(None);
        let ones = net.floats("ones", &[2], &[1.0; 2]);
        let fed = net.input("fed", &[2]);
        let y = net.node("BatchNormalization", "y", &[conv, fed, ones, ones, ones], &[]);
        net.build(&[y]).refuses(at, "y", "constant");

        let (mut net, conv) = convolution(None);
        let ones = net.floats("ones", &[2], &[1.0; 2]);
        let training = [("training_mode", Attribute::Int(1))];
        let y = net.node("BatchNormalization", "y", &[conv, ones, ones, ones, ones], &training);
        net.build(&[y]).refuses(at, "y", "the data's own");
    }
}
