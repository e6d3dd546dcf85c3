//! Follows the meaning of axes from the inputs through all nodes. Also finds whether batch entries are
//! computed independently.

use super::{Axes, Axis, Kind, Part, Sources, extent, spatial_kinds};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Fact, Facts};

/// What is known of the meanings of the axes of all values of a graph.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Axes of each value; `None` for constants and unknown axes.
    pub axes: Vec<Option<Axes>>,
    /// For each node, whether it is known to compute batch entries independently.
    apart: Vec<bool>,
    /// The parts of the first axis that consists of patch tokens.
    patches: Option<Axis>,
    /// Number of entries (images) in the batch.
    batch: usize,
}

/// Follows the axes of a graph's values, whose facts are given by [`crate::typed::infer`]. `stated` has the
/// axes of the inputs, and of other values for which the user states them. `batch` is the number of entries.
/// `prefix` is the number of tokens before the patches, if it is known.
pub fn follow(
    graph: &Graph,
    facts: &[Option<Fact>],
    stated: &[(ValueId, Axes)],
    batch: usize,
    prefix: Option<usize>,
) -> Followed {
    let fact = |v: ValueId| facts.get(v.index()).and_then(Option::as_ref);
    let mut convolved = vec![false; graph.values.len()];
    for node in graph.nodes.iter().filter(|n| n.op.reads_channels_first()) {
        if let Some(Some(value)) = node.inputs.first() {
            convolved[value.index()] = true;
        }
    }
    let mut followed = Followed {
        axes: vec![None; graph.values.len()],
        apart: vec![true; graph.nodes.len()],
        patches: None,
        batch,
    };
    let set = |followed: &mut Followed, value: ValueId, found: Option<Axes>| {
        let Some(fact) = fact(value) else { return };
        let said = stated.iter().find(|(v, _)| *v == value).map(|(_, axes)| axes.clone());
        // An operator's axes are ignored if they do not fit the shape.
        let mut axes = said.or(found).filter(|axes| axes.fits(&fact.shape));
        if convolved[value.index()] {
            axes = Some(as_convolved(axes, &fact.shape, batch));
        }
        if let (Some(prefix), Some(axes)) = (prefix, &mut axes) {
            axes.0.iter_mut().for_each(|axis| super::stated::with_prefix(axis, prefix));
        }
        if axes.is_none() && fact.shape.len() == 2 && fact.shape[0] == batch {
            axes = Some(Axes(vec![
                vec![Part::new(Kind::Batch, batch)],
                vec![Part::new(Kind::Channel, fact.shape[1])],
            ]));
        }
        let tokens = |axis: &&Axis| {
            axis.iter().filter(|p| p.extent > 1).count() > 1 && axis.iter().all(|p| p.kind.is_spatial())
        };
        if let (None, Some(axes)) = (&followed.patches, &axes) {
            followed.patches = axes.0.iter().find(tokens).cloned();
        }
        followed.axes[value.index()] = axes;
    };
    for input in &graph.inputs {
        set(&mut followed, input.value, None);
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<Option<&Fact>> = node.inputs.iter().map(|v| v.and_then(fact)).collect();
        let outputs: Vec<(usize, ValueId, &Fact)> = node
            .outputs
            .iter()
            .enumerate()
            .filter_map(|(k, v)| v.and_then(|v| fact(v).map(|f| (k, v, f))))
            .filter(|(_, _, fact)| fact.value.is_none())
            .collect();
        let axes: Vec<Option<Axes>> =
            node.inputs.iter().map(|v| v.and_then(|v| followed.axes[v.index()].clone())).collect();
        let axes: Vec<Option<&Axes>> = axes.iter().map(Option::as_ref).collect();
        let sources = Sources { facts: Facts(&inputs), axes: &axes, batch };
        for (k, value, fact) in outputs {
            let found = node.op.axes(&sources, fact, k);
            set(&mut followed, value, found);
            followed.apart[i] &= stays_apart(node, &sources, followed.axes[value.index()].as_ref());
        }
    }
    followed
}

impl Followed {
    /// Whether batch entries stay independent in all needed nodes, as far as axes tell.
    pub fn entries_stay_apart(&self, needed: &[bool]) -> bool {
        self.apart.iter().zip(needed).all(|(apart, needed)| *apart || !needed)
    }

    /// The parts of the first axis that consists of patch tokens.
    pub fn patches(&self) -> Option<&Axis> {
        self.patches.as_ref()
    }

    /// Number of entries (images) in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The meanings of a value's axes, if they are known.
    pub fn of(&self, value: ValueId) -> Option<&Axes> {
        self.axes.get(value.index()).and_then(Option::as_ref)
    }
}

/// Whether each batch entry of the result depends only on the same entry of the operands.
fn stays_apart(node: &Node, sources: &Sources<'_>, result: Option<&Axes>) -> bool {
    let data = (0..node.inputs.len()).filter(|&i| sources.facts.get(i).is_some() && !sources.is_constant(i));
    let mut entries = 1;
    for i in data {
        let Some(axes) = sources.get(i) else { return false };
        entries = entries.max(axes.batch());
    }
    let along_batch = |at: usize| {
        sources.get(0).and_then(|a| a.0.get(at)).is_some_and(|a| a.iter().any(|p| p.kind == Kind::Batch))
    };
    result.is_some_and(|axes| axes.batch() == entries)
        && !node.op.mixes_along(sources.facts).into_iter().any(along_batch)
}

/// Gives the axes of a convolution's operand, whose channels are on axis 1. This overrides what was derived
/// from earlier nodes.
fn as_convolved(found: Option<Axes>, shape: &[usize], batch: usize) -> Axes {
    let Some(mut axes) = found else {
        let mut axes = Axes::channels_first(shape);
        if shape.first() != Some(&batch)
            && let Some(first) = axes.0.first_mut()
        {
            first[0].kind = Kind::Other;
        }
        return axes;
    };
    if axes.channel().is_some() || shape.len() < 3 {
        return axes;
    }
    axes.0[1] = vec![Part::new(Kind::Channel, shape[1])];
    for (i, kind) in (2..).zip(spatial_kinds(shape.len())) {
        if !axes.0[i].iter().all(|p| p.kind.is_spatial()) || axes.0[i].is_empty() {
            axes.0[i] = vec![Part::new(kind, shape[i])];
        }
    }
    // Channels that a reshape moved to axis 0 are a batch for this convolution.
    for part in axes.0[0].iter_mut().filter(|p| p.kind == Kind::Channel) {
        part.kind = Kind::Other;
    }
    axes
}

impl Axes {
    /// Whether these axes can belong to a value of this shape.
    pub(crate) fn fits(&self, shape: &[usize]) -> bool {
        self.0.len() == shape.len() && self.0.iter().zip(shape).all(|(axis, &n)| extent(axis) == n)
    }
}
