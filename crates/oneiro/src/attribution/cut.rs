//! A network cut at a layer: one half computes its activations, the other is fed with them, and so has a
//! gradient there.

use std::sync::Arc;

use oneiro_net::graph::{Dim, Input, Node, Value};
use oneiro_net::ops::{Attributes, Operator, build};
use oneiro_net::tensor::DType;
use oneiro_net::{Graph, ValueId};

use crate::card::InputCard;
use crate::error::Result;
use crate::model::Model;

/// Version of the operator set of the node that stands where the network is cut.
const OPSET: i64 = 13;

/// The halves of a network.
pub(super) struct Cut {
    /// Computes the layer.
    pub below: Model,
    /// Is fed with the layer as its last input, beside all others: what goes around the layer is there.
    pub above: Model,
}

/// Cuts a model at a value, for inputs of these shapes. `shape` is that of the value.
pub(super) fn cut(
    model: &Model,
    layers: &[&str],
    at: ValueId,
    shape: &[usize],
    shapes: &[Vec<usize>],
) -> Result<Cut> {
    let axes = model.layered(&[at], shapes)?.axes(at).cloned();
    let mut below = model.clone();
    // A name that means a module or its weights would mean another node where one is replaced: all are
    // pinned.
    for &name in layers.iter().filter(|name| !name.is_empty()) {
        let tensor = model.graph.name(model.resolve(name)?).to_owned();
        below.card.layers.insert(name.to_owned(), tensor);
    }
    let mut above = below.clone();
    above.graph = fed_at(&model.graph, at, shape);
    let fed = above.graph.inputs[above.graph.inputs.len() - 1].value;
    above.card.input.push(InputCard::tensor(above.graph.name(fed)));
    if let Some(axes) = axes {
        above.state_axes(fed, axes);
    }
    Ok(Cut { below, above })
}

/// The graph with one more input, whose values take the place of a value.
fn fed_at(graph: &Graph, at: ValueId, shape: &[usize]) -> Graph {
    let mut graph = graph.clone();
    let mut name = format!("{} (fed)", graph.name(at));
    while graph.find_value(&name).is_some() {
        name.push('\'');
    }
    graph.values.push(Value { name: name.clone(), constant: None });
    let fed = ValueId(graph.values.len() as u32 - 1);
    let dims = shape.iter().map(|&n| Dim::Fixed(n)).collect();
    graph.inputs.push(Input { value: fed, dims: Some(dims), dtype: DType::Float });
    let place = match graph.producer(at) {
        Some(place) => {
            for output in &mut graph.nodes[place].outputs {
                *output = output.filter(|&v| v != at);
            }
            place
        }
        None => {
            // The cut is at an input itself, which becomes one that nothing reads.
            graph.values.push(Value { name: format!("{name} (unread)"), constant: None });
            let unread = ValueId(graph.values.len() as u32 - 1);
            graph.inputs.iter_mut().filter(|i| i.value == at).for_each(|i| i.value = unread);
            0
        }
    };
    let op: Arc<dyn Operator> = build("Identity", &Attributes::new(OPSET, vec![]));
    let identity = Node { name, module: None, op, inputs: vec![Some(fed)], outputs: vec![Some(at)] };
    graph.nodes.insert(place, identity);
    graph
}
