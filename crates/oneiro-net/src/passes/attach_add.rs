//! Makes the sum of a convolution and another value of its shape part of the convolution.

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

/// Returns the convolution that computes operand `which` of the sum, with the other operand added.
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

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::ops::cnn::conv::Conv;
    use crate::passes::attach_clip;
    use crate::passes::testing::Net;

    /// A convolution that keeps the shape of x.
    fn convolution() -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.weights("w", &[2, 2, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        (net, [x, conv])
    }

    #[test]
    fn a_sum_in_either_order_becomes_an_operand() {
        for conv_first in [true, false] {
            let (mut net, [x, conv]) = convolution();
            let y = net.node("Add", "y", &if conv_first { [conv, x] } else { [x, conv] }, &[]);
            let mut net = net.build(&[y]);
            assert_eq!(net.nodes().len(), 2);
            assert!(!net.op::<Conv>(0).adds);
            assert_eq!(net.after(at), ["y = Conv(x, w, _, x)"]);
            assert!(net.op::<Conv>(0).adds);
        }
    }

    #[test]
    fn of_two_convolutions_the_first_term_takes_the_other_and_comes_behind_it() {
        let (mut net, [x, conv]) = convolution();
        let w = net.weights("w2", &[2, 2, 1, 1]);
        let b = net.floats("b2", &[2], &[1.0, 2.0]);
        let second = net.node("Conv", "second", &[x, w, b], &[]);
        let y = net.node("Add", "y", &[conv, second], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(at), ["second = Conv(x, w2, b2)", "y = Conv(x, w, _, second)"]);
    }

    #[test]
    fn a_convolution_takes_one_sum() {
        let (mut net, [x, conv]) = convolution();
        let sum = net.node("Add", "sum", &[conv, x], &[]);
        let y = net.node("Add", "y", &[sum, x], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(at), ["sum = Conv(x, w, _, x)", "y = Add(sum, x)"]);
    }

    #[test]
    fn other_sums_stay() {
        let (mut net, [x, conv]) = convolution();
        let y = net.node("Sub", "y", &[conv, x], &[]);
        net.build(&[y]).refuses(at, "y", "not a sum");

        let not_one = "have not one shape, or one is a constant";
        let (mut net, [x, conv]) = convolution();
        let mean = net.node("GlobalAveragePool", "mean", &[x], &[]);
        let y = net.node("Add", "y", &[conv, mean], &[]);
        net.build(&[y]).refuses(at, "y", not_one);

        let (mut net, [_, conv]) = convolution();
        let constant = net.weights("constant", &[1, 2, 4, 4]);
        let y = net.node("Add", "y", &[conv, constant], &[]);
        net.build(&[y]).refuses(at, "y", not_one);

        let (mut net, [_, conv]) = convolution();
        let y = net.node("Add", "y", &[conv, conv], &[]);
        net.build(&[y]).refuses(at, "y", "both terms are one value");
    }

    #[test]
    fn a_convolution_that_something_else_reads_stays() {
        // The other operand, which is tried last, is an input or the result of a negation.
        let (mut net, [x, conv]) = convolution();
        let y = net.node("Add", "y", &[x, conv], &[]);
        net.build(&[y, conv]).refuses(at, "y", "a target or has another reader");
        let (mut net, [_, conv]) = convolution();
        let z = net.node("Neg", "z", &[conv], &[]);
        let y = net.node("Add", "y", &[z, conv], &[]);
        net.build(&[y]).refuses(at, "y", "a target or has another reader");
    }

    #[test]
    fn a_convolution_with_an_activation_function_stays() {
        let (mut net, [x, conv]) = convolution();
        let relu = net.node("Relu", "relu", &[conv], &[]);
        let y = net.node("Add", "y", &[x, relu], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(attach_clip::at)[0], "relu = Conv(x, w) in [0, inf]");
        net.refuses(at, "y", "has an activation function");
    }
}
