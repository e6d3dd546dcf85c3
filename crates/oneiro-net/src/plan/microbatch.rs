//! Micro-batches: a plan computes some entries of a batch, then the next entries in the same memory.
//!
//! With replicas of the plan's memory, several micro-batches run at the same time, each on one thread.
//!
//! Kernels compute each entry independently, so the micro-batch size changes no bit. It changes the traffic
//! with memory: all weights once a micro-batch, and the operands and results of steps that exceed the caches.

use crate::graph::{Graph, ValueId};
use crate::ops::{Fact, Facts, Site};
use crate::plan::request::{Request, typed_of};
use crate::tensor::{DType, Tensor};
use crate::typed::{Typed, TypedNode};

/// Bytes of a step's operands and result, for each thread, that are assumed to stay in the caches. Found by
/// timing ten networks at batches of 1 to 32 with two threads. With this value, the split of least estimated
/// traffic is also the fastest.
const CACHE_PER_THREAD: usize = 12 << 20;

/// Cost of handing one step to the threads, in bytes that could be read in the same time (about 3 µs).
const STEP_BYTES: usize = 64 << 10;

/// Share of a step's operands that a thread has to fetch from another thread, if all threads share each step.
const CROSSING: f64 = 0.5;

/// Number of batch entries: the extent of the first input's axis 0.
pub(super) fn entries(request: &Request) -> usize {
    request.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(1)
}

/// Whether micro-batches are possible: axis 0 of every input is the batch, and every node computes each entry
/// independently.
pub(super) fn possible(typed: &Typed, request: &Request) -> bool {
    let entries = entries(request);
    entries > 1
        && request.shapes.iter().all(|shape| shape.first() == Some(&entries))
        && by_entry(typed, request)
}

/// Whether every operator between the inputs and the targets promises to compute each batch entry
/// independently. `false` also if the targets cannot be computed.
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

/// A network for the entries of one micro-batch.
pub(super) struct Part {
    pub(super) request: Request,
    pub(super) typed: Typed,
}

/// Returns the network for one micro-batch. Returns `None` if its nodes or constants differ from those of
/// `whole` (before passes), or if axis 0 of a value does not scale with the number of entries.
pub(super) fn part(
    graph: &Graph,
    request: &Request,
    whole: &Typed,
    Split { micro_batch_size, .. }: Split,
) -> Option<Part> {
    let batch = entries(request);
    let mut request = request.clone();
    request.shapes.iter_mut().for_each(|shape| shape[0] = micro_batch_size);
    // If the network does not accept fewer entries, its file fixes the batch size.
    let typed = typed_of(graph, &request).ok()?;
    let fits = typed.nodes.len() == whole.nodes.len()
        && whole.nodes.iter().zip(&typed.nodes).all(|(node, same)| {
            let alike = node.name == same.name && node.inputs == same.inputs && node.outputs == same.outputs;
            alike && agree([whole, &typed], node, [batch, micro_batch_size])
        })
        // An operator may compute entries independently at one extent and not at another.
        && by_entry(&typed, &request);
    fits.then_some(Part { request, typed })
}

/// How a batch is split into micro-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Number of batch entries in a micro-batch.
    pub(super) micro_batch_size: usize,
    /// Number of micro-batches that run at the same time.
    pub(super) replicas: usize,
}

impl Split {
    /// Returns splits worth trying, the best first, without the whole batch as one micro-batch.
    pub(super) fn choices(lean: &Typed, request: &Request) -> Vec<Split> {
        let (batch, threads) = (entries(request), request.threads.count());
        let ways = match request.micro_batch_size {
            Some(given) if given == 0 || !batch.is_multiple_of(given) => vec![],
            Some(micro_batch_size) => {
                let apart = Some(threads).filter(|&n| n > 1 && (batch / micro_batch_size).is_multiple_of(n));
                apart.into_iter().chain([1]).map(|replicas| Split { micro_batch_size, replicas }).collect()
            }
            None => Traffic::of(lean, batch).ways(batch, threads),
        };
        // Splits after one that keeps the batch whole are not worth trying.
        ways.into_iter().take_while(|way| way.micro_batch_size < batch).collect()
    }
}

/// Bytes that a forward pass reads and writes.
struct Traffic {
    /// Bytes of all weights, which each micro-batch reads once.
    weights: usize,
    /// Bytes of each step's operands and result, for one batch entry.
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

    /// Bytes for each batch entry, with a cache of `cache` bytes and an additional cost of `overhead` bytes a
    /// micro-batch.
    fn each(&self, micro_batch_size: usize, cache: usize, overhead: usize) -> usize {
        let large = self.steps.iter().filter(|&&step| step.saturating_mul(micro_batch_size) > cache);
        large.fold(self.weights.saturating_add(overhead) / micro_batch_size, |sum, &step| {
            sum.saturating_add(step)
        })
    }

    /// Returns splits by traffic, the least first: with replicas, then one micro-batch after another. Of
    /// micro-batch sizes with equal traffic the largest is taken.
    fn ways(&self, batch: usize, threads: usize) -> Vec<Split> {
        let best = |replicas: usize, cache: usize, overhead: usize| {
            let most = batch / replicas;
            let divisors = (1..=most).rev().filter(|&n| most.is_multiple_of(n));
            let micro_batch_size = divisors.min_by_key(|&n| self.each(n, cache, overhead)).unwrap_or(most);
            (self.each(micro_batch_size, cache, overhead), Split { micro_batch_size, replicas })
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

/// Whether axis 0 of a node's values scales with the number of entries between the whole batch and a
/// micro-batch, and their constants agree.
fn agree([whole, part]: [&Typed; 2], node: &TypedNode, [batch, micro_batch_size]: [usize; 2]) -> bool {
    let micro_batches = batch / micro_batch_size;
    let scales = |all: &Fact, some: &Fact| {
        let extents = all.shape.first().zip(some.shape.first());
        all.shape.get(1..) == some.shape.get(1..)
            && extents.is_some_and(|(all, some)| {
                some.is_multiple_of(micro_batch_size) && some * micro_batches == *all
            })
    };
    let same = |all: &Tensor, some: &Tensor| {
        // One-dimensional constants have to be equal. A constant with a batch axis may repeat for each entry,
        // such as a class token.
        let repeated = all.shape().len() > 1 && all.repeats(some, micro_batches);
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

/// Whether integer constants describe only a result's shape, which is compared separately.
fn only_shapes(node: &TypedNode, all: &Tensor, some: &Tensor) -> bool {
    let (Ok(all), Ok(some)) = (all.as_ints(), some.as_ints()) else { return false };
    node.op.states_shape_only(all, some)
}

/// Returns the shape of the whole batch from the shape of one micro-batch.
pub(super) fn of_all(shape: &[usize], micro_batches: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(entries) = shape.first_mut() {
        *entries *= micro_batches;
    }
    shape
}

#[cfg(test)]
mod tests;
