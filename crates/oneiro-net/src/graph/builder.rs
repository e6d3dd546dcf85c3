//! Networks written in code: one call for each node, with operators by their ONNX names.

use std::collections::{BTreeMap, HashSet};

use crate::attributes::{Attribute, Attributes};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Input, Node, Value, ValueId};
use crate::ops::{self, Unsupported};
use crate::tensor::{DType, Tensor};

/// Builds a [`Graph`] node by node.
///
/// A node can only read values that exist already, so the nodes are in topological order by construction.
/// Every value has a unique name. A node has the name of its result.
///
/// ```
/// use oneiro_net::graph::{Attribute, Builder, Dim};
/// use oneiro_net::tensor::Tensor;
///
/// # fn main() -> oneiro_net::Result<()> {
/// let mut net = Builder::new();
/// let free = |name: &str| Dim::Free(name.into());
/// let x = net.input("x", &[free("N"), Dim::Fixed(3), free("H"), free("W")])?;
/// let weight = net.constant("mean.weight", Tensor::floats(&[1, 3, 1, 1], vec![1.0 / 3.0; 3]))?;
/// let mean = net.node("Conv", "mean", &[x, weight], vec![])?;
/// let pooling = vec![("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))];
/// let pooled = net.node("MaxPool", "pooled", &[mean], pooling)?;
/// let graph = net.finish(&[pooled]);
/// assert_eq!(graph.nodes.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    values: Vec<Value>,
    names: HashSet<String>,
    nodes: Vec<Node>,
    inputs: Vec<Input>,
}

/// The version of ONNX's operator set that defines the operators of [`Builder::node`].
pub const OPSET: i64 = 18;

impl Builder {
    /// Creates an empty network.
    pub fn new() -> Self {
        Self::default()
    }

    fn value(&mut self, name: &str, constant: Option<Tensor>) -> Result<ValueId> {
        if name.is_empty() {
            return Err(Error::Graph("a value needs a name".into()));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(Error::Graph(format!("there are two values called \"{name}\"")));
        }
        self.values.push(Value { name: name.to_owned(), constant });
        Ok(ValueId(self.values.len() as u32 - 1))
    }

    /// Adds a float input of this shape.
    ///
    /// # Errors
    /// If the name is empty or taken.
    pub fn input(&mut self, name: &str, dims: &[Dim]) -> Result<ValueId> {
        let value = self.value(name, None)?;
        self.inputs.push(Input { value, dims: Some(dims.to_vec()), dtype: DType::Float });
        Ok(value)
    }

    /// Adds a constant: weights, or an operand such as axes or pads.
    ///
    /// # Errors
    /// If the name is empty or taken.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> Result<ValueId> {
        self.value(name, Some(tensor))
    }

    /// Adds a node with one result, which has the node's name.
    ///
    /// # Errors
    /// If the name is empty or taken, the operator is unknown, an attribute does not belong to it, or an
    /// input is no value of this network. Shapes are checked when the graph is compiled.
    pub fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> Result<ValueId> {
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        self.node_with(op_type, name, &inputs, attributes)
    }

    /// Adds a node like [`Builder::node`], with `None` for optional inputs that are left out.
    ///
    /// # Errors
    /// The errors of [`Builder::node`].
    pub fn node_with(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[Option<ValueId>],
        attributes: Vec<(&str, Attribute)>,
    ) -> Result<ValueId> {
        let fail = |why: String| Error::Node { node: name.to_owned(), op: op_type.to_owned(), why };
        if inputs.iter().flatten().any(|v| v.index() >= self.values.len()) {
            return Err(fail("an input is no value of this network".into()));
        }
        let mut attributes = Attributes::new(OPSET, attributes);
        attributes.outputs = 1;
        let op = ops::build(op_type, &attributes);
        if let Some(unsupported) = op.as_any().downcast_ref::<Unsupported>() {
            return Err(fail(
                unsupported.why.clone().unwrap_or_else(|| "there is no such operator here".into()),
            ));
        }
        let output = self.value(name, None)?;
        self.nodes.push(Node {
            name: name.to_owned(),
            module: None,
            op,
            inputs: inputs.to_vec(),
            outputs: vec![Some(output)],
        });
        Ok(output)
    }

    /// Returns the finished network, of which these values are the outputs.
    pub fn finish(self, outputs: &[ValueId]) -> Graph {
        Graph {
            values: self.values,
            nodes: self.nodes,
            inputs: self.inputs,
            outputs: outputs.to_vec(),
            opset: OPSET,
            notes: vec![],
            metadata: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{CpuSession, Plan, Request, Session};

    #[test]
    fn a_network_written_in_code_runs() {
        let mut net = Builder::new();
        let x = net.input("x", &[Dim::Free("N".into()), Dim::Fixed(2)]).unwrap();
        let two = net.constant("two", Tensor::floats(&[], vec![2.0])).unwrap();
        let double = net.node("Mul", "double", &[x, two], vec![]).unwrap();
        let high = net.constant("high", Tensor::floats(&[], vec![5.0])).unwrap();
        let capped = net.node_with("Clip", "capped", &[Some(double), None, Some(high)], vec![]).unwrap();
        let graph = net.finish(&[capped]);
        let plan = Plan::compile(&graph, &Request::new(&graph, 1, &graph.outputs).unwrap()).unwrap();
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        session.input_mut(0).copy_from_slice(&[-1.5, 4.0]);
        session.forward();
        assert_eq!(session.activation(0), [-3.0, 5.0]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_node() {
        let mut net = Builder::new();
        let x = net.input("x", &[Dim::Fixed(1)]).unwrap();
        let says = |result: Result<ValueId>, words: &[&str]| {
            let error = result.unwrap_err().to_string();
            assert!(words.iter().all(|w| error.contains(w)), "{error}");
        };
        says(net.node("Relu", "x", &[x], vec![]), &["two values", "\"x\""]);
        says(net.node("Relu", "", &[x], vec![]), &["needs a name"]);
        says(net.node("Frobnicate", "y", &[x], vec![]), &["\"y\"", "Frobnicate"]);
        says(net.node("Relu", "y", &[ValueId(7)], vec![]), &["\"y\"", "no value"]);
        let wrong = vec![("kernel_shape", Attribute::Float(3.0))];
        says(net.node("MaxPool", "y", &[x], wrong), &["\"y\"", "kernel_shape"]);
    }
}
