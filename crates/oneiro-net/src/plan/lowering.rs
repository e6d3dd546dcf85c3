//! From a typed graph to a plan: one step for every result that is read, the lives of all values and gradients on the
//! plan's axis of time, and their places in the arena.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::kernels::Region;
use crate::ops::activation::Bounds;
use crate::ops::view::loses_nothing;
use crate::ops::{Facts, Kernel, Operand, Site};
use crate::plan::memory::{self, Block};
use crate::plan::{BackwardStep, Plan, PlanInput, PlanTarget, Request, Step, StepClip, check_memory};
use crate::tensor::{DType, volume};
use crate::typed::{Typed, TypedNode};

/// A tensor that needs a place: its length, and the moments at which it is touched.
#[derive(Debug, Default)]
struct Storage {
    len: usize,
    value: Option<(usize, usize)>,
    gradient: Option<(usize, usize)>,
    /// Whether the gradient flows back through it to an input.
    differentiable: bool,
    /// Whether an objective writes its gradient.
    seeded: bool,
    /// Whether the gradient has been written, so that later contributions add.
    written: bool,
}

/// A step's share in the gradient of one of its operands.
struct Contribution {
    operand: usize,
    storage: usize,
    /// Whether others contributed before.
    accumulate: bool,
}

struct LoweredStep<'a> {
    node: &'a TypedNode,
    kernel: Box<dyn Kernel>,
    flops: u64,
    operands: Vec<LoweredOperand>,
    output: usize,
    shape: Vec<usize>,
    clip: Option<Bounds>,
}

enum LoweredOperand {
    Constant(Arc<Vec<f32>>),
    Storage(usize),
}

