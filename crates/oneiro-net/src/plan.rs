//! A plan: a fixed schedule of kernels for the forward and the backward pass, with its memory laid out in
//! advance.
//!
//! Moments of a plan are numbered from 0, when the inputs are written. The forward steps follow, then the
//! moment at which an objective writes its seeds, then the backward steps in reverse order, then the end.
//! Every block of memory has a first and a last moment of use. `memory::place` packs the blocks into one
//! arena. A plan has only the backward steps on a path from an input to a target; it computes no gradients of
//! other values.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::{EpilogueFunction, Isa, MaskRows, Region};
use crate::ops::{Kernel, Operand};
use crate::threads::Threads;

mod accepts;
mod blocks;
mod compilation;
mod concat_in_place;
mod gradient_alias;
mod lowered;
mod lowering;
mod memory;
mod microbatch;
mod request;
mod schedule;
#[cfg(test)]
mod testing;

pub use accepts::{Accepted, accepts};
pub use compilation::Compilation;
pub use microbatch::keeps_entries_apart;
pub use request::{MAX_BYTES, Request};

/// One step of the schedule: a kernel with its operands and its result.
#[derive(Debug)]
pub(crate) struct Step {
    pub name: String,
    pub op_type: String,
    pub kernel: Box<dyn Kernel>,
    pub flops: u64,
    pub operands: Vec<Operand>,
    /// For each operand, whether it already lies inside the output (see [`Kernel::concat_parts`]).
    pub in_place: Vec<bool>,
    pub output: Region,
    pub saved: Region,
    pub epilogue: Option<StepEpilogue>,
    /// The rows of the activation masks that this step writes.
    pub mask_rows: MaskRows,
}

/// Name, operator and cost of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo<'a> {
    /// Name of the step's node.
    pub name: &'a str,
    /// ONNX operator of the step's node.
    pub op_type: &'a str,
    /// Floating-point operations of the forward pass, counted as for the direct algorithm.
    pub flops: u64,
    /// Name of the kernel's algorithm. It is empty for kernels with one algorithm.
    pub method: String,
}

/// The activation function of a step, with the regions of its masks or slopes. They are absent if the step
/// has no backward pass.
pub(crate) type StepEpilogue = EpilogueFunction<Option<Region>, Option<Region>>;

/// The gradients that one step of the backward schedule computes.
#[derive(Debug)]
pub(crate) struct BackwardStep {
    pub step: usize,
    pub output_gradient: Region,
    /// Whether the last contribution to the output's gradient has already applied the step's activation mask
    /// (exact rule only).
    pub masked: bool,
    pub gradients: Vec<OperandGradient>,
}

/// One operand's gradient, as a step computes it.
#[derive(Debug)]
pub(crate) struct OperandGradient {
    pub operand: usize,
    pub region: Region,
    /// Whether other steps contributed to this gradient before.
    pub accumulate: bool,
    /// The step whose activation mask this contribution applies under the exact rule. Only the last
    /// contribution to a gradient does so.
    pub activation_mask_of: Option<usize>,
}

/// An input of the network, which a session feeds.
#[derive(Debug)]
pub struct PlanInput {
    /// Name of the input in the graph.
    pub name: String,
    /// Shape of the input.
    pub shape: Vec<usize>,
    /// Whether any target depends on this input.
    pub used: bool,
    pub(crate) region: Region,
    pub(crate) gradient: Option<Region>,
}

/// A value that the request asks for.
#[derive(Debug)]
pub struct PlanTarget {
    /// Name of the value in the graph.
    pub name: String,
    /// Shape of the requested value.
    pub shape: Vec<usize>,
    pub(crate) region: Region,
    pub(crate) seed: Option<Region>,
}

impl PlanTarget {
    /// Whether gradients start at this target: it depends on an input, and the request asks for gradients.
    pub fn has_seed(&self) -> bool {
        self.seed.is_some()
    }
}

