//! Compiles a plan node by node, so that a caller can release memory between two nodes.

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

/// Rewrites that passes made: the name of the pass, and of the node.
type Rewrites = Vec<(&'static str, String)>;

/// A plan under construction.
///
/// Weights are packed node by node. After each node, [`Compilation::step`] returns the bytes of the model's
/// file that kernels now hold in packed form. A caller who maps the file can release their pages before the
/// next node. So the file and the packed weights are never completely in memory at the same time.
#[allow(missing_debug_implementations)]
pub struct Compilation<'g> {
    graph: &'g Graph,
    request: Request,
    /// Bytes of weights that the model computes by repeating one number.
    weights: usize,
    /// The graph of the whole batch before passes, if micro-batches are possible.
    whole: Option<Typed>,
    /// The graph of the whole batch after passes, until it is lowered.
    prepared: Option<(Typed, Rewrites)>,
    /// Splits of the batch that have not been tried yet, the best last.
    splits: Vec<Split>,
    attempt: Option<Attempt<'g>>,
    plan: Option<Plan>,
}

/// One way to split the batch, which is being lowered.
struct Attempt<'g> {
    lowering: Lowering<'g>,
    rewrites: Rewrites,
    /// The split, or `None` for the whole batch. Lowering the whole batch must succeed.
    split: Option<Split>,
}

impl<'g> Compilation<'g> {
    /// Infers types and applies passes, for the part of a graph on which the request's targets depend.
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
        // The first choice may be replicas. The next is one micro-batch after another: for steps whose loops
        // cannot run in a team, or if memory is short.
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

    /// Lowers one node. Returns the bytes of the model's file that kernels have packed since the last call,
    /// or `None` when the plan is finished.
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
            // If a split cannot be lowered, another split or the whole batch is tried next.
            Err(_) if attempt.split.is_some() => Ok(Some(vec![])),
            Err(error) => Err(error),
        }
    }

    /// Begins to lower the next split of the batch, or the whole batch if no split is left.
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

    /// Schedules an attempt. Accepts its plan if it has the wanted replicas and fits the memory.
    fn settle(&mut self, attempt: Attempt<'g>) -> Result<Option<Vec<Bytes>>> {
        let Attempt { lowering, rewrites, split } = attempt;
        if let Err(error) = lowering.check_targets() {
            return if split.is_some() { Ok(Some(vec![])) } else { Err(error) };
        }
        let plan = Plan { rewrites, ..lowering.schedule() };
        let fits = check_memory(&self.request, plan.arena_bytes(), self.weights);
        // A micro-batch size that was chosen for replicas is useless without them; a size that the user
        // requested is not.
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

    /// Lowers the remaining nodes and returns the plan.
    ///
    /// # Errors
    /// The errors of [`Compilation::step`].
    pub fn finish(mut self) -> Result<Plan> {
        while self.step()?.is_some() {}
        self.plan.ok_or_else(|| Error::Request("the compilation has failed before".into()))
    }
}

/// Replaces filters whose weights are not finite, and applies all passes to the graph.
fn prepare(typed: &mut Typed, request: &Request) -> Rewrites {
    let broken = if request.gradients { broken::isolate(typed) } else { vec![] };
    let mut rewrites: Rewrites =
        broken.into_iter().map(|name| ("isolate filters that are not finite", name)).collect();
    rewrites.extend(passes::optimise(typed));
    rewrites
}

/// Sets the request's rule for the gradients of max-pooling.
fn under_rule(mut typed: Typed, request: &Request) -> Typed {
    for node in &mut typed.nodes {
        if let Some(ruled) = pool::under_rule(node.op.as_ref(), request.max_pool) {
            node.op = ruled;
        }
    }
    typed
}

