//! The graph of a network as it was read or built: named values, nodes and inputs. It is never changed in
//! place; passes work on a typed copy for given input shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::kernels::Bounds;
pub use crate::ops::{Attribute, Attributes, Fact, Facts, Normalization, Operator, Unsupported, build};
use crate::tensor::{DType, Tensor};

mod builder;

pub use builder::{Builder, OPSET};

/// Identifies a value of a graph by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The index of the value in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An edge of the graph: a computed tensor or a constant.
#[derive(Debug, Clone)]
pub struct Value {
    /// The tensor's name in the model file.
    pub name: String,
    /// The tensor's content, if it is a constant.
    pub constant: Option<Tensor>,
}

/// One operation with its operands and results.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name in the file; the first output's name if the file gives none.
    pub name: String,
    /// Path of the module in the original program from which this node was exported (`features.0`), if known.
    pub module: Option<String>,
    /// The operator that the node applies.
    pub op: Arc<dyn Operator>,
    /// Operands; `None` where an optional operand is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Results; `None` where an optional result is left out.
    pub outputs: Vec<Option<ValueId>>,
}

/// The extent of one axis of a network's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// The extent was fixed when the model was exported.
    Fixed(usize),
    /// Free. The exporter's name for it may be empty.
    Free(String),
}

/// An input of the network.
#[derive(Debug, Clone)]
pub struct Input {
    /// The value that the input defines.
    pub value: ValueId,
    /// Shape as exported; `None` if the file gives none.
    pub dims: Option<Vec<Dim>>,
    /// Element type of the input.
    pub dtype: DType,
}

/// A network as read from a file: nodes in topological order.
#[derive(Debug, Clone)]
pub struct Graph {
    /// All values of the graph. A [`ValueId`] is an index into them.
    pub values: Vec<Value>,
    /// All nodes, each after the nodes it depends on.
    pub nodes: Vec<Node>,
    /// Inputs of the network, in the file's order.
    pub inputs: Vec<Input>,
    /// Results of the network, in the file's order.
    pub outputs: Vec<ValueId>,
    /// Version of ONNX's default operator set that the file uses.
    pub opset: i64,
    /// Messages to the user about how the file was read, for instance that integers were dequantised.
    pub notes: Vec<String>,
    /// Names and values of the metadata in the model file.
    pub metadata: BTreeMap<String, String>,
}

impl Graph {
    /// Returns the name of a value.
    pub fn name(&self, value: ValueId) -> &str {
        &self.values[value.index()].name
    }

    /// Returns the value with this exact name.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(|i| ValueId(i as u32))
    }

    /// Returns the index of the node that computes a value, or `None` for inputs and constants.
    pub fn producer(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|n| n.outputs.contains(&Some(value)))
    }

    /// Returns `shape` if it is given, else the input's exported shape with 1 for every free axis.
    pub fn default_shape(&self, input: usize) -> Option<Vec<usize>> {
        let dims = self.inputs[input].dims.as_ref()?;
        Some(dims.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 }).collect())
    }
}
