//! Rewrites of a typed graph that lower its cost and change no target.
//!
//! Each pass looks at one node and returns a [`Patch`], or the reason why it does not apply. Passes do not
//! change the graph: [`optimise`] applies their patches, until no pass applies anywhere. A requested value (a
//! target) is a barrier. It counts as having one more reader, so [`Site::only_producer`] never offers its
//! node for removal.

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
#[cfg(test)]
pub(crate) mod testing;

/// A replacement of two nodes by one: the matched node, and the producer of one of its operands.
#[derive(Debug)]
pub struct Patch {
    /// Index of the producer, which is removed: `node` does its work.
    pub swallowed: usize,
    /// Nodes to insert before `node`, with facts about their results. Each of them, and finally `node`, reads
    /// its predecessor's result as input 0.
    pub before: Vec<(TypedNode, Fact)>,
    /// The node that takes the place of the matched node.
    pub node: TypedNode,
    /// New constants for inputs of `node`: (index of the input, content).
    pub constants: Vec<(usize, Tensor)>,
}

impl Patch {
    /// Creates a replacement of two nodes by one node.
    pub fn new(swallowed: usize, node: TypedNode) -> Self {
        Self { swallowed, before: vec![], node, constants: vec![] }
    }
}

/// The reason why a pass does not apply at a node.
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

/// A node at which a pass looks for a pattern, with methods that describe its neighbours.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The graph in which the pass looks for patterns.
    pub typed: &'a Typed,
    /// The node at which the pass looks for a pattern.
    pub node: &'a TypedNode,
    producers: &'a [Option<usize>],
    uses: &'a [usize],
}

impl<'a> Site<'a> {
    /// Returns the node whose first output is input 0, if that value has no other reader and is no target.
    pub fn only_producer(&self) -> Result<(usize, &'a TypedNode), NotHere> {
        self.only_producer_of(0)
    }

    /// Returns the node whose first output is input `input`, under the conditions of [`Site::only_producer`].
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

/// A pass: returns a patch for a node, or the reason why it does not apply.
type Rewrite = fn(Site<'_>) -> Result<Patch, NotHere>;

/// All passes, by name, in the order in which they are tried.
const PASSES: &[(&str, Rewrite)] = &[
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

/// Applies all passes until none applies. Returns the rewrites as (pass, node) pairs.
pub fn optimise(typed: &mut Typed) -> Vec<(&'static str, String)> {
    let mut done = Vec::new();
    for &(name, pass) in PASSES {
        done.extend(everywhere(typed, pass).into_iter().map(|node| (name, node)));
    }
    typed.drop_unused();
    done
}

/// Applies a pass until it applies nowhere. Returns the names of the rewritten nodes.
fn everywhere(typed: &mut Typed, pass: Rewrite) -> Vec<String> {
    let mut done = Vec::new();
    let mut i = 0;
    let (mut producers, mut uses) = (producers(typed), typed.uses());
    while i < typed.nodes.len() {
        let site = Site { typed, node: &typed.nodes[i], producers: &producers, uses: &uses };
        match pass(site) {
            Err(_) => i += 1,
            Ok(patch) => {
                done.push(typed.nodes[i].name.clone());
                i = apply(typed, i, patch);
                (producers, uses) = (self::producers(typed), typed.uses());
            }
        }
    }
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

/// Applies a patch. Returns the node's new index.
fn apply(typed: &mut Typed, at: usize, patch: Patch) -> usize {
    let Patch { swallowed, before, mut node, constants } = patch;
    typed.nodes.remove(swallowed);
    // The removed producer came before the node, so the node's index is one lower now.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{Net, ints};

    /// A graph of Pad, Conv, BatchNormalization, Add of x, Relu, and a mean.
    fn block() -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2, 6, 6]);
        let pads = net.ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
        let padded = net.node("Pad", "padded", &[x, pads], &[]);
        let weights = net.weights("w", &[2, 2, 3, 3]);
        let conv = net.node("Conv", "conv", &[padded, weights], &[]);
        let ones = net.floats("ones", &[2], &[1.0; 2]);
        let norm = net.node("BatchNormalization", "norm", &[conv, ones, ones, ones, ones], &[]);
        let sum = net.node("Add", "sum", &[norm, x], &[]);
        let relu = net.node("Relu", "relu", &[sum], &[]);
        let mean = net.node("GlobalAveragePool", "mean", &[relu], &[]);
        (net, [conv, mean])
    }

    const ALONE: [(&str, &str); 4] = [
        ("fold Pad into Conv", "conv"),
        ("fold BatchNormalization into Conv", "norm"),
        ("attach Add to Conv", "sum"),
        ("attach Relu or Clip to its producer", "relu"),
    ];

    fn pairs<'a>(done: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
        done.iter().map(|(pass, node)| (*pass, node.as_str())).collect()
    }

