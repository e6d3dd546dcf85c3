//! Lowers a typed graph to steps: one step for every result that is read, with its kernel, layout and
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

/// If input and output have at most this many channels, a convolution is computed in plain order. Blocks
/// would be mostly padding.
const FEW_CHANNELS: usize = BLOCK / 4;

/// Why a result cannot be lowered: because of its operator, or because of the whole request.
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
    /// Storages of each value, plain and in blocks. A view has the storages of the value that it views.
    pub(super) of_value: Vec<Stored>,
    /// For each value, the number of nodes that read it.
    pub(super) uses: Vec<usize>,
    pub(super) steps: Vec<LoweredStep>,
    /// Number of nodes for which steps were created so far.
    lowered: usize,
    /// Bytes of the file that kernels have packed and that no caller has taken yet.
    pub(super) packed: Vec<Bytes>,
    /// Number of micro-batches in the batch; `request` and `typed` describe one micro-batch.
    pub(super) micro_batches: usize,
    /// Number of micro-batches that are to run at the same time.
    pub(super) replicas: usize,
}

/// The storage of a value in each layout.
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

    /// Creates the storages of the network's inputs.
    fn inputs(&mut self) {
        let typed = Arc::clone(&self.typed);
        for (i, &value) in typed.inputs.iter().enumerate() {
            // Integers stand for real numbers. A gradient flows back through operators that only move them or
            // cast them to floats.
            let numbers = typed.fact(value).is_ok_and(|f| f.dtype != DType::Bool);
            let wanted = self.request.input_gradients || typed.inner.contains(&value);
            let differentiable = self.request.gradients && wanted && numbers;
            let storage = self.storage(volume(&self.request.shapes[i]), differentiable);
            self.of_value[value.index()].plain = Some(storage);
        }
    }

    /// Lowers the next node. Returns `false` if there is none.
    pub(super) fn step(&mut self) -> Result<bool> {
        let typed = Arc::clone(&self.typed);
        let Some(node) = typed.nodes.get(self.lowered) else { return Ok(false) };
        self.lowered += 1;
        self.node(&typed, node)?;
        Ok(true)
    }

    /// Refuses targets that no node computes.
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

    /// Returns the storage of a value in a layout. If the value is stored in the other layout only, a step
    /// that reorders it is added.
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

    /// Lowers a node to one step for each of its results that is read, or to none if it is a view.
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

    /// Creates the steps that compute one result of a node.
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
        // Booleans are computed as 0 and 1. Integers computed from the data are refused, because they would
        // be rounded where f32 cannot represent them.
        if output.dtype == DType::Int && !node.op.carries_integers() {
            let why = "it computes integers from the data, which is not supported";
            return Err(OpError::Data(why.to_owned()).into());
        }
        // The check comes before a kernel makes tables of the result's size.
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

    /// Gives a view the storage of the value that it views under another shape.
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

    /// Returns a kernel over blocks of channels, if an operand is in blocks already or reordering it is
    /// worthwhile.
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
        // Constants are read in both layouts only if they are single numbers.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Value;
    use crate::ops::Attribute;
    use crate::passes::testing::{Net, ints};
    use crate::plan::testing::{lowered, names, request, steps, storage, value};
    use crate::tensor::{Stored as Form, Tensor};
    use crate::typed::Typed;

    /// A 3×3 convolution of `channels` channels of x, which keeps the extents.
    fn convolution(channels: usize) -> (Net, ValueId) {
        let (mut net, x) = Net::new(&[1, channels, 4, 4]);
        let w = net.weights("w", &[channels, channels, 3, 3]);
        let y = net.node("Conv", "conv", &[x, w], &[("pads", ints(&[1; 4]))]);
        (net, y)
    }

    fn steps_of(net: Net, targets: &[ValueId]) -> Vec<String> {
        let graph = net.graph(targets);
        steps(&lowered(&graph, &request(&graph)))
    }

    #[test]
    fn convolutions_lie_in_blocks_and_targets_in_plain_order() {
        let (net, y) = convolution(16);
        let wanted = ["x~ = Reorder(x) in blocks", "conv = Conv(x~) in blocks", "conv~ = Reorder(conv)"];
        assert_eq!(steps_of(net, &[y]), wanted);
        // Blocks of few channels would be mostly padding.
        let (net, y) = convolution(FEW_CHANNELS);
        assert_eq!(steps_of(net, &[y]), ["conv = Conv(x)"]);
    }

    #[test]
    fn functions_follow_their_operand_and_each_layout_is_made_once() {
        let (mut net, conv) = convolution(16);
        let a = net.node("Tanh", "a", &[conv], &[]);
        // These nodes read values in plain order.
        let perm = [("perm", ints(&[0, 2, 3, 1]))];
        let b = net.node("Transpose", "b", &[a], &perm);
        let c = net.node("Transpose", "c", &[a], &perm);
        let d = net.node("Add", "d", &[b, c], &[]);
        let wanted = [
            "x~ = Reorder(x) in blocks",
            "conv = Conv(x~) in blocks",
            "a = Tanh(conv) in blocks",
            "a~ = Reorder(a)",
            "b = Transpose(a~)",
            "c = Transpose(a~)",
            "d = Add(b, c)",
        ];
        assert_eq!(steps_of(net, &[d]), wanted);
    }

    #[test]
    fn constants_that_lie_otherwise_keep_a_function_out_of_blocks() {
        let sum = |shape: &[usize]| {
            let (mut net, conv) = convolution(16);
            let b = net.weights("b", shape);
            let y = net.node("Pow", "y", &[conv, b], &[]);
            let steps = steps_of(net, &[y]);
            steps[2..].to_vec()
        };
        assert_eq!(sum(&[]), ["y = Pow(conv, constant) in blocks", "y~ = Reorder(y)"]);
        assert_eq!(sum(&[1, 16, 4, 4]), ["conv~ = Reorder(conv)", "y = Pow(conv~, constant)"]);
    }

    #[test]
    fn a_view_shares_the_storage_of_its_operand() {
        let (mut net, conv) = convolution(16);
        let same = net.node("Identity", "same", &[conv], &[]);
        let flat = net.node("Flatten", "flat", &[same], &[]);
        let y = net.node("Tanh", "y", &[flat], &[]);
        let graph = net.graph(&[y]);
        let lowering = lowered(&graph, &request(&graph));
        // Only a view with another shape needs plain order.
        assert_eq!(steps(&lowering)[2..], ["same~ = Reorder(conv)", "y = Tanh(same~)"]);
        let stored = |name: &str| lowering.of_value[value(&graph, name).index()];
        let (conv, same, flat) = (stored("conv"), stored("same"), stored("flat"));
        assert_eq!((conv.plain, conv.blocked), (None, same.blocked));
        assert_eq!((same.plain, flat.blocked), (flat.plain, None));
        assert_eq!(names(&lowering)[flat.plain.unwrap()], "same~");
    }

    #[test]
    fn each_result_that_is_read_is_a_step() {
        let graph = |read: [bool; 2]| {
            let (mut net, x) = Net::new(&[4, 2]);
            let parts = net.ints("parts", &[1, 3]);
            let first = net.node("Split", "first", &[x, parts], &[]);
            let mut graph = net.graph(&[]);
            graph.values.push(Value { name: "second".into(), constant: None });
            let second = ValueId(graph.values.len() as u32 - 1);
            graph.nodes[0].outputs.push(Some(second));
            graph.outputs =
                [first, second].into_iter().zip(read).filter(|(_, read)| *read).map(|(v, _)| v).collect();
            graph
        };
        let outputs = |read| {
            let graph = graph(read);
            let lowering = lowered(&graph, &request(&graph));
            lowering.steps.iter().map(|step| step.shape.clone()).collect::<Vec<_>>()
        };
        assert_eq!(outputs([true, true]), [[1, 2], [3, 2]]);
        assert_eq!(outputs([true, false]), [[1, 2]]);
        // A node's first result is always computed, even if nothing reads it.
        assert_eq!(outputs([false, true]), [[1, 2], [3, 2]]);
    }

    #[test]
    fn gradients_flow_from_inputs_or_from_the_inner_values_that_are_asked_for() {
        let (mut net, x) = Net::new(&[1, 2]);
        let a = net.node("Tanh", "a", &[x], &[]);
        let b = net.node("Exp", "b", &[a], &[]);
        let graph = net.graph(&[b]);
        let differentiable = |request: Request| {
            let lowering = lowered(&graph, &request);
            let named = names(&lowering).into_iter().zip(&lowering.storages);
            named.filter(|(_, s)| s.differentiable).map(|(name, _)| name).collect::<Vec<_>>()
        };
        let plain = request(&graph);
        assert_eq!(differentiable(plain.clone()), ["x", "a", "b"]);
        assert!(differentiable(Request { gradients: false, ..plain.clone() }).is_empty());
        let inner = Request { input_gradients: false, ..plain };
        assert!(differentiable(inner.clone()).is_empty());
        // The copy of `a` whose gradient is kept has the node's name, like the value `a` itself.
        let inner = Request { inner_gradients: vec![a], ..inner };
        assert_eq!(differentiable(inner.clone()), ["a", "b"]);
        let lowering = lowered(&graph, &inner);
        assert_eq!(steps(&lowering), ["a = Tanh(x)", "a = Identity(a)", "b = Exp(a)"]);
        assert!(!lowering.storages[storage(&lowering, "a")].differentiable);
    }

    #[test]
    fn weights_of_the_file_are_packed_and_named_once() {
        let bytes = Bytes::from(vec![0u8; 2 * 2 * 9 * 4]);
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.constant("w", Tensor::raw(&[2, 2, 3, 3], Form::F32, bytes.clone()).unwrap());
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let y = net.node("Tanh", "y", &[conv], &[]);
        let graph = net.graph(&[y]);
        let request = request(&graph);
        let typed = Typed::new(&graph, &request.shapes, &request.targets).unwrap();
        let mut lowering = Lowering::new(&graph, typed, request, [1, 1]);
        assert!(lowering.step().unwrap());
        assert_eq!(lowering.packed.iter().map(|b| b.as_ptr()).collect::<Vec<_>>(), [bytes.as_ptr()]);
        lowering.packed.clear();
        assert!(lowering.check_targets().is_err());
        assert!(lowering.step().unwrap() && lowering.packed.is_empty());
        assert!(lowering.check_targets().is_ok() && !lowering.step().unwrap());
    }

    #[test]
    fn what_has_no_step_is_an_error_that_names_the_node() {
        let fails = |net: Net, y: ValueId, request_of: &dyn Fn(Request) -> Request| {
            let graph = net.graph(&[y]);
            let request = request_of(request(&graph));
            let typed = Typed::new(&graph, &request.shapes, &request.targets).unwrap();
            let mut lowering = Lowering::new(&graph, typed, request, [1, 1]);
            loop {
                match lowering.step() {
                    Ok(more) => assert!(more, "no error"),
                    Err(error) => break error,
                }
            }
        };
        // Integers that are computed from the data are refused.
        let (mut net, x) = Net::new(&[3, 2]);
        let at = net.node("ArgMax", "at", &[x], &[]);
        let one = net.ints("one", &[1]);
        let sum = net.node("Add", "sum", &[at, one], &[]);
        let y = net.node("Cast", "y", &[sum], &[("to", Attribute::Int(1))]);
        let error = fails(net, y, &|r| r);
        assert!(matches!(&error, Error::Data { node, .. } if node == "sum"), "{error}");
        // Results that exceed the memory are refused before a kernel is built for them.
        let (net, y) = convolution(16);
        let error = fails(net, y, &|r| Request { max_bytes: 16 * 16 * 4 - 1, ..r });
        assert!(matches!(&error, Error::Request(why) if why.contains("would take")), "{error}");
    }
}
