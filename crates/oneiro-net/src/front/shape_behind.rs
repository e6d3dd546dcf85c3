//! Infers the axes of a value from the nodes that read it, if shape inference from the inputs does not know
//! them.

use crate::graph::{Dim, Graph, Node, ValueId};
use crate::ops::array::layout::Movement;
use crate::ops::cnn::conv::Conv;

/// Operators whose result has the shape of their first operand.
const SAME_SHAPE: &[&str] = &[
    "Cast",
    "CastLike",
    "Identity",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "Sigmoid",
    "Tanh",
    "Abs",
    "Neg",
    "Sqrt",
    "Exp",
    "Log",
    "Dropout",
    "BatchNormalization",
    "InstanceNormalization",
    "LRN",
];

/// Operators with two operands that broadcast.
const BINARY: &[&str] = &["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"];

/// The longest chain of nodes that is followed from a value.
const DEPTH: usize = 32;

/// Returns the axes of a value, inferred from its readers. A convolution determines the rank and the
/// channels, a matrix product the features. Operators in between that keep or move axes are passed. Returns
/// `None` if no reader determines the axes.
pub fn dims_from_readers(graph: &Graph, value: ValueId) -> Option<Vec<Dim>> {
    of(graph, value, DEPTH)
}

fn of(graph: &Graph, value: ValueId, depth: usize) -> Option<Vec<Dim>> {
    let depth = depth.checked_sub(1)?;
    let readers = graph.nodes.iter().filter(|n| n.inputs.contains(&Some(value)));
    readers.into_iter().find_map(|node| by_reader(graph, node, value, depth))
}

fn by_reader(graph: &Graph, node: &Node, value: ValueId, depth: usize) -> Option<Vec<Dim>> {
    let constant = |i: usize| graph.values[node.inputs.get(i).copied().flatten()?.index()].constant.as_ref();
    let output = || of(graph, node.outputs.first().copied().flatten()?, depth);
    let is_first = node.inputs.first() == Some(&Some(value));
    let free = || Dim::Free(String::new());
    match node.op.op_type() {
        "Conv" if is_first => {
            let shape = constant(1)?.shape();
            let groups = node.op.as_any().downcast_ref::<Conv>()?.groups;
            let channels = shape.get(1)?.checked_mul(groups)?;
            let rank = shape.len();
            Some((0..rank).map(|i| if i == 1 { Dim::Fixed(channels) } else { free() }).collect())
        }
        "Gemm" | "MatMul" if is_first => {
            let shape = constant(1)?.shape();
            let &[features, _] = shape else { return None };
            Some(vec![free(), Dim::Fixed(features)])
        }
        "Transpose" => {
            let Some(Movement::Transpose(order)) = node.op.as_any().downcast_ref::<Movement>() else {
                return None;
            };
            let moved = output()?;
            let order = order.clone().unwrap_or_else(|| (0..moved.len()).rev().collect());
            let mut dims: Vec<Dim> = vec![free(); moved.len()];
            for (dim, &axis) in moved.into_iter().zip(&order) {
                *dims.get_mut(axis)? = dim;
            }
            Some(dims)
        }
        "Unsqueeze" if is_first => {
            let mut dims = output()?;
            let mut axes = node_axes(node, constant(1))?;
            let rank = dims.len() as i64;
            axes.iter_mut().for_each(|a| *a += if *a < 0 { rank } else { 0 });
            axes.sort_unstable();
            for axis in axes.into_iter().rev() {
                let axis = usize::try_from(axis).ok().filter(|&a| a < dims.len())?;
                dims.remove(axis);
            }
            Some(dims)
        }
        "MaxPool" | "AveragePool" | "Resize" | "Upsample" | "Pad" if is_first => {
            let mut dims = output()?;
            // These operators change height and width. Batch and channels mostly stay. The changed extents
            // become open.
            dims.iter_mut().skip(2).for_each(|d| *d = free());
            (dims.len() > 3 && node.op.op_type() != "Pad").then_some(dims)
        }
        op if SAME_SHAPE.contains(&op) && is_first => output(),
        op if BINARY.contains(&op) => {
            let other = (0..node.inputs.len()).filter(|&i| node.inputs[i] != Some(value));
            let ranks: Option<Vec<usize>> = other.map(|i| Some(constant(i)?.shape().len())).collect();
            let dims = output()?;
            // A constant of higher rank than the value would determine the result's rank.
            (ranks?.into_iter().all(|rank| rank < dims.len().max(1) || rank == 0)
                || same_rank_keeps_axes(graph, node, value, &dims))
            .then_some(dims)
        }
        _ => None,
    }
}

/// Whether every other operand is a constant whose extents are 1 or those of the result's axes. The value
/// then has the result's axes.
fn same_rank_keeps_axes(graph: &Graph, node: &Node, value: ValueId, dims: &[Dim]) -> bool {
    node.inputs.iter().flatten().filter(|v| **v != value).all(|v| {
        graph.values[v.index()].constant.as_ref().is_some_and(|t| {
            t.shape().len() <= dims.len()
                && t.shape().iter().zip(dims).all(|(n, d)| *n == 1 || *d == Dim::Fixed(*n))
        })
    })
}

/// Returns the axes of an `Unsqueeze`, from its attribute or from a constant operand.
fn node_axes(node: &Node, constant: Option<&crate::tensor::Tensor>) -> Option<Vec<i64>> {
    use crate::ops::array::view::View;
    match node.op.as_any().downcast_ref::<View>()? {
        View::Unsqueeze(Some(axes)) => Some(axes.clone()),
        View::Unsqueeze(None) => constant?.as_ints().ok().map(<[i64]>::to_vec),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::ops::Attribute;
    use crate::tensor::Tensor;

    #[test]
    fn a_convolution_says_how_many_channels_are_read_through_moved_axes() {
        let mut net = Builder::new();
        let x = net.input("x", &[]).unwrap();
        let scale = net.constant("scale", Tensor::floats(&[], vec![0.5])).unwrap();
        let axes = net.constant("axes", Tensor::ints(&[1], vec![0])).unwrap();
        let weight = net.constant("w", Tensor::floats(&[2, 3, 1, 1], vec![0.5; 6])).unwrap();
        let hwc = net.node("Identity", "hwc", &[x], vec![]).unwrap();
        let scaled = net.node("Mul", "scaled", &[hwc, scale], vec![]).unwrap();
        let perm = vec![("perm", Attribute::Ints(vec![2, 0, 1]))];
        let chw = net.node("Transpose", "chw", &[scaled], perm).unwrap();
        let nchw = net.node("Unsqueeze", "nchw", &[chw, axes], vec![]).unwrap();
        let conv = net.node("Conv", "conv", &[nchw, weight], vec![]).unwrap();
        let graph = net.finish(&[conv]);
        let fixed = |value| {
            let dims = dims_from_readers(&graph, value).unwrap();
            dims.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 0 }).collect::<Vec<_>>()
        };
        assert_eq!(fixed(nchw), [0, 3, 0, 0]);
        assert_eq!(fixed(chw), [3, 0, 0]);
        assert_eq!(fixed(hwc), [0, 0, 3]);
        assert_eq!(dims_from_readers(&graph, conv), None);
    }
}
