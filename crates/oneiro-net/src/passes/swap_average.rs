//! Swaps a 1×1 convolution and an average pooling if that lowers their cost.
//!
//! Both are linear and commute: the convolution mixes channels at each position, and the average mixes
//! positions of each channel. In a transition of DenseNet (convolution, then average), the convolution then
//! computes a quarter of the positions. In a branch of Inception (average, then convolution), the average is
//! over a quarter of the channels.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::graph::ValueId;
use crate::ops::cnn::conv::{BIAS, Conv, WEIGHTS};
use crate::ops::cnn::pool::Pool;
use crate::ops::math::binary::{Binary, Function};
use crate::ops::{Fact, Facts};
use crate::tensor::{Tensor, volume};
use crate::typed::TypedNode;

/// Cost of one tap of a pooling window, in multiply-adds of a convolution. Measured rates are 24 and 250
/// thousand million a second (AMD Zen 5, two threads, Inception-v3 at 299²).
const TAP_COST: usize = 10;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let (index, producer) = site.only_producer()?;
    if producer.epilogue.is_some() {
        return Err("an activation function is attached to the first".into());
    }
    let (first, second) = (producer.op.as_any(), site.node.op.as_any());
    if let (Some(conv), Some(pool)) = (first.downcast_ref::<Conv>(), second.downcast_ref::<Pool>()) {
        return Pair { site, index, producer, conv, pool }.average_first();
    }
    if let (Some(pool), Some(conv)) = (first.downcast_ref::<Pool>(), second.downcast_ref::<Conv>()) {
        return Pair { site, index, producer, conv, pool }.average_last();
    }
    Err("not a convolution and a pooling".into())
}

/// Two nodes, of which only the second reads the first.
struct Pair<'a> {
    site: Site<'a>,
    /// Index in the graph of the first of the two nodes.
    index: usize,
    producer: &'a TypedNode,
    conv: &'a Conv,
    pool: &'a Pool,
}

impl<'a> Pair<'a> {
    /// Rewrites `pool(conv(x))` as `conv(pool(x))`, so that the convolution has fewer positions.
    fn average_first(&self) -> Result<Patch, NotHere> {
        let Pair { site, index, producer, pool, .. } = *self;
        let [x, between, y] = self.values()?;
        if producer.inputs.get(BIAS).copied().flatten().is_some() && !pool.keeps_constants(between)? {
            return Err("the average of the bias is another number at the border".into());
        }
        let pooled = Fact::float([&x.shape[..2], &y.shape[2..]].concat());
        self.check_cost(producer, [between, y], [y, &pooled], between)?;
        let average = TypedNode { inputs: vec![producer.inputs[0]], epilogue: None, ..site.node.clone() };
        let node =
            TypedNode { op: producer.op.clone(), inputs: producer.inputs.clone(), ..site.node.clone() };
        Ok(Patch { before: vec![(average, pooled)], ..Patch::new(index, node) })
    }

    /// Rewrites `conv(pool(x))` as `pool(conv(x))`, so that the average has fewer channels. The bias is added
    /// last, because averaging it would change it at a border whose padding counts.
    fn average_last(&self) -> Result<Patch, NotHere> {
        let Pair { site, index, producer, .. } = *self;
        let [x, between, y] = self.values()?;
        let mixed = Fact::float([&y.shape[..2], &x.shape[2..]].concat());
        self.check_cost(site.node, [y, between], [&mixed, y], x)?;
        let inputs = vec![producer.inputs[0], site.node.inputs[WEIGHTS]];
        let convolution = TypedNode { inputs, epilogue: None, ..site.node.clone() };
        let average = TypedNode { op: producer.op.clone(), inputs: vec![None], ..site.node.clone() };
        let facts = site.typed.input_facts(site.node);
        let Some(bias) = Facts(&facts).constant(BIAS)? else {
            return Ok(Patch { before: vec![(convolution, mixed)], ..Patch::new(index, average) });
        };
        let mut shape = vec![1; y.shape.len()];
        shape[1] = y.shape[1];
        let bias = Tensor::floats(&shape, bias.as_floats()?.into_owned());
        let sum = Binary { name: "Add".into(), function: Function::Add };
        let node = TypedNode { op: Arc::new(sum), inputs: vec![None], ..site.node.clone() };
        Ok(Patch {
            before: vec![(convolution, mixed), (TypedNode { epilogue: None, ..average }, y.clone())],
            constants: vec![(1, bias)],
            ..Patch::new(index, node)
        })
    }

