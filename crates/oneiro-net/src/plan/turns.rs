//! How many entries of a batch a plan computes at once; it takes the others in further turns, with the same memory for all
//! that lives within one turn.
//!
//! Kernels work on each entry by itself, so a turn's length decides no bit. It decides what comes from memory: all weights
//! once a turn, and what a step reads and writes where that is more than the caches hold.

use crate::graph::{Graph, ValueId};
use crate::ops::{Fact, Facts, Site};
use crate::plan::Request;
use crate::tensor::{DType, Tensor};
use crate::typed::{Typed, TypedNode};

/// Bytes of a step's operands and result, for each thread, that are taken to stay in the caches. Found by timing ten networks at
/// batches of 1 to 32 with two threads: with this, the sums below are least where the time is.
const CACHE_PER_THREAD: usize = 12 << 20;

/// What a step costs by itself in each turn, handing its work to the threads, in bytes that could be read meanwhile: some 3 µs.
const STEP_BYTES: usize = 64 << 10;

/// Entries of the batch: the extent of the first input's axis 0.
pub(super) fn entries(request: &Request) -> usize {
    request.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(1)
}

/// Whether each entry of the batch can be computed without the others: axis 0 of every input is the batch, and every node
/// works on each entry by itself.
pub(super) fn possible(typed: &Typed, request: &Request) -> bool {
    let entries = entries(request);
    entries > 1
        && request.shapes.iter().all(|shape| shape.first() == Some(&entries))
        && by_entry(typed, request)
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

/// The network for fewer entries, where it pays to take them in turns: if that is the `whole` (as it was before passes made
/// `lean` of it) with as many places for each entry, and the same constants.
pub(super) fn part(
    graph: &Graph,
    request: &Request,
    whole: &Typed,
    lean: &Typed,
    max_bytes: usize,
) -> Option<Part> {
    let batch = entries(request);
    let at_once = match request.at_once {
        Some(given) => Some(given).filter(|&n| n > 0 && batch.is_multiple_of(n)),
        None => Some(least_from_memory(lean, request)),
    };
    let at_once = at_once.filter(|&n| n < batch)?;
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

/// The number of entries, a divisor of the batch, for which the least comes from memory; of several the largest.
fn least_from_memory(typed: &Typed, request: &Request) -> usize {
    let (batch, cache) = (entries(request), CACHE_PER_THREAD * rayon::current_num_threads());
    let bytes = |fact: &Fact| fact.shape.iter().fold(size_of::<f32>(), |n, &d| n.saturating_mul(d));
    let mut weights = STEP_BYTES * typed.nodes.len();
    let mut steps = Vec::with_capacity(typed.nodes.len());
    for node in typed.nodes.iter().filter(|node| !node.op.is_view()) {
        let facts = typed.input_facts(node).into_iter().flatten();
        let (constants, data): (Vec<&Fact>, Vec<&Fact>) = facts.partition(|fact| fact.value.is_some());
        let results = node.outputs.iter().flatten().filter_map(|v| typed.facts[v.index()].as_ref());
        let floats = constants.into_iter().filter(|fact| fact.dtype == DType::Float);
        weights = floats.map(bytes).fold(weights, usize::saturating_add);
        steps.push(data.into_iter().chain(results).map(bytes).fold(0, usize::saturating_add) / batch);
    }
    let from_memory = |at_once: usize| -> usize {
        let large = steps.iter().filter(|&&step| step.saturating_mul(at_once) > cache);
        large.fold(weights / at_once, |sum, &step| sum.saturating_add(step))
    };
    let divisors = (1..=batch).rev().filter(|&n| batch.is_multiple_of(n));
    divisors.min_by_key(|&at_once| from_memory(at_once)).unwrap_or(batch)
}

/// Whether a node's values have as many places for each entry in the whole as in the part, and the same constants.
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
        (Some(Fact { value: None, .. }), Some(Fact { value: Some(_), .. }))
        | (Some(Fact { value: Some(_), .. }), Some(Fact { value: None, .. })) => false,
        (Some(all), Some(some)) => match (&all.value, &some.value) {
            (Some(all), Some(some)) => same(all, some),
            _ => scales(all, some),
        },
        (None, None) => true,
        _ => false,
    })
}

/// Whether integers only say a result's shape, which is compared anyway: that of a `Reshape`; of a `Resize` the extent of axis 0, where
/// it names all.
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
