//! Rewrites of a typed graph that make it cheaper and change no target.
//!
//! Each pass looks at one node and returns a [`Patch`], or why it does not apply there. Passes never touch
//! the graph: [`optimise`] applies the patches, until no pass applies anywhere. A value that somebody asks
//! for (a target) is a barrier: it counts as read once more, so [`Site::only_producer`] never offers it for
//! removal.

use crate::error::OpError;
use crate::graph::ValueId;
use crate::ops::Fact;
use crate::tensor::Tensor;
use crate::typed::{Typed, TypedNode};

mod attach_add;
mod attach_clip;
mod attach_swish;
mod fold_batch_norm;
mod fold_pad;
mod fold_quantization;
mod fold_swish;
mod fold_transpose;
mod swap_average;

/// A node that takes the place of another and of the producer it swallows.
#[derive(Debug)]
pub struct Patch {
    /// The node that goes: its work is now done by `node`.
    pub swallowed: usize,
    /// Nodes that come before `node`, with what is known of their results. Each, and at last `node`, reads
    /// its predecessor's result as input 0.
    pub before: Vec<(TypedNode, Fact)>,
    /// The node that takes the matched node's place.
    pub node: TypedNode,
    /// New constants for its inputs: (position of the input, content).
    pub constants: Vec<(usize, Tensor)>,
}

impl Patch {
    /// One node for two.
    pub fn new(swallowed: usize, node: TypedNode) -> Self {
        Self { swallowed, before: vec![], node, constants: vec![] }
    }
}

/// Why a pass does not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHere(pub String);

impl From<&str> for NotHere {
    fn from(why: &str) -> Self {
        Self(why.into())
    }
}

impl From<OpError> for NotHere {
    fn from(why: OpError) -> Self {
        Self(why.into_reason())
    }
}

/// A node with what passes ask about its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The graph.
    pub typed: &'a Typed,
    /// The node looked at.
    pub node: &'a TypedNode,
    producers: &'a [Option<usize>],
    uses: &'a [usize],
}

impl<'a> Site<'a> {
    /// The node that computes input 0 as its first output, if nothing else reads that value and it is no
    /// target.
    pub fn only_producer(&self) -> Result<(usize, &'a TypedNode), NotHere> {
        self.only_producer_of(0)
    }

    /// The node that computes input `input` as its first output, under the conditions of
    /// [`Site::only_producer`].
    pub fn only_producer_of(&self, input: usize) -> Result<(usize, &'a TypedNode), NotHere> {
        let value = self.node.inputs.get(input).copied().flatten().ok_or("it has no such input")?;
        let index = self.producers[value.index()].ok_or("the input is fed")?;
        let producer = &self.typed.nodes[index];
        if producer.outputs.first() != Some(&Some(value)) {
            return Err("the input is a further result of a node".into());
        }
        if self.uses[value.index()] != 1 {
            return Err("the value in between is a target or has another reader".into());
        }
        Ok((index, producer))
    }
}

/// A pass: a name and what it does at a node.
type Pass = (&'static str, fn(Site<'_>) -> Result<Patch, NotHere>);

/// All passes, in the order in which they are tried.
const PASSES: &[Pass] = &[
    ("fold Pad into Conv", fold_pad::at),
    ("fold BatchNormalization into Conv", fold_batch_norm::at),
    ("fold Transpose into Transpose", fold_transpose::at),
    ("fold QuantizeLinear and DequantizeLinear into Clip", fold_quantization::at),
    ("fold Sigmoid and Mul into Swish", fold_swish::at),
    ("swap 1x1 Conv and AveragePool", swap_average::at),
    ("attach Add to Conv", attach_add::at),
    ("attach Relu or Clip to its producer", attach_clip::at),
    ("attach Swish to Conv", attach_swish::at),
];

/// Applies all passes until none applies. Returns what was done, as (pass, node) pairs.
pub fn optimise(typed: &mut Typed) -> Vec<(&'static str, String)> {
    let mut done = Vec::new();
    for &(name, pass) in PASSES {
        let mut i = 0;
        let (mut producers, mut uses) = (producers(typed), typed.uses());
        while i < typed.nodes.len() {
            let site = Site { typed, node: &typed.nodes[i], producers: &producers, uses: &uses };
            match pass(site) {
                Err(_) => i += 1,
                Ok(patch) => {
                    done.push((name, typed.nodes[i].name.clone()));
                    i = apply(typed, i, patch);
                    (producers, uses) = (self::producers(typed), typed.uses());
                }
            }
        }
    }
    typed.drop_unused();
    done
}

fn producers(typed: &Typed) -> Vec<Option<usize>> {
    let mut producers = vec![None; typed.facts.len()];
    for (i, node) in typed.nodes.iter().enumerate() {
        for v in node.outputs.iter().flatten() {
            producers[v.index()] = Some(i);
        }
    }
    producers
}

/// Returns where the node is now.
fn apply(typed: &mut Typed, at: usize, patch: Patch) -> usize {
    let Patch { swallowed, before, mut node, constants } = patch;
    typed.nodes.remove(swallowed);
    // The swallowed producer stood before the node.
    let mut at = at - 1;
    let mut last = None;
    for (mut first, fact) in before {
        if last.is_some() {
            first.inputs[0] = last;
        }
        last = Some(typed.add_value(fact));
        first.outputs = vec![last];
        typed.nodes.insert(at, first);
        at += 1;
    }
    if last.is_some() {
        node.inputs[0] = last;
    }
    for (input, value) in constants {
        let id: ValueId = typed.add_constant(value);
        if node.inputs.len() <= input {
            node.inputs.resize(input + 1, None);
        }
        node.inputs[input] = Some(id);
    }
    typed.nodes[at] = node;
    at
}
