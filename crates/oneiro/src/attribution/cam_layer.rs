//! Where Grad-CAM looks if nobody says: the last feature map that the objective depends on.
//!
//! A map ends where its convolution, its sum with a shortcut or its normalisation ends, activation function
//! included. A transformer's class token reads nothing of the patches in the layers behind the last
//! attention; such maps have no gradient, and one before them is taken.

use oneiro_net::graph::Node;
use oneiro_net::typed;
use oneiro_net::{Graph, ValueId};

use crate::error::{Error, Result};
use crate::model::{Layered, Model};

/// Operators behind a convolution that belong to its feature map: normalisation, the sum with a shortcut,
/// activation functions.
const SAME_MAP: &[&str] = &[
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "Add",
    "Sum",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Selu",
    "Celu",
    "Gelu",
    "Clip",
    "HardSwish",
    "Swish",
    "Mish",
    "Softplus",
    "Tanh",
    "Sigmoid",
];

/// Normalisations that networks of tokens have at the end of a map.
const NORMALIZES: &[&str] = &["LayerNormalization", "RMSNormalization", "GroupNormalization"];

/// The maps that Grad-CAM may look at, the last one first: with more than one position, none that an
/// objective itself reads.
///
/// # Errors
/// If there is none.
pub(super) fn candidates(model: &Model, targets: &[ValueId], shapes: &[Vec<usize>]) -> Result<Vec<ValueId>> {
    let graph = &model.graph;
    let needed = typed::ancestors(graph, targets);
    let layered = model.layered(targets, shapes)?;
    let has_map = |value: ValueId| {
        layered.map(value).is_some_and(|map| matches!(map.shape(), &[_, _, h, w] if h * w > 1))
    };
    let mut found: Vec<ValueId> = Vec::new();
    for (node, _) in graph.nodes.iter().zip(&needed).rev().filter(|(_, needed)| **needed) {
        let Some(value) = node.outputs.first().copied().flatten() else { continue };
        if !ends_a_map(graph, &layered, node) {
            continue;
        }
        let mut map = value;
        let mut is_target = targets.contains(&map);
        while !is_target && let Some(next) = only_reader(graph, &needed, map) {
            map = next;
            is_target = targets.contains(&map);
        }
        if !is_target && has_map(map) && !found.contains(&map) {
            found.push(map);
        }
    }
    if found.is_empty() {
        return Err(Error::Settings(
            "Grad-CAM: no convolution, nor another layer with a map of height and width, stands before the objective; name a \
             layer"
                .into(),
        ));
    }
    Ok(found)
}

/// Whether a node computes a map, or its sum with a shortcut, or its normalisation.
fn ends_a_map(graph: &Graph, layered: &Layered, node: &Node) -> bool {
    let data = |value: &&ValueId| layered.axes(**value).is_some();
    match node.op.op_type() {
        "Conv" => true,
        "Add" | "Sum" if node.inputs.iter().flatten().filter(data).count() > 1 => {
            let shape = |value: ValueId| layered.shape(value);
            let output = node.outputs.first().copied().flatten().and_then(shape);
            node.inputs.iter().flatten().all(|&value| shape(value) == output)
        }
        "Add" | "Mul" => normalizes_in_steps(graph, layered, node),
        op => NORMALIZES.contains(&op),
    }
}

/// Whether a node is the last of a normalisation that is written out: (x − mean) / deviation, times and plus
/// constants.
fn normalizes_in_steps(graph: &Graph, layered: &Layered, node: &Node) -> bool {
    let producer = |value: ValueId| graph.producer(value).map(|i| &graph.nodes[i]);
    // The one operand that depends on the data.
    let operand = |node: &Node| {
        let mut data = node.inputs.iter().flatten().copied().filter(|&v| layered.axes(v).is_some());
        data.next().filter(|_| data.next().is_none())
    };
    let mut last = Some(node);
    while let Some(node) = last {
        match node.op.op_type() {
            "Add" | "Mul" => last = operand(node).and_then(producer),
            "Div" => {
                let numerator = node.inputs.first().copied().flatten().and_then(producer);
                return numerator.is_some_and(|n| n.op.op_type() == "Sub");
            }
            _ => return false,
        }
    }
    false
}

/// The output of `value`'s only consumer, if that consumer keeps the feature map.
fn only_reader(graph: &Graph, needed: &[bool], value: ValueId) -> Option<ValueId> {
    let reads = |n: &Node| n.inputs.contains(&Some(value));
    let mut readers = graph.nodes.iter().zip(needed).filter(|(n, needed)| **needed && reads(n));
    match (readers.next(), readers.next()) {
        (Some((node, _)), None) if SAME_MAP.contains(&node.op.op_type()) => {
            node.outputs.first().copied().flatten()
        }
        _ => None,
    }
}
