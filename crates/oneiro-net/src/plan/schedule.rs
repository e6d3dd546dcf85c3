//! The lives of all values and gradients on the plan's axis of time, their places in the arena, and the plan.

use crate::graph::ValueId;
use crate::kernels::Region;
use crate::ops::Operand;
use crate::plan::lowering::{LoweredOperand, LoweredStep, Lowering};
use crate::plan::memory::{self, Block};
use crate::plan::sharing;
use crate::plan::{BackwardStep, OperandGradient, Plan, PlanInput, PlanTarget, Request, Step, StepClip};
use crate::tensor::volume;

/// A step's share in the gradient of one of its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) operand: usize,
    pub(super) storage: usize,
    /// Whether others contributed before.
    pub(super) accumulate: bool,
    /// The step whose masks it applies.
    pub(super) gates_of: Option<usize>,
    /// Whether the operand's gradient lies where the output's does, and is the same: nothing is to be done.
    pub(super) shared: bool,
}

/// The contributions of one step.
#[derive(Debug)]
pub(super) struct BackwardLowered {
    pub(super) step: usize,
    pub(super) contributions: Vec<Contribution>,
}

/// Moments of a plan: inputs are written at 0, then every step runs, then objectives write seeds, then the steps run
/// back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) steps: usize,
}

impl Clock {
    fn forward(self, step: usize) -> usize {
        step + 1
    }

    fn seed(self) -> usize {
        self.steps + 1
    }

    pub(super) fn backward(self, step: usize) -> usize {
        2 * self.steps + 1 - step
    }

    fn end(self) -> usize {
        2 * self.steps + 2
    }
}

