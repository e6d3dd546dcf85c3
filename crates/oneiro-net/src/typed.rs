//! A graph for given input shapes. All shapes are known, constants are folded, and nodes on which no target
//! depends are removed. Passes rewrite this form, and plans are compiled from it.

use std::sync::Arc;

use crate::error::{Error, OpError, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::kernels::{Arena, Epilogue, EpilogueFunction, Isa, Region};
use crate::ops::array::constant::{MAX_CLAIM, MAX_ELEMENTS, check_volume};
use crate::ops::array::tap::Tap;
use crate::ops::{Fact, Facts, Forward, Operand, Operator, Site, Unsupported};
use crate::tensor::{DType, Tensor};

/// Maximum size of all computed constants in bytes; a file that exceeds it counts as damaged. Constants that
/// exporters leave to be computed are small compared with the weights, which are stored in the file.
pub const MAX_COMPUTED: usize = 1 << 30;

/// A node whose inputs and outputs have known shapes.
#[derive(Debug, Clone)]
pub struct TypedNode {
    /// The node's name in the file. For merged nodes, the last one's name.
    pub name: String,
    /// The operator that the node applies.
    pub op: Arc<dyn Operator>,
    /// The values that the node reads; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// The values that the node computes; `None` where an optional one is left out.
    pub outputs: Vec<Option<ValueId>>,
    /// The activation function applied to output 0: the node's own clamp (`Relu`, `Clip`), or one that a pass
    /// attached.
    pub epilogue: Option<EpilogueFunction>,
}

/// A graph whose values all have known shapes, for given input shapes.
#[derive(Debug, Clone)]
pub struct Typed {
    /// The type, shape and constant value of each value; `None` for values that no target needs.
    pub facts: Vec<Option<Fact>>,
    /// Nodes in topological order.
    pub nodes: Vec<TypedNode>,
    /// The values that passes must keep, because the request asks for them.
    pub targets: Vec<ValueId>,
    /// The values whose gradients are kept ([`Typed::tap`]). Like targets, no pass may merge them away.
    pub inner: Vec<ValueId>,
    /// The network's inputs, in the graph's order.
    pub inputs: Vec<ValueId>,
}

impl Typed {
    /// Infers types and shapes for the part of a graph on which the targets depend. `shapes` has one entry
    /// for each input of the graph.
    pub fn new(graph: &Graph, shapes: &[Vec<usize>], targets: &[ValueId]) -> Result<Self> {
        Self::within(graph, shapes, targets, MAX_COMPUTED)
    }

    /// Does the same as [`Typed::new`] with a limit on the bytes of computed constants.
    pub fn within(
        graph: &Graph,
        shapes: &[Vec<usize>],
        targets: &[ValueId],
        max_bytes: usize,
    ) -> Result<Self> {
        let needed = ancestors(graph, targets);
        // A node that fails is an error only if a target needs it: in an `If`, the branch that is not taken
        // may fail.
        let mut failure = None;
        let facts = infer_within(graph, shapes, &needed, max_bytes, |_, error| {
            failure.get_or_insert(error);
            Ok(())
        })?;
        if let Some(error) = failure
            && targets.iter().any(|t| facts[t.index()].is_none())
        {
            return Err(error);
        }
        for &target in targets {
            match &facts[target.index()] {
                Some(Fact { value: None, .. }) => {}
                Some(Fact { value: Some(_), .. }) => {
                    let name = graph.name(target);
                    return Err(Error::Request(format!("\"{name}\" does not depend on the network's input")));
                }
                None => {
                    let name = graph.name(target);
                    return Err(Error::Graph(format!("nothing computes \"{name}\"")));
                }
            }
        }
        let folded = |v: ValueId| facts[v.index()].as_ref().is_none_or(|f| f.value.is_some());
        let nodes = graph
            .nodes
            .iter()
            .zip(&needed)
            .filter(|(node, needed)| **needed && !node.outputs.iter().flatten().all(|&v| folded(v)))
            .map(|(node, _)| {
                let inputs: Vec<Option<&Fact>> =
                    node.inputs.iter().map(|v| v.and_then(|v| facts[v.index()].as_ref())).collect();
                let epilogue =
                    node.op.epilogue(Facts(&inputs)).map_err(|why| node_error(graph, node, why))?;
                let mut reads = node.inputs.clone();
                let chosen =
                    node.op.chosen_inputs(Facts(&inputs)).map_err(|why| node_error(graph, node, why))?;
                if let Some(chosen) = chosen {
                    for (i, read) in reads.iter_mut().enumerate().skip(1) {
                        *read = read.filter(|_| chosen.contains(&i));
                    }
                }
                Ok(TypedNode {
                    name: node.name.clone(),
                    op: node.op.clone(),
                    inputs: reads,
                    outputs: node.outputs.clone(),
                    epilogue,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let inputs = graph.inputs.iter().map(|i| i.value).collect();
        let mut typed = Self { facts, nodes, targets: targets.to_vec(), inner: vec![], inputs };
        typed.drop_unused();
        Ok(typed)
    }

    /// Returns the fact of a value that a kept node reads or writes.
    pub fn fact(&self, value: ValueId) -> Result<&Fact, OpError> {
        self.facts[value.index()].as_ref().ok_or_else(|| OpError::Refused("a value of unknown shape".into()))
    }

    /// Returns the facts of a node's inputs, in order.
    pub fn input_facts(&self, node: &TypedNode) -> Vec<Option<&Fact>> {
        node.inputs.iter().map(|v| v.and_then(|v| self.facts[v.index()].as_ref())).collect()
    }

    /// Marks values whose gradients are to be kept. Each becomes a copy ([`Tap`]) of its node's result, which
    /// passes do not merge away. Inputs need no copy.
    ///
    /// # Errors
    /// If no target depends on such a value, or if it holds no real numbers that depend on the inputs.
    pub fn tap(&mut self, graph: &Graph, inner: &[ValueId]) -> Result<()> {
        for &value in inner {
            let fact = self.facts[value.index()].clone().filter(|f| f.value.is_none());
            let read = self.targets.contains(&value)
                || self.nodes.iter().any(|node| node.inputs.contains(&Some(value)));
            let Some(fact) = fact.filter(|_| read) else {
                let name = graph.name(value);
                return Err(Error::Request(format!("no target depends on \"{name}\"")));
            };
            if fact.dtype != DType::Float {
                let name = graph.name(value);
                return Err(Error::Request(format!("\"{name}\" holds no real numbers and has no gradient")));
            }
            if self.inputs.contains(&value) || self.inner.contains(&value) {
                self.inner.push(value);
                continue;
            }
            let producer = self.nodes.iter().position(|node| node.outputs.contains(&Some(value)));
            let producer = producer
                .ok_or_else(|| Error::Graph(format!("nothing computes \"{}\"", graph.name(value))))?;
            let source = self.add_value(fact);
            let node = &mut self.nodes[producer];
            let name = node.name.clone();
            node.outputs
                .iter_mut()
                .filter(|output| **output == Some(value))
                .for_each(|output| *output = Some(source));
            let tap = TypedNode {
                name,
                op: Arc::new(Tap),
                inputs: vec![Some(source)],
                outputs: vec![Some(value)],
                epilogue: None,
            };
            self.nodes.insert(producer + 1, tap);
            self.inner.push(value);
        }
        Ok(())
    }

    /// Counts how many times each value is read. For a target or a value in [`Typed::inner`], one read is
    /// added.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.facts.len()];
        for v in
            self.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&self.targets).chain(&self.inner)
        {
            uses[v.index()] += 1;
        }
        uses
    }

    /// Adds a constant to the graph and returns its id.
    pub fn add_constant(&mut self, value: Tensor) -> ValueId {
        self.add_value(Fact::constant(value))
    }

    /// Adds a value that the graph does not have and returns its id.
    pub fn add_value(&mut self, fact: Fact) -> ValueId {
        self.facts.push(Some(fact));
        ValueId(self.facts.len() as u32 - 1)
    }

    /// Removes nodes on which nothing depends any more.
    pub fn drop_unused(&mut self) {
        let mut live = vec![false; self.facts.len()];
        for t in &self.targets {
            live[t.index()] = true;
        }
        let mut keep = vec![false; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().flatten().any(|v| live[v.index()]) {
                keep[i] = true;
                for v in node.inputs.iter().flatten() {
                    live[v.index()] = true;
                }
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(false));
    }
}

/// Returns for each node whether a target depends on it.
pub fn ancestors(graph: &Graph, targets: &[ValueId]) -> Vec<bool> {
    let mut live = vec![false; graph.values.len()];
    for t in targets {
        live[t.index()] = true;
    }
    let mut needed = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if node.outputs.iter().flatten().any(|v| live[v.index()]) {
            needed[i] = true;
            for v in node.inputs.iter().flatten() {
                live[v.index()] = true;
            }
        }
    }
    needed
}

/// Infers the facts of all values that the needed nodes compute. If a node fails, `on_error` returns an error
/// to stop, or `Ok` to leave the node's outputs unknown.
pub fn infer(
    graph: &Graph,
    shapes: &[Vec<usize>],
    needed: &[bool],
    on_error: impl FnMut(usize, Error) -> Result<()>,
) -> Result<Vec<Option<Fact>>> {
    infer_within(graph, shapes, needed, MAX_COMPUTED, on_error)
}

/// Does the same as [`infer`] with a limit on the bytes of computed constants.
pub fn infer_within(
    graph: &Graph,
    shapes: &[Vec<usize>],
    needed: &[bool],
    max_bytes: usize,
    mut on_error: impl FnMut(usize, Error) -> Result<()>,
) -> Result<Vec<Option<Fact>>> {
    let mut left = max_bytes;
    for (input, shape) in graph.inputs.iter().zip(shapes) {
        check_volume(shape).map_err(|why| {
            Error::Request(format!("input \"{}\": {}", graph.name(input.value), why.into_reason()))
        })?;
    }
    let mut facts: Vec<Option<Fact>> =
        graph.values.iter().map(|v| v.constant.clone().map(Fact::constant)).collect();
    for (input, shape) in graph.inputs.iter().zip(shapes) {
        facts[input.value.index()] = Some(Fact { dtype: input.dtype, shape: shape.clone(), value: None });
    }
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let known =
            node.op.may_ignore_inputs() || node.inputs.iter().flatten().all(|v| facts[v.index()].is_some());
        if !known {
            let missing = node.inputs.iter().flatten().find(|v| facts[v.index()].is_none());
            let name = missing.map_or("", |v| graph.name(*v));
            on_error(
                i,
                node_error(graph, node, OpError::Refused(format!("its input \"{name}\" is not known"))),
            )?;
            continue;
        }
        let inputs: Vec<Option<&Fact>> =
            node.inputs.iter().map(|v| v.and_then(|v| facts[v.index()].as_ref())).collect();
        match outputs_of(node.op.as_ref(), Facts(&inputs), &mut left) {
            Ok(outputs) => {
                for (value, fact) in node.outputs.iter().zip(outputs) {
                    if let Some(value) = value {
                        facts[value.index()] = Some(fact);
                    }
                }
            }
            Err(why) => on_error(i, shape_error(graph, node, why))?,
        }
    }
    Ok(facts)
}

/// Adds the node's name to an operator's error. If the operator is not supported, the error says so.
pub fn node_error(graph: &Graph, node: &Node, error: OpError) -> Error {
    let (name, op) = (node.name.clone(), node.op.op_type().to_owned());
    match (node.op.as_any().downcast_ref::<Unsupported>(), error) {
        (Some(Unsupported { op_type, why: None }), _) => {
            Error::Unsupported { op: op_type.clone(), node: name, opset: graph.opset }
        }
        (_, OpError::Refused(why)) => Error::Node { node: name, op, why },
        (_, OpError::Data(why)) => Error::Data { node: name, op, why },
    }
}

/// Adds the node's name to the error of a shape rule.
fn shape_error(graph: &Graph, node: &Node, error: OpError) -> Error {
    match node_error(graph, node, error) {
        Error::Node { node: name, op, why } if node.op.is_supported() => Error::Shape { node: name, op, why },
        error => error,
    }
}

/// Infers the facts of a node's outputs. `left` is how many bytes of constants may still be computed.
fn outputs_of(op: &dyn Operator, inputs: Facts<'_>, left: &mut usize) -> Result<Vec<Fact>, OpError> {
    let spend = |left: &mut usize, bytes: usize| {
        *left =
            left.checked_sub(bytes).ok_or("with it, the constants to be computed are too large in all")?;
        Ok::<_, OpError>(())
    };
    let constants = || inputs.0.iter().flatten().filter_map(|f| f.value.as_ref());
    let large = constants().find(|t| t.repeated_bytes() > MAX_ELEMENTS * size_of::<f32>());
    if let Some(large) = large
        && !op.is_view()
        && !op.takes_large_constants()
    {
        return Err(OpError::Refused(format!("a constant of shape {:?} is too large", large.shape())));
    }
    let facts = op.infer(inputs)?;
    if let Some(fact) = facts.iter().find(|f| f.shape.iter().any(|&d| d > MAX_CLAIM)) {
        return Err(OpError::Refused(format!("a tensor of shape {:?} is too large", fact.shape)));
    }
    let constant = !inputs.0.is_empty() && inputs.0.iter().flatten().all(|f| f.value.is_some());
    if !constant || facts.iter().all(|f| f.value.is_some()) {
        let bytes = facts.iter().filter_map(|f| f.value.as_ref()).map(Tensor::own_bytes).sum();
        spend(left, bytes)?;
        return Ok(facts);
    }
    let shares = |f: &&Fact| op.is_view() && f.dtype == DType::Float;
    if let Some(fact) = facts.iter().find(|f| f.len() > MAX_ELEMENTS && !shares(f)) {
        return Err(OpError::Refused(format!("a constant of shape {:?} is too large", fact.shape)));
    }
    // The limit is checked before anything is computed, on a copy of `left`: results may turn out to share
    // memory or to repeat one value. Operands that repeat one value take memory while a kernel runs.
    if !facts.iter().all(|f| shares(&f)) {
        let operands: usize = constants().map(Tensor::repeated_bytes).sum();
        let results: usize = facts.iter().map(|f| f.len() * f.dtype.size()).sum();
        spend(&mut { *left }, operands.saturating_add(results))?;
    }
    let values = match op.evaluate(inputs)? {
        Some(values) => values,
        None => facts
            .iter()
            .enumerate()
            .map(|(i, fact)| run_on_constants(op, inputs, fact, i))
            .collect::<Result<_, OpError>>()?,
    };
    spend(left, values.iter().map(Tensor::own_bytes).sum())?;
    Ok(values.into_iter().map(Fact::constant).collect())
}

/// Runs a kernel once on constant operands, so that its result becomes a constant.
fn run_on_constants(
    op: &dyn Operator,
    inputs: Facts<'_>,
    output: &Fact,
    output_index: usize,
) -> Result<Tensor, OpError> {
    if output.dtype == DType::Int && !op.carries_integers() {
        return Err(OpError::Refused("its form for integers is not supported".into()));
    }
    let site = Site { inputs, output, output_index, isa: Isa::detect(), gradients: false };
    let built = op.kernel(site)?;
    let operands = built
        .operands
        .iter()
        .map(|&i| inputs.need_constant(i)?.operand().map(Operand::Constant))
        .collect::<Result<Vec<_>, OpError>>()?;
    let region = Region::new(0, output.len());
    let mut arena = Arena::new(region.len);
    let (reader, [out]) = arena.frame([region]);
    built.kernel.forward(&mut Forward {
        reader,
        operands: &operands,
        output: out,
        saved: &mut [],
        epilogue: Epilogue::none(),
        in_place: &[],
    });
    Ok(Tensor::floats(&output.shape, arena.slice(region).to_vec()).cast(output.dtype))
}
