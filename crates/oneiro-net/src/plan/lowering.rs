//! From a typed graph to steps: one for every result that is read, each with its kernel, its layout and its
//! operands.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, OpError, Result};
use crate::graph::{Graph, ValueId};
use crate::kernels::blocked::BLOCK;
use crate::ops::array::reorder::Reorder;
use crate::ops::array::view::loses_nothing;
use crate::ops::{Built, Fact, Facts, Layout, Site};
use crate::plan::lowered::{LoweredOperand, LoweredStep, Storage};
use crate::plan::{Request, check_memory};
use crate::tensor::{DType, volume};
use crate::typed::{Typed, TypedNode};

/// Channels up to which a convolution between values of so few is computed in plain order: blocks would be
/// mostly padding.
const FEW_CHANNELS: usize = BLOCK / 4;

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
        LoweringError::Op(OpError::Refused(why.into()))
    }
}

pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    pub(super) typed: Arc<Typed>,
    pub(super) request: Request,
    pub(super) storages: Vec<Storage>,
    /// Storages of each value, plain and in blocks; views share those of what they view.
    pub(super) of_value: Vec<Stored>,
    /// How often each value is read.
    pub(super) uses: Vec<usize>,
    pub(super) steps: Vec<LoweredStep>,
    /// Nodes that are lowered.
    lowered: usize,
    /// Bytes of the file whose content went into kernels, until somebody takes them.
    pub(super) packed: Vec<Bytes>,
    /// Micro-batches of the whole batch; `request` and `typed` are those of one.
    pub(super) micro_batches: usize,
    /// Micro-batches that are to run at one time.
    pub(super) replicas: usize,
}

