//! From a typed graph to a plan: one step for every result that is read, the lives of all values and gradients on the
//! plan's axis of time, and their places in the arena.

use std::sync::Arc;

use crate::error::{Error, OpError, Result};
use crate::graph::{Graph, ValueId};
use crate::kernels::Region;
use crate::ops::activation::Bounds;
use crate::ops::reorder::Reorder;
use crate::ops::view::loses_nothing;
use crate::ops::{Built, Fact, Facts, Kernel, Layout, Operand, Site};
use crate::plan::memory::{self, Block};
use crate::plan::{
    BackwardStep, OperandGradient, Plan, PlanInput, PlanTarget, Request, Step, StepClip, check_memory,
};
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
    /// The step whose masks it applies.
    gates_of: Option<usize>,
}

struct LoweredStep {
    name: String,
    op_type: String,
    kernel: Box<dyn Kernel>,
    flops: u64,
    operands: Vec<LoweredOperand>,
    output: usize,
    /// Shape under which the output lies in memory.
    shape: Vec<usize>,
    clip: Option<Bounds>,
}

/// Why a result cannot be lowered: for a reason of its operator, or of the whole.
enum LoweringError {
    Op(OpError),
    Whole(Error),
}

impl From<OpError> for LoweringError {
    fn from(why: OpError) -> Self {
        LoweringError::Op(why)
    }
}

impl From<&str> for LoweringError {
    fn from(why: &str) -> Self {
        LoweringError::Op(OpError(why.into()))
    }
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
    /// Storages of each value, plain and in blocks; views share those of what they view.
    of_value: Vec<Stored>,
    /// How often each value is read.
    uses: Vec<usize>,
    steps: Vec<LoweredStep>,
}

/// Where a value is stored, by layout.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    plain: Option<usize>,
    blocked: Option<usize>,
}

impl Stored {
    fn get(self, layout: Layout) -> Option<usize> {
        match layout {
            Layout::Plain => self.plain,
            Layout::Blocked => self.blocked,
        }
    }

    fn set(&mut self, layout: Layout, storage: usize) {
        match layout {
            Layout::Plain => self.plain = Some(storage),
            Layout::Blocked => self.blocked = Some(storage),
        }
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, typed: &'a Typed, request: &'a Request) -> Self {
        let of_value = vec![Stored::default(); typed.facts.len()];
        let uses = typed.uses();
        Self { graph, typed, request, storages: Vec::new(), of_value, uses, steps: Vec::new() }
    }

