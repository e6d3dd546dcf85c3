//! Builds networks in code, for tests.

#![allow(dead_code)] // each test uses a part

use std::collections::BTreeMap;

use oneiro_net::graph::{Attribute, Attributes, build};
use oneiro_net::graph::{Graph, Input, Node, Value, ValueId};
use oneiro_net::tensor::{DType, Tensor};

/// A network that is built node by node.
#[derive(Default)]
pub struct Builder {
    values: Vec<Value>,
    nodes: Vec<Node>,
}

impl Builder {
    pub fn value(&mut self, constant: Option<Tensor>) -> ValueId {
        self.values.push(Value { name: format!("v{}", self.values.len()), constant });
        ValueId(self.values.len() as u32 - 1)
    }

    pub fn node(
        &mut self,
        op: &str,
        inputs: &[ValueId],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> ValueId {
        let output = self.value(None);
        self.nodes.push(Node {
            name: format!("{op}{}", self.nodes.len()),
            module: None,
            op: build(op, &Attributes::new(17, attributes)),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(output)],
        });
        output
    }

    pub fn graph(self, inputs: &[ValueId], outputs: &[ValueId]) -> Graph {
        Graph {
            values: self.values,
            nodes: self.nodes,
            inputs: inputs.iter().map(|&value| Input { value, dims: None, dtype: DType::Float }).collect(),
            outputs: outputs.to_vec(),
            opset: 17,
            notes: vec![],
            metadata: BTreeMap::new(),
        }
    }

    /// Adds a ReLU after a convolution, which keeps the size except for its stride.
    pub fn conv(&mut self, input: ValueId, shape: [usize; 4], stride: i64, group: i64) -> ValueId {
        let (n, fan): (usize, usize) = (shape.iter().product(), shape[1..].iter().product());
        let data = (0..n).map(|i| ((i * 7919 % 1009) as f32 / 504.0 - 1.0) / (fan as f32).sqrt()).collect();
        let weights = self.value(Some(Tensor::floats(&shape, data)));
        let (y, x) = ((shape[2] / 2) as i64, (shape[3] / 2) as i64);
        let attributes = vec![
            ("strides", Attribute::Ints(vec![stride; 2])),
            ("pads", Attribute::Ints(vec![y, x, y, x])),
            ("group", Attribute::Int(group)),
        ];
        let y = self.node("Conv", &[input, weights], attributes);
        self.node("Relu", &[y], vec![])
    }
}

/// Builds a network with convolutions for every kernel (1×1, direct, Winograd in two and one dimensions,
/// depthwise), pooling, a sum, a concatenation and a mean.
pub fn network() -> Graph {
    let mut b = Builder::default();
    let x = b.value(None);
    let stem = b.conv(x, [32, 3, 7, 7], 2, 1);
    let plane = b.conv(stem, [32, 32, 3, 3], 1, 1);
    let deep = b.conv(plane, [32, 32, 1, 1], 1, 1);
    let line = b.conv(deep, [48, 32, 1, 7], 1, 1);
    let small = b.conv(line, [48, 1, 3, 3], 2, 48);
    let strided = b.conv(line, [48, 48, 3, 3], 2, 1);
    let sum = b.node("Add", &[small, strided], vec![]);
    let joined = b.node("Concat", &[sum, strided], vec![("axis", Attribute::Int(1))]);
    let window = || Attribute::Ints(vec![2, 2]);
    let pooled = b.node("MaxPool", &[joined], vec![("kernel_shape", window()), ("strides", window())]);
    let mean = b.node("GlobalAveragePool", &[pooled], vec![]);
    b.graph(&[x], &[mean])
}
