//! The graph of a network as it was read or built: named values, nodes and inputs. Never changed in place;
//! passes work on a typed copy for given input shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::kernels::Bounds;
pub use crate::ops::{Attribute, Attributes, Fact, Facts, Normalization, Operator, Unsupported, build};
use crate::tensor::{DType, Tensor};

mod builder;

pub use builder::{Builder, OPSET};

/// Index of a value (an edge) of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An edge: a tensor that flows, or a constant.
#[derive(Debug, Clone)]
pub struct Value {
    /// Name of the tensor in the file.
    pub name: String,
    /// Its content, if it is a constant.
    pub constant: Option<Tensor>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name in the file; the first output's name if the file gives none.
    pub name: String,
    /// Path of the module of the original program that this node came from (`features.0`), if known.
    pub module: Option<String>,
    /// The operator.
    pub op: Arc<dyn Operator>,
    /// Operands; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Results; `None` where an optional one is left out.
    pub outputs: Vec<Option<ValueId>>,
}

/// One extent of an input's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Fixed when the model was exported.
    Fixed(usize),
    /// Free, with the name the exporter gave it (possibly empty).
    Free(String),
}

/// An input that has to be fed.
#[derive(Debug, Clone)]
pub struct Input {
    /// The value it defines.
    pub value: ValueId,
    /// Shape as exported; `None` if the file gives none.
    pub dims: Option<Vec<Dim>>,
    /// Element type.
    pub dtype: DType,
}

/// A network: nodes in topological order.
#[derive(Debug, Clone)]
pub struct Graph {
    /// All values; [`ValueId`] indexes them.
    pub values: Vec<Value>,
    /// All nodes, each after the nodes it depends on.
    pub nodes: Vec<Node>,
    /// Values that have to be fed, in the file's order.
    pub inputs: Vec<Input>,
    /// Results of the network, in the file's order.
    pub outputs: Vec<ValueId>,
    /// Version of the default operator set.
    pub opset: i64,
    /// Remarks for a person on how the file was read (for instance that integers were dequantised).
    pub notes: Vec<String>,
    /// The metadata that the file carries.
    pub metadata: BTreeMap<String, String>,
}

impl Graph {
    /// Name of a value.
    pub fn name(&self, value: ValueId) -> &str {
        &self.values[value.index()].name
    }

    /// The value of this exact name.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(|i| ValueId(i as u32))
    }

    /// Position of the node that computes a value; `None` for inputs and constants.
    pub fn producer(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|n| n.outputs.contains(&Some(value)))
    }

    /// The shape to use for an input: `shape` if given, else the exported one with 1 for every free axis.
    pub fn default_shape(&self, input: usize) -> Option<Vec<usize>> {
        let dims = self.inputs[input].dims.as_ref()?;
        Some(dims.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 }).collect())
    }
}
