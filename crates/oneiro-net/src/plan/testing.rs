//! Small plans for tests, written as text before they are finished.

use crate::graph::{Graph, ValueId};
use crate::kernels::EpilogueFunction;
use crate::ops::Layout;
use crate::passes;
use crate::plan::Request;
use crate::plan::lowered::{Home, LoweredOperand, LoweredStep};
use crate::plan::lowering::Lowering;
use crate::plan::request::typed_of;

/// A request for a graph's outputs at its exported shapes.
pub(super) fn request(graph: &Graph) -> Request {
    let shapes = (0..graph.inputs.len()).map(|i| graph.default_shape(i).unwrap()).collect();
    Request::of_shapes(shapes, graph.outputs.clone())
}

/// Lowers all steps of a request without passes, so that every node has a step of its own.
pub(super) fn lowered<'g>(graph: &'g Graph, request: &Request) -> Lowering<'g> {
    lowered_by(graph, request, false, 1)
}

/// Lowers all steps of a request after the passes.
pub(super) fn optimised<'g>(graph: &'g Graph, request: &Request) -> Lowering<'g> {
    lowered_by(graph, request, true, 1)
}

/// Lowers all steps of one micro-batch, described by `request`, for several micro-batches.
pub(super) fn lowered_by<'g>(
    graph: &'g Graph,
    request: &Request,
    passes: bool,
    micro_batches: usize,
) -> Lowering<'g> {
    let mut typed = typed_of(graph, request).unwrap();
    if passes {
        passes::optimise(&mut typed);
    }
    let mut lowering = Lowering::new(graph, typed, request.clone(), [micro_batches, 1]);
    while lowering.step().unwrap() {}
    lowering
}

/// Returns the names of storages, which are those of their input or step. A value's other layout has `~`
/// after its name.
pub(super) fn names(lowering: &Lowering<'_>) -> Vec<String> {
    let mut names = vec![String::new(); lowering.storages.len()];
    for &input in &lowering.typed.inputs {
        names[lowering.of_value[input.index()].plain.unwrap()] = lowering.graph.name(input).to_owned();
    }
    for step in &lowering.steps {
        let copy = if step.op_type == "Reorder" { "~" } else { "" };
        names[step.output] = format!("{}{copy}", step.name);
    }
    names
}

/// Returns the steps as text: result, operator, operands, activation function and layout.
pub(super) fn steps(lowering: &Lowering<'_>) -> Vec<String> {
    let names = names(lowering);
    let operand = |operand: &LoweredOperand| match operand {
        LoweredOperand::Constant(_) => "constant",
        LoweredOperand::Storage(s) => names[*s].as_str(),
    };
    let text = |step: &LoweredStep| {
        let operands: Vec<&str> = step.operands.iter().map(operand).collect();
        let function = match step.epilogue {
            None => "",
            Some(EpilogueFunction::Clip { .. }) => " clipped",
            Some(EpilogueFunction::Swish { .. }) => " swish",
        };
        let layout = if step.layout == Layout::Blocked { " in blocks" } else { "" };
        format!("{} = {}({}){function}{layout}", names[step.output], step.op_type, operands.join(", "))
    };
    lowering.steps.iter().map(text).collect()
}

/// Lists the storages that lie in others, as "part in whole at offset".
pub(super) fn inside(lowering: &Lowering<'_>, homes: &[Home]) -> Vec<String> {
    let names = names(lowering);
    let parts = homes.iter().enumerate().filter(|(s, home)| home.0 != *s);
    parts.map(|(s, &(whole, at))| format!("{} in {} at {at}", names[s], names[whole])).collect()
}

/// Returns the storage of the value of this name.
#[track_caller]
pub(super) fn storage(lowering: &Lowering<'_>, name: &str) -> usize {
    names(lowering).iter().position(|n| n == name).unwrap()
}

/// Returns the value of this name.
pub(super) fn value(graph: &Graph, name: &str) -> ValueId {
    graph.find_value(name).unwrap()
}