/// Bytes of weights that the model computes by repeating one number. Kernels store them in full.
fn repeated_bytes(typed: &Typed) -> usize {
    let facts = typed.nodes.iter().flat_map(|node| typed.input_facts(node)).flatten();
    facts.filter_map(|fact| fact.value.as_ref()).map(Tensor::repeated_bytes).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::ValueId;
    use crate::kernels::MaxPoolRule;
    use crate::ops::cnn::pool::Pool;
    use crate::passes::testing::{Net, ints};
    use crate::plan::testing::request;
    use crate::tensor::Stored;

    /// A convolution with weights from the file, a tanh, and a product with weights from the file.
    fn network() -> (Graph, [Bytes; 2]) {
        let files = [2 * 3 * 3 * 3, 128 * 4]
            .map(|n: usize| Bytes::from((0..n).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<u8>>()));
        let (mut net, x) = Net::new(&[4, 3, 8, 8]);
        let raw = |shape: &[usize], bytes: &Bytes| Tensor::raw(shape, Stored::F32, bytes.clone()).unwrap();
        let w = net.constant("w", raw(&[2, 3, 3, 3], &files[0]));
        let conv = net.node("Conv", "conv", &[x, w], &[("pads", ints(&[1; 4]))]);
        let tanh = net.node("Tanh", "tanh", &[conv], &[]);
        let flat = net.node("Flatten", "flat", &[tanh], &[]);
        let w = net.constant("dense.w", raw(&[128, 4], &files[1]));
        let y = net.node("Gemm", "y", &[flat, w], &[]);
        (net.graph(&[y]), files)
    }

    #[test]
    fn every_node_is_a_step_that_says_which_bytes_are_packed() {
        let (graph, [conv, dense]) = network();
        let mut compilation = Compilation::new(&graph, &request(&graph)).unwrap();
        let mut packed = vec![];
        while let Some(bytes) = compilation.step().unwrap() {
            packed.push(bytes.iter().map(|b| b.as_ptr()).collect::<Vec<_>>());
        }
        let (conv, dense) = (vec![conv.as_ptr()], vec![dense.as_ptr()]);
        // A split of the batch is the first attempt, the whole batch the last. The last attempt becomes the
        // plan.
        let last = packed.split_off(packed.len() - 4);
        assert_eq!(last, [conv, vec![], vec![], dense]);
        assert!(compilation.step().unwrap().is_none());
        let names = |plan: &Plan| plan.schedule().map(|s| s.name.to_owned()).collect::<Vec<_>>();
        let plan = compilation.finish().unwrap();
        assert_eq!(names(&plan), names(&Plan::compile(&graph, &request(&graph)).unwrap()));
    }

    #[test]
    fn a_refusal_leaves_nothing_to_go_on_with() {
        let (graph, _) = network();
        let small = Request { max_bytes: 1000, ..request(&graph) };
        let mut compilation = Compilation::new(&graph, &small).unwrap();
        let error = loop {
            match compilation.step() {
                Ok(more) => assert!(more.is_some()),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("use a smaller size or batch"), "{error}");
        let again = compilation.step().unwrap_err().to_string();
        assert!(again.contains("has failed before"), "{again}");
        let again = compilation.finish().unwrap_err().to_string();
        assert!(again.contains("has failed before"), "{again}");
    }

    #[test]
    fn a_given_micro_batch_size_is_taken_where_it_divides_the_batch() {
        let (graph, _) = network();
        for (size, micro_batches) in [(1, 4), (2, 2), (3, 1), (4, 1), (8, 1)] {
            let request = Request { micro_batch_size: Some(size), ..request(&graph) };
            let plan = Plan::compile(&graph, &request).unwrap();
            assert_eq!(plan.micro_batches(), micro_batches, "{size}");
            assert_eq!((plan.inputs[0].shape[0], plan.targets[0].shape[0]), (4, 4));
            // Regions and steps of a plan are those of one micro-batch.
            assert_eq!(plan.inputs[0].region.len, 4 / micro_batches * 3 * 64);
            assert_eq!(plan.forward_flops(), 4 * (2 * 128 * 27 + 2 * 128 * 4));
        }
    }

    #[test]
    fn rewrites_begin_with_filters_that_are_not_finite_and_only_where_gradients_are_wanted() {
        let (mut net, x) = Net::new(&[1, 1, 2, 2]);
        let w = net.floats("w", &[2, 1, 1, 1], &[1.0, f32::NAN]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let y = net.node("Relu", "y", &[conv], &[]);
        let graph = net.graph(&[y]);
        let rewrites = |gradients: bool| {
            Plan::compile(&graph, &Request { gradients, ..request(&graph) }).unwrap().rewrites
        };
        let with = rewrites(true);
        assert_eq!(with[0], ("isolate filters that are not finite", "conv".to_owned()));
        assert_eq!(rewrites(false), [("attach Relu or Clip to its producer", "y".to_owned())]);
    }

    #[test]
    fn the_rule_of_a_request_goes_into_every_max_pooling_and_nothing_else() {
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let window = [("kernel_shape", ints(&[2, 2]))];
        let a = net.node("MaxPool", "a", &[x], &window);
        let b = net.node("AveragePool", "b", &[a], &window);
        let y = net.node("GlobalMaxPool", "y", &[b], &[]);
        let network = net.build(&[y]);
        let smooth = MaxPoolRule::Smoothed;
        let request = Request { max_pool: smooth, ..request(&network.graph) };
        let ruled = under_rule(network.typed.clone(), &request);
        let pool = |at: usize| ruled.nodes[at].op.as_any().downcast_ref::<Pool>().unwrap();
        assert!(matches!(pool(0), Pool::Max { rule, .. } if *rule == smooth));
        assert!(matches!(pool(2), Pool::GlobalMax { rule } if *rule == smooth));
        assert!(Arc::ptr_eq(&ruled.nodes[1].op, &network.typed.nodes[1].op));
        assert!(matches!(network.op::<Pool>(0), Pool::Max { rule: MaxPoolRule::Exact, .. }));
    }

    #[test]
    fn weights_that_repeat_a_number_count_with_the_memory() {
        let weights = |tensor: Tensor| {
            let (mut net, x) = Net::new(&[1, 8]);
            let w = net.constant("w", tensor);
            let y: ValueId = net.node("MatMul", "y", &[x, w], &[]);
            repeated_bytes(&net.build(&[y]).typed)
        };
        assert_eq!(weights(Tensor::repeated(&[8, 16], 0.5)), 8 * 16 * 4);
        assert_eq!(weights(Tensor::floats(&[8, 16], vec![0.5; 128])), 0);
    }
}
