//! The lives of all values and gradients on the plan's axis of time, their places in the arena, and the plan.

use crate::graph::ValueId;
use crate::kernels::{EpilogueFunction, MaskRows, Region, mask_words};
use crate::ops::{Layout, Operand};
use crate::plan::blocks::{Blocks, Clock, lives, touch};
use crate::plan::concat_in_place;
use crate::plan::lowered::{BackwardLowered, Contribution, Home, Life, LoweredOperand, LoweredStep, home};
use crate::plan::lowering::Lowering;
use crate::plan::{BackwardStep, OperandGradient, Plan, PlanInner, PlanInput, PlanTarget, Request, Step};
use crate::plan::{gradient_alias, microbatch};
use crate::tensor::volume;

impl Lowering<'_> {
    /// Lives of everything, then places, then the plan.
    pub(super) fn schedule(mut self) -> Plan {
        let timetable = self.timetable();
        self.place(&timetable)
    }

    /// Lives of everything, and what lies in one place.
    pub(super) fn timetable(&mut self) -> Timetable {
        let clock = Clock { steps: self.steps.len() };
        let targets = self.plain(&self.typed.targets);
        let inputs = self.plain(&self.typed.inputs);
        let inner = self.plain(&self.typed.inner);
        inner.iter().for_each(|&s| self.storages[s].kept = true);
        let producers = self.producers();
        let inside = self.concat_values(&producers, &targets);
        self.live_forward(clock, &inputs, &targets);
        let mut backward = if self.request.gradients { self.run_back(clock) } else { Vec::new() };
        let concatenated = concat_in_place::gradients(&self.storages, &self.steps, &inside, &mut backward);
        let aliases = gradient_alias::alias(
            &self.storages,
            &self.steps,
            &producers,
            &concatenated,
            &mut backward,
            clock,
        );
        let places = Places {
            values: (0..self.storages.len()).map(|s| home(&inside, s)).collect(),
            gradients: (0..self.storages.len()).map(|s| home(&concatenated, aliases[s])).collect(),
        };
        let masked = fuse_activation_masks(&self.steps, &producers, &mut backward);
        if self.request.gradients {
            let inputs = inputs.iter().filter(|_| self.request.input_gradients);
            for &s in inputs.chain(&inner) {
                if !self.storages[s].written {
                    touch(&mut self.storages[s].gradient, clock.seed());
                }
                touch(&mut self.storages[s].gradient, clock.end());
            }
        }
        Timetable { clock, inputs, targets, inner, places, backward, masked }
    }

    /// Concatenations whose parts lie inside them. With micro-batches, targets stay apart, so that a target
    /// of the whole batch lies in one piece.
    fn concat_values(&mut self, producers: &[Option<usize>], targets: &[usize]) -> Vec<Option<Home>> {
        let apart = |s: usize| self.micro_batches > 1 && targets.contains(&s);
        concat_in_place::values(&self.storages, &mut self.steps, producers, apart)
    }

    /// The storages of values in plain order.
    fn plain(&self, values: &[ValueId]) -> Vec<usize> {
        values.iter().filter_map(|v| self.of_value[v.index()].plain).collect()
    }

    /// The step that computes each storage.
    pub(super) fn producers(&self) -> Vec<Option<usize>> {
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

    /// Which steps run back, in order, with their contributions; the lives of gradients and of what backward
    /// reads.
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
                        activation_mask_of: None,
                        aliased: false,
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

    /// Places all blocks in one arena and writes the plan down.
    pub(super) fn place(self, timetable: &Timetable) -> Plan {
        let Timetable { clock, inputs, targets, inner, places, backward, masked } = timetable;
        let gradients = self.request.gradients;
        // Blocks: values, gradients, then saved words and masks of each step.
        let micro_batches = self.micro_batches;
        // A replica's micro-batches run within a task, where loops that are no team's must not.
        let replicas = if self.steps.iter().all(|s| s.kernel.joins_team()) { self.replicas } else { 1 };
        let mut blocks = Blocks::new(*clock, micro_batches / replicas);
        // Inputs, targets and kept gradients lie in one piece.
        let outside = |s: usize| inputs.contains(&s) || targets.contains(&s) || inner.contains(&s);
        let value_lives = lives(&places.values, self.storages.iter().map(|s| s.value));
        let gradient_lives = lives(&places.gradients, self.storages.iter().map(|s| s.gradient));
        let mut own = |lives: &[Option<Life>]| -> Vec<usize> {
            let storages = self.storages.iter().zip(lives).enumerate();
            storages.map(|(i, (s, &life))| blocks.add(s.len, life, outside(i))).collect()
        };
        let value_blocks = own(&value_lives);
        let gradient_blocks = own(&gradient_lives);
        let mut goes_back = vec![false; self.steps.len()];
        backward.iter().for_each(|b| goes_back[b.step] = true);
        let extra: Vec<Extra> = self
            .steps
            .iter()
            .enumerate()
            .map(|(i, step)| {
                let life = goes_back[i].then_some((clock.forward(i), clock.backward(i)));
                let rows = mask_rows(step, &self.request);
                let words = rows.rows() * mask_words(rows.row_len);
                let bounds = step.epilogue.and_then(|f| f.bounds());
                let low = bounds.is_some_and(|c| c.low > f32::NEG_INFINITY);
                let high = bounds.is_some_and(|c| c.high < f32::INFINITY);
                let swish = matches!(step.epilogue, Some(EpilogueFunction::Swish { .. }));
                Extra {
                    saved: blocks.add(step.kernel.saved_words(), life, false),
                    below: blocks.add(words, life.filter(|_| low), false),
                    above: blocks.add(words, life.filter(|_| high), false),
                    slopes: blocks.add(self.storages[step.output].len, life.filter(|_| swish), false),
                    rows,
                }
            })
            .collect();
        let (regions, arena_len) = blocks.place();
        let region = |b: usize| regions[b];
        let some = |b: usize| Some(region(b)).filter(|r| r.len > 0);
        let within = |blocks: &[usize], homes: &[Home], s: usize| {
            let (home, offset) = homes[s];
            let whole = region(blocks[home]);
            // A block without a life has no place.
            if whole.len == 0 {
                whole
            } else {
                Region { offset: whole.offset + offset, len: self.storages[s].len, ..whole }
            }
        };
        let value = |s: usize| within(&value_blocks, &places.values, s);
        let gradient_of = |s: usize| within(&gradient_blocks, &places.gradients, s);

        let name = |v: ValueId| self.graph.name(v).to_owned();
        let plan_inputs = self
            .typed
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(i, &v)| {
                let s = self.of_value[v.index()].plain?;
                let wanted = gradients && (self.request.input_gradients || inner.contains(&s));
                let gradient = wanted.then(|| gradient_of(s));
                Some(PlanInput {
                    name: name(v),
                    shape: microbatch::of_all(&self.request.shapes[i], micro_batches),
                    used: self.storages[s].value.is_some_and(|(_, end)| end > 0),
                    region: value(s),
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
                shape: self.typed.facts[v.index()]
                    .as_ref()
                    .map_or(vec![], |f| microbatch::of_all(&f.shape, micro_batches)),
                region: value(s),
                seed: self.storages[s].seeded.then(|| gradient_of(s)),
            })
            .collect();
        let plan_inner = self
            .typed
            .inner
            .iter()
            .zip(inner)
            .map(|(&v, &s)| PlanInner {
                name: name(v),
                shape: self.typed.facts[v.index()]
                    .as_ref()
                    .map_or(vec![], |f| microbatch::of_all(&f.shape, micro_batches)),
                gradient: gradient_of(s),
            })
            .collect();
        let zeroed = inputs
            .iter()
            .filter(|_| self.request.input_gradients)
            .chain(inner)
            .filter(|&&s| gradients && !self.storages[s].written)
            .map(|&s| gradient_of(s))
            .collect();
        let backward = backward
            .iter()
            .map(|b| BackwardStep {
                step: b.step,
                output_gradient: gradient_of(self.steps[b.step].output),
                masked: masked[b.step],
                gradients: b
                    .contributions
                    .iter()
                    .filter(|c| !c.aliased)
                    .map(|c| OperandGradient {
                        operand: c.operand,
                        region: gradient_of(c.storage),
                        accumulate: c.accumulate,
                        activation_mask_of: c.activation_mask_of,
                    })
                    .collect(),
            })
            .collect();
        let operand_regions: Vec<Vec<Region>> = self
            .steps
            .iter()
            .map(|step| {
                let of = |o: &LoweredOperand| match o {
                    LoweredOperand::Constant(_) => Region::default(),
                    LoweredOperand::Storage(s) => value(*s),
                };
                step.operands.iter().map(of).collect()
            })
            .collect();
        let outputs: Vec<Region> = self.steps.iter().map(|step| value(step.output)).collect();
        let steps = self
            .steps
            .into_iter()
            .zip(extra)
            .zip(operand_regions.into_iter().zip(outputs))
            .map(|((step, extra), (regions, output))| Step {
                name: step.name,
                op_type: step.op_type,
                kernel: step.kernel,
                flops: step.flops,
                operands: step
                    .operands
                    .into_iter()
                    .zip(regions)
                    .map(|(o, region)| match o {
                        LoweredOperand::Constant(data) => Operand::Constant(data),
                        LoweredOperand::Storage(_) => Operand::Arena(region),
                    })
                    .collect(),
                in_place: step.in_place,
                output,
                saved: region(extra.saved),
                epilogue: step.epilogue.map(|function| match function {
                    EpilogueFunction::Clip { bounds, .. } => {
                        EpilogueFunction::Clip { bounds, below: some(extra.below), above: some(extra.above) }
                    }
                    EpilogueFunction::Swish { alpha, .. } => {
                        EpilogueFunction::Swish { alpha, slopes: some(extra.slopes) }
                    }
                }),
                mask_rows: extra.rows,
            })
            .collect();
        Plan {
            inputs: plan_inputs,
            targets: plan_targets,
            inner: plan_inner,
            rewrites: Vec::new(),
            isa: self.request.isa,
            threads: self.request.threads.clone(),
            steps,
            backward,
            zeroed,
            arena_len,
            micro_batches,
            replicas,
        }
    }
}

/// The order of steps, and the values that share memory.
pub(super) struct Timetable {
    pub(super) clock: Clock,
    /// Storages of inputs, targets and kept gradients.
    inputs: Vec<usize>,
    targets: Vec<usize>,
    inner: Vec<usize>,
    pub(super) places: Places,
    pub(super) backward: Vec<BackwardLowered>,
    /// Whether each step's activation mask is applied by the last contribution to its output's gradient.
    pub(super) masked: Vec<bool>,
}

/// In the place of which storage, and where in it, values and gradients lie.
pub(super) struct Places {
    pub(super) values: Vec<Home>,
    pub(super) gradients: Vec<Home>,
}

/// The blocks of a step besides its output, and how its masks are divided.
struct Extra {
    saved: usize,
    below: usize,
    above: usize,
    /// The slopes of the activation function.
    slopes: usize,
    rows: MaskRows,
}

/// Lets the last contribution to a gradient apply the activation mask of the step that computed the value,
/// where the contributing kernel can. Returns for each step whether its mask is applied so.
fn fuse_activation_masks(
    steps: &[LoweredStep],
    producers: &[Option<usize>],
    backward: &mut [BackwardLowered],
) -> Vec<bool> {
    let mut masked = vec![false; steps.len()];
    let mut finished = vec![false; producers.len()];
    for BackwardLowered { step, contributions } in backward.iter_mut().rev() {
        for contribution in contributions.iter_mut().rev() {
            if !std::mem::replace(&mut finished[contribution.storage], true)
                && let Some(p) = producers[contribution.storage].filter(|&p| steps[p].epilogue.is_some())
                && steps[*step].kernel.applies_activation_mask(contribution.operand)
                && !contribution.aliased
            {
                contribution.activation_mask_of = Some(p);
                masked[p] = true;
            }
        }
    }
    masked
}

/// How the masks of a step's output are divided. A row is a plane (N, C, …) or, without spatial axes, a whole
/// entry; in blocks of channels one image of a block.
fn mask_rows(step: &LoweredStep, request: &Request) -> MaskRows {
    let shape = &step.shape;
    if step.layout == Layout::Blocked {
        let row_len = volume(&shape[2..]);
        return MaskRows { entries: shape[1], per_entry: shape[0], row_len, interleaved: true };
    }
    let batch = microbatch::entries(request);
    let rows = volume(&shape[..shape.len().min(if shape.len() > 2 { 2 } else { 1 })]);
    let row_len = volume(shape) / rows.max(1);
    let entries = if batch > 0 && rows.is_multiple_of(batch) { batch } else { 1 };
    MaskRows { entries, per_entry: rows / entries, row_len, interleaved: false }
}

#[cfg(test)]
mod tests;
