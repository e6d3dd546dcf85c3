//! Sessions: run a plan forward on data, and backward from seeds to the gradients of the inputs.

mod replicas;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kernels::{self, Arena, Epilogue, EpilogueFunction, EpilogueSlices, Isa, Region, ReluRule, team};
use crate::ops::{Backward, Forward};
use crate::plan::{BackwardStep, OperandGradient, Plan, Step};
use replicas::Replicas;

/// Rules for the gradients of activation functions. Each backward pass may use others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The rule for gradients of `Relu` and `Clip`.
    pub relu: ReluRule,
}

impl Default for Rules {
    /// The default is the exact derivative of ReLUs.
    fn default() -> Self {
        Self { relu: ReluRule::Exact }
    }
}

/// A running network. Every backend implements this trait.
///
/// The order of calls: write every input, [`forward`](Session::forward), read activations, add to the seeds
/// (zero after every forward), [`backward`](Session::backward), read gradients. Inputs must be written again
/// before every forward pass, as their memory is reused.
pub trait Session: Send {
    /// Returns the data of an input for writing. The shape is (batch, …) as compiled.
    fn input_mut(&mut self, input: usize) -> &mut [f32];
    /// Runs the forward pass, which computes all targets.
    fn forward(&mut self);
    /// Returns a target's activations after the forward pass.
    fn activation(&self, target: usize) -> &[f32];
    /// Returns a target's activations and its seed, to which the caller adds the objective's gradient.
    fn seed(&mut self, target: usize) -> (&[f32], &mut [f32]);
    /// Runs the backward pass, which computes the gradients that the plan keeps: of inputs and of inner
    /// values.
    fn backward(&mut self, rules: &Rules);
    /// Returns the gradient of an input after the backward pass.
    fn input_gradient(&self, input: usize) -> &[f32];
    /// Returns the gradient of an inner value after the backward pass. `inner` is its index in
    /// [`Request::inner_gradients`](crate::Request::inner_gradients). If the value is also a target, its seed
    /// is included.
    fn inner_gradient(&self, inner: usize) -> &[f32];
}

/// The reference backend: this crate's CPU kernels, on the threads of the plan.
#[allow(missing_debug_implementations)]
pub struct CpuSession {
    plan: Arc<Plan>,
    memory: Memory,
}

/// The memory that holds a session's activations and gradients.
enum Memory {
    /// One arena: micro-batches run one after another, and all threads share each.
    One(Arena),
    /// Several arenas: micro-batches run at the same time, each on one thread.
    Replicas(Replicas),
}

impl CpuSession {
    /// Allocates the memory of a plan ([`Plan::arena_bytes`]). No tensor is allocated after this.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(plan: Arc<Plan>) -> Result<Self> {
        let memory = match plan.replicas {
            1 => Arena::try_new(plan.arena_len).map(Memory::One),
            _ => Replicas::new(&plan).map(Memory::Replicas),
        };
        let memory = memory.ok_or_else(|| {
            Error::Request(format!(
                "there is not enough memory for {} MB of activations and gradients; use a smaller size or batch",
                plan.arena_bytes() >> 20
            ))
        })?;
        Ok(Self { plan, memory })
    }

    /// Returns the plan that this session runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn gradient(&self, region: Region) -> &[f32] {
        match &self.memory {
            Memory::One(arena) => arena.slice(region.of_micro_batches(self.plan.micro_batches)),
            Memory::Replicas(replicas) => replicas.gradient(region),
        }
    }

    /// Runs [`Session::forward`] and calls `observe` after each step with the step's index in
    /// [`Plan::schedule`], once for each micro-batch. With several [replicas](Plan::replicas), only the first
    /// replica's steps are reported.
    pub fn forward_observed(&mut self, observe: &mut (dyn FnMut(usize) + Send)) {
        let (plan, memory) = (&self.plan, &mut self.memory);
        plan.threads.run(|| match memory {
            Memory::Replicas(replicas) => replicas.forward(plan, observe),
            Memory::One(arena) => {
                forward_micro_batches(arena, plan, plan.micro_batches, observe);
                for target in &plan.targets {
                    if let Some(seed) = target.seed {
                        arena.slice_mut(seed.of_micro_batches(plan.micro_batches)).fill(0.0);
                    }
                }
            }
        });
    }

    /// Runs [`Session::backward`] and calls `observe` after each step with the step's index in
    /// [`Plan::schedule`]. It is called as often as by [`forward_observed`](Self::forward_observed).
    pub fn backward_observed(&mut self, rules: &Rules, observe: &mut (dyn FnMut(usize) + Send)) {
        let (plan, memory) = (&self.plan, &mut self.memory);
        plan.threads.run(|| match memory {
            Memory::Replicas(replicas) => replicas.backward(plan, rules, observe),
            Memory::One(arena) => back_micro_batches(arena, plan, plan.micro_batches, rules, observe),
        });
    }
}

