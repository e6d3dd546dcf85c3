//! A plan: a fixed schedule of kernels, forward and back, with its memory laid out in advance.
//!
//! Time runs from 0 (the inputs are written) over the forward steps, the moment at which an objective writes
//! its seeds, and the backward steps in reverse order, to the end. Every block of memory has a life on that
//! axis, and [`memory::place`] packs them into one arena. Only steps on a path from an input to a target are
//! there at all; there is no gradient of anything but inputs and what lies between.

use crate::broken;
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::kernels::{Isa, MaskRows, MaxPoolRule, Region};
use crate::ops::nn::activation::Bounds;
use crate::ops::{Kernel, Operand, cnn::pool};
use crate::passes;
use crate::tensor::{DType, Tensor};
use crate::typed::{MAX_COMPUTED, Typed};

mod blocks;
mod joining;
mod lowering;
pub mod memory;
mod schedule;
mod sharing;
mod turns;

pub use turns::keeps_entries_apart;

use lowering::Lowering;
use turns::Turns;

/// Memory beyond which a request is refused rather than tried, unless it says otherwise.
pub const MAX_BYTES: usize = 1 << 37;

/// What to compile: input shapes, the values wanted, and whether and how gradients are wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Shape of every input, in the graph's order.
    pub shapes: Vec<Vec<usize>>,
    /// The values that have to be readable, and from which gradients start.
    pub targets: Vec<ValueId>,
    /// Whether backward will be run.
    pub gradients: bool,
    /// How gradients pass max-pooling. It is part of the plan, because one rule needs the positions of the
    /// maxima and another the pooled values, and the arena has room for what is needed only.
    pub max_pool: MaxPoolRule,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Bytes that activations, gradients and weights that no file holds may take in all.
    pub max_bytes: usize,
    /// How many entries of the batch are computed at once, a matter of time and memory, never of a bit:
    /// chosen by what the caches hold where it is not given. All of them where the number does not divide the
    /// batch, or where a node of the network is not known to work on each entry by itself; [`Plan::turns`]
    /// says what came of it.
    pub at_once: Option<usize>,
}

impl Request {
    /// Every input at its exported shape with this batch size; the rest as in [`Request::of_shapes`].
    pub fn new(graph: &Graph, batch: usize, targets: &[ValueId]) -> Result<Self> {
        let shapes = (0..graph.inputs.len())
            .map(|i| {
                let mut shape = graph.default_shape(i).ok_or_else(|| {
                    let name = graph.name(graph.inputs[i].value);
                    Error::Request(format!("the model gives no shape for input \"{name}\""))
                })?;
                if let Some(n) = shape.first_mut() {
                    *n = batch;
                }
                Ok(shape)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::of_shapes(shapes, targets.to_vec()))
    }

    /// Inputs of these shapes, gradients as they are, kernels for this machine and the threads of the current
    /// pool.
    pub fn of_shapes(shapes: Vec<Vec<usize>>, targets: Vec<ValueId>) -> Self {
        Self {
            shapes,
            targets,
            gradients: true,
            max_pool: MaxPoolRule::Exact,
            isa: Isa::detect(),
            max_bytes: MAX_BYTES,
            at_once: None,
        }
    }
}

/// One kernel of the schedule.
#[derive(Debug)]
pub(crate) struct Step {
    pub name: String,
    pub op_type: String,
    pub kernel: Box<dyn Kernel>,
    pub flops: u64,
    pub operands: Vec<Operand>,
    /// Which operands lie inside the output already (see [`Kernel::joins`]).
    pub in_place: Vec<bool>,
    pub output: Region,
    pub saved: Region,
    pub attached: Option<StepActivation>,
}

/// What is known of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo<'a> {
    /// Name of its node.
    pub name: &'a str,
    /// Operator.
    pub op_type: &'a str,
    /// Floating-point operations forward, counted as the direct algorithm.
    pub flops: u64,
    /// How the kernel computes it, where there is a choice.
    pub method: String,
}

/// The activation function of a step, with what backward needs of it.
#[derive(Debug)]
pub(crate) enum StepActivation {
    Clip(StepClip),
    Swish {
        alpha: f32,
        /// Where its slopes are kept, if the step runs back.
        slopes: Option<Region>,
    },
}

/// A clamp and where its masks lie.
#[derive(Debug)]
pub(crate) struct StepClip {
    pub bounds: Bounds,
    pub below: Option<Region>,
    pub above: Option<Region>,
    pub rows: MaskRows,
}