    /// Returns the facts of the first node's operand, of the value between the nodes, and of the second
    /// node's result.
    fn values(&self) -> Result<[&'a Fact; 3], NotHere> {
        let fact = |values: &[Option<ValueId>]| -> Result<&'a Fact, NotHere> {
            let value = values.first().copied().flatten().ok_or("it has no input or result")?;
            Ok(self.site.typed.fact(value)?)
        };
        let node = self.site.node;
        Ok([fact(&self.producer.inputs)?, fact(&node.inputs)?, fact(&node.outputs)?])
    }

    /// Returns an error if the swap would not lower the cost. Also if the convolution reads more than one
    /// position, or the pooling is not linear.
    fn check_cost(
        &self,
        conv_node: &TypedNode,
        now: [&Fact; 2],
        then: [&Fact; 2],
        pooled: &Fact,
    ) -> Result<(), NotHere> {
        let facts = self.site.typed.input_facts(conv_node);
        if self.conv.adds || !self.conv.is_pointwise(Facts(&facts))? {
            return Err("the convolution sees more than one position, or adds another value".into());
        }
        if matches!(self.pool, Pool::Max { .. } | Pool::GlobalMax { .. }) {
            return Err("the pooling is not linear".into());
        }
        let products = Facts(&facts).shape(WEIGHTS)?[1];
        let taps = volume(&self.pool.window(Facts(&[Some(pooled)]))?.kernel);
        let cost = |[conv, pool]: [&Fact; 2]| conv.len() * products + pool.len() * taps * TAP_COST;
        if cost(then) < cost(now) { Ok(()) } else { Err("the other order costs no less".into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::at;
    use crate::graph::{Builder, Dim, Graph};
    use crate::ops::Attribute;
    use crate::passes::attach_clip;
    use crate::passes::testing::{self, ints};
    use crate::tensor::Tensor;
    use crate::{CpuSession, Plan, Request, Rules, Session};

    /// The operators in their order, and whether the average counts its padding.
    struct Net {
        conv_first: bool,
        channels: [usize; 2],
        kernel: i64,
        stride: i64,
        pad: i64,
        ceil: i64,
        count_padding: i64,
        bias: bool,
    }

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
    }

    /// Builds the graph, which ends in a ReLU. The value between the two nodes is called `between`.
    fn graph(net: &Net) -> Graph {
        let mut b = Builder::new();
        let [c_in, c_out] = net.channels;
        let dims = [Dim::Free("N".into()), Dim::Fixed(c_in), Dim::Free("H".into()), Dim::Free("W".into())];
        let x = b.input("x", &dims).unwrap();
        let weight = Tensor::floats(&[c_out, c_in, 1, 1], numbers(c_in * c_out, 3));
        let mut operands = vec![b.constant("weight", weight).unwrap()];
        if net.bias {
            operands.push(b.constant("bias", Tensor::floats(&[c_out], numbers(c_out, 11))).unwrap());
        }
        let average = vec![
            ("kernel_shape", Attribute::Ints(vec![net.kernel; 2])),
            ("strides", Attribute::Ints(vec![net.stride; 2])),
            ("pads", Attribute::Ints(vec![net.pad; 4])),
            ("ceil_mode", Attribute::Int(net.ceil)),
            ("count_include_pad", Attribute::Int(net.count_padding)),
        ];
        let y = if net.conv_first {
            let between = b.node("Conv", "between", &[&[x], &operands[..]].concat(), vec![]).unwrap();
            b.node("AveragePool", "y", &[between], average).unwrap()
        } else {
            let between = b.node("AveragePool", "between", &[x], average).unwrap();
            b.node("Conv", "y", &[&[between], &operands[..]].concat(), vec![]).unwrap()
        };
        let active = b.node("Relu", "active", &[y], vec![]).unwrap();
        b.finish(&[active])
    }

    /// Returns the result, its gradient, and whether the nodes were swapped. With `keep_between`, the value
    /// between them is a target.
    fn run(net: &Net, keep_between: bool) -> (Vec<f32>, Vec<f32>, bool) {
        let graph = graph(net);
        let mut targets = graph.outputs.clone();
        if keep_between {
            targets.extend(
                (0..graph.values.len() as u32)
                    .map(crate::graph::ValueId)
                    .find(|&v| graph.name(v) == "between"),
            );
        }
        let mut request = Request::new(&graph, 2, &targets).unwrap();
        request.shapes = vec![vec![2, net.channels[0], 9, 7]];
        let plan = Plan::compile(&graph, &request).unwrap();
        let swapped = plan.rewrites.iter().any(|(pass, _)| pass.starts_with("swap"));
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        let len = session.input_mut(0).len();
        session.input_mut(0).copy_from_slice(&numbers(len, 5));
        session.forward();
        let y = session.activation(0).to_vec();
        let seed = session.seed(0).1;
        let values = numbers(seed.len(), 7);
        seed.copy_from_slice(&values);
        if keep_between {
            session.seed(1).1.fill(0.0);
        }
        session.backward(&Rules::default());
        (y, session.input_gradient(0).to_vec(), swapped)
    }

    #[test]
    fn results_and_gradients_stay_and_a_target_in_between_is_kept() {
        let wide = Net {
            conv_first: false,
            channels: [40, 8],
            kernel: 3,
            stride: 1,
            pad: 1,
            ceil: 0,
            count_padding: 1,
            bias: true,
        };
        let deep = Net { conv_first: true, channels: [24, 16], kernel: 2, stride: 2, pad: 0, ..wide };
        for (what, net, expected) in [
            ("a narrow convolution behind an average", Net { ..wide }, true),
            ("without bias", Net { bias: false, ..wide }, true),
            ("padding that does not count", Net { count_padding: 0, ..wide }, true),
            ("a wide convolution behind an average", Net { channels: [8, 40], ..wide }, false),
            ("a transition", Net { ..deep }, true),
            ("a transition without bias", Net { bias: false, pad: 1, ..deep }, true),
            ("windows that hang over", Net { ceil: 1, ..deep }, true),
            ("a bias whose average is another at the border", Net { pad: 1, ..deep }, false),
            ("padding that does not count, with a bias", Net { pad: 1, count_padding: 0, ..deep }, true),
            (
                "as many positions",
                Net { channels: [8, 8], ..Net { kernel: 3, stride: 1, pad: 1, ..deep } },
                false,
            ),
        ] {
            let (y, gradient, swapped) = run(&net, false);
            let (y0, gradient0, kept) = run(&net, true);
            assert_eq!((swapped, kept), (expected, false), "{what}");
            for (name, ours, naive) in [("result", y, y0), ("gradient", gradient, gradient0)] {
                let largest = naive.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                let off = ours.iter().zip(&naive).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest > 0.1 && off < 1e-5 * largest, "{what}: {name} {off} of {largest}");
            }
        }
    }

    #[test]
    fn nodes_change_places_and_a_bias_is_added_at_last() {
        // With more input channels than output channels, the average moves after the convolution. With a
        // stride, it moves before it.
        let net = |conv_first: bool, bias: bool| {
            let (mut net, x) = testing::Net::new(&[1, if conv_first { 8 } else { 64 }, 8, 8]);
            let mut operands = vec![net.weights("w", &[8, if conv_first { 8 } else { 64 }, 1, 1])];
            operands.extend(bias.then(|| net.weights("b", &[8])));
            let average = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2; 2]))];
            let average = &average[..if conv_first { 2 } else { 1 }];
            let y = if conv_first {
                let conv = net.node("Conv", "conv", &[&[x], &operands[..]].concat(), &[]);
                net.node("AveragePool", "y", &[conv], average)
            } else {
                let mean = net.node("AveragePool", "mean", &[x], average);
                net.node("Conv", "y", &[&[mean], &operands[..]].concat(), &[])
            };
            net.build(&[y])
        };
        let first = ["new[1, 8, 4, 4] = AveragePool(x)", "y = Conv(new[1, 8, 4, 4], w, b)"];
        assert_eq!(net(true, true).after(at), first);
        let last = ["new[1, 8, 8, 8] = Conv(x, w)", "y = AveragePool(new[1, 8, 8, 8])"];
        assert_eq!(net(false, false).after(at), last);
        let mut net = net(false, true);
        let last = [
            "new[1, 8, 8, 8] = Conv(x, w)",
            "new[1, 8, 7, 7] = AveragePool(new[1, 8, 8, 8])",
            "y = Add(new[1, 8, 7, 7], new[1, 8, 1, 1])",
        ];
        assert_eq!(net.after(at), last);
        assert_eq!(net.operand(2, 1), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn other_pairs_stay() {
        let net = |pool: &str, kernel: usize, reader: bool| {
            let (mut net, x) = testing::Net::new(&[1, 8, 8, 8]);
            let w = net.weights("w", &[8, 8, kernel, kernel]);
            let conv = net.node("Conv", "conv", &[x, w], &[]);
            let window = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
            let y = net.node(pool, "y", &[conv], &window);
            let mut targets = vec![y];
            targets.extend(reader.then(|| net.node("Neg", "z", &[conv], &[])));
            net.build(&targets)
        };
        net("MaxPool", 1, false).refuses(at, "y", "the pooling is not linear");
        net("AveragePool", 3, false).refuses(at, "y", "more than one position");
        net("AveragePool", 1, true).refuses(at, "y", "a target or has another reader");
        // In this graph, an activation function lies between convolution and pooling.
        let (mut net, x) = testing::Net::new(&[1, 8, 8, 8]);
        let w = net.weights("w", &[8, 8, 1, 1]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let relu = net.node("Relu", "relu", &[conv], &[]);
        let window = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        let y = net.node("AveragePool", "y", &[relu], &window);
        let mut net = net.build(&[y]);
        assert_eq!(net.after(attach_clip::at)[0], "relu = Conv(x, w) in [0, inf]");
        net.refuses(at, "y", "an activation function is attached");
    }
}