/// A value between inputs and targets whose gradient is kept.
#[derive(Debug)]
pub struct PlanInner {
    /// Name of the value in the graph.
    pub name: String,
    /// Shape of the value, and of its gradient.
    pub shape: Vec<usize>,
    pub(crate) gradient: Region,
}

/// A compiled network. It never changes; [`crate::Session`]s run it.
#[derive(Debug)]
pub struct Plan {
    /// Inputs of the network, in the graph's order.
    pub inputs: Vec<PlanInput>,
    /// Requested values, in the request's order.
    pub targets: Vec<PlanTarget>,
    /// Values whose gradients are kept, in the request's order.
    pub inner: Vec<PlanInner>,
    /// Rewrites that passes made: the name of the pass, and of the node.
    pub rewrites: Vec<(&'static str, String)>,
    /// Instruction set of the kernels. The bits of results depend on it.
    pub isa: Isa,
    /// Threads on which sessions run the plan.
    pub threads: Threads,
    pub(crate) steps: Vec<Step>,
    pub(crate) backward: Vec<BackwardStep>,
    /// Gradients without contributions, which each backward pass sets to zero.
    pub(crate) zeroed: Vec<Region>,
    pub(crate) arena_len: usize,
    /// Number of micro-batches in a batch. The steps compute one micro-batch.
    pub(crate) micro_batches: usize,
    /// Number of micro-batches that run at the same time, each on one thread in an arena of its own. If it is
    /// 1, all threads share each micro-batch.
    pub(crate) replicas: usize,
}

impl Plan {
    /// Compiles the part of a graph on which the request's targets depend, on the request's threads.
    /// [`Compilation`] does so node by node.
    pub fn compile(graph: &Graph, request: &Request) -> Result<Self> {
        Compilation::new(graph, request)?.finish()
    }

    /// Memory of a session in bytes: activations, gradients, and values saved for the backward pass.
    pub fn arena_bytes(&self) -> usize {
        // With several replicas, inputs, targets and their gradients are stored outside the arenas.
        let apart =
            self.outside().into_iter().flatten().map(|region| region.len.saturating_mul(self.micro_batches));
        let apart = if self.replicas > 1 { apart.fold(0, usize::saturating_add) } else { 0 };
        let numbers = self.arena_len.saturating_mul(self.replicas).saturating_add(apart);
        numbers.saturating_mul(size_of::<f32>())
    }

    /// Regions of one micro-batch that a session's user writes or reads: inputs, gradients, targets, seeds.
    /// Targets that share a region have one entry.
    pub(crate) fn outside(&self) -> [Vec<Region>; 4] {
        let mut all = [
            self.inputs.iter().map(|input| input.region).collect::<Vec<_>>(),
            self.inputs
                .iter()
                .filter_map(|input| input.gradient)
                .chain(self.inner.iter().map(|inner| inner.gradient))
                .collect(),
            self.targets.iter().map(|target| target.region).collect(),
            self.targets.iter().filter_map(|target| target.seed).collect(),
        ];
        for regions in &mut all {
            regions.sort_unstable_by_key(|region| (region.offset, region.len));
            regions.dedup();
        }
        all
    }

    /// Number of micro-batches in a batch; 1 if the batch is computed as a whole.
    pub fn micro_batches(&self) -> usize {
        self.micro_batches
    }

    /// Number of micro-batches that run at the same time, each on one thread and with memory of its own. The
    /// remaining micro-batches reuse this memory. If it is 1, all threads share each micro-batch. Otherwise
    /// it is the number of threads for which the plan was made. On another number of threads results are
    /// equal, but threads may be idle.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Floating-point operations of one forward pass, with convolutions counted as for the direct algorithm.
    pub fn forward_flops(&self) -> u64 {
        self.steps.iter().map(|s| s.flops).sum::<u64>() * self.micro_batches as u64
    }

    /// Floating-point operations of one backward pass: every step counts as many as in the forward pass.
    pub fn backward_flops(&self) -> u64 {
        self.backward.iter().map(|b| self.steps[b.step].flops).sum::<u64>() * self.micro_batches as u64
    }