impl Lowering<'_> {
    /// Lives of everything, then places, then the plan.
    pub(super) fn schedule(mut self) -> Plan {
        let clock = Clock { steps: self.steps.len() };
        let targets = self.plain(&self.typed.targets);
        let inputs = self.plain(&self.typed.inputs);
        let producers = self.producers();
        self.live_forward(clock, &inputs, &targets);
        let mut backward = if self.request.gradients { self.run_back(clock) } else { Vec::new() };
        let homes = sharing::share(&self.storages, &self.steps, &producers, &mut backward, clock);
        let gated = gate(&self.steps, &producers, &mut backward);
        if self.request.gradients {
            for &s in &inputs {
                if !self.storages[s].written {
                    touch(&mut self.storages[s].gradient, clock.seed());
                }
                touch(&mut self.storages[s].gradient, clock.end());
            }
        }
        self.place(clock, &inputs, &targets, &homes, &backward, &gated)
    }

    /// The storages of values in plain order.
    fn plain(&self, values: &[ValueId]) -> Vec<usize> {
        values.iter().filter_map(|v| self.of_value[v.index()].plain).collect()
    }

    /// The step that computes each storage.
    fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.storages.len()];
        for (i, step) in self.steps.iter().enumerate() {
            producers[step.output] = Some(i);
        }
        producers
    }

    /// The lives of values as far as forward needs them; targets stay to the end.
    fn live_forward(&mut self, clock: Clock, inputs: &[usize], targets: &[usize]) {
        for &s in inputs {
            touch(&mut self.storages[s].value, 0);
        }
        for (i, step) in self.steps.iter().enumerate() {
            touch(&mut self.storages[step.output].value, clock.forward(i));
            for operand in &step.operands {
                if let LoweredOperand::Storage(s) = operand {
                    touch(&mut self.storages[*s].value, clock.forward(i));
                }
            }
        }
        for &t in targets {
            touch(&mut self.storages[t].value, clock.end());
            if self.request.gradients {
                self.storages[t].seeded = true;
                self.storages[t].written = true;
                touch(&mut self.storages[t].gradient, clock.seed());
            }
        }
    }

    /// Which steps run back, in order, with their contributions; the lives of gradients and of what backward reads.
    fn run_back(&mut self, clock: Clock) -> Vec<BackwardLowered> {
        let mut backward = Vec::new();
        for i in (0..self.steps.len()).rev() {
            let step = &self.steps[i];
            if !self.storages[step.output].written || !self.storages[step.output].differentiable {
                continue;
            }
            let now = clock.backward(i);
            let mut contributions = Vec::new();
            for (k, operand) in step.operands.iter().enumerate() {
                let LoweredOperand::Storage(s) = operand else { continue };
                if self.storages[*s].differentiable && step.kernel.differentiable(k) {
                    let accumulate = self.storages[*s].written;
                    self.storages[*s].written = true;
                    touch(&mut self.storages[*s].gradient, now);
                    contributions.push(Contribution {
                        operand: k,
                        storage: *s,
                        accumulate,
                        gates_of: None,
                        shared: false,
                    });
                }
            }
            touch(&mut self.storages[step.output].gradient, now);
            if step.kernel.backward_reads_output() {
                touch(&mut self.storages[step.output].value, now);
            }
            if step.kernel.backward_reads_inputs() {
                for operand in &step.operands {
                    if let LoweredOperand::Storage(s) = operand {
                        touch(&mut self.storages[*s].value, now);
                    }
                }
            }
            backward.push(BackwardLowered { step: i, contributions });
        }
        backward
    }

    /// Places all blocks in one arena and writes the plan down. `homes` is the storage in whose place each gradient lies.
    fn place(
        self,
        clock: Clock,
        inputs: &[usize],
        targets: &[usize],
        homes: &[usize],
        backward: &[BackwardLowered],
        gated: &[bool],
    ) -> Plan {
        let gradients = self.request.gradients;
        // Blocks: values, gradients, then saved words and masks of each step.
        let mut blocks = Vec::new();
        let mut block = |len: usize, life: Option<(usize, usize)>| {
            let (start, end) = life.unwrap_or((0, 0));
            blocks.push(Block { len: if life.is_some() { len } else { 0 }, start, end });
            blocks.len() - 1
        };
        let mut gradient_lives: Vec<Option<(usize, usize)>> = vec![None; self.storages.len()];
        for (s, storage) in self.storages.iter().enumerate() {
            if let Some((start, end)) = storage.gradient {
                touch(&mut gradient_lives[homes[s]], start);
                touch(&mut gradient_lives[homes[s]], end);
            }
        }
        let values: Vec<usize> = self.storages.iter().map(|s| block(s.len, s.value)).collect();
        let own: Vec<usize> =
            self.storages.iter().zip(&gradient_lives).map(|(s, &life)| block(s.len, life)).collect();
        let gradient_blocks: Vec<usize> = homes.iter().map(|&home| own[home]).collect();
        let mut goes_back = vec![false; self.steps.len()];
        backward.iter().for_each(|b| goes_back[b.step] = true);
        let extra: Vec<Extra> = self
            .steps
            .iter()
            .enumerate()
            .map(|(i, step)| {
                let life = goes_back[i].then_some((clock.forward(i), clock.backward(i)));
                let (entries, rows, row_len) = mask_rows(&step.shape, self.request);
                let words = rows * row_len.div_ceil(u32::BITS as usize);
                let low = step.clip.is_some_and(|c| c.low > f32::NEG_INFINITY);
                let high = step.clip.is_some_and(|c| c.high < f32::INFINITY);
                Extra {
                    saved: block(step.kernel.saved_words(), life),
                    below: block(words, life.filter(|_| low)),
                    above: block(words, life.filter(|_| high)),
                    entries,
                    rows_per_entry: rows / entries,
                    row_len,
                }
            })
            .collect();
        let (offsets, arena_len) = memory::place(&blocks);
        let region = |b: usize| Region { offset: offsets[b], len: blocks[b].len };
        let some = |b: usize| Some(region(b)).filter(|r| r.len > 0);

        let name = |v: ValueId| self.graph.name(v).to_owned();
        let plan_inputs = self
            .typed
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(i, &v)| {
                let s = self.of_value[v.index()].plain?;
                let gradient = gradients.then(|| region(gradient_blocks[s]));
                Some(PlanInput {
                    name: name(v),
                    shape: self.request.shapes[i].clone(),
                    used: self.storages[s].value.is_some_and(|(_, end)| end > 0),
                    region: region(values[s]),
                    gradient,
                })
            })
            .collect();
        let plan_targets = self
            .typed
            .targets
            .iter()
            .zip(targets)
            .map(|(&v, &s)| PlanTarget {
                name: name(v),
                shape: self.typed.facts[v.index()].as_ref().map_or(vec![], |f| f.shape.clone()),
                region: region(values[s]),
                seed: self.storages[s].seeded.then(|| region(gradient_blocks[s])),
            })
            .collect();
        let zeroed = inputs
            .iter()
            .filter(|&&s| gradients && !self.storages[s].written)
            .map(|&s| region(gradient_blocks[s]))
            .collect();
        let backward = backward
            .iter()
            .map(|b| BackwardStep {
                step: b.step,
                output_gradient: region(gradient_blocks[self.steps[b.step].output]),
                gated: gated[b.step],
                gradients: b
                    .contributions
                    .iter()
                    .filter(|c| !c.shared)
                    .map(|c| OperandGradient {
                        operand: c.operand,
                        region: region(gradient_blocks[c.storage]),
                        accumulate: c.accumulate,
                        gates_of: c.gates_of,
                    })
                    .collect(),
            })
            .collect();
        let steps = self
            .steps
            .into_iter()
            .zip(extra)
            .map(|(step, extra)| Step {
                name: step.name,
                op_type: step.op_type,
                kernel: step.kernel,
                flops: step.flops,
                operands: step
                    .operands
                    .into_iter()
                    .map(|o| match o {
                        LoweredOperand::Constant(data) => Operand::Constant(data),
                        LoweredOperand::Storage(s) => Operand::Arena(region(values[s])),
                    })
                    .collect(),
                output: region(values[step.output]),
                saved: region(extra.saved),
                clip: step.clip.map(|bounds| StepClip {
                    bounds,
                    below: some(extra.below),
                    above: some(extra.above),
                    entries: extra.entries,
                    rows_per_entry: extra.rows_per_entry,
                    row_len: extra.row_len,
                }),
            })
            .collect();
        Plan {
            inputs: plan_inputs,
            targets: plan_targets,
            rewrites: Vec::new(),
            isa: self.request.isa,
            steps,
            backward,
            zeroed,
            arena_len,
        }
    }
}

