use super::*;
use crate::graph::{Builder, Dim, Graph, ValueId};
use crate::ops::Attribute;
use crate::tensor::{Tensor, volume};
use crate::typed::infer;
use crate::{CpuSession, Plan, Request, Session};

/// A network that is built node by node.
struct Net(Builder);

impl Net {
    /// Creates a network with an input `x` of pictures.
    fn new(shape: [usize; 4]) -> (Self, ValueId) {
        let mut net = Builder::new();
        let x = net.input("x", &shape.map(Dim::Fixed)).unwrap();
        (Net(net), x)
    }

    fn op(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> ValueId {
        self.0.node(op, name, inputs, attributes).unwrap()
    }

    fn weights(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let data = (0..volume(shape)).map(|i| ((i * 7 % 11) as f32 - 5.0) / 11.0).collect();
        self.0.constant(name, Tensor::floats(shape, data)).unwrap()
    }

    fn ints(&mut self, name: &str, ints: &[i64]) -> ValueId {
        self.0.constant(name, Tensor::ints(&[ints.len()], ints.to_vec())).unwrap()
    }

    fn conv(&mut self, name: &str, from: ValueId, weights: &[usize], stride: i64) -> ValueId {
        let w = self.weights(&format!("{name}.w"), weights);
        self.op("Conv", name, &[from, w], vec![("strides", Attribute::Ints(vec![stride; 2]))])
    }

    fn reshape(&mut self, name: &str, from: ValueId, shape: &[i64]) -> ValueId {
        let shape = self.ints(&format!("{name}.shape"), shape);
        self.op("Reshape", name, &[from, shape], vec![])
    }

    fn transpose(&mut self, name: &str, from: ValueId, order: &[i64]) -> ValueId {
        self.op("Transpose", name, &[from], vec![("perm", Attribute::Ints(order.to_vec()))])
    }

    fn dense(&mut self, name: &str, from: ValueId, inner: usize, outer: usize) -> ValueId {
        let w = self.weights(&format!("{name}.w"), &[inner, outer]);
        self.op("MatMul", name, &[from, w], vec![])
    }

    fn pick(&mut self, name: &str, from: ValueId, axis: i64, index: i64) -> ValueId {
        let index = self.0.constant(&format!("{name}.at"), Tensor::ints(&[], vec![index])).unwrap();
        self.op("Gather", name, &[from, index], vec![("axis", Attribute::Int(axis))])
    }

    fn finish(self, last: ValueId, shape: [usize; 4]) -> Network {
        let graph = self.0.finish(&[last]);
        let facts = infer(&graph, &[shape.to_vec()], &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap();
        let stated = [(graph.inputs[0].value, Axes::channels_first(&shape))];
        let followed = follow(&graph, &facts, &stated, shape[0], None);
        let shapes = facts.iter().map(|f| f.as_ref().map_or(vec![], |f| f.shape.clone())).collect();
        Network { graph, shapes, followed, batch: shape[0] }
    }
}

struct Network {
    graph: Graph,
    shapes: Vec<Vec<usize>>,
    followed: Followed,
    batch: usize,
}

impl Network {
    fn axes(&self, name: &str) -> String {
        let value = self.graph.find_value(name).unwrap();
        self.followed.of(value).map_or("unknown".into(), ToString::to_string)
    }

    fn channel(&self, name: &str) -> Option<usize> {
        self.followed.of(self.graph.find_value(name).unwrap()).and_then(Axes::channel)
    }

    fn map(&self, name: &str) -> Option<FeatureMap> {
        let value = self.graph.find_value(name).unwrap();
        FeatureMap::of(self.followed.of(value)?, &self.shapes[value.index()], self.batch)
    }

    /// Returns the data of values, for an input whose elements count upwards.
    fn run(&self, graph: &Graph, values: &[ValueId]) -> Vec<Vec<f32>> {
        let shapes = vec![self.shapes[self.graph.inputs[0].value.index()].clone()];
        let request = Request { gradients: false, ..Request::of_shapes(shapes, values.to_vec()) };
        let mut session =
            CpuSession::new(std::sync::Arc::new(Plan::compile(graph, &request).unwrap())).unwrap();
        let input = session.input_mut(0);
        (0..input.len()).for_each(|i| input[i] = i as f32);
        session.forward();
        (0..values.len()).map(|i| session.activation(i).to_vec()).collect()
    }
}

/// A block of a vision transformer with a class token: 4x3 patches of 2 pixels, 8 channels, 2 heads.
fn transformer(shape: [usize; 4]) -> Network {
    let n = shape[0] as i64;
    let (mut net, x) = Net::new(shape);
    let patches = net.conv("patches", x, &[8, 3, 2, 2], 2);
    let flat = net.reshape("flat", patches, &[n, 8, 12]);
    let tokens = net.transpose("tokens", flat, &[0, 2, 1]);
    let class = net.weights("class", &[shape[0], 1, 8]);
    let with_class = net.op("Concat", "with_class", &[class, tokens], vec![("axis", Attribute::Int(1))]);
    let position = net.weights("position", &[1, 13, 8]);
    let placed = net.op("Add", "placed", &[with_class, position], vec![]);
    let scale = net.weights("scale", &[8]);
    let normed = net.op("LayerNormalization", "normed", &[placed, scale], vec![]);
    let qkv = net.dense("qkv", normed, 8, 24);
    let split = net.reshape("split", qkv, &[n, 13, 3, 2, 4]);
    let turned = net.transpose("turned", split, &[2, 0, 3, 1, 4]);
    let [q, k, v] = ["q", "k", "v"].map(|name| {
        let index = "qkv".find(name).unwrap() as i64;
        net.pick(name, turned, 0, index)
    });
    let keys = net.transpose("keys", k, &[0, 1, 3, 2]);
    let scores = net.op("MatMul", "scores", &[q, keys], vec![]);
    let attention = net.op("Softmax", "attention", &[scores], vec![("axis", Attribute::Int(-1))]);
    let heads = net.op("MatMul", "heads", &[attention, v], vec![]);
    let back = net.transpose("back", heads, &[0, 2, 1, 3]);
    let joined = net.reshape("joined", back, &[n, 13, 8]);
    let projected = net.dense("projected", joined, 8, 8);
    let sum = net.op("Add", "sum", &[projected, placed], vec![]);
    let hidden = net.dense("hidden", sum, 8, 20);
    let class_token = net.pick("class_token", hidden, 1, 0);
    let logits = net.dense("logits", class_token, 20, 5);
    net.finish(logits, shape)
}

#[test]
fn a_transformer_keeps_its_channels_last_and_its_patches_a_map() {
    for n in [1, 2] {
        let net = transformer([n, 3, 8, 6]);
        for (name, axes) in [
            ("patches", "N,C,H,W"),
            ("flat", "N,C,tokens"),
            ("tokens", "N,tokens,C"),
            ("with_class", "N,tokens,C"),
            ("normed", "N,tokens,C"),
            ("qkv", "N,tokens,C"),
            ("q", "N,heads,tokens,features"),
            ("joined", "N,tokens,C"),
            ("sum", "N,tokens,C"),
            ("hidden", "N,tokens,C"),
            ("class_token", "N,C"),
            ("logits", "N,C"),
        ] {
            assert_eq!(net.axes(name), axes, "{name}, batch of {n}");
        }
        for name in ["split", "turned", "q", "k", "v", "scores", "attention", "heads"] {
            assert_eq!(net.channel(name), None, "{name} has its channels on two axes or none, batch of {n}");
        }
        let maps =
            [("patches", [8, 4, 3]), ("tokens", [8, 4, 3]), ("normed", [8, 4, 3]), ("hidden", [20, 4, 3])];
        for (name, shape) in maps {
            let map = net.map(name).unwrap();
            assert_eq!((map.shape()[0], &map.shape()[1..]), (n, &shape[..]), "{name}");
        }
        assert!(net.followed.entries_stay_apart(&vec![true; net.graph.nodes.len()]));
    }
}

#[test]
fn the_map_of_tokens_is_that_of_the_convolution_before() {
    let net = transformer([2, 3, 8, 6]);
    let find = |name: &str| net.graph.find_value(name).unwrap();
    let mut graph = net.graph.clone();
    let viewed = net.map("with_class").unwrap().add_to(&mut graph, find("with_class"));
    let data = net.run(&graph, &[find("patches"), find("with_class"), viewed]);
    assert_eq!(data[2], data[0]);
    assert_eq!(net.map("with_class").unwrap().gather(&data[1]), data[0]);
}

#[test]
fn windows_are_put_together_again() {
    // 4x6 positions are divided into windows of 2x3, as in Swin.
    let shape = [2, 5, 4, 6];
    let (mut net, x) = Net::new(shape);
    let last = net.transpose("last", x, &[0, 2, 3, 1]);
    let cut = net.reshape("cut", last, &[2, 2, 2, 2, 3, 5]);
    let turned = net.transpose("turned", cut, &[0, 1, 3, 2, 4, 5]);
    let windows = net.reshape("windows", turned, &[-1, 6, 5]);
    let hidden = net.dense("hidden", windows, 5, 7);
    let net = net.finish(hidden, shape);
    assert_eq!(net.axes("windows"), "N*windows,tokens,C");
    assert_eq!(net.map("hidden").unwrap().shape(), [2, 7, 4, 6]);
    let find = |name: &str| net.graph.find_value(name).unwrap();
    let mut graph = net.graph.clone();
    let map = net.map("windows").unwrap();
    let viewed = map.add_to(&mut graph, find("windows"));
    let data = net.run(&graph, &[find("windows"), viewed]);
    let counted: Vec<f32> = (0..volume(&shape)).map(|i| i as f32).collect();
    assert_eq!(map.gather(&data[0]), counted);
    assert_eq!(data[1], counted);
}

#[test]
fn blocks_that_merge_become_channels() {
    let shape = [2, 5, 4, 6];
    let (mut net, x) = Net::new(shape);
    let last = net.transpose("last", x, &[0, 2, 3, 1]);
    let cut = net.reshape("cut", last, &[2, 2, 2, 3, 2, 5]);
    let turned = net.transpose("turned", cut, &[0, 1, 3, 4, 2, 5]);
    let merged = net.reshape("merged", turned, &[2, 2, 3, 20]);
    let reduced = net.dense("reduced", merged, 20, 10);
    let net = net.finish(reduced, shape);
    assert_eq!([net.axes("merged"), net.axes("reduced")], ["N,H,W,C", "N,H,W,C"]);
    assert_eq!(net.map("merged").unwrap().shape(), [2, 20, 2, 3]);
    assert_eq!(net.map("reduced").unwrap().shape(), [2, 10, 2, 3]);
}

#[test]
fn a_product_over_positions_has_no_channel_until_a_sum_tells() {
    let shape = [2, 3, 4, 4];
    let (mut net, x) = Net::new(shape);
    let flat = net.reshape("flat", x, &[2, 3, 16]);
    let tokens = net.transpose("tokens", flat, &[0, 2, 1]);
    let turned = net.transpose("turned", tokens, &[0, 2, 1]);
    let mixed = net.dense("mixed", turned, 16, 9);
    let unmixed = net.dense("unmixed", mixed, 9, 16);
    let back = net.transpose("back", unmixed, &[0, 2, 1]);
    let sum = net.op("Add", "sum", &[tokens, back], vec![]);
    let net = net.finish(sum, shape);
    for name in ["mixed", "unmixed", "back"] {
        assert_eq!(net.channel(name), None, "{name}");
    }
    assert_eq!(net.axes("mixed"), "N,features,mixed");
    assert_eq!((net.axes("sum"), net.channel("sum")), ("N,tokens,C".into(), Some(2)));
}

#[test]
fn what_a_convolution_reads_has_its_channels_on_axis_1() {
    // Depth to space, written as reshapes and a transposition.
    let shape = [2, 8, 3, 3];
    let (mut net, x) = Net::new(shape);
    let cut = net.reshape("cut", x, &[2, 2, 2, 2, 3, 3]);
    let turned = net.transpose("turned", cut, &[0, 1, 4, 2, 5, 3]);
    let large = net.reshape("large", turned, &[2, 2, 6, 6]);
    let conv = net.conv("conv", large, &[4, 2, 3, 3], 1);
    let net = net.finish(conv, shape);
    assert_eq!([net.axes("large"), net.axes("conv")], ["N,C,H,W", "N,C,H,W"]);
    assert_eq!(net.channel("turned"), None);
}

#[test]
fn statistics_over_the_batch_are_noticed() {
    let shape = [4, 3, 4, 4];
    let mixes = |build: &dyn Fn(&mut Net, ValueId) -> ValueId| {
        let (mut net, x) = Net::new(shape);
        let last = build(&mut net, x);
        let net = net.finish(last, shape);
        !net.followed.entries_stay_apart(&vec![true; net.graph.nodes.len()])
    };
    let mean = |axes: Vec<i64>| {
        move |net: &mut Net, x: ValueId| {
            let axes = net.ints("axes", &axes);
            let mean = net.op("ReduceMean", "mean", &[x, axes], vec![]);
            net.op("Sub", "centred", &[x, mean], vec![])
        }
    };
    assert!(mixes(&mean(vec![0])));
    assert!(mixes(&mean(vec![0, 2, 3])));
    assert!(!mixes(&mean(vec![1, 2, 3])));
    // The deviation within groups of two pictures (progressive GANs) mixes batch entries.
    assert!(mixes(&|net, x| {
        let groups = net.reshape("groups", x, &[2, 2, 3, 4, 4]);
        let axes = net.ints("axes", &[0]);
        net.op("ReduceMean", "mean", &[groups, axes], vec![])
    }));
    assert!(mixes(&|net, x| net.op("Softmax", "softmax", &[x], vec![("axis", Attribute::Int(0))])));
    // Adding the batch in reversed order mixes batch entries.
    assert!(mixes(&|net, x| {
        let turned = net.ints("turned", &[3, 2, 1, 0]);
        let other = net.op("Gather", "other", &[x, turned], vec![("axis", Attribute::Int(0))]);
        net.op("Add", "sum", &[x, other], vec![])
    }));
}

#[test]
fn stated_axes_are_checked() {
    let patches = vec![Part::new(Kind::Height, 4), Part::new(Kind::Width, 3)];
    let state = |text: &str, shape: &[usize], prefix| parse(text, shape, Some(&patches), prefix);
    let axes = state("N,tokens,C", &[1, 14, 8], None).unwrap();
    assert_eq!((axes.to_string().as_str(), axes.channel()), ("N,tokens,C", Some(2)));
    assert_eq!(FeatureMap::of(&axes, &[1, 14, 8], 1).unwrap().shape(), [1, 8, 4, 3]);
    let registers_behind = state("N,tokens,C", &[1, 14, 8], Some(1)).unwrap();
    let Kind::Tokens(tokens) = &registers_behind.0[1][0].kind else { panic!("{registers_behind:?}") };
    assert_eq!((tokens.before, tokens.after), (1, 1));
    for (text, says) in [
        ("N,C", "names 2 axes"),
        ("N,N,C", "twice"),
        ("N,tokens,X", "X is no axis"),
        ("N,H,W", "where the channels are"),
    ] {
        let error = state(text, &[1, 14, 8], None).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(state("N,tokens,C", &[1, 4, 8], Some(5)).unwrap_err().contains("5 prefix tokens"));
}

#[test]
fn stated_grids_are_read_and_written() {
    for (text, shape) in [
        ("N,tokens(1+4x3+2),C", &[2, 15, 8][..]),
        ("N,C,tokens(2x3)", &[1, 8, 6]),
        ("N,tokens(2x4x3+1),C", &[1, 25, 8]),
        ("N,C,H,W", &[1, 8, 4, 3]),
        ("N,?,C", &[1, 8, 4]),
    ] {
        let axes = parse(text, shape, None, None).unwrap();
        assert_eq!(axes.statement().as_deref(), Some(text));
    }
    let axes = parse("N,tokens(1+4x3+2),C", &[1, 15, 8], None, None).unwrap();
    assert_eq!(FeatureMap::of(&axes, &[1, 15, 8], 1).unwrap().shape(), [1, 8, 4, 3]);
    for (text, says) in [
        ("N,tokens(4x3),C", "does not add up to the 15"),
        ("N,tokens(12),C", "write tokens(14x14)"),
        ("N,tokens(1+2+4x3),C", "write tokens(14x14)"),
        ("N,tokens(1+4x3,C", "write tokens(14x14)"),
        ("N,tokens(99999999999x99999999999),C", "does not add up"),
        ("N,tokens(15x0),C", "does not add up"),
    ] {
        let error = parse(text, &[1, 15, 8], None, None).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn any_order_of_split_and_turned_axes_is_put_back() {
    // Ways to split and permute the axes of (2, 6, 4, 9), and shapes that join neighbouring axes again.
    let shape = [2, 6, 4, 9];
    let cases: &[(&[i64], &[i64], &[i64])] = &[
        (&[2, 6, 4, 9], &[0, 2, 3, 1], &[2, 36, 6]),
        (&[2, 6, 2, 2, 3, 3], &[0, 2, 4, 3, 5, 1], &[12, 6, 6]),
        (&[2, 6, 2, 2, 3, 3], &[3, 5, 0, 2, 4, 1], &[6, 2, 6, 6]),
        (&[2, 2, 3, 36], &[0, 3, 1, 2], &[2, 36, 6]),
        (&[2, 6, 4, 3, 3], &[4, 0, 1, 3, 2], &[3, 2, 6, 12]),
    ];
    for (split, order, joined) in cases {
        let (mut net, x) = Net::new(shape);
        let cut = net.reshape("cut", x, split);
        let turned = net.transpose("turned", cut, order);
        let all = net.reshape("all", turned, joined);
        let net = net.finish(all, shape);
        let map = net.map("all").unwrap();
        assert_eq!(map.shape(), shape, "{split:?} {order:?} {joined:?}");
        let mut graph = net.graph.clone();
        let viewed = map.add_to(&mut graph, net.graph.find_value("all").unwrap());
        let data = net.run(&graph, &[net.graph.find_value("all").unwrap(), viewed]);
        let counted: Vec<f32> = (0..volume(&shape)).map(|i| i as f32).collect();
        assert_eq!(map.gather(&data[0]), counted, "{split:?} {order:?} {joined:?}");
        assert_eq!(data[1], counted, "{split:?} {order:?} {joined:?}");
    }
}