    /// Every step of the forward pass, in order.
    pub fn schedule(&self) -> impl Iterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|s| StepInfo {
            name: &s.name,
            op_type: &s.op_type,
            flops: s.flops * self.micro_batches as u64,
            method: s.kernel.method(),
        })
    }
}

fn check_memory(request: &Request, arena: usize, weights: usize) -> Result<()> {
    if arena.saturating_add(weights) <= request.max_bytes {
        return Ok(());
    }
    let size = |bytes: usize| match bytes >> 30 {
        0 => format!("{} MB", bytes >> 20),
        n => format!("{n} GB"),
    };
    let limit = size(request.max_bytes);
    Err(Error::Request(if arena <= request.max_bytes && weights > arena {
        format!(
            "the weights that the model fills with one number would take {}, more than the {limit} that are allowed; \
             the file is damaged or needs a larger machine",
            size(weights)
        )
    } else {
        format!(
            "activations and gradients for inputs {:?} would take {}, more than the {limit} that are allowed; use a \
             smaller size or batch",
            request.shapes,
            size(arena)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::Net;
    use crate::plan::testing::request;

    fn refusal(arena: usize, weights: usize, max_bytes: usize) -> String {
        let (mut net, x) = Net::new(&[4, 8]);
        let y = net.node("Tanh", "y", &[x], &[]);
        let graph = net.graph(&[y]);
        let request = Request { max_bytes, ..request(&graph) };
        check_memory(&request, arena, weights).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn memory_that_does_not_suffice_is_refused_with_what_takes_it() {
        assert_eq!(refusal(60, 40, 100), "");
        let said = refusal(3 << 30, 0, 5 << 20);
        assert!(said.contains("[[4, 8]] would take 3 GB, more than the 5 MB that are allowed"), "{said}");
        let said = refusal(1 << 20, 7 << 20, 5 << 20);
        assert!(said.contains("weights") && said.contains("would take 7 MB"), "{said}");
        // Here the sum of the bytes overflows `usize`.
        assert!(refusal(usize::MAX, usize::MAX, usize::MAX - 1).contains("would take"));
    }

    #[test]
    fn a_value_that_is_several_targets_lies_outside_once() {
        let (mut net, x) = Net::new(&[1, 8]);
        let y = net.node("Tanh", "y", &[x], &[]);
        let same = net.node("Identity", "same", &[y], &[]);
        let z = net.node("Exp", "z", &[same], &[]);
        let graph = net.graph(&[y, same, z, x]);
        let plan = Plan::compile(&graph, &request(&graph)).unwrap();
        assert_eq!(plan.targets.len(), 4);
        let [inputs, gradients, targets, seeds] = plan.outside();
        assert_eq!((inputs.len(), gradients.len(), targets.len(), seeds.len()), (1, 1, 3, 3));
        assert_eq!(plan.targets[0].region, plan.targets[1].region);
        assert_eq!(plan.targets[3].region, plan.inputs[0].region);
    }

    #[test]
    fn flops_count_the_steps_that_run() {
        let (mut net, x) = Net::new(&[1, 3, 4, 4]);
        let w = net.weights("w", &[2, 3, 1, 1]);
        let first = net.node("Conv", "first", &[x, w], &[]);
        let w = net.weights("w2", &[2, 2, 1, 1]);
        let y = net.node("Conv", "y", &[first, w], &[]);
        let graph = net.graph(&[y]);
        let flops = |request: Request| {
            let plan = Plan::compile(&graph, &request).unwrap();
            [plan.forward_flops(), plan.backward_flops()]
        };
        let (one, two) = (2 * 2 * 3 * 16, 2 * 2 * 2 * 16);
        assert_eq!(flops(request(&graph)), [one + two, one + two]);
        assert_eq!(flops(Request { gradients: false, ..request(&graph) }), [one + two, 0]);
        let inner = Request { input_gradients: false, inner_gradients: vec![first], ..request(&graph) };
        let [forward, backward] = flops(inner);
        assert!(forward == one + two && backward < one + two, "{backward}");
    }
}
