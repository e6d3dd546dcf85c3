//! Networks that begin at an inner tensor, and the choice of this tensor if the first part of a network
//! cannot be run.

use std::collections::BTreeMap;
use std::sync::Arc;

use oneiro_net::beginning::{Blocked, cut_at, dims_from_readers, known_dims};
use oneiro_net::graph::Dim;
use oneiro_net::tensor::DType;
use oneiro_net::{Graph, ValueId};

use super::{DEFAULT_SIDE, Model};
use crate::card::{Axis, Card, InputCard, InputKind, TensorLayout};
use crate::error::{Error, Result};

/// A file's declarations of its inner tensors: axes and element type by name.
pub type Declared = BTreeMap<String, (Vec<Dim>, DType)>;

/// A network that begins at an inner tensor.
#[derive(Debug)]
pub struct Begun {
    /// The graph, with notes on what was left out.
    pub graph: Graph,
    /// The axes of the tensor in a card's notation, if the part before it determines them.
    pub axes: Option<String>,
}

/// Returns the graph that begins at a value. `card` describes the value as an input; it is used if nothing
/// else determines the value's axes.
///
/// # Errors
/// If the network cannot begin at the tensor, or nothing determines the tensor's axes.
pub fn begin_at(
    graph: &Graph,
    at: ValueId,
    declared: &Declared,
    card: Option<&InputCard>,
    layout: TensorLayout,
) -> Result<Begun> {
    let name = graph.name(at);
    let of_graph = known_dims(graph, at)
        .or_else(|| declared.get(name).cloned())
        .or_else(|| Some((dims_from_readers(graph, at)?, DType::Float)));
    let by_card_alone = of_graph.is_none();
    let known = of_graph.or_else(|| Some((of_card(card?, layout)?, DType::Float)));
    let (dims, dtype) = match known {
        Some((dims, dtype)) => (Some(dims), dtype),
        None => (None, DType::Float),
    };
    let known = dims.is_some();
    let axes = followed_axes(graph, at, layout);
    let cut = cut_at(graph, at, dims, dtype)?;
    if !known {
        return Err(Error::Settings(format!(
            "nothing tells the shape of \"{name}\": neither the nodes in front of it nor the file nor what reads it; describe it \
             in a model card ([[input]] with name = \"{name}\", size = [H, W] and order = \"rgb\", \"gray\", or \"bands\" with a \
             mean for each band), or begin at a tensor behind it"
        )));
    }
    let mut graph = cut.graph;
    let list = |names: &[String]| names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let dropped = match &cut.dropped[..] {
        [] => String::new(),
        names => format!("; left out, with all that depends on it alone: {}", list(names)),
    };
    graph.notes.push(format!("the network begins at \"{name}\"{dropped}"));
    let is_open = |dim: &Dim| matches!(dim, Dim::Free(_));
    let input = graph.inputs.iter().find(|i| i.value == at || graph.name(i.value) == name);
    if let Some([_, _, h, w]) = input.and_then(|i| i.dims.as_deref())
        && !by_card_alone
        && (is_open(h) || is_open(w))
        && card.is_none_or(|card| card.size.is_none())
    {
        graph.notes.push(format!(
            "nothing tells the height and width of \"{name}\": {DEFAULT_SIDE} is taken where no size is given"
        ));
    }
    if let (true, Some(card)) = (by_card_alone, card) {
        graph.notes.push(format!(
            "nothing in the file tells how many channels \"{name}\" has: {} are taken, by the card's order and mean; if that \
             is wrong, so are the results",
            card.channels()
        ));
    }
    if !cut.missing.is_empty() {
        graph.notes.push(format!(
            "some layers also need {}, which is computed in front of \"{name}\": they are left out",
            list(&cut.missing)
        ));
    }
    Ok(Begun { graph, axes })
}

