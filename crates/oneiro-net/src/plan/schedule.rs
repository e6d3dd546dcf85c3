//! Schedules a plan: the lives of all values and gradients, their places in the arena, and the finished plan.

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
    /// Computes all lives and places, and returns the plan.
    pub(super) fn schedule(mut self) -> Plan {
        let timetable = self.timetable();
        self.place(&timetable)
    }

    /// Computes the lives of all storages, and which storages share a place.
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

    /// Places operands of concatenations inside their results. With micro-batches, targets are excluded, so
    /// that a target of the whole batch is contiguous.
    fn concat_values(&mut self, producers: &[Option<usize>], targets: &[usize]) -> Vec<Option<Home>> {
        let apart = |s: usize| self.micro_batches > 1 && targets.contains(&s);
        concat_in_place::values(&self.storages, &mut self.steps, producers, apart)
    }

    /// Returns the storages of values in plain order.
    fn plain(&self, values: &[ValueId]) -> Vec<usize> {
        values.iter().filter_map(|v| self.of_value[v.index()].plain).collect()
    }

    /// Returns for each storage the step that computes it.
    pub(super) fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.storages.len()];
        for (i, step) in self.steps.iter().enumerate() {
            producers[step.output] = Some(i);
        }
        producers
    }

    /// Computes the lives of values in the forward pass. Targets live until the end.
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

    /// Returns the steps of the backward pass in order, with their contributions. Computes the lives of
    /// gradients, and extends those of values that the backward pass reads.
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

    /// Places all blocks in one arena and returns the plan.
    pub(super) fn place(self, timetable: &Timetable) -> Plan {
        let Timetable { clock, inputs, targets, inner, places, backward, masked } = timetable;
        let gradients = self.request.gradients;
        // The order of the blocks: values, gradients, then the saved words and masks of each step.
        let micro_batches = self.micro_batches;
        // A replica runs its micro-batches within a task of a team. Kernels whose loops run on `rayon`
        // instead are not allowed there.
        let replicas = if self.steps.iter().all(|s| s.kernel.joins_team()) { self.replicas } else { 1 };
        let mut blocks = Blocks::new(*clock, micro_batches / replicas);
        // Inputs, targets and kept gradients are contiguous for the whole batch.
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
            // A block that is needed at no moment is empty.
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

/// The schedule of steps, and the storages that share memory.
pub(super) struct Timetable {
    pub(super) clock: Clock,
    /// Storages of the network's inputs. Below: those of targets, and of values whose gradients are kept.
    inputs: Vec<usize>,
    targets: Vec<usize>,
    inner: Vec<usize>,
    pub(super) places: Places,
    pub(super) backward: Vec<BackwardLowered>,
    /// For each step, whether the last contribution to its output's gradient applies its activation mask.
    pub(super) masked: Vec<bool>,
}

/// For each storage, the storages that contain its value and its gradient, with offsets.
pub(super) struct Places {
    pub(super) values: Vec<Home>,
    pub(super) gradients: Vec<Home>,
}

/// Indices of a step's blocks other than its output, and the rows of its masks.
struct Extra {
    saved: usize,
    below: usize,
    above: usize,
    /// Index of the block that holds the slopes of the activation function.
    slopes: usize,
    rows: MaskRows,
}

/// Lets the last contribution to a gradient apply the activation mask of the step that computed the value, if
/// the contributing kernel can. Returns for each step whether this is so.
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

/// Returns the mask rows of a step's output. A row is a plane (N, C, …), or a whole batch entry if there are
/// no spatial axes. In blocks of channels, a row is one image of a block.
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
