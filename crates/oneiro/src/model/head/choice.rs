//! Chooses the output that holds the classes, if a network has several.
//!
//! An output can hold classes if its entries are one row of numbers. Among the outputs that can hold classes,
//! the first criterion in which two outputs differ decides:
//!
//! 1. it has as many entries as there are labels,
//! 2. it has more than one entry,
//! 3. it ends in a softmax or sigmoid,
//! 4. a dense layer computes it,
//! 5. neither its name nor its layer's contains `aux`,
//! 6. it lies deeper: more operators come before it,
//! 7. it has more entries,
//! 8. it holds the scores, not a result of `ArgMax` or the like,
//! 9. it comes first in the file.

use std::cmp::Reverse;

use oneiro_net::graph::Fact;
use oneiro_net::tensor::DType;
use oneiro_net::{Graph, ValueId, analysis};

use super::ending::{Ending, ending};
use super::{Activation, Head, OutputError, op_type, operand, stripped};
use crate::model::Model;

type Facts = Vec<Option<Fact>>;

/// An output that may hold class scores, with its last operators.
struct Candidate {
    output: ValueId,
    ending: Ending,
    /// Number of entries, if they form a single row.
    classes: Option<usize>,
}

/// Returns the head of a network, or an error if no output holds classes.
pub(super) fn choose(model: &Model, labels: Option<usize>) -> Result<Head, OutputError> {
    let graph = &model.graph;
    let named = match &model.card.output {
        None => None,
        Some(name) => Some(output_named(model, name)?),
    };
    match graph.outputs[..] {
        [] => return Err(OutputError::None),
        [output]
            if named.is_none()
                && op_type(graph, stripped(graph, output)) != "ReduceMax"
                && !is_truth(graph, ending(graph, output).logits) =>
        {
            let Ending { logits, activation, behind } = ending(graph, output);
            return Ok(Head { logits, activation, output, classes: None, behind, named: false });
        }
        _ => {}
    }
    let facts = facts_of_outputs(model);
    let outputs = named.map_or_else(|| graph.outputs.clone(), |output| vec![output]);
    let candidates: Vec<Candidate> = outputs.iter().map(|&output| candidate(graph, output, &facts)).collect();
    let head = |c: &Candidate| Head {
        logits: c.ending.logits,
        activation: c.ending.activation,
        output: c.output,
        classes: c.classes,
        behind: c.ending.behind.clone(),
        named: named.is_some(),
    };
    let could = candidates.iter().enumerate().filter(|(_, c)| c.classes.is_some());
    let best = could.max_by_key(|(i, c)| {
        let n = c.classes.unwrap_or(0);
        let finished = !matches!(c.ending.activation, Activation::None);
        (
            labels == Some(n),
            n > 1,
            finished,
            is_dense(graph, c.ending.logits),
            !is_auxiliary(graph, c),
            depth(graph, c.ending.logits),
            n,
            c.ending.behind.is_none(),
            Reverse(*i),
        )
    });
    if let Some((_, best)) = best {
        return Ok(head(best));
    }
    let known = |c: &&Candidate| facts.get(c.ending.logits.index()).is_some_and(Option::is_some);
    match (&candidates[..], named) {
        // If no shapes are known, the first output is taken, and compiling a plan reports why.
        ([first, ..], _) if !candidates.iter().any(|c| known(&c)) => Ok(head(first)),
        (_, Some(output)) => {
            Err(OutputError::NoScores { output: graph.name(output).to_owned(), outputs: described(model) })
        }
        _ => Err(OutputError::NoneHasScores { outputs: described(model) }),
    }
}

/// Returns the output of this name.
fn output_named(model: &Model, name: &str) -> Result<ValueId, OutputError> {
    let graph = &model.graph;
    graph
        .outputs
        .iter()
        .copied()
        .find(|&output| graph.name(output) == name)
        .ok_or_else(|| OutputError::Unknown { name: name.to_owned(), outputs: described(model) })
}

/// Returns the number of entries of a value, if they form a single row.
pub(super) fn count(model: &Model, value: ValueId) -> Option<usize> {
    facts_of_outputs(model).get(value.index())?.as_ref().and_then(row_of)
}