/// Runs the forward steps of all micro-batches of an arena.
fn forward_micro_batches(
    arena: &mut Arena,
    plan: &Plan,
    micro_batches: usize,
    observe: &mut (dyn FnMut(usize) + Send),
) {
    let steps = plan.steps.len();
    let joins = |i: usize| plan.steps[i % steps].kernel.joins_team();
    in_teams(micro_batches * steps, joins, |i| {
        arena.select_micro_batch(i / steps);
        run_forward(arena, plan.isa, &plan.steps[i % steps]);
        observe(i % steps);
    });
    arena.select_micro_batch(0);
}

/// Runs the backward steps of all micro-batches of an arena.
fn back_micro_batches(
    arena: &mut Arena,
    plan: &Plan,
    micro_batches: usize,
    rules: &Rules,
    observe: &mut (dyn FnMut(usize) + Send),
) {
    for region in &plan.zeroed {
        arena.slice_mut(region.of_micro_batches(micro_batches)).fill(0.0);
    }
    let steps = plan.backward.len();
    let joins = |i: usize| plan.steps[plan.backward[i % steps].step].kernel.joins_team();
    in_teams(micro_batches * steps, joins, |i| {
        // Micro-batches run backward in reverse order, because the last one's saved values are still in the
        // caches.
        arena.select_micro_batch(micro_batches - 1 - i / steps);
        run_backward(arena, plan, &plan.backward[i % steps], rules);
        observe(plan.backward[i % steps].step);
    });
    arena.select_micro_batch(0);
}

/// Runs steps in order. Consecutive steps whose kernels can run in a team share one.
fn in_teams(count: usize, joins: impl Fn(usize) -> bool, mut run: impl FnMut(usize) + Send) {
    let mut first = 0;
    while first < count {
        let team = joins(first);
        let end = (first..count).find(|&i| joins(i) != team).unwrap_or(count);
        let mut part = || (first..end).for_each(&mut run);
        if team {
            team::run(part)
        } else {
            part()
        }
        first = end;
    }
}

/// Panics with a clear message if the plan does not keep the requested gradient.
fn compiled_with_gradients(region: Option<Region>) -> Region {
    region.expect("the session was compiled without this gradient")
}

impl Session for CpuSession {
    fn input_mut(&mut self, input: usize) -> &mut [f32] {
        let region = self.plan.inputs[input].region;
        match &mut self.memory {
            Memory::One(arena) => arena.slice_mut(region.of_micro_batches(self.plan.micro_batches)),
            Memory::Replicas(replicas) => replicas.input_mut(region),
        }
    }

    fn forward(&mut self) {
        self.forward_observed(&mut |_| {});
    }

    fn activation(&self, target: usize) -> &[f32] {
        let region = self.plan.targets[target].region;
        match &self.memory {
            Memory::One(arena) => arena.slice(region.of_micro_batches(self.plan.micro_batches)),
            Memory::Replicas(replicas) => replicas.value(region),
        }
    }

    fn seed(&mut self, target: usize) -> (&[f32], &mut [f32]) {
        let (micro_batches, target) = (self.plan.micro_batches, &self.plan.targets[target]);
        let (value, seed) = (target.region, compiled_with_gradients(target.seed));
        match &mut self.memory {
            Memory::One(arena) => {
                let (reader, [seed]) = arena.frame([seed.of_micro_batches(micro_batches)]);
                (reader.read(value.of_micro_batches(micro_batches)), seed)
            }
            Memory::Replicas(replicas) => replicas.seed(value, seed),
        }
    }

    fn backward(&mut self, rules: &Rules) {
        self.backward_observed(rules, &mut |_| {});
    }

    fn input_gradient(&self, input: usize) -> &[f32] {
        self.gradient(compiled_with_gradients(self.plan.inputs[input].gradient))
    }

    fn inner_gradient(&self, inner: usize) -> &[f32] {
        self.gradient(self.plan.inner[inner].gradient)
    }
}

const NOWHERE: Region = Region::new(0, 0);