    #[test]
    fn a_residual_block_becomes_one_convolution() {
        let (net, [_, mean]) = block();
        let mut net = net.build(&[mean]);
        let done = optimise(&mut net.typed);
        assert_eq!(pairs(&done), ALONE);
        let conv = "relu = Conv(x, w, new[2], x) in [0, inf]";
        assert_eq!(net.nodes(), [conv, "mean = GlobalAveragePool(relu)"]);
    }

    #[test]
    fn a_target_keeps_its_value_and_what_computes_it() {
        let (net, [conv, mean]) = block();
        let mut net = net.build(&[mean, conv]);
        let done = optimise(&mut net.typed);
        assert_eq!(pairs(&done), [ALONE[0], ALONE[3]]);
        let wanted = [
            "conv = Conv(x, w)",
            "norm = BatchNormalization(conv, ones, ones, ones, ones)",
            "relu = Add(norm, x) in [0, inf]",
            "mean = GlobalAveragePool(relu)",
        ];
        assert_eq!(net.nodes(), wanted);
    }

    #[test]
    fn a_value_whose_gradient_is_kept_is_a_target() {
        let (net, [conv, mean]) = block();
        let mut net = net.build(&[mean]);
        net.typed.tap(&net.graph, &[conv]).unwrap();
        let done = optimise(&mut net.typed);
        assert_eq!(pairs(&done), [ALONE[0], ALONE[3]]);
        assert_eq!(net.nodes()[..2], ["new[1, 2, 6, 6] = Conv(x, w)", "conv = Identity(new[1, 2, 6, 6])"]);
    }

    #[test]
    fn nodes_that_a_pass_puts_before_another_read_each_other() {
        // A pass that inserts −(−x) before a Relu.
        fn at(site: Site<'_>) -> Result<Patch, NotHere> {
            let (index, producer) = site.only_producer()?;
            let source = producer.inputs[0].filter(|v| site.typed.inputs.contains(v)).ok_or("not fed")?;
            let fact = site.typed.fact(source)?.clone();
            let before = vec![(producer.clone(), fact.clone()), (producer.clone(), fact)];
            Ok(Patch { before, ..Patch::new(index, site.node.clone()) })
        }
        let (mut net, x) = Net::new(&[1, 2]);
        let first = net.node("Neg", "first", &[x], &[]);
        let y = net.node("Relu", "y", &[first], &[]);
        let z = net.node("Transpose", "z", &[y], &[("perm", ints(&[1, 0]))]);
        let mut net = net.build(&[z]);
        assert_eq!(everywhere(&mut net.typed, at), ["y"]);
        let [a, b] = [0, 1].map(|i| net.typed.nodes[i].outputs[0]);
        assert_ne!(a, b);
        assert_eq!((net.typed.nodes[1].inputs[0], net.typed.nodes[2].inputs[0]), (a, b));
        assert_eq!(net.nodes()[3], "z = Transpose(y)");
    }

    #[test]
    fn only_a_first_result_that_is_read_once_has_an_only_producer() {
        let (mut net, x) = Net::new(&[1, 4]);
        let once = net.node("Neg", "once", &[x], &[]);
        let twice = net.node("Neg", "twice", &[once], &[]);
        let square = net.node("Mul", "square", &[twice, twice], &[]);
        let net = net.build(&[square]);
        let why = |node: &str, input: usize| net.at(node, |site| site.only_producer_of(input).map(|p| p.0));
        assert_eq!(why("twice", 0), Ok(0));
        assert_eq!(why("once", 0), Err("the input is fed".into()));
        assert_eq!(why("once", 1), Err("it has no such input".into()));
        let shared = "the value in between is a target or has another reader";
        assert_eq!((why("square", 0), why("square", 1)), (Err(shared.into()), Err(shared.into())));
    }
}
