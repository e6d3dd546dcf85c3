//! Fields against formulas, and against the support of gradients in made networks with positive weights.

use std::sync::Arc;

use super::*;
use crate::graph::{Builder, Dim};
use crate::ops::Attribute;
use crate::tensor::{Tensor, volume};
use crate::{CpuSession, Plan, Request, Rules, Session};

/// A network that is being made: its values by number, with their shapes known to the one who makes it.
struct Net {
    builder: Builder,
    count: usize,
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

impl Net {
    fn new(shape: &[usize]) -> (Self, ValueId) {
        let mut builder = Builder::new();
        let dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        let x = builder.input("x", &dims).unwrap();
        (Self { builder, count: 0 }, x)
    }

    fn name(&mut self, op: &str) -> String {
        self.count += 1;
        format!("{op}{}", self.count)
    }

    fn node(&mut self, op: &str, inputs: &[ValueId], attributes: Vec<(&str, Attribute)>) -> ValueId {
        let name = self.name(op);
        self.builder.node(op, &name, inputs, attributes).unwrap()
    }

    fn weights(&mut self, shape: &[usize]) -> ValueId {
        let name = self.name("weights");
        self.builder.constant(&name, Tensor::floats(shape, vec![0.1; volume(shape)])).unwrap()
    }

    fn list(&mut self, values: &[i64]) -> ValueId {
        let name = self.name("list");
        self.builder.constant(&name, Tensor::ints(&[values.len()], values.to_vec())).unwrap()
    }

    fn floats(&mut self, values: &[f32]) -> ValueId {
        let name = self.name("floats");
        self.builder.constant(&name, Tensor::floats(&[values.len()], values.to_vec())).unwrap()
    }

    /// Convolution: channels in and out, taps, stride.
    fn conv(&mut self, x: ValueId, channels: (usize, usize), taps: usize, stride: i64) -> ValueId {
        let weights = self.weights(&[channels.1, channels.0, taps, taps]);
        let pad = ((taps - 1) / 2) as i64;
        self.node("Conv", &[x, weights], vec![("strides", ints(&[stride; 2])), ("pads", ints(&[pad; 4]))])
    }

    /// Two convolutions that take every fourth position.
    fn stem(&mut self, x: ValueId, channels: usize) -> ValueId {
        let first = self.conv(x, (1, 2), 3, 2);
        self.conv(first, (2, channels), 3, 2)
    }

    fn reshape(&mut self, x: ValueId, shape: &[i64]) -> ValueId {
        let shape = self.list(shape);
        self.node("Reshape", &[x, shape], vec![])
    }

    fn transpose(&mut self, x: ValueId, order: &[i64]) -> ValueId {
        self.node("Transpose", &[x], vec![("perm", ints(order))])
    }

    fn slice(&mut self, x: ValueId, axis: i64, (start, end, step): (i64, i64, i64)) -> ValueId {
        let lists = [[start], [end], [axis], [step]].map(|list| self.list(&list));
        self.node("Slice", &[&[x][..], &lists].concat(), vec![])
    }

    fn concat(&mut self, parts: &[ValueId], axis: i64) -> ValueId {
        self.node("Concat", parts, vec![("axis", Attribute::Int(axis))])
    }

    fn dense(&mut self, x: ValueId, channels: (usize, usize)) -> ValueId {
        let weights = self.weights(&[channels.0, channels.1]);
        self.node("MatMul", &[x, weights], vec![])
    }

    fn resize(&mut self, x: ValueId, scales: [f32; 2], mode: &str, coordinates: &str) -> ValueId {
        let (name, empty) = (self.name("resize"), None);
        let scales = self.floats(&[1.0, 1.0, scales[0], scales[1]]);
        let attributes = vec![
            ("mode", Attribute::Text(mode.into())),
            ("coordinate_transformation_mode", Attribute::Text(coordinates.into())),
            ("nearest_mode", Attribute::Text("floor".into())),
        ];
        self.builder.node_with("Resize", &name, &[Some(x), empty, Some(scales)], attributes).unwrap()
    }

    /// Slices of every second position along two axes, side by side along a third.
    fn halves(&mut self, x: ValueId, (rows, columns): (i64, i64), channel: i64) -> ValueId {
        let parts = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(y, x0)| {
            let part = self.slice(x, rows, (y, 1 << 20, 2));
            self.slice(part, columns, (x0, 1 << 20, 2))
        });
        self.concat(&parts, channel)
    }

