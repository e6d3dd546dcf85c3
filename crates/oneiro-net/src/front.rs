//! The inputs of a network: which inputs are fed, in which shapes, and where the network begins.
//!
//! The functions change how a graph is fed, but not what its layers compute. [`viewed_input`] gives an input
//! other axes, [`fixed_input`] makes one a constant, and [`cut_at`] lets the network begin at an inner value.
//! If the first part of a network cannot be run, [`Blocked`] finds where to begin.

use std::sync::Arc;

use crate::attributes::{Attribute, Attributes};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, ValueId};
use crate::layout::{add_value, unused_name};
use crate::ops::build;
use crate::tensor::Tensor;

mod blocked;
mod cut;
mod fixed;
mod shape_behind;

pub use blocked::{Blocked, Declarations};
pub use cut::{Cut, cut_at, known_dims};
pub use fixed::fixed_input;
pub use shape_behind::dims_from_readers;

/// Operator-set version of the nodes that are inserted after an input.
const OPSET: i64 = 11;

/// The conversion of an input's canonical axes to the axes that the graph reads. No data is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Removes these axes of an input, which have extent 1.
    Squeeze(Vec<i64>),
    /// Joins this axis of an input and all axes after it.
    Flatten(i64),
    /// Changes to this shape, in the notation of ONNX `Reshape`.
    Reshape(Vec<i64>),
}

/// Replaces an input by one of the same name with the axes `dims`. `view` computes from it the value that the
/// graph reads. Returns this value, which is no longer an input.
pub fn viewed_input(graph: &mut Graph, input: usize, dims: Vec<Dim>, view: &View) -> ValueId {
    let old = graph.inputs[input].value;
    let name = graph.name(old).to_owned();
    let inner = unused_name(graph, &format!("{name} (as read)"));
    graph.values[old.index()].name.clone_from(&inner);
    let new = add_value(graph, name);
    graph.inputs[input].value = new;
    graph.inputs[input].dims = Some(dims);
    let (op_type, attributes, shape) = match view {
        View::Squeeze(axes) => ("Squeeze", vec![("axes", Attribute::Ints(axes.clone()))], None),
        View::Flatten(axis) => ("Flatten", vec![("axis", Attribute::Int(*axis))], None),
        View::Reshape(shape) => ("Reshape", vec![], Some(shape)),
    };
    let mut inputs = vec![Some(new)];
    if let Some(shape) = shape {
        inputs.push(Some(add_ints(graph, &inner, shape)));
    }
    graph.nodes.insert(0, node(op_type, inner, attributes, inputs, old));
    old
}

fn node(
    op_type: &str,
    name: String,
    attributes: Vec<(&str, Attribute)>,
    inputs: Vec<Option<ValueId>>,
    output: ValueId,
) -> Node {
    let op = build(op_type, &Attributes::new(OPSET, attributes));
    Node { name, module: None, op, inputs, outputs: vec![Some(output)] }
}

/// Adds a constant list of integers. Its name is derived from `of`.
fn add_ints(graph: &mut Graph, of: &str, ints: &[i64]) -> ValueId {
    let name = unused_name(graph, &format!("{of}.list"));
    let value = add_value(graph, name);
    graph.values[value.index()].constant = Some(Tensor::ints(&[ints.len()], ints.to_vec()));
    value
}

/// Returns the index of the node that computes each value.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producer = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for output in node.outputs.iter().flatten() {
            producer[output.index()] = Some(i);
        }
    }
    producer
}

/// Returns an operator that always fails with the message `why`.
fn refusing(op_type: &str, why: String) -> Arc<dyn crate::ops::Operator> {
    Arc::new(crate::ops::Unsupported { op_type: op_type.to_owned(), why: Some(why) })
}

fn request(why: String) -> Error {
    Error::Request(why)
}

/// Formats a list of names, each in quotes.
fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}

type Dims = Option<Vec<Dim>>;

/// Compares the shapes from two runs of shape inference. Extents that agree are fixed, the others are free.
fn common(a: &[usize], b: &[usize]) -> Result<Vec<Dim>> {
    if a.len() != b.len() {
        return Err(request("its rank depends on the size of the input".into()));
    }
    let same = |(&a, &b): (&usize, &usize)| if a == b { Dim::Fixed(a) } else { Dim::Free(String::new()) };
    Ok(a.iter().zip(b).map(same).collect())
}