/// Follows the axes from the network's own inputs, at their default sizes, to a value.
fn followed_axes(graph: &Graph, at: ValueId, layout: TensorLayout) -> Option<String> {
    let input = |i: usize| {
        let input = &graph.inputs[i];
        let kind = match input.dims.as_ref().map_or(4, Vec::len) {
            4 => InputKind::Image,
            _ => InputKind::Tensor,
        };
        InputCard { kind, ..InputCard::tensor(graph.name(input.value)) }
    };
    let mut card = Card::parse("name = \"\"").ok()?;
    card.layout = layout;
    card.input = (0..graph.inputs.len()).map(input).collect();
    let model = Model::new(graph.clone(), card).ok()?;
    let layered = model.layered(&[at], &model.input_shapes(1, None).ok()?).ok()?;
    layered.axes(at)?.statement()
}

/// Returns the axes of a picture as a card describes it.
fn of_card(card: &InputCard, layout: TensorLayout) -> Option<Vec<Dim>> {
    let free = || Dim::Free(String::new());
    let [h, w] = card.size?.map(Dim::Fixed);
    if let Some(axes) = card.axes.as_ref().filter(|_| card.kind == InputKind::Image) {
        let [h, w] = card.size?;
        let extent = |axis: &Axis| match axis {
            Axis::N => None,
            Axis::C => Some(card.channels()),
            Axis::H => Some(h),
            Axis::W => Some(w),
        };
        let joined = |group: &Vec<Axis>| {
            let extents = group.iter().map(extent).collect::<Option<Vec<_>>>();
            let all = extents.and_then(|e| e.into_iter().try_fold(1usize, usize::checked_mul));
            all.map_or_else(free, Dim::Fixed)
        };
        return Some(axes.groups().iter().map(joined).collect());
    }
    let channels = Dim::Fixed(card.channels());
    (card.kind == InputKind::Image).then_some(match layout {
        TensorLayout::Nchw => vec![free(), channels, h, w],
        TensorLayout::Nhwc => vec![free(), h, w, channels],
    })
}

impl Model {
    /// Adds the file's declarations of inner tensors. They are used by errors that suggest a tensor to begin
    /// at.
    pub fn with_declared(mut self, declared: Declared) -> Self {
        self.declared = Arc::new(declared);
        self
    }

    /// Returns a tensor at which the network can begin so that `targets` can be computed, although some nodes
    /// before it cannot be run. Without targets, the network's outputs are taken.
    pub fn beginning(&self, targets: &[ValueId], error: Option<&oneiro_net::Error>) -> Option<String> {
        let blocked = Blocked::new(&self.graph, error);
        if blocked.is_empty() {
            return None;
        }
        let declared = |name: &str| self.declared.get(name).cloned();
        let at = blocked.beginning(&self.graph, targets, &declared)?;
        Some(self.graph.name(at).to_owned())
    }

    /// Extends an error of compiling for these values. If a node cannot be run, the error names a tensor
    /// after it at which the network can begin.
    pub fn explained(&self, error: oneiro_net::Error, targets: &[ValueId]) -> Error {
        let blocked = match &error {
            oneiro_net::Error::Unsupported { .. } | oneiro_net::Error::Data { .. } => true,
            oneiro_net::Error::Shape { node, .. } | oneiro_net::Error::Node { node, .. } => {
                let is_missing = |n: &oneiro_net::graph::Node| {
                    n.name == *node && !n.op.is_supported() && !n.inputs.is_empty()
                };
                self.graph.nodes.iter().any(is_missing)
            }
            _ => false,
        };
        // If these values cannot be reached from any beginning, a tensor is suggested from which most other
        // values can be.
        let begin = |targets: &[ValueId]| self.beginning(targets, Some(&error));
        match blocked.then(|| begin(targets).or_else(|| begin(&[]))).flatten() {
            Some(begin_at) => Error::Blocked { error: Box::new(error), begin_at },
            None => error.into(),
        }
    }
}