    /// Attention of tokens to others: queries, and what keys and values are made of.
    fn attention(&mut self, queries: ValueId, others: ValueId, channels: usize) -> ValueId {
        let [q, k, v] = [queries, others, others].map(|x| self.dense(x, (channels, channels)));
        let last = [0, 2, 1];
        let k = self.transpose(k, &last);
        let scores = self.node("MatMul", &[q, k], vec![]);
        let weights = self.node("Softmax", &[scores], vec![("axis", Attribute::Int(-1))]);
        self.node("MatMul", &[weights, v], vec![])
    }

    /// The mean over all positions, times so much that gradients through it do not round away.
    fn mean(&mut self, x: ValueId) -> ValueId {
        let (mean, factor) = (self.node("GlobalAveragePool", &[x], vec![]), self.floats(&[1e4]));
        self.node("Mul", &[mean, factor], vec![])
    }

    fn tokens(&mut self, x: ValueId, channels: i64) -> ValueId {
        let flat = self.reshape(x, &[1, channels, -1]);
        self.transpose(flat, &[0, 2, 1])
    }

    fn map(&mut self, x: ValueId, shape: &[i64]) -> ValueId {
        let channels_first = self.transpose(x, &[0, 2, 1]);
        self.reshape(channels_first, shape)
    }
}