/// Where a value is stored, by layout.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stored {
    pub(super) plain: Option<usize>,
    pub(super) blocked: Option<usize>,
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
    pub(super) fn new(
        graph: &'a Graph,
        typed: Typed,
        request: Request,
        [micro_batches, replicas]: [usize; 2],
    ) -> Self {
        let of_value = vec![Stored::default(); typed.facts.len()];
        let uses = typed.uses();
        let mut lowering = Self {
            graph,
            typed: Arc::new(typed),
            request,
            storages: Vec::new(),
            of_value,
            uses,
            steps: Vec::new(),
            lowered: 0,
            packed: Vec::new(),
            micro_batches,
            replicas,
        };
        lowering.inputs();
        lowering
    }

    /// Gives the inputs their storages.
    fn inputs(&mut self) {
        let typed = Arc::clone(&self.typed);
        for (i, &value) in typed.inputs.iter().enumerate() {
            // Integers stand for real numbers: what only moves them and casts them to floats has a gradient.
            let numbers = typed.fact(value).is_ok_and(|f| f.dtype != DType::Bool);
            let wanted = self.request.input_gradients || typed.inner.contains(&value);
            let differentiable = self.request.gradients && wanted && numbers;
            let storage = self.storage(volume(&self.request.shapes[i]), differentiable);
            self.of_value[value.index()].plain = Some(storage);
        }
    }

    /// Lowers the next node; `false` if there is none.
    pub(super) fn step(&mut self) -> Result<bool> {
        let typed = Arc::clone(&self.typed);
        let Some(node) = typed.nodes.get(self.lowered) else { return Ok(false) };
        self.lowered += 1;
        self.node(&typed, node)?;
        Ok(true)
    }

    /// Refuses targets that no node has computed.
    pub(super) fn check_targets(&self) -> Result<()> {
        for target in &self.typed.targets {
            if self.of_value[target.index()].plain.is_none() {
                let name = self.graph.name(*target);
                return Err(Error::Graph(format!("nothing computes \"{name}\"")));
            }
        }
        Ok(())
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
        let plain = self.typed.fact(value)?.shape.clone();
        let shape = layout.shape(&plain);
        let storage = self.storage(volume(&shape), self.storages[source].differentiable);
        self.of_value[value.index()].set(layout, storage);
        self.steps.push(LoweredStep {
            name: self.graph.values.get(value.index()).map_or(String::new(), |v| v.name.clone()),
            op_type: "Reorder".into(),
            kernel: Box::new(Reorder::new(self.request.isa, &plain, layout)),
            flops: 0,
            operands: vec![LoweredOperand::Storage(source)],
            in_place: vec![false],
            output: storage,
            shape,
            layout,
            epilogue: None,
        });
        Ok(Some(storage))
    }

    /// Turns a node into one step for each of its results that is read, or into none if it is a view.
    fn node(&mut self, typed: &Typed, node: &TypedNode) -> Result<()> {
        let fail = |error: OpError| {
            let (name, op) = (node.name.clone(), node.op.op_type().to_owned());
            match error {
                OpError::Refused(why) => Error::Node { node: name, op, why },
                OpError::Data(why) => Error::Data { node: name, op, why },
            }
        };
        for (output_index, value) in node.outputs.iter().enumerate() {
            let Some(value) = value.filter(|v| output_index == 0 || self.uses[v.index()] > 0) else {
                continue;
            };
            self.result(typed, node, output_index, value).map_err(|e| match e {
                LoweringError::Op(why) => fail(why),
                LoweringError::Whole(error) => error,
            })?;
            if typed.targets.contains(&value) {
                self.stored(value, Layout::Plain).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// One result of a node.
    fn result(
        &mut self,
        typed: &Typed,
        node: &TypedNode,
        output_index: usize,
        value: ValueId,
    ) -> Result<(), LoweringError> {
        let inputs = typed.input_facts(node);
        let inputs = Facts(&inputs);
        let output = typed.fact(value)?;
        if node.op.is_view() && output_index == 0 && node.epilogue.is_none() {
            return Ok(self.view(node, inputs, value, output)?);
        }
        // Truth values flow as 0 and 1; computed integers would round where they exceed what f32 holds
        // exactly.
        if output.dtype == DType::Int && !node.op.carries_integers() {
            let why = "it computes integers from the data, which is not supported";
            return Err(OpError::Data(why.to_owned()).into());
        }
        // Before a kernel makes tables of that size.
        let bytes = output.len().saturating_mul(size_of::<f32>());
        check_memory(&self.request, bytes, 0).map_err(LoweringError::Whole)?;
        let site =
            Site { inputs, output, output_index, isa: self.request.isa, gradients: self.request.gradients };
        let (built, layout) = match self.blocked(node, site)? {
            Some(built) => (built, Layout::Blocked),
            None => (node.op.kernel(site)?, Layout::Plain),
        };
        let wanted = if layout == Layout::Blocked { built.operand_layout } else { layout };
        let constants = (0..inputs.0.len()).filter_map(|i| inputs.get(i)?.value.as_ref()?.stored());
        self.packed.extend(constants.cloned());
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
        let tapped = typed.inner.contains(&value);
        let storage = self.storage(volume(&shape), differentiable || tapped);
        self.of_value[value.index()].set(layout, storage);
        self.steps.push(LoweredStep {
            name: node.name.clone(),
            op_type: node.op.op_type().to_owned(),
            kernel: built.kernel,
            flops: node.op.flops(inputs, output),
            in_place: vec![false; operands.len()],
            operands,
            output: storage,
            shape,
            layout,
            epilogue: node.epilogue.filter(|_| output_index == 0),
        });
        Ok(())
    }

    /// A value under another shape shares the storage of what it views.
    fn view(
        &mut self,
        node: &TypedNode,
        inputs: Facts<'_>,
        value: ValueId,
        output: &Fact,
    ) -> Result<(), OpError> {
        let input = inputs.need(0)?;
        loses_nothing(input.dtype, output.dtype)?;
        let not_there = || OpError::Refused("it reshapes a value that is not computed from floats".into());
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

    /// The kernel over blocks of channels, where an operand lies in blocks already or it is worth bringing it
    /// there.
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
        let few = |f: &Fact| f.shape[1] <= FEW_CHANNELS;
        let all_few =
            || few(output) && data.iter().all(|(i, v)| !in_blocks(*v) && inputs.get(*i).is_some_and(few));
        let possible = fits(output)
            && data.iter().all(|(i, _)| inputs.get(*i).is_some_and(fits))
            && (node.op.wants_blocks() && !all_few() || data.iter().any(|(_, v)| in_blocks(*v)));
        if !possible {
            return Ok(None);
        }
        let own = node.op.blocked(site)?;
        if own.is_some() || !node.op.by_element() {
            return Ok(own);
        }
        // Of constants only single numbers lie the same in every order.
        let same = (0..inputs.0.len()).filter_map(|i| inputs.get(i)).all(|f| match &f.value {
            None => f.shape == output.shape,
            Some(constant) => constant.len() == 1,
        });
        if !same {
            return Ok(None);
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
        node.op.kernel(Site { inputs: Facts(&moved), output: &output, ..site }).map(Some)
    }
}