/// The gradients that one step of the backward schedule computes.
#[derive(Debug)]
pub(crate) struct BackwardStep {
    pub step: usize,
    pub output_gradient: Region,
    /// Whether what wrote the output's gradient last has applied the masks of the step's activation function,
    /// under the exact rule.
    pub gated: bool,
    pub gradients: Vec<OperandGradient>,
}

/// The gradient of one operand.
#[derive(Debug)]
pub(crate) struct OperandGradient {
    pub operand: usize,
    pub region: Region,
    /// Whether others contributed before.
    pub accumulate: bool,
    /// The step whose masks this contribution applies under the exact rule, as the last one.
    pub gates_of: Option<usize>,
}

/// A fed value.
#[derive(Debug)]
pub struct PlanInput {
    /// Name in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether a target depends on it.
    pub used: bool,
    pub(crate) region: Region,
    pub(crate) gradient: Option<Region>,
}

/// A value that was asked for.
#[derive(Debug)]
pub struct PlanTarget {
    /// Name in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    pub(crate) region: Region,
    pub(crate) seed: Option<Region>,
}

impl PlanTarget {
    /// Whether gradients start here: it depends on an input, and gradients were asked for.
    pub fn has_seed(&self) -> bool {
        self.seed.is_some()
    }
}

/// A compiled network. Immutable; [`crate::Session`]s run it.
#[derive(Debug)]
pub struct Plan {
    /// What is fed, in the graph's order.
    pub inputs: Vec<PlanInput>,
    /// What was asked for, in the request's order.
    pub targets: Vec<PlanTarget>,
    /// What the passes did: (pass, node).
    pub rewrites: Vec<(&'static str, String)>,
    /// Instruction set of the kernels: part of what decides the bits.
    pub isa: Isa,
    pub(crate) steps: Vec<Step>,
    pub(crate) backward: Vec<BackwardStep>,
    /// Gradients that nothing contributes to and that have to be zeroed.
    pub(crate) zeroed: Vec<Region>,
    pub(crate) arena_len: usize,
    /// How many turns a batch takes; the steps are those of one.
    pub(crate) turns: usize,
    /// How many groups of turns run side by side, each in an arena of its own, on one thread; if 1, every
    /// turn has all threads.
    pub(crate) groups: usize,
}

impl Plan {
    /// Compiles the part of a graph that the request's targets depend on.
    pub fn compile(graph: &Graph, request: &Request) -> Result<Self> {
        check_shapes(graph, request)?;
        let computed = request.max_bytes.min(MAX_COMPUTED);
        let mut typed = Typed::within(graph, &request.shapes, &request.targets, computed)?;
        for &target in request.targets.iter().filter(|_| request.gradients) {
            if typed.fact(target).is_ok_and(|fact| fact.dtype != DType::Float) {
                let name = graph.name(target);
                return Err(Error::Request(format!("\"{name}\" holds no real numbers to maximise")));
            }
        }
        let weights = repeated_bytes(&typed);
        check_memory(request, 0, weights)?;
        let whole = turns::possible(&typed, request).then(|| typed.clone());
        let prepared = |typed: &mut Typed| {
            let broken = if request.gradients { broken::isolate(typed) } else { vec![] };
            let mut rewrites: Vec<_> =
                broken.into_iter().map(|name| ("isolate filters that are not finite", name)).collect();
            rewrites.extend(passes::optimise(typed));
            rewrites
        };
        let rewrites = prepared(&mut typed);
        let in_turns = |wanted: Turns, whole: &Typed| {
            let mut part = turns::part(graph, request, whole, wanted, computed)?;
            let rewrites = prepared(&mut part.typed);
            let turns = turns::entries(request) / wanted.at_once;
            let plan =
                Self::lower(graph, part.typed, &part.request, [turns, wanted.groups], rewrites).ok()?;
            // Where threads do not get turns of their own, fewer at once have lost their reason unless they
            // were asked for.
            let as_wanted = plan.groups == wanted.groups || request.at_once.is_some();
            Some(plan).filter(|p| as_wanted && check_memory(request, p.arena_bytes(), weights).is_ok())
        };
        // Side by side; one after another, if some step's loops are not a team's or memory is short; at once.
        let plan = whole.and_then(|whole| {
            Turns::choices(&typed, request).into_iter().find_map(|wanted| in_turns(wanted, &whole))
        });
        let plan = match plan {
            Some(plan) => plan,
            None => Self::lower(graph, typed, request, [1, 1], rewrites)?,
        };
        check_memory(request, plan.arena_bytes(), weights)?;
        Ok(plan)
    }

