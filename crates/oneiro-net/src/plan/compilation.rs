//! Compiling a node at a time, so that a caller can give memory back between two nodes.

use bytes::Bytes;

use super::Plan;
use super::check_memory;
use super::lowering::Lowering;
use super::microbatch::{self, Split};
use super::request::{Request, checked};
use crate::broken;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::cnn::pool;
use crate::passes;
use crate::tensor::Tensor;
use crate::typed::Typed;

/// Rewrites of the passes: (pass, node).
type Rewrites = Vec<(&'static str, String)>;

/// A plan in the making.
///
/// Weights are packed a node at a time. After each, [`Compilation::step`] says which bytes of the model's
/// file the kernels now hold in packed form. A caller who maps the file can give their pages back before the
/// next node, so that file and packed weights are never in memory as a whole together.
#[allow(missing_debug_implementations)]
pub struct Compilation<'g> {
    graph: &'g Graph,
    request: Request,
    /// Bytes of weights that repeat one number.
    weights: usize,
    /// The whole batch before passes, where micro-batches are possible.
    whole: Option<Typed>,
    /// The whole batch after passes, until it is lowered.
    prepared: Option<(Typed, Rewrites)>,
    /// Splits of the batch that are still to be tried, the best last.
    splits: Vec<Split>,
    attempt: Option<Attempt<'g>>,
    plan: Option<Plan>,
}

/// One way to split the batch, being lowered.
struct Attempt<'g> {
    lowering: Lowering<'g>,
    rewrites: Rewrites,
    /// `None` for the whole batch, which has to succeed.
    split: Option<Split>,
}

impl<'g> Compilation<'g> {
    /// Types and rewrites the part of a graph that the request's targets depend on.
    ///
    /// # Errors
    /// If a shape, an operator or a target of the request is refused, or it takes too much memory.
    pub fn new(graph: &'g Graph, request: &Request) -> Result<Self> {
        request.threads.run(|| Self::new_here(graph, request))
    }

    fn new_here(graph: &'g Graph, request: &Request) -> Result<Self> {
        let mut typed = checked(graph, request)?;
        let weights = repeated_bytes(&typed);
        check_memory(request, 0, weights)?;
        let whole = microbatch::possible(&typed, request).then(|| typed.clone());
        let rewrites = prepare(&mut typed, request);
        // Replicas; one micro-batch after another, if a step's loops are no team's or memory is short.
        let mut splits = if whole.is_some() { Split::choices(&typed, request) } else { vec![] };
        splits.reverse();
        Ok(Self {
            graph,
            request: request.clone(),
            weights,
            whole,
            prepared: Some((typed, rewrites)),
            splits,
            attempt: None,
            plan: None,
        })
    }

    /// Lowers a node. Returns the bytes of the model's file that kernels have packed since the last call;
    /// `None` when the plan is finished.
    ///
    /// # Errors
    /// If a node has no kernel for its shapes, or the plan takes too much memory.
    pub fn step(&mut self) -> Result<Option<Vec<Bytes>>> {
        let threads = self.request.threads.clone();
        threads.run(|| self.step_here())
    }

    fn step_here(&mut self) -> Result<Option<Vec<Bytes>>> {
        if self.plan.is_some() {
            return Ok(None);
        }
        let mut attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            None => self.next_attempt()?,
        };
        match attempt.lowering.step() {
            Ok(true) => {
                let packed = std::mem::take(&mut attempt.lowering.packed);
                self.attempt = Some(attempt);
                Ok(Some(packed))
            }
            Ok(false) => self.settle(attempt),
            // The whole batch, or another split, may do.
            Err(_) if attempt.split.is_some() => Ok(Some(vec![])),
            Err(error) => Err(error),
        }
    }

    /// The next split of the batch, or the whole.
    fn next_attempt(&mut self) -> Result<Attempt<'g>> {
        while let (Some(whole), Some(split)) = (&self.whole, self.splits.pop()) {
            let Some(mut part) = microbatch::part(self.graph, &self.request, whole, split) else {
                continue;
            };
            let rewrites = prepare(&mut part.typed, &self.request);
            let micro_batches = microbatch::entries(&self.request) / split.micro_batch_size;
            let counts = [micro_batches, split.replicas];
            let lowering =
                Lowering::new(self.graph, under_rule(part.typed, &part.request), part.request, counts);
            return Ok(Attempt { lowering, rewrites, split: Some(split) });
        }
        let lost = || Error::Request("the compilation has failed before".into());
        let (typed, rewrites) = self.prepared.take().ok_or_else(lost)?;
        let typed = under_rule(typed, &self.request);
        let lowering = Lowering::new(self.graph, typed, self.request.clone(), [1, 1]);
        Ok(Attempt { lowering, rewrites, split: None })
    }

    /// Schedules an attempt and takes its plan, if it is as wanted and fits the memory.
    fn settle(&mut self, attempt: Attempt<'g>) -> Result<Option<Vec<Bytes>>> {
        let Attempt { lowering, rewrites, split } = attempt;
        if let Err(error) = lowering.check_targets() {
            return if split.is_some() { Ok(Some(vec![])) } else { Err(error) };
        }
        let plan = Plan { rewrites, ..lowering.schedule() };
        let fits = check_memory(&self.request, plan.arena_bytes(), self.weights);
        // A size chosen for replicas has lost its reason where there are none; a requested one has not.
        let as_wanted =
            |split: Split| plan.replicas == split.replicas || self.request.micro_batch_size.is_some();
        match split {
            Some(split) if !as_wanted(split) || fits.is_err() => Ok(Some(vec![])),
            _ => {
                fits?;
                self.plan = Some(plan);
                Ok(None)
            }
        }
    }

    /// The plan.
    ///
    /// # Errors
    /// As [`Compilation::step`], for nodes that are left.
    pub fn finish(mut self) -> Result<Plan> {
        while self.step()?.is_some() {}
        self.plan.ok_or_else(|| Error::Request("the compilation has failed before".into()))
    }
}

/// Isolates filters that are not finite, and applies the passes.
fn prepare(typed: &mut Typed, request: &Request) -> Rewrites {
    let broken = if request.gradients { broken::isolate(typed) } else { vec![] };
    let mut rewrites: Rewrites =
        broken.into_iter().map(|name| ("isolate filters that are not finite", name)).collect();
    rewrites.extend(passes::optimise(typed));
    rewrites
}

/// Max-pooling under the request's rule for gradients.
fn under_rule(mut typed: Typed, request: &Request) -> Typed {
    for node in &mut typed.nodes {
        if let Some(ruled) = pool::under_rule(node.op.as_ref(), request.max_pool) {
            node.op = ruled;
        }
    }
    typed
}

/// Bytes of the weights that the model computes by repeating one number: kernels write them out.
fn repeated_bytes(typed: &Typed) -> usize {
    let facts = typed.nodes.iter().flat_map(|node| typed.input_facts(node)).flatten();
    facts.filter_map(|fact| fact.value.as_ref()).map(Tensor::repeated_bytes).fold(0, usize::saturating_add)
}
