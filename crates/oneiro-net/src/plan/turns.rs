//! How many entries of a batch a plan computes at once; it takes the others in further turns, side by side on
//! threads of their own or one after another, with the same memory for all that lives within one turn.
//!
//! Kernels work on each entry by itself, so a turn's length decides no bit. It decides what comes from
//! memory: all weights once a turn, and what a step reads and writes where that is more than the caches hold.

use crate::graph::{Graph, ValueId};
use crate::ops::{Fact, Facts, Site};
use crate::plan::Request;
use crate::tensor::{DType, Tensor};
use crate::typed::{Typed, TypedNode};

/// Bytes of a step's operands and result, for each thread, that are taken to stay in the caches. Found by
/// timing ten networks at batches of 1 to 32 with two threads: with this, the sums below are least where the
/// time is.
const CACHE_PER_THREAD: usize = 12 << 20;

/// What a step costs by itself in each turn, handing its work to the threads, in bytes that could be read
/// meanwhile: some 3 µs.
const STEP_BYTES: usize = 64 << 10;

/// The share of what steps read and write that one thread wrote and another reads, where all threads share
/// each step.
const CROSSING: f64 = 0.5;

/// Entries of the batch: the extent of the first input's axis 0.
pub(super) fn entries(request: &Request) -> usize {
    request.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(1)
}

/// Whether each entry of the batch can be computed without the others: axis 0 of every input is the batch,
/// and every node works on each entry by itself.
pub(super) fn possible(typed: &Typed, request: &Request) -> bool {
    let entries = entries(request);
    entries > 1
        && request.shapes.iter().all(|shape| shape.first() == Some(&entries))
        && by_entry(typed, request)
}

/// Whether every operator between the inputs and the targets promises to work on each entry of the batch by
/// itself. `false` where one does not promise it, or the targets cannot be computed.
pub fn keeps_entries_apart(graph: &Graph, request: &Request) -> bool {
    Typed::new(graph, &request.shapes, &request.targets).is_ok_and(|typed| possible(&typed, request))
}

fn by_entry(typed: &Typed, request: &Request) -> bool {
    typed.nodes.iter().all(|node| {
        let inputs = typed.input_facts(node);
        node.outputs.iter().enumerate().all(|(output_index, value)| {
            let Some(output) = value.and_then(|v| typed.facts[v.index()].as_ref()) else { return true };
            let (isa, gradients) = (request.isa, request.gradients);
            let inputs = Facts(&inputs);
            node.op.by_entry(Site { inputs, output, output_index, isa, gradients })
        })
    })
}

/// A network for the entries of one turn.
pub(super) struct Part {
    pub(super) request: Request,
    pub(super) typed: Typed,
}

/// The network for the entries of one turn: if that is the `whole` (before passes) with as many places for
/// each entry, and the same constants.
pub(super) fn part(
    graph: &Graph,
    request: &Request,
    whole: &Typed,
    Turns { at_once, .. }: Turns,
    max_bytes: usize,
) -> Option<Part> {
    let batch = entries(request);
    let mut request = request.clone();
    request.shapes.iter_mut().for_each(|shape| shape[0] = at_once);
    // A network that does not take fewer entries has the batch written into it.
    let typed = Typed::within(graph, &request.shapes, &request.targets, max_bytes).ok()?;
    let fits = typed.nodes.len() == whole.nodes.len()
        && whole.nodes.iter().zip(&typed.nodes).all(|(node, same)| {
            let alike = node.name == same.name && node.inputs == same.inputs && node.outputs == same.outputs;
            alike && agree([whole, &typed], node, [batch, at_once])
        })
        // An operator may work by entry at one extent and not at another.
        && by_entry(&typed, &request);
    fits.then_some(Part { request, typed })
}

/// How a batch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// Entries of a turn.
    pub(super) at_once: usize,
    /// Turns side by side.
    pub(super) groups: usize,
}

impl Turns {
    /// The ways worth trying, the best first; all at once is none of them.
    pub(super) fn choices(lean: &Typed, request: &Request) -> Vec<Turns> {
        let (batch, threads) = (entries(request), rayon::current_num_threads());
        let ways = match request.at_once {
            Some(given) if given == 0 || !batch.is_multiple_of(given) => vec![],
            Some(at_once) => {
                let apart = Some(threads).filter(|&n| n > 1 && (batch / at_once).is_multiple_of(n));
                apart.into_iter().chain([1]).map(|groups| Turns { at_once, groups }).collect()
            }
            None => Traffic::of(lean, batch).ways(batch, threads),
        };
        // What is best at once needs no turns.
        ways.into_iter().take_while(|way| way.at_once < batch).collect()
    }
}

