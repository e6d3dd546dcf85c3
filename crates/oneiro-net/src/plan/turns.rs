//! How many entries of a batch a plan computes at once; it takes the others in further turns, with the same memory for all
//! that lives within one turn.
//!
//! Kernels work on each entry by itself, so a turn's length decides no bit. It decides what comes from memory: all weights
//! once a turn, and what a step reads and writes where that is more than the caches hold.

use crate::graph::{Graph, ValueId};
use crate::ops::{Fact, Facts, Site};
use crate::plan::Request;
use crate::tensor::DType;
use crate::typed::{Typed, TypedNode};

/// Bytes of a step's operands and result, for each thread, that are taken to stay in the caches. Found by timing ten networks at
/// batches of 1 to 32 with two threads: with this, the sums below are least where the time is.
const CACHE_PER_THREAD: usize = 12 << 20;

/// What a step costs by itself in each turn, handing its work to the threads, in bytes that could be read meanwhile: some 3 µs.
const STEP_BYTES: usize = 64 << 10;

/// Operators whose integers are only a result's shape, which is known of every value anyway.
const SHAPED: &[&str] = &["Reshape", "Resize", "Upsample"];

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
        && typed.nodes.iter().all(|node| {
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
            alike && agree(whole, &typed, node, batch / at_once)
        });
    fits.then_some(Part { request, typed })
}

/// The number of entries, a divisor of the batch, for which the least comes from memory; of several the largest.
fn least_from_memory(typed: &Typed, request: &Request) -> usize {
    let (batch, cache) = (entries(request), CACHE_PER_THREAD * rayon::current_num_threads());
    let bytes = |fact: &Fact| fact.len().saturating_mul(size_of::<f32>());
    let mut weights = STEP_BYTES * typed.nodes.len();
    let mut steps = Vec::with_capacity(typed.nodes.len());
    for node in typed.nodes.iter().filter(|node| !node.op.is_view()) {
        let facts = typed.input_facts(node).into_iter().flatten();
        let (constants, data): (Vec<&Fact>, Vec<&Fact>) = facts.partition(|fact| fact.value.is_some());
        let results = node.outputs.iter().flatten().filter_map(|v| typed.facts[v.index()].as_ref());
        let floats = constants.into_iter().filter(|fact| fact.dtype == DType::Float);
        weights = floats.map(bytes).fold(weights, usize::saturating_add);
        steps.push(data.into_iter().chain(results).map(bytes).sum::<usize>() / batch);
    }
    let from_memory = |at_once: usize| -> usize {
        let large = steps.iter().filter(|&&step| step.saturating_mul(at_once) > cache);
        weights / at_once + large.sum::<usize>()
    };
    let divisors = (1..=batch).rev().filter(|&n| batch.is_multiple_of(n));
    divisors.min_by_key(|&at_once| from_memory(at_once)).unwrap_or(batch)
}

/// Whether a node's values have `turns` times as many places on axis 0 in the whole as in the part, and the same constants.
fn agree(whole: &Typed, part: &Typed, node: &TypedNode, turns: usize) -> bool {
    let fact = |typed: &Typed, v: ValueId| typed.facts[v.index()].clone();
    let scales = |all: &Fact, some: &Fact| {
        all.shape.len() == some.shape.len()
            && all.shape.first() == some.shape.first().map(|n| n * turns).as_ref()
            && all.shape[1..] == some.shape[1..]
    };
    let values = node.inputs.iter().chain(&node.outputs).flatten();
    values.into_iter().all(|&v| match (fact(whole, v), fact(part, v)) {
        (Some(all), Some(some)) => match (&all.value, &some.value) {
            (None, None) => scales(&all, &some),
            (Some(a), Some(b)) => {
                a.repeats(b) || a.dtype() == DType::Int && SHAPED.contains(&node.op.op_type())
            }
            _ => false,
        },
        (None, None) => true,
        _ => false,
    })
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