/// The blocks of a step besides its output, and how its masks are divided.
struct Extra {
    saved: usize,
    below: usize,
    above: usize,
    entries: usize,
    rows_per_entry: usize,
    row_len: usize,
}

/// Lets the last contribution to a gradient behind an activation function apply its masks, where its kernel can; says of
/// which steps the masks are applied so.
fn gate(steps: &[LoweredStep], producers: &[Option<usize>], backward: &mut [BackwardLowered]) -> Vec<bool> {
    let mut gated = vec![false; steps.len()];
    let mut finished = vec![false; producers.len()];
    for BackwardLowered { step, contributions } in backward.iter_mut().rev() {
        for contribution in contributions.iter_mut().rev() {
            if !std::mem::replace(&mut finished[contribution.storage], true)
                && let Some(p) = producers[contribution.storage].filter(|&p| steps[p].clip.is_some())
                && steps[*step].kernel.applies_gates(contribution.operand)
                && !contribution.shared
            {
                contribution.gates_of = Some(p);
                gated[p] = true;
            }
        }
    }
    gated
}

/// Makes a life include a moment.
fn touch(life: &mut Option<(usize, usize)>, time: usize) {
    *life = Some(life.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
}

/// How the masks of a value are divided: batch entries, rows in all, elements in a row. A row is a plane (N, C, …)
/// or, without spatial axes, a whole entry.
fn mask_rows(shape: &[usize], request: &Request) -> (usize, usize, usize) {
    let batch = request.shapes.first().and_then(|s| s.first()).copied().unwrap_or(1);
    let rows = volume(&shape[..shape.len().min(if shape.len() > 2 { 2 } else { 1 })]);
    let row_len = volume(shape) / rows.max(1);
    let entries = if batch > 0 && rows.is_multiple_of(batch) { batch } else { 1 };
    (entries, rows, row_len)
}