    /// The plan of one turn's graph and request, for so many turns, of which so many are to go side by side.
    fn lower(
        graph: &Graph,
        mut typed: Typed,
        turn: &Request,
        [turns, groups]: [usize; 2],
        rewrites: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        for node in &mut typed.nodes {
            if let Some(ruled) = pool::under_rule(node.op.as_ref(), turn.max_pool) {
                node.op = ruled;
            }
        }
        let plan = Lowering::new(graph, &typed, turn, [turns, groups]).lower()?;
        Ok(Self { rewrites, ..plan })
    }

    /// Bytes of a session: all activations, gradients and what backward needs.
    pub fn arena_bytes(&self) -> usize {
        // What is fed and read lies apart from the arenas of several groups.
        let apart = self.outside().into_iter().flatten().map(|region| region.len.saturating_mul(self.turns));
        let apart = if self.groups > 1 { apart.fold(0, usize::saturating_add) } else { 0 };
        let numbers = self.arena_len.saturating_mul(self.groups).saturating_add(apart);
        numbers.saturating_mul(size_of::<f32>())
    }

    /// Where a turn has what is fed and read from outside: inputs, their gradients, targets, seeds. Targets
    /// may lie in one place, which is there once.
    pub(crate) fn outside(&self) -> [Vec<Region>; 4] {
        let mut all = [
            self.inputs.iter().map(|input| input.region).collect::<Vec<_>>(),
            self.inputs.iter().filter_map(|input| input.gradient).collect(),
            self.targets.iter().map(|target| target.region).collect(),
            self.targets.iter().filter_map(|target| target.seed).collect(),
        ];
        for regions in &mut all {
            regions.sort_unstable_by_key(|region| (region.offset, region.len));
            regions.dedup();
        }
        all
    }

    /// How many turns the entries of a batch take; 1 where they are computed at once.
    pub fn turns(&self) -> usize {
        self.turns
    }

    /// How many of the turns run side by side, each on one thread and with memory of its own; the others run
    /// after them, in the same memory. If 1, every turn has all threads. It is the number of threads of the
    /// pool that the plan was made in; in a pool of another size the results are the same, but threads may
    /// wait.
    pub fn side_by_side(&self) -> usize {
        self.groups
    }

    /// Floating-point operations of one forward pass, convolutions counted as the direct algorithm.
    pub fn forward_flops(&self) -> u64 {
        self.steps.iter().map(|s| s.flops).sum::<u64>() * self.turns as u64
    }

    /// Floating-point operations of one backward pass: as many as forward for every step that it runs back.
    pub fn backward_flops(&self) -> u64 {
        self.backward.iter().map(|b| self.steps[b.step].flops).sum::<u64>() * self.turns as u64
    }

    /// Every forward step, in order.
    pub fn schedule(&self) -> impl Iterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|s| StepInfo {
            name: &s.name,
            op_type: &s.op_type,
            flops: s.flops * self.turns as u64,
            method: s.kernel.method(),
        })
    }
}

/// Bytes of the weights that the model computes by repeating one number: kernels write them out.
fn repeated_bytes(typed: &Typed) -> usize {
    let facts = typed.nodes.iter().flat_map(|node| typed.input_facts(node)).flatten();
    facts.filter_map(|fact| fact.value.as_ref()).map(Tensor::repeated_bytes).fold(0, usize::saturating_add)
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

fn check_shapes(graph: &Graph, request: &Request) -> Result<()> {
    if request.shapes.len() != graph.inputs.len() {
        return Err(Error::Request(format!(
            "{} input shapes for a network with {} inputs",
            request.shapes.len(),
            graph.inputs.len()
        )));
    }
    for (input, shape) in graph.inputs.iter().zip(&request.shapes) {
        let name = graph.name(input.value);
        if shape.contains(&0) {
            return Err(Error::Request(format!("input \"{name}\": shape {shape:?} is empty")));
        }
        if let Some(dims) = &input.dims {
            let fits = dims.len() == shape.len();
            if !fits {
                return Err(Error::Request(format!(
                    "input \"{name}\" has {} axes, the shape given is {shape:?}",
                    dims.len()
                )));
            }
        }
    }
    Ok(())
}