/// Returns the words of a mask, which the arena stores as floats. An absent mask is `None`.
fn words(floats: &mut [f32]) -> Option<&mut [u32]> {
    if floats.is_empty() { None } else { Some(bytemuck::cast_slice_mut(floats)) }
}

fn run_forward(arena: &mut Arena, isa: Isa, step: &Step) {
    if !step.in_place.is_empty() && step.in_place.iter().all(|&p| p) {
        return;
    }
    let [below, above, slopes] = match step.epilogue {
        None => [None; 3],
        Some(EpilogueFunction::Clip { below, above, .. }) => [below, above, None],
        Some(EpilogueFunction::Swish { slopes, .. }) => [None, None, slopes],
    }
    .map(|region| region.unwrap_or(NOWHERE));
    let (reader, [output, saved, below, above, slopes]) =
        arena.frame([step.output, step.saved, below, above, slopes]);
    let function: Option<EpilogueSlices<'_>> = step.epilogue.map(|function| match function {
        EpilogueFunction::Clip { bounds, .. } => {
            EpilogueFunction::Clip { bounds, below: words(below), above: words(above) }
        }
        EpilogueFunction::Swish { alpha, .. } => {
            EpilogueFunction::Swish { alpha, slopes: Some(slopes).filter(|slopes| !slopes.is_empty()) }
        }
    });
    let applied_by_kernel = match step.epilogue {
        None => true,
        Some(EpilogueFunction::Clip { .. }) => step.kernel.applies_clip(),
        Some(EpilogueFunction::Swish { .. }) => step.kernel.applies_swish(),
    };
    let (inside, behind) = if applied_by_kernel { (function, None) } else { (None, function) };
    step.kernel.forward(&mut Forward {
        reader,
        operands: &step.operands,
        output: &mut *output,
        saved: bytemuck::cast_slice_mut(saved),
        epilogue: Epilogue::of(inside),
        in_place: &step.in_place,
    });
    match behind {
        None => {}
        Some(EpilogueFunction::Clip { bounds, below, above }) => {
            let rows = step.mask_rows;
            kernels::apply_clip(
                isa,
                rows.rows(),
                rows.row_len,
                output,
                bounds.low,
                bounds.high,
                below,
                above,
            );
        }
        Some(EpilogueFunction::Swish { alpha, slopes }) => kernels::apply_swish(isa, alpha, output, slopes),
    }
}

fn run_backward(arena: &mut Arena, plan: &Plan, back: &BackwardStep, rules: &Rules) {
    // Contributions apply masks under the exact rule only. For the range of a number format, no other rule
    // exists.
    let exact = |saturates: bool| saturates || rules.relu == ReluRule::Exact;
    let step = &plan.steps[back.step];
    match step.epilogue {
        Some(EpilogueFunction::Clip { bounds, below, above })
            if !(back.masked && exact(bounds.saturates)) =>
        {
            let rule = if bounds.saturates { ReluRule::Exact } else { rules.relu };
            let (reader, [dy]) = arena.frame([back.output_gradient]);
            let read = |r: Option<Region>| r.map(|r| bytemuck::cast_slice(reader.read(r)));
            kernels::clip_gradient(plan.isa, rule, step.mask_rows, dy, read(below), read(above));
        }
        Some(EpilogueFunction::Swish { slopes: Some(slopes), .. }) if !back.masked => {
            let (reader, [dy]) = arena.frame([back.output_gradient]);
            kernels::multiply(reader.read(slopes), dy);
        }
        _ => {}
    }
    for &OperandGradient { operand, region, accumulate, activation_mask_of } in &back.gradients {
        let (reader, [gradient]) = arena.frame([region]);
        let saved = bytemuck::cast_slice(reader.read(step.saved));
        let epilogue = match activation_mask_of.and_then(|producer| plan.steps[producer].epilogue) {
            Some(EpilogueFunction::Clip { bounds, below, above }) if exact(bounds.saturates) => {
                let read = |r: Option<Region>| r.map(|r| bytemuck::cast_slice(reader.read(r)));
                Epilogue { activation_masks: [read(below), read(above)], ..Epilogue::none() }
            }
            Some(EpilogueFunction::Swish { slopes: Some(slopes), .. }) => {
                Epilogue { slopes: Some(reader.read(slopes)), ..Epilogue::none() }
            }
            _ => Epilogue::none(),
        };
        step.kernel.backward(&mut Backward {
            reader,
            operands: &step.operands,
            output: step.output,
            output_gradient: back.output_gradient,
            operand,
            gradient,
            accumulate,
            saved,
            epilogue,
        });
    }
}
