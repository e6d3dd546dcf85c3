//! Small graphs for the tests of passes, which compare their nodes as text before and after a pass.

use crate::graph::{Builder, Dim, Graph, ValueId};
use crate::kernels::EpilogueFunction;
use crate::ops::{Attribute, Operator};
use crate::passes::{NotHere, Rewrite, Site, everywhere, producers};
use crate::tensor::Tensor;
use crate::typed::{Typed, TypedNode};

/// A graph with fixed shapes, which a test builds node by node.
pub(crate) struct Net {
    builder: Builder,
    shapes: Vec<Vec<usize>>,
}

/// A graph to which passes can be applied.
pub(crate) struct Network {
    pub(crate) graph: Graph,
    pub(crate) typed: Typed,
}

pub(crate) fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

impl Net {
    /// Creates a graph with an input `x`.
    pub(crate) fn new(x: &[usize]) -> (Self, ValueId) {
        let mut net = Self { builder: Builder::new(), shapes: vec![] };
        let x = net.input("x", x);
        (net, x)
    }

    pub(crate) fn input(&mut self, name: &str, shape: &[usize]) -> ValueId {
        self.shapes.push(shape.to_vec());
        let dims: Vec<Dim> = shape.iter().map(|&d| Dim::Fixed(d)).collect();
        self.builder.input(name, &dims).unwrap()
    }

    pub(crate) fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.builder.constant(name, tensor).unwrap()
    }

    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> ValueId {
        self.constant(name, Tensor::floats(shape, values.to_vec()))
    }

    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> ValueId {
        self.constant(name, Tensor::ints(&[values.len()], values.to_vec()))
    }

    /// Adds a constant with elements 1, 2, 3, ….
    pub(crate) fn weights(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let count: usize = shape.iter().product();
        self.constant(name, Tensor::floats(shape, (1..=count).map(|i| i as f32).collect()))
    }

    pub(crate) fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: &[(&str, Attribute)],
    ) -> ValueId {
        self.builder.node(op, name, inputs, attributes.to_vec()).unwrap()
    }

    pub(crate) fn graph(self, targets: &[ValueId]) -> Graph {
        self.builder.finish(targets)
    }

    pub(crate) fn build(self, targets: &[ValueId]) -> Network {
        let shapes = self.shapes.clone();
        let graph = self.graph(targets);
        let typed = Typed::new(&graph, &shapes, targets).unwrap();
        Network { graph, typed }
    }
}

impl Network {
    /// Returns the nodes as text: result, operator, operands, activation function. Values that passes have
    /// added are named by their shapes.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let name = |v: &Option<ValueId>| match v {
            None => "_".to_owned(),
            Some(v) if v.index() < self.graph.values.len() => self.graph.name(*v).to_owned(),
            Some(v) => format!("new{:?}", self.typed.fact(*v).unwrap().shape),
        };
        let text = |node: &TypedNode| {
            let operands: Vec<String> = node.inputs.iter().map(name).collect();
            let function = match node.epilogue {
                None => String::new(),
                Some(EpilogueFunction::Clip { bounds, .. }) => {
                    format!(" in [{}, {}]", bounds.low, bounds.high)
                }
                Some(EpilogueFunction::Swish { alpha, .. }) => format!(" swish {alpha}"),
            };
            let operator = node.op.op_type();
            format!("{} = {operator}({}){function}", name(&node.outputs[0]), operands.join(", "))
        };
        self.typed.nodes.iter().map(text).collect()
    }

    /// Applies a pass wherever it applies. Returns the nodes as text.
    pub(crate) fn after(&mut self, pass: Rewrite) -> Vec<String> {
        everywhere(&mut self.typed, pass);
        self.nodes()
    }

    /// Returns the answer to a question about a node's neighbours.
    pub(crate) fn at<T>(
        &self,
        node: &str,
        question: impl FnOnce(Site<'_>) -> Result<T, NotHere>,
    ) -> Result<T, String> {
        let (producers, uses) = (producers(&self.typed), self.typed.uses());
        let node = self.typed.nodes.iter().find(|n| n.name == node).unwrap();
        let site = Site { typed: &self.typed, node, producers: &producers, uses: &uses };
        question(site).map_err(|why| why.0)
    }

    /// Asserts that a pass applies nowhere, and gives the reason `why` at this node.
    #[track_caller]
    pub(crate) fn refuses(mut self, pass: Rewrite, node: &str, why: &str) {
        let said = self.at(node, |site| pass(site).map(|_| ()));
        assert!(said.as_ref().is_err_and(|said| said.contains(why)), "{said:?}, not {why:?}");
        let before = self.nodes();
        assert_eq!(self.after(pass), before);
    }

    /// Returns the operator of node number `node`.
    #[track_caller]
    pub(crate) fn op<T: Operator>(&self, node: usize) -> &T {
        self.typed.nodes[node].op.as_any().downcast_ref().unwrap()
    }

    /// Returns the content of a node's constant operand.
    pub(crate) fn operand(&self, node: usize, input: usize) -> Vec<f32> {
        let value = self.typed.nodes[node].inputs[input].unwrap();
        self.typed.fact(value).unwrap().value.as_ref().unwrap().as_floats().unwrap().into_owned()
    }
}
