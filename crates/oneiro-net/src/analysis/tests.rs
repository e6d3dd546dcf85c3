//! Tests of receptive fields against formulas, and against the gradients of small networks with positive
//! weights.

use std::sync::Arc;

use super::*;
use crate::graph::{Builder, Dim};
use crate::ops::Attribute;
use crate::tensor::{Tensor, volume};
use crate::{CpuSession, Plan, Request, Rules, Session};

mod gradients;

/// A network under construction; its values have numbers as names.
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

    /// A convolution with these input and output channels, kernel size and stride.
    fn conv(&mut self, x: ValueId, channels: (usize, usize), taps: usize, stride: i64) -> ValueId {
        let weights = self.weights(&[channels.1, channels.0, taps, taps]);
        let pad = ((taps - 1) / 2) as i64;
        self.node("Conv", &[x, weights], vec![("strides", ints(&[stride; 2])), ("pads", ints(&[pad; 4]))])
    }

    /// Two convolutions with a total stride of 4.
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

    /// Slices of every second position along two axes, concatenated along a third.
    fn halves(&mut self, x: ValueId, (rows, columns): (i64, i64), channel: i64) -> ValueId {
        let parts = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(y, x0)| {
            let part = self.slice(x, rows, (y, 1 << 20, 2));
            self.slice(part, columns, (x0, 1 << 20, 2))
        });
        self.concat(&parts, channel)
    }

    /// Attention: `queries` attend to `others`, from which keys and values are computed.
    fn attention(&mut self, queries: ValueId, others: ValueId, channels: usize) -> ValueId {
        let [q, k, v] = [queries, others, others].map(|x| self.dense(x, (channels, channels)));
        let last = [0, 2, 1];
        let k = self.transpose(k, &last);
        let scores = self.node("MatMul", &[q, k], vec![]);
        let weights = self.node("Softmax", &[scores], vec![("axis", Attribute::Int(-1))]);
        self.node("MatMul", &[weights, v], vec![])
    }

    /// The mean over all positions, times a factor with which gradients do not round to zero.
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

/// Returns the layers of a network.
fn listed(graph: &Graph, shape: &[usize]) -> Vec<Layer> {
    let shapes = [shape.to_vec()];
    let facts = infer(graph, &shapes, &vec![true; graph.nodes.len()], |_, e| Err(e)).unwrap();
    let stated = [(graph.inputs[0].value, Axes::channels_first(shape))];
    let followed = crate::axes::follow(graph, &facts, &stated, 1, None);
    layers(graph, &Names::new(graph, &[]), &shapes, &followed).unwrap().layers
}

/// Returns the receptive field of `target` by the analysis.
fn analyzed(graph: &Graph, shape: &[usize], target: ValueId) -> ReceptiveField {
    let layer = listed(graph, shape).into_iter().find(|l| l.value == target).unwrap();
    layer.fields[0].1.clone()
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
    // A constant table that is expanded over all positions.
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

#[test]
fn fields_lie_where_the_padding_puts_them() {
    let shape = [1, 2, 13, 9];
    let (mut net, x) = Net::new(&shape);
    let first = net.conv(x, (2, 2), 3, 2);
    let second = net.conv(first, (2, 2), 3, 2);
    let mean = net.mean(second);
    let graph = net.builder.finish(&[second, mean]);
    let field = analyzed(&graph, &shape, second);
    // Input positions with non-zero gradient, by the definition of a convolution: a window of 3 over windows
    // of 3 at every second position.
    assert_eq!(analyzed(&graph, &shape, first).first, [-1, -1]);
    assert_eq!((&field.first[..], field.is_regular), (&[-3, -3][..], true));
    assert_eq!(field.of_position(&[1, 0], &shape[2..]), Some(vec![[1, 8], [0, 4]]));
    let whole = analyzed(&graph, &shape, mean);
    assert_eq!(whole.of_position(&[0, 0], &shape[2..]), Some(vec![[0, 13], [0, 9]]));
    assert_eq!(field.of_position(&[0], &shape[2..]), None);
}