/// Describes the outputs with the shapes of their entries, where known.
pub(super) fn described(model: &Model) -> String {
    let facts = facts_of_outputs(model);
    let one = |&output: &ValueId| {
        let name = model.graph.name(output);
        match facts.get(output.index()).and_then(Option::as_ref) {
            Some(fact) => {
                let entry: Vec<String> = fact.shape.iter().skip(1).map(usize::to_string).collect();
                format!("{name} ({})", if entry.is_empty() { "1".into() } else { entry.join("x") })
            }
            None => name.to_owned(),
        }
    };
    let listed: Vec<String> = model.graph.outputs.iter().map(one).collect();
    listed.join(", ")
}

/// Facts about all values that outputs depend on, for the network's own input shapes; empty if shape
/// inference fails.
fn facts_of_outputs(model: &Model) -> Facts {
    let graph = &model.graph;
    let Ok(shapes) = model.input_shapes(1, None) else { return Vec::new() };
    let needed = analysis::ancestors(graph, &graph.outputs);
    analysis::infer(graph, &shapes, &needed, |_, _| Ok(())).unwrap_or_default()
}

fn candidate(graph: &Graph, output: ValueId, facts: &Facts) -> Candidate {
    let row = |value: ValueId| facts.get(value.index()).and_then(Option::as_ref).and_then(row_of);
    let mut end = ending(graph, output);
    // The maximum of a row of scores: the row itself has the classes.
    let bare = stripped(graph, end.logits);
    if end.behind.is_none()
        && op_type(graph, bare) == "ReduceMax"
        && let (Some(scores), Some(1)) = (operand(graph, bare, 0), row(bare))
        && row(scores).is_some_and(|n| n > 1)
    {
        end = ending(graph, scores);
        end.behind.get_or_insert_with(|| "ReduceMax".into());
    }
    let classes = row(end.logits).filter(|_| !is_truth(graph, end.logits));
    Candidate { output, classes, ending: end }
}

/// Whether a value is a boolean from a comparison that does not compare scores.
fn is_truth(graph: &Graph, value: ValueId) -> bool {
    let op = op_type(graph, stripped(graph, value));
    matches!(
        op,
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "Not" | "And" | "Or" | "Xor"
    )
}

/// Returns the number of entries of a value that depends on the input and forms a single row.
fn row_of(fact: &Fact) -> Option<usize> {
    if fact.dtype != DType::Float || fact.value.is_some() {
        return None;
    }
    let entry = match fact.shape[..] {
        [] => return None,
        // The value has no batch axis.
        [n] if n != 1 => &fact.shape[..],
        _ => &fact.shape[1..],
    };
    let mut wide = entry.iter().filter(|&&n| n != 1);
    match (wide.next(), wide.next()) {
        (None, _) => Some(1),
        (Some(&n), None) if n > 0 => Some(n),
        _ => None,
    }
}

/// Whether a dense layer computes a value, apart from a bias and a temperature.
fn is_dense(graph: &Graph, value: ValueId) -> bool {
    let mut value = stripped(graph, value);
    // Largest number of operators after the dense layer: a bias and two factors.
    const STEPS: usize = 3;
    for _ in 0..STEPS {
        let constant = |i: usize| {
            operand(graph, value, i).is_some_and(|v| super::is_constant(graph, stripped(graph, v)))
        };
        let flowing = match (constant(0), constant(1)) {
            (true, false) => operand(graph, value, 1),
            (false, true) => operand(graph, value, 0),
            _ => None,
        };
        match (op_type(graph, value), flowing) {
            ("Add" | "Sub" | "Mul" | "Div", Some(before)) => value = stripped(graph, before),
            _ => break,
        }
    }
    let op = op_type(graph, value);
    op.ends_with("Gemm") || op.ends_with("MatMul") || op == "Conv"
}

/// Whether the names mark an output as auxiliary, used in training only.
fn is_auxiliary(graph: &Graph, candidate: &Candidate) -> bool {
    let node = graph.producer(candidate.ending.logits).map(|i| &graph.nodes[i]);
    let names = [
        Some(graph.name(candidate.output)),
        node.map(|n| n.name.as_str()),
        node.and_then(|n| n.module.as_deref()),
    ];
    names.into_iter().flatten().any(|name| name.to_ascii_lowercase().contains("aux"))
}

/// Returns the number of operators on which a value depends.
fn depth(graph: &Graph, value: ValueId) -> usize {
    analysis::ancestors(graph, &[value]).into_iter().filter(|&needed| needed).count()
}
