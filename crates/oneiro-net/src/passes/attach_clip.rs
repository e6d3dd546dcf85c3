//! Makes `Relu` and `Clip` the activation function of the step that computes their input.

use super::{NotHere, Patch, Site};
use crate::kernels::{Bounds, EpilogueFunction};
use crate::ops::nn::activation::Activation;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    site.node.op.as_any().downcast_ref::<Activation>().ok_or("not a Relu or Clip")?;
    let bounds = site.node.epilogue.and_then(|f| f.bounds()).ok_or("it has no bounds")?;
    let (index, producer) = site.only_producer()?;
    // Two consecutive clamps become one, if their intervals overlap.
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

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::ops::Attribute;
    use crate::passes::attach_swish;
    use crate::passes::testing::{Net, ints};

    fn clip(net: &mut Net, name: &str, x: ValueId, [low, high]: [f32; 2]) -> ValueId {
        let low = net.floats(&format!("{name}.low"), &[], &[low]);
        let high = net.floats(&format!("{name}.high"), &[], &[high]);
        net.node("Clip", name, &[x, low, high], &[])
    }

    fn convolution(shape: &[usize]) -> (Net, ValueId) {
        let (mut net, x) = Net::new(shape);
        let w = net.weights("w", &[2, 2, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        (net, conv)
    }

    const SHAPE: [usize; 4] = [1, 2, 4, 4];

    #[test]
    fn the_producer_takes_the_function_and_the_name() {
        let (mut net, conv) = convolution(&SHAPE);
        let y = net.node("Relu", "y", &[conv], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.nodes(), ["conv = Conv(x, w)", "y = Relu(conv) in [0, inf]"]);
        assert_eq!(net.after(at), ["y = Conv(x, w) in [0, inf]"]);
        assert_eq!(net.typed.nodes[0].name, "y");

        let (mut net, x) = Net::new(&SHAPE);
        let sum = net.node("Add", "sum", &[x, x], &[]);
        let y = clip(&mut net, "y", sum, [-1.0, 6.0]);
        assert_eq!(net.build(&[y]).after(at), ["y = Add(x, x) in [-1, 6]"]);
    }

    #[test]
    fn two_clamps_are_the_intersection_of_their_intervals() {
        let (mut net, conv) = convolution(&SHAPE);
        let relu = net.node("Relu", "relu", &[conv], &[]);
        let y = clip(&mut net, "y", relu, [-1.0, 6.0]);
        assert_eq!(net.build(&[y]).after(at), ["y = Conv(x, w) in [0, 6]"]);
        // The intervals of the two clamps do not overlap.
        let (mut net, conv) = convolution(&SHAPE);
        let first = clip(&mut net, "first", conv, [-2.0, -1.0]);
        let y = net.node("Relu", "y", &[first], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(at), ["first = Conv(x, w) in [-2, -1]", "y = Relu(first) in [0, inf]"]);
        net.refuses(at, "y", "the bounds are not an interval");
    }

    #[test]
    fn a_value_that_something_else_reads_stays() {
        let why = "a target or has another reader";
        let (mut net, conv) = convolution(&SHAPE);
        let y = net.node("Relu", "y", &[conv], &[]);
        net.build(&[y, conv]).refuses(at, "y", why);
        let (mut net, conv) = convolution(&SHAPE);
        let y = net.node("Relu", "y", &[conv], &[]);
        let z = net.node("Neg", "z", &[conv], &[]);
        net.build(&[y, z]).refuses(at, "y", why);
        let (mut net, x) = Net::new(&SHAPE);
        let y = net.node("Relu", "y", &[x], &[]);
        net.build(&[y]).refuses(at, "y", "the input is fed");
    }

    #[test]
    fn producers_that_cannot_take_it_stay() {
        let (mut net, x) = Net::new(&SHAPE);
        let flat = net.node("Flatten", "flat", &[x], &[]);
        let y = net.node("Relu", "y", &[flat], &[]);
        net.build(&[y]).refuses(at, "y", "moves no data");
        // A smooth function lies between convolution and clamp: as a node of its own, and attached.
        let (mut net, conv) = convolution(&SHAPE);
        let gate = net.node("Swish", "gate", &[conv], &[("alpha", Attribute::Float(1.0))]);
        let y = net.node("Relu", "y", &[gate], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(attach_swish::at)[0], "gate = Conv(x, w) swish 1");
        net.refuses(at, "y", "another activation function");
    }

    #[test]
    fn functions_without_bounds_are_none() {
        let (mut net, conv) = convolution(&SHAPE);
        let y = net.node("Sigmoid", "y", &[conv], &[]);
        net.build(&[y]).refuses(at, "y", "not a Relu or Clip");
        let (mut net, x) = Net::new(&[2, 3]);
        let t = net.node("Transpose", "t", &[x], &[("perm", ints(&[1, 0]))]);
        let y = clip(&mut net, "y", t, [f32::NEG_INFINITY, f32::NAN]);
        net.build(&[y]).refuses(at, "y", "the bounds are not an interval");
    }
}