    pub(super) fn lower(mut self) -> Result<Plan> {
        for (i, &value) in self.typed.inputs.iter().enumerate() {
            let float = self.typed.fact(value).is_ok_and(|f| f.dtype == DType::Float);
            let differentiable = self.request.gradients && float;
            let storage = self.storage(volume(&self.request.shapes[i]), differentiable);
            self.of_value[value.index()].plain = Some(storage);
        }
        for node in &self.typed.nodes {
            self.node(node)?;
        }
        for target in &self.typed.targets {
            if self.of_value[target.index()].plain.is_none() {
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

    /// The storage of a value in a layout; a value that is there only in the other one is brought into it.
    fn stored(&mut self, value: ValueId, layout: Layout) -> Result<Option<usize>, OpError> {
        let stored = self.of_value[value.index()];
        let (None, Some(source)) = (stored.get(layout), stored.plain.or(stored.blocked)) else {
            return Ok(stored.get(layout));
        };
        let fact = self.typed.fact(value)?;
        let shape = layout.shape(&fact.shape);
        let storage = self.storage(volume(&shape), self.storages[source].differentiable);
        self.of_value[value.index()].set(layout, storage);
        self.steps.push(LoweredStep {
            name: self.graph.values.get(value.index()).map_or(String::new(), |v| v.name.clone()),
            op_type: "Reorder".into(),
            kernel: Box::new(Reorder::new(self.request.isa, &fact.shape, layout)),
            flops: 0,
            operands: vec![LoweredOperand::Storage(source)],
            output: storage,
            shape,
            clip: None,
        });
        Ok(Some(storage))
    }

    /// Turns a node into one step for each of its results that is read, or into none if it is a view.
    fn node(&mut self, node: &'a TypedNode) -> Result<()> {
        let fail = |why: OpError| Error::Node {
            node: node.name.clone(),
            op: node.op.op_type().to_owned(),
            why: why.0,
        };
        for (output_index, value) in node.outputs.iter().enumerate() {
            let Some(value) = value.filter(|v| output_index == 0 || self.uses[v.index()] > 0) else { continue };
            self.result(node, output_index, value).map_err(|e| match e {
                LoweringError::Op(why) => fail(why),
                LoweringError::Whole(error) => error,
            })?;
            if self.typed.targets.contains(&value) {
                self.stored(value, Layout::Plain).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// One result of a node.
    fn result(&mut self, node: &'a TypedNode, output_index: usize, value: ValueId) -> Result<(), LoweringError> {
        let inputs = self.typed.input_facts(node);
        let inputs = Facts(&inputs);
        let output = self.typed.fact(value)?;
        if node.op.is_view() && output_index == 0 && node.clip.is_none() {
            return Ok(self.view(node, inputs, value, output)?);
        }
        // Truth values flow as 0 and 1; computed integers would round where they exceed what f32 holds exactly.
        if output.dtype == DType::Int && !node.op.carries_integers() {
            return Err(OpError("it computes integers from the data, which is not supported".into()).into());
        }
        // Before a kernel makes tables of that size.
        let bytes = output.len().saturating_mul(size_of::<f32>());
        check_memory(self.request, bytes, 0).map_err(LoweringError::Whole)?;
        let site =
            Site { inputs, output, output_index, isa: self.request.isa, gradients: self.request.gradients };
        let (built, layout) = match self.blocked(node, site)? {
            Some(built) => (built, Layout::Blocked),
            None => (node.op.kernel(site)?, Layout::Plain),
        };
        let wanted = if layout == Layout::Blocked { built.operand_layout } else { layout };
        let mut operands = Vec::new();
        let mut differentiable = false;
        for (k, &input) in built.operands.iter().enumerate() {
            let fact = inputs.need(input)?;
            operands.push(match &fact.value {
                Some(constant) => LoweredOperand::Constant(constant.operand()?),
                None => {
                    let source = match node.inputs[input] {
                        Some(v) => self.stored(v, wanted)?,
                        None => None,
                    };
                    let source = source.ok_or("an operand is not computed from floats")?;
                    differentiable |= self.storages[source].differentiable && built.kernel.differentiable(k);
                    LoweredOperand::Storage(source)
                }
            });
        }
        let shape = layout.shape(&output.shape);
        let storage = self.storage(volume(&shape), differentiable);
        self.of_value[value.index()].set(layout, storage);
        self.steps.push(LoweredStep {
            name: node.name.clone(),
            op_type: node.op.op_type().to_owned(),
            kernel: built.kernel,
            flops: node.op.flops(inputs, output),
            operands,
            output: storage,
            shape,
            clip: node.clip.filter(|_| output_index == 0),
        });
        Ok(())
    }

    /// A value under another shape shares the storage of what it views.
    fn view(&mut self, node: &TypedNode, inputs: Facts<'_>, value: ValueId, output: &Fact) -> Result<(), OpError> {
        let input = inputs.need(0)?;
        loses_nothing(input.dtype, output.dtype)?;
        let not_there = || OpError("it reshapes a value that is not computed from floats".into());
        let source = node.inputs[0].ok_or_else(not_there)?;
        if input.shape != output.shape {
            self.stored(source, Layout::Plain)?;
        }
        let stored = self.of_value[source.index()];
        if stored.plain.or(stored.blocked).is_none() {
            return Err(not_there());
        }
        let blocked = stored.blocked.filter(|_| input.shape == output.shape);
        self.of_value[value.index()] = Stored { plain: stored.plain, blocked };
        Ok(())
    }

    /// The kernel over blocks of channels, where an operand lies in blocks already or it is worth bringing it there.
    fn blocked(&self, node: &TypedNode, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let Site { inputs, output, .. } = site;
        let data: Vec<(usize, ValueId)> = node
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(i, v)| Some((i, (*v)?)))
            .filter(|(i, _)| inputs.get(*i).is_some_and(|f| f.value.is_none()))
            .collect();
        let in_blocks = |v: ValueId| self.of_value[v.index()].plain.is_none();
        let fits = |f: &Fact| f.dtype == DType::Float && f.shape.len() > 2;
        let possible = fits(output)
            && data.iter().all(|(i, _)| inputs.get(*i).is_some_and(fits))
            && (node.op.wants_blocks() || data.iter().any(|(_, v)| in_blocks(*v)));
        if !possible {
            return Ok(None);
        }
        if !node.op.by_element() {
            return node.op.blocked(site);
        }
        // Of constants only single numbers lie the same in every order.
        let same = (0..inputs.0.len()).filter_map(|i| inputs.get(i)).all(|f| match &f.value {
            None => f.shape == output.shape,
            Some(constant) => constant.len() == 1,
        });
        if !same {
            return node.op.blocked(site);
        }
        let moved: Vec<Option<Fact>> = (0..inputs.0.len())
            .map(|i| {
                inputs.get(i).map(|f| match &f.value {
                    None => Fact::float(Layout::Blocked.shape(&f.shape)),
                    Some(_) => f.clone(),
                })
            })
            .collect();
        let moved: Vec<Option<&Fact>> = moved.iter().map(Option::as_ref).collect();
        let output = Fact::float(Layout::Blocked.shape(&output.shape));
        match node.op.blocked(site)? {
            Some(built) => Ok(Some(built)),
            None => node.op.kernel(Site { inputs: Facts(&moved), output: &output, ..site }).map(Some),
        }
    }

    /// Lives of everything, then places, then the plan.
    fn schedule(mut self) -> Plan {
        let gradients = self.request.gradients;
        let count = self.steps.len();
        let forward_time = |step: usize| step + 1;
        let seed_time = count + 1;
        let backward_time = |step: usize| 2 * count + 1 - step;
        let end = 2 * count + 2;

        let plain = |values: &[ValueId]| -> Vec<usize> {
            values.iter().filter_map(|v| self.of_value[v.index()].plain).collect()
        };
        let (targets, inputs) = (plain(&self.typed.targets), plain(&self.typed.inputs));
        let mut producer = vec![None; self.storages.len()];
        for (i, step) in self.steps.iter().enumerate() {
            producer[step.output] = Some(i);
        }
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
                    contributions.push(Contribution { operand: k, storage: *s, accumulate, gates_of: None });
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
        // The last contribution to a gradient behind an activation function applies its masks, where its kernel can.
        let mut gated = vec![false; count];
        let mut finished = vec![false; self.storages.len()];
        for (i, contributions) in backward.iter_mut().rev() {
            for contribution in contributions.iter_mut().rev() {
                if !std::mem::replace(&mut finished[contribution.storage], true)
                    && let Some(p) = producer[contribution.storage].filter(|&p| self.steps[p].clip.is_some())
                    && self.steps[*i].kernel.applies_gates()
                {
                    contribution.gates_of = Some(p);
                    gated[p] = true;
                }
            }
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
                gated: gated[*i],
                gradients: contributions
                    .iter()
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
            .map(|(step, (saved, below, above, (entries, rows_per_entry, row_len)))| Step {
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
