//! Makes x·sigmoid(αx) the activation function of the convolution that computes x.

use super::{NotHere, Patch, Site};
use crate::kernels::EpilogueFunction;
use crate::kernels::Smooth;
use crate::ops::cnn::conv::Conv;
use crate::ops::math::unary;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let Some(Smooth::Swish(alpha)) = unary::smooth(site.node.op.as_ref()) else {
        return Err("not x·sigmoid(αx)".into());
    };
    let (index, producer) = site.only_producer()?;
    if producer.op.as_any().downcast_ref::<Conv>().is_none() {
        return Err("x is not a convolution's result".into());
    }
    if producer.epilogue.is_some() || site.node.epilogue.is_some() {
        return Err("there is another activation function".into());
    }
    let node = TypedNode {
        name: site.node.name.clone(),
        outputs: site.node.outputs.clone(),
        epilogue: Some(EpilogueFunction::swish(alpha)),
        ..producer.clone()
    };
    Ok(Patch::new(index, node))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::at;
    use crate::graph::{Builder, Dim, Graph, ValueId};
    use crate::ops::Attribute;
    use crate::passes::attach_clip;
    use crate::passes::testing::Net;
    use crate::tensor::Tensor;
    use crate::{CpuSession, Plan, Request, Rules, Session};

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
    }

    /// Two convolutions, each followed by x·sigmoid(x). The mean of the first is a second output.
    fn graph(channels: [usize; 3]) -> Graph {
        let mut b = Builder::new();
        let dims =
            [Dim::Free("N".into()), Dim::Fixed(channels[0]), Dim::Free("H".into()), Dim::Free("W".into())];
        let mut x = b.input("x", &dims).unwrap();
        let mut results = vec![];
        for (i, pair) in channels.windows(2).enumerate() {
            let shape = [pair[1], pair[0], 3, 3];
            let weight = Tensor::floats(&shape, numbers(shape.iter().product(), i));
            let weight = b.constant(&format!("weight{i}"), weight).unwrap();
            let pads = vec![("pads", Attribute::Ints(vec![1; 4]))];
            let conv = b.node("Conv", &format!("conv{i}"), &[x, weight], pads).unwrap();
            let gate = b.node("Sigmoid", &format!("gate{i}"), &[conv], vec![]).unwrap();
            x = b.node("Mul", &format!("active{i}"), &[conv, gate], vec![]).unwrap();
            results.push(x);
        }
        let mean = b.node("GlobalAveragePool", "mean", &[results[0]], vec![]).unwrap();
        b.finish(&[x, mean])
    }

    /// Returns all results and the gradient. `further` names more targets, whose starting gradients are zero.
    fn run(graph: &Graph, further: &[&str]) -> (Vec<f32>, usize) {
        let id = |name: &&str| {
            (0..graph.values.len() as u32).map(ValueId).find(|&v| graph.name(v) == *name).unwrap()
        };
        let targets: Vec<ValueId> = graph.outputs.iter().copied().chain(further.iter().map(id)).collect();
        let mut request = Request::new(graph, 2, &targets).unwrap();
        let channels = request.shapes[0][1];
        request.shapes = vec![vec![2, channels, 9, 7]];
        let plan = Plan::compile(graph, &request).unwrap();
        let attached = plan.rewrites.iter().filter(|(pass, _)| *pass == "attach Swish to Conv").count();
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        let len = session.input_mut(0).len();
        session.input_mut(0).copy_from_slice(&numbers(len, 5));
        session.forward();
        let mut found = Vec::new();
        for target in 0..graph.outputs.len() {
            found.extend_from_slice(session.activation(target));
            let seed = session.seed(target).1;
            let values = numbers(seed.len(), 7 + target);
            seed.copy_from_slice(&values);
        }
        session.backward(&Rules::default());
        found.extend_from_slice(session.input_gradient(0));
        (found, attached)
    }

    #[test]
    fn results_and_gradients_stay_and_targets_in_between_are_kept() {
        // The first convolution runs in blocks of channels, from a plain picture, or in plain order.
        for channels in [[16, 32, 20], [3, 24, 16], [2, 3, 2]] {
            let graph = graph(channels);
            let (apart, none) = run(&graph, &["conv0", "conv1"]);
            assert_eq!(none, 0);
            let largest = apart.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            for (further, expected) in [(&[][..], 2), (&["active0"], 2), (&["conv0"], 1), (&["gate1"], 1)] {
                let (found, attached) = run(&graph, further);
                assert_eq!(attached, expected, "{channels:?}, {further:?}");
                let off = found.iter().zip(&apart).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 2e-6 * largest, "{channels:?}, {further:?}: {off} of {largest}");
            }
        }
    }

    /// Creates a graph in which a function follows a convolution.
    fn behind(function: &str, attributes: &[(&str, Attribute)]) -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.weights("w", &[2, 2, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let y = net.node(function, "y", &[conv], attributes);
        (net, [conv, y])
    }

    const ALPHA: &[(&str, Attribute)] = &[("alpha", Attribute::Float(1.5))];

    #[test]
    fn the_convolution_takes_the_function_and_the_name() {
        let (net, [_, y]) = behind("Swish", ALPHA);
        let mut net = net.build(&[y]);
        assert_eq!(net.nodes(), ["conv = Conv(x, w)", "y = Swish(conv)"]);
        assert_eq!(net.after(at), ["y = Conv(x, w) swish 1.5"]);
        assert_eq!(net.typed.nodes[0].name, "y");
    }

    #[test]
    fn other_functions_and_producers_stay() {
        let (net, [_, y]) = behind("Sigmoid", &[]);
        net.build(&[y]).refuses(at, "y", "not x·sigmoid(αx)");
        let (mut net, x) = Net::new(&[1, 2]);
        let w = net.weights("w", &[2, 2]);
        let product = net.node("MatMul", "product", &[x, w], &[]);
        let y = net.node("Swish", "y", &[product], ALPHA);
        net.build(&[y]).refuses(at, "y", "not a convolution's result");
        // `Relu` lies between the convolution and the product.
        let (mut net, [_, relu]) = behind("Relu", &[]);
        let z = net.node("Swish", "z", &[relu], ALPHA);
        let mut net = net.build(&[z]);
        net.after(attach_clip::at);
        net.refuses(at, "z", "another activation function");
    }

    #[test]
    fn a_convolution_that_something_else_reads_stays() {
        let (net, [conv, y]) = behind("Swish", ALPHA);
        net.build(&[y, conv]).refuses(at, "y", "a target or has another reader");
        let (mut net, [conv, y]) = behind("Swish", ALPHA);
        let z = net.node("Neg", "z", &[conv], &[]);
        net.build(&[y, z]).refuses(at, "y", "a target or has another reader");
    }
}