/// The layers of a network.
fn listed(graph: &Graph, shape: &[usize]) -> Vec<Layer> {
    let shapes = [shape.to_vec()];
    let facts = infer(graph, &shapes, &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap();
    let stated = [(graph.inputs[0].value, Axes::channels_first(shape))];
    let followed = crate::axes::follow(graph, &facts, &stated, 1, None);
    layers(graph, &Names::new(graph, &[]), &shapes, &followed).unwrap().layers
}

/// Extents and strides of the field of `target`, as this module has them.
fn analyzed(graph: &Graph, shape: &[usize], target: ValueId) -> ReceptiveField {
    let layer = listed(graph, shape).into_iter().find(|l| l.value == target).unwrap();
    layer.fields[0].1.clone()
}

/// What gradients of single positions of `target`, an N,C,H,W map, reach of the input: the largest extent
/// along each axis among those that reach no border, and the mean shift from position to position. Where all
/// reach both borders, the input's extent.
fn measured(graph: &Graph, shape: &[usize], target: ValueId) -> (Vec<usize>, Vec<usize>) {
    let plan = Plan::compile(graph, &Request::new(graph, 1, &[target]).unwrap()).unwrap();
    let map = plan.targets[0].shape.clone();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let fill = |(i, x): (usize, &mut f32)| *x = 0.1 + (i * 37 % 101) as f32 / 101.0;
    session.input_mut(0).iter_mut().enumerate().for_each(fill);
    let (height, width) = (map[2], map[3]);
    let (mut extents, mut strides) = (Vec::new(), Vec::new());
    for axis in 0..2 {
        let (n, all) = (map[2 + axis], shape[2 + axis]);
        let mut ends = Vec::new();
        for p in 0..n {
            let (y, x) = if axis == 0 { (p, width / 2) } else { (height / 2, p) };
            session.forward();
            let seed = session.seed(0).1;
            seed.fill(0.0);
            seed.chunks_mut(height * width).for_each(|plane| plane[y * width + x] = 1.0);
            session.backward(&Rules::default());
            let gradient = session.input_gradient(0);
            let seen = |i: usize| {
                let at = |k: usize| if axis == 0 { k / shape[3] % shape[2] } else { k % shape[3] };
                gradient.iter().enumerate().any(|(k, g)| *g != 0.0 && at(k) == i)
            };
            let first = (0..all).find(|&i| seen(i));
            ends.push(first.map(|first| (first, (0..all).rfind(|&i| seen(i)).unwrap())));
        }
        let free = |end: &&Option<(usize, usize)>| end.is_some_and(|(a, b)| a > 0 && b + 1 < all);
        let extent = ends.iter().filter(free).flatten().map(|(a, b)| b - a + 1).max();
        extents.push(extent.unwrap_or(all));
        // Over a multiple of all periods.
        let inner: Vec<(usize, usize)> =
            (0..n).filter_map(|p| ends[p].filter(|_| free(&&ends[p])).map(|e| (p, e.0))).collect();
        let steps = inner.len().saturating_sub(1) / 12 * 12;
        strides.push(if steps > 0 {
            let (from, to) = (inner[0], inner[steps]);
            ((to.1 - from.1) as f64 / (to.0 - from.0) as f64).round().max(1.0) as usize
        } else {
            (all as f64 / n as f64).round() as usize
        });
    }
    (extents, strides)
}

/// A network: its name, and what makes it of the input.
type Case = (&'static str, fn(&mut Net, ValueId) -> ValueId);

/// Height and width of the pictures of [`CASES`].
const SIDES: [usize; 2] = [128, 96];

const CASES: &[Case] = &[
    ("plain", |net, x| net.stem(x, 2)),
    ("nearest", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [2.0; 2], "nearest", "asymmetric");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("nearest, then every second", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [2.0; 2], "nearest", "asymmetric");
        net.conv(x, (2, 2), 3, 2)
    }),
    ("bilinear", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [2.0; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("bilinear by one and a half", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [1.5; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("corners", |net, x| {
        let x = net.stem(x, 2);
        net.resize(x, [2.0; 2], "linear", "align_corners")
    }),
    ("halved", |net, x| {
        let x = net.conv(x, (1, 2), 3, 1);
        let x = net.resize(x, [0.5; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("enlarged before all else", |net, x| {
        let x = net.resize(x, [2.0, 4.0], "nearest", "asymmetric");
        let x = net.conv(x, (1, 2), 5, 1);
        net.conv(x, (2, 2), 5, 1)
    }),
    ("transposed convolution", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 2, 2]);
        let x = net.node("ConvTranspose", &[x, weights], vec![("strides", ints(&[2, 2]))]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("transposed convolution of four taps", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 4, 4]);
        let attributes = vec![("strides", ints(&[2, 2])), ("pads", ints(&[1; 4]))];
        net.node("ConvTranspose", &[x, weights], attributes)
    }),
    ("transposed convolution with dilation", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 3, 3]);
        let attributes =
            vec![("strides", ints(&[2, 2])), ("dilations", ints(&[3, 2])), ("pads", ints(&[2; 4]))];
        let x = net.node("ConvTranspose", &[x, weights], attributes);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("depth to space", |net, x| {
        let x = net.stem(x, 8);
        let x = net.node("DepthToSpace", &[x], vec![("blocksize", Attribute::Int(2))]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("pixel shuffle", |net, x| {
        let x = net.stem(x, 8);
        let x = net.reshape(x, &[1, 2, 2, 2, 32, 24]);
        let x = net.transpose(x, &[0, 1, 4, 2, 5, 3]);
        let x = net.reshape(x, &[1, 2, 64, 48]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("space to depth", |net, x| {
        let x = net.node("SpaceToDepth", &[x], vec![("blocksize", Attribute::Int(2))]);
        net.conv(x, (4, 2), 3, 1)
    }),
    ("pixel unshuffle", |net, x| {
        let x = net.reshape(x, &[1, 1, 32, 4, 24, 4]);
        let x = net.transpose(x, &[0, 3, 5, 1, 2, 4]);
        let x = net.reshape(x, &[1, 16, 32, 24]);
        let x = net.conv(x, (16, 2), 3, 1);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("pixel unshuffle, then single positions", |net, x| {
        let x = net.conv(x, (1, 1), 3, 1);
        let x = net.reshape(x, &[1, 1, 32, 4, 24, 4]);
        let x = net.transpose(x, &[0, 3, 5, 1, 2, 4]);
        let x = net.reshape(x, &[1, 16, 32, 24]);
        net.conv(x, (16, 2), 1, 1)
    }),
    ("focus", |net, x| {
        let x = net.halves(x, (2, 3), 1);
        let x = net.conv(x, (4, 2), 3, 1);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("patch merging", |net, x| {
        let x = net.stem(x, 2);
        let x = net.transpose(x, &[0, 2, 3, 1]);
        let x = net.halves(x, (1, 2), 3);
        let x = net.dense(x, (8, 2));
        let x = net.transpose(x, &[0, 3, 1, 2]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("a slice and a border", |net, x| {
        let x = net.slice(x, 2, (3, 1 << 20, 1));
        let pads = net.list(&[0, 0, 2, 0, 0, 0, 1, 4]);
        let x = net.node("Pad", &[x, pads], vec![]);
        net.conv(x, (1, 2), 3, 2)
    }),
    ("rolled", |net, x| {
        let x = net.stem(x, 2);
        let parts = [net.slice(x, 2, (3, 1 << 20, 1)), net.slice(x, 2, (0, 3, 1))];
        let x = net.concat(&parts, 2);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("branches of other resolutions", |net, x| {
        let fine = net.conv(x, (1, 2), 3, 2);
        let coarse = net.conv(fine, (2, 2), 3, 2);
        let up = net.resize(coarse, [2.0; 2], "nearest", "asymmetric");
        let fine = net.node("Add", &[fine, up], vec![]);
        let down = net.conv(fine, (2, 2), 3, 2);
        let coarse = net.node("Add", &[coarse, down], vec![]);
        net.conv(coarse, (2, 2), 1, 1)
    }),
    ("squeeze and excitation", |net, x| {
        let x = net.stem(x, 2);
        let mean = net.mean(x);
        let weights = net.conv(mean, (2, 2), 1, 1);
        let x = net.node("Mul", &[x, weights], vec![]);
        net.conv(x, (2, 2), 3, 2)
    }),
    ("weights from a vector", |net, x| {
        let x = net.stem(x, 2);
        let mean = net.mean(x);
        let mean = net.reshape(mean, &[1, 2]);
        let weights = net.dense(mean, (2, 2));
        let weights = net.reshape(weights, &[1, 2, 1, 1]);
        let x = net.node("Mul", &[x, weights], vec![]);
        net.conv(x, (2, 2), 3, 2)
    }),
    ("attention to fewer keys", |net, x| {
        let mut x = net.stem(x, 2);
        for _ in 0..3 {
            let queries = net.tokens(x, 2);
            let fewer = net.conv(x, (2, 2), 4, 4);
            let keys = net.tokens(fewer, 2);
            let seen = net.attention(queries, keys, 2);
            let seen = net.map(seen, &[1, 2, 32, 24]);
            x = net.node("Add", &[x, seen], vec![]);
        }
        net.conv(x, (2, 2), 3, 1)
    }),
    ("attention alone", |net, x| {
        let x = net.stem(x, 2);
        let tokens = net.tokens(x, 2);
        let seen = net.attention(tokens, tokens, 2);
        net.map(seen, &[1, 2, 32, 24])
    }),
    ("attention within windows", |net, x| {
        let x = net.stem(x, 2);
        let x = net.reshape(x, &[1, 2, 8, 4, 6, 4]);
        let x = net.transpose(x, &[0, 2, 4, 3, 5, 1]);
        let x = net.reshape(x, &[48, 16, 2]);
        let x = net.attention(x, x, 2);
        let x = net.reshape(x, &[1, 8, 6, 4, 4, 2]);
        let x = net.transpose(x, &[0, 5, 1, 3, 2, 4]);
        net.reshape(x, &[1, 2, 32, 24])
    }),
    ("a class token that comes and goes", |net, x| {
        let x = net.stem(x, 2);
        let tokens = net.tokens(x, 2);
        let class = net.weights(&[1, 1, 2]);
        let all = net.concat(&[class, tokens], 1);
        let all = net.dense(all, (2, 2));
        let patches = net.slice(all, 1, (1, 1 << 20, 1));
        let class = net.slice(all, 1, (0, 1, 1));
        let x = net.map(patches, &[1, 2, 32, 24]);
        let x = net.conv(x, (2, 2), 3, 1);
        let tokens = net.tokens(x, 2);
        let all = net.concat(&[class, tokens], 1);
        let all = net.dense(all, (2, 2));
        let patches = net.slice(all, 1, (1, 1 << 20, 1));
        net.map(patches, &[1, 2, 32, 24])
    }),
    ("pooling and a convolution within windows", |net, x| {
        let x = net.stem(x, 2);
        let x = net.reshape(x, &[1, 2, 4, 8, 3, 8]);
        let x = net.transpose(x, &[0, 2, 4, 1, 3, 5]);
        let x = net.reshape(x, &[12, 2, 8, 8]);
        let pooling = vec![("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        let x = net.node("AveragePool", &[x], pooling);
        let x = net.conv(x, (2, 2), 3, 1);
        let x = net.reshape(x, &[1, 4, 3, 2, 4, 4]);
        let x = net.transpose(x, &[0, 3, 1, 4, 2, 5]);
        net.reshape(x, &[1, 2, 16, 12])
    }),
    ("a product over tokens", |net, x| {
        let x = net.stem(x, 2);
        let flat = net.reshape(x, &[1, 2, 768]);
        let mixed = net.dense(flat, (768, 768));
        let flat = net.node("Add", &[flat, mixed], vec![]);
        let x = net.reshape(flat, &[1, 2, 32, 24]);
        net.conv(x, (2, 2), 3, 2)
    }),
];

#[test]
fn fields_are_what_gradients_reach() {
    let mut failures = Vec::new();
    for (name, make) in CASES {
        let shape = [1, 1, SIDES[0], SIDES[1]];
        let (mut net, x) = Net::new(&shape);
        let target = make(&mut net, x);
        let graph = net.builder.finish(&[target]);
        let field = analyzed(&graph, &shape, target);
        let expected = measured(&graph, &shape, target);
        if (field.extent.clone(), field.stride.clone()) != expected || field.strides_differ {
            failures.push(format!("{name}: {field:?}, gradients say {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn what_is_behind_squeeze_and_excite_sees_the_whole_input_and_no_more() {
    let shape = [1, 2, 12, 10];
    let (mut net, x) = Net::new(&shape);
    let first = net.conv(x, (2, 2), 3, 2);
    let squeezed = net.node("GlobalAveragePool", &[first], vec![]);
    let excited = net.node("Mul", &[first, squeezed], vec![]);
    let second = net.conv(excited, (2, 2), 3, 2);
    let graph = net.builder.finish(&[second]);
    for (value, extent, stride) in [
        (first, [3, 3], [2, 2]),
        (squeezed, [12, 10], [2, 2]),
        (excited, [12, 10], [2, 2]),
        (second, [12, 10], [4, 4]),
    ] {
        let field = analyzed(&graph, &shape, value);
        assert_eq!((field.extent, field.stride), (extent.to_vec(), stride.to_vec()));
    }
}

#[test]
fn a_dense_layer_is_a_convolution_of_the_maps_size() {
    let shape = [1, 1, 64, 48];
    let (mut net, x) = Net::new(&shape);
    let map = net.stem(x, 2);
    let flat = net.node("Flatten", &[map], vec![]);
    let dense = net.dense(flat, (384, 5));
    let graph = net.builder.finish(&[dense]);
    for (value, extent) in [(map, [7, 7]), (flat, [7, 7]), (dense, [67, 51])] {
        let field = analyzed(&graph, &shape, value);
        assert_eq!((field.extent, field.stride), (extent.to_vec(), vec![4, 4]));
    }
}

#[test]
fn branches_that_do_not_keep_step_are_said_to_differ() {
    let shape = [1, 1, 64, 64];
    let (mut net, x) = Net::new(&shape);
    let fine = net.slice(x, 2, (0, 16, 1));
    let fine = net.slice(fine, 3, (0, 16, 1));
    let coarse = net.slice(x, 2, (0, 64, 4));
    let coarse = net.slice(coarse, 3, (0, 64, 4));
    let sum = net.node("Add", &[fine, coarse], vec![]);
    let graph = net.builder.finish(&[sum]);
    let field = analyzed(&graph, &shape, sum);
    assert!(field.strides_differ);
    assert_eq!((field.extent, field.stride), (vec![46, 46], vec![4, 4]));
}

#[test]
fn a_tensor_counts_once_in_the_total() {
    let shape = [1, 2, 8, 8];
    let (mut net, x) = Net::new(&shape);
    let weights = net.weights(&[2, 2, 3, 3]);
    let shared = |net: &mut Net, x: ValueId| net.node("Conv", &[x, weights], vec![("pads", ints(&[1; 4]))]);
    let twice = shared(&mut net, x);
    let twice = shared(&mut net, twice);
    // A table that is spread over all positions.
    let table = net.weights(&[5, 1]);
    let indices = net.list(&(0..64).map(|i| i % 5).collect::<Vec<_>>());
    let spread = net.node("Gather", &[table, indices], vec![]);
    let spread = net.reshape(spread, &[1, 1, 8, 8]);
    let sum = net.node("Add", &[twice, spread], vec![]);
    let graph = net.builder.finish(&[sum]);
    let found = listed(&graph, &shape);
    assert_eq!(found.iter().map(|l| l.params).collect::<Vec<_>>(), [36, 36, 64]);
    assert_eq!(parameters(&found), 36 + 5);
}