/// What comes from memory, in bytes.
struct Traffic {
    /// Of weights, each turn.
    weights: usize,
    /// Of a step's operands and result, for each entry.
    steps: Vec<usize>,
}

impl Traffic {
    fn of(typed: &Typed, batch: usize) -> Self {
        let bytes = |fact: &Fact| fact.shape.iter().fold(size_of::<f32>(), |n, &d| n.saturating_mul(d));
        let mut traffic = Traffic { weights: 0, steps: Vec::with_capacity(typed.nodes.len()) };
        for node in typed.nodes.iter().filter(|node| !node.op.is_view()) {
            let facts = typed.input_facts(node).into_iter().flatten();
            let (constants, data): (Vec<&Fact>, Vec<&Fact>) = facts.partition(|fact| fact.value.is_some());
            let results = node.outputs.iter().flatten().filter_map(|v| typed.facts[v.index()].as_ref());
            let floats = constants.into_iter().filter(|fact| fact.dtype == DType::Float);
            traffic.weights = floats.map(bytes).fold(traffic.weights, usize::saturating_add);
            let step = data.into_iter().chain(results).map(bytes).fold(0, usize::saturating_add);
            traffic.steps.push(step / batch);
        }
        traffic
    }

    /// For each entry, with so many at once where the caches hold so many bytes and each turn costs so much
    /// by itself.
    fn each(&self, at_once: usize, cache: usize, turn: usize) -> usize {
        let large = self.steps.iter().filter(|&&step| step.saturating_mul(at_once) > cache);
        large.fold(self.weights.saturating_add(turn) / at_once, |sum, &step| sum.saturating_add(step))
    }

    /// The ways to take a batch, the least traffic first: side by side, then one after another; of several
    /// numbers of entries the best, of equal ones the largest.
    fn ways(&self, batch: usize, threads: usize) -> Vec<Turns> {
        let best = |groups: usize, cache: usize, turn: usize| {
            let most = batch / groups;
            let divisors = (1..=most).rev().filter(|&n| most.is_multiple_of(n));
            let at_once = divisors.min_by_key(|&n| self.each(n, cache, turn)).unwrap_or(most);
            (self.each(at_once, cache, turn), Turns { at_once, groups })
        };
        let handing = STEP_BYTES.saturating_mul(self.steps.len());
        let (bytes, shared) = best(1, CACHE_PER_THREAD * threads, handing);
        let all = self.steps.iter().copied().fold(0, usize::saturating_add);
        if threads > 1 && batch.is_multiple_of(threads) {
            let (apart_bytes, apart) = best(threads, CACHE_PER_THREAD, 0);
            if apart_bytes <= bytes.saturating_add((all as f64 * CROSSING) as usize) {
                return vec![apart, shared];
            }
        }
        vec![shared]
    }
}

/// Whether a node's values have as many places for each entry in the whole as in the part, and the same
/// constants.
fn agree([whole, part]: [&Typed; 2], node: &TypedNode, [batch, at_once]: [usize; 2]) -> bool {
    let turns = batch / at_once;
    let scales = |all: &Fact, some: &Fact| {
        let extents = all.shape.first().zip(some.shape.first());
        all.shape.get(1..) == some.shape.get(1..)
            && extents.is_some_and(|(all, some)| some.is_multiple_of(at_once) && some * turns == *all)
    };
    let same = |all: &Tensor, some: &Tensor| {
        // Lists have to be the same; what has entries, as a token for each, may be the same for each.
        let repeated = all.shape().len() > 1 && all.repeats(some, turns);
        all.repeats(some, 1) || repeated || only_shapes(node, all, some)
    };
    let facts = |v: ValueId| (whole.facts[v.index()].as_ref(), part.facts[v.index()].as_ref());
    node.inputs.iter().chain(&node.outputs).flatten().all(|&v| match facts(v) {
        (Some(all), Some(some)) => match (&all.value, &some.value) {
            (Some(all), Some(some)) => same(all, some),
            (None, None) => scales(all, some),
            _ => false,
        },
        (all, some) => all.is_none() && some.is_none(),
    })
}

/// Whether integers only say a result's shape, which is compared anyway: that of a `Reshape`; of a `Resize`
/// the extent of axis 0, where it names all.
fn only_shapes(node: &TypedNode, all: &Tensor, some: &Tensor) -> bool {
    let (Ok(all), Ok(some)) = (all.as_ints(), some.as_ints()) else { return false };
    match node.op.op_type() {
        "Reshape" => true,
        "Resize" => all.len() > 2 && all.len() == some.len() && all[1..] == some[1..],
        _ => false,
    }
}

/// A shape of one turn as that of all.
pub(super) fn of_all(shape: &[usize], turns: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(entries) = shape.first_mut() {
        *entries *= turns;
    }
    shape
}

#[cfg(test)]
mod tests;
