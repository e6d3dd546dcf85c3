//! The inputs of a network: which inputs are fed, in which shapes, and where the network begins.
//!
//! Each function takes a graph and returns, or makes, one that is fed differently and computes the same
//! layers: [`viewed_input`] gives an input other axes, [`fixed_input`] makes one a constant, [`cut_at`] lets
//! the network begin at an inner value. [`Blocked`] finds where a network has to begin whose front cannot be
//! run.

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

/// Version of the operator set of the nodes that are put in front.
const OPSET: i64 = 11;

/// The conversion of an input's canonical axes to the axes that the graph reads. No data moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// These axes, of extent 1, are dropped.
    Squeeze(Vec<i64>),
    /// All axes behind this one are joined with it.
    Flatten(i64),
    /// As `Reshape` has it.
    Reshape(Vec<i64>),
}

/// Replaces an input by one of the same name with these axes, from which `view` makes the value that the
/// graph read. Returns that value, which is no input any more.
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

/// A constant list of integers, named after what it is for.
fn add_ints(graph: &mut Graph, of: &str, ints: &[i64]) -> ValueId {
    let name = unused_name(graph, &format!("{of}.list"));
    let value = add_value(graph, name);
    graph.values[value.index()].constant = Some(Tensor::ints(&[ints.len()], ints.to_vec()));
    value
}

/// The producer of every value, by its index.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producer = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for output in node.outputs.iter().flatten() {
            producer[output.index()] = Some(i);
        }
    }
    producer
}

/// An operator that refuses what needs it, in these words.
fn refusing(op_type: &str, why: String) -> Arc<dyn crate::ops::Operator> {
    Arc::new(crate::ops::Unsupported { op_type: op_type.to_owned(), why: Some(why) })
}

fn request(why: String) -> Error {
    Error::Request(why)
}

/// A list of names in quotes.
fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}

type Dims = Option<Vec<Dim>>;

/// The values of two runs of shape inference that agree are fixed, the others free.
fn common(a: &[usize], b: &[usize]) -> Result<Vec<Dim>> {
    if a.len() != b.len() {
        return Err(request("its rank depends on the size of the input".into()));
    }
    let same = |(&a, &b): (&usize, &usize)| if a == b { Dim::Fixed(a) } else { Dim::Free(String::new()) };
    Ok(a.iter().zip(b).map(same).collect())
}