pub(super) struct Lowering<'a> {
    graph: &'a Graph,
    typed: &'a Typed,
    request: &'a Request,
    storages: Vec<Storage>,
    /// Storage of each value; views share that of what they view.
    of_value: Vec<Option<usize>>,
    steps: Vec<LoweredStep<'a>>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, typed: &'a Typed, request: &'a Request) -> Self {
        let of_value = vec![None; typed.facts.len()];
        Self { graph, typed, request, storages: Vec::new(), of_value, steps: Vec::new() }
    }

    pub(super) fn lower(mut self) -> Result<Plan> {
        for (i, &value) in self.typed.inputs.iter().enumerate() {
            let float = self.typed.fact(value).is_ok_and(|f| f.dtype == DType::Float);
            let differentiable = self.request.gradients && float;
            let storage = self.storage(volume(&self.request.shapes[i]), differentiable);
            self.of_value[value.index()] = Some(storage);
        }
        for node in &self.typed.nodes {
            self.node(node)?;
        }
        for target in &self.typed.targets {
            if self.of_value[target.index()].is_none() {
                let name = self.graph.name(*target);
                return Err(Error::Graph(format!("nothing computes \"{name}\"")));
            }
        }
        Ok(self.schedule())
    }

    fn storage(&mut self, len: usize, differentiable: bool) -> usize {
        self.storages.push(Storage { len, differentiable, ..Storage::default() });
        self.storages.len() - 1
    }

    /// Turns a node into one step for each of its results that is read, or into none if it is a view.
    fn node(&mut self, node: &'a TypedNode) -> Result<()> {
        let fail = |why: crate::error::OpError| Error::Node {
            node: node.name.clone(),
            op: node.op.op_type().to_owned(),
            why: why.0,
        };
        let inputs = self.typed.input_facts(node);
        let inputs = Facts(&inputs);
        let uses = self.typed.uses();
        for (output_index, value) in node.outputs.iter().enumerate() {
            let Some(value) = value.filter(|v| output_index == 0 || uses[v.index()] > 0) else { continue };
            let output = self.typed.fact(value).map_err(fail)?;
            if node.op.is_view() && output_index == 0 && node.clip.is_none() {
                let from = inputs.need(0).map_err(fail)?.dtype;
                loses_nothing(from, output.dtype).map_err(fail)?;
                let source = node.inputs[0].and_then(|v| self.of_value[v.index()]);
                self.of_value[value.index()] =
                    Some(source.ok_or_else(|| {
                        fail("it reshapes a value that is not computed from floats".into())
                    })?);
                continue;
            }
            // Truth values flow as 0 and 1; computed integers would round where they exceed what f32 holds exactly.
            if output.dtype == DType::Int && !node.op.carries_integers() {
                return Err(fail("it computes integers from the data, which is not supported".into()));
            }
            // Before a kernel makes tables of that size.
            check_memory(self.request, output.len().saturating_mul(size_of::<f32>()), 0)?;
            let site = Site {
                inputs,
                output,
                output_index,
                isa: self.request.isa,
                gradients: self.request.gradients,
            };
            let built = node.op.kernel(site).map_err(fail)?;
            let mut operands = Vec::new();
            let mut differentiable = false;
            for (k, &input) in built.operands.iter().enumerate() {
                let fact = inputs.need(input).map_err(fail)?;
                operands.push(match &fact.value {
                    Some(constant) => LoweredOperand::Constant(constant.operand().map_err(fail)?),
                    None => {
                        let source = node.inputs[input].and_then(|v| self.of_value[v.index()]);
                        let source =
                            source.ok_or_else(|| fail("an operand is not computed from floats".into()))?;
                        differentiable |=
                            self.storages[source].differentiable && built.kernel.differentiable(k);
                        LoweredOperand::Storage(source)
                    }
                });
            }
            let storage = self.storage(output.len(), differentiable);
            self.of_value[value.index()] = Some(storage);
            self.steps.push(LoweredStep {
                node,
                kernel: built.kernel,
                flops: node.op.flops(inputs, output),
                operands,
                output: storage,
                shape: output.shape.clone(),
                clip: node.clip.filter(|_| output_index == 0),
            });
        }
        Ok(())
    }

    /// Lives of everything, then places, then the plan.
    fn schedule(mut self) -> Plan {
        let gradients = self.request.gradients;
        let count = self.steps.len();
        let forward_time = |step: usize| step + 1;
        let seed_time = count + 1;
        let backward_time = |step: usize| 2 * count + 1 - step;
        let end = 2 * count + 2;

        let targets: Vec<usize> =
            self.typed.targets.iter().filter_map(|t| self.of_value[t.index()]).collect();
        let inputs: Vec<usize> = self.typed.inputs.iter().filter_map(|v| self.of_value[v.index()]).collect();
        for &s in &inputs {
            touch(&mut self.storages[s].value, 0);
        }
        for (i, step) in self.steps.iter().enumerate() {
            touch(&mut self.storages[step.output].value, forward_time(i));
            for operand in &step.operands {
                if let LoweredOperand::Storage(s) = operand {
                    touch(&mut self.storages[*s].value, forward_time(i));
                }
            }
        }
        for &t in &targets {
            touch(&mut self.storages[t].value, end);
            if gradients {
                self.storages[t].seeded = true;
                self.storages[t].written = true;
                touch(&mut self.storages[t].gradient, seed_time);
            }
        }

        let mut backward: Vec<(usize, Vec<Contribution>)> = Vec::new();
        for i in (0..count).rev().filter(|_| gradients) {
            let step = &self.steps[i];
            if !self.storages[step.output].written || !self.storages[step.output].differentiable {
                continue;
            }
            let mut contributions = Vec::new();
            for (k, operand) in step.operands.iter().enumerate() {
                let LoweredOperand::Storage(s) = operand else { continue };
                if self.storages[*s].differentiable && step.kernel.differentiable(k) {
                    let accumulate = self.storages[*s].written;
                    self.storages[*s].written = true;
                    touch(&mut self.storages[*s].gradient, backward_time(i));
                    contributions.push(Contribution { operand: k, storage: *s, accumulate });
                }
            }
            touch(&mut self.storages[step.output].gradient, backward_time(i));
            if step.kernel.backward_reads_output() {
                touch(&mut self.storages[step.output].value, backward_time(i));
            }
            if step.kernel.backward_reads_inputs() {
                for operand in &step.operands {
                    if let LoweredOperand::Storage(s) = operand {
                        touch(&mut self.storages[*s].value, backward_time(i));
                    }
                }
            }
            backward.push((i, contributions));
        }
        for &s in inputs.iter().filter(|_| gradients) {
            if !self.storages[s].written {
                touch(&mut self.storages[s].gradient, seed_time);
            }
            touch(&mut self.storages[s].gradient, end);
        }

        // Blocks: values, gradients, then saved words and masks of each step.
        let mut blocks = Vec::new();
        let mut block = |len: usize, life: Option<(usize, usize)>| {
            let (start, end) = life.unwrap_or((0, 0));
            blocks.push(Block { len: if life.is_some() { len } else { 0 }, start, end });
            blocks.len() - 1
        };
        let values: Vec<usize> = self.storages.iter().map(|s| block(s.len, s.value)).collect();
        let gradient_blocks: Vec<usize> = self.storages.iter().map(|s| block(s.len, s.gradient)).collect();
        let goes_back: Vec<bool> = {
            let mut v = vec![false; count];
            backward.iter().for_each(|(i, _)| v[*i] = true);
            v
        };
        let mut extra = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let life = goes_back[i].then_some((forward_time(i), backward_time(i)));
            let (entries, rows, row_len) = mask_rows(&step.shape, self.request);
            let words = rows * row_len.div_ceil(u32::BITS as usize);
            let low = step.clip.is_some_and(|c| c.low > f32::NEG_INFINITY);
            let high = step.clip.is_some_and(|c| c.high < f32::INFINITY);
            extra.push((
                block(step.kernel.saved_words(), life),
                block(words, life.filter(|_| low)),
                block(words, life.filter(|_| high)),
                (entries, rows / entries, row_len),
            ));
        }
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
                let s = self.of_value[v.index()]?;
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
            .zip(&targets)
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
            .map(|(i, contributions)| BackwardStep {
                step: *i,
                output_gradient: region(gradient_blocks[self.steps[*i].output]),
                gradients: contributions
                    .iter()
                    .map(|c| (c.operand, region(gradient_blocks[c.storage]), c.accumulate))
                    .collect(),
            })
            .collect();
        let steps = self
            .steps
            .into_iter()
            .zip(extra)
            .map(|(step, (saved, below, above, (entries, rows_per_entry, row_len)))| Step {
                name: step.node.name.clone(),
                op_type: step.node.op.op_type().to_owned(),
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
                saved: region(saved),
                clip: step.clip.map(|bounds| StepClip {
                    bounds,
                    below: some(below),
                    above: some(above),
                    entries,
                    rows_per_entry,
                    row_len,
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
