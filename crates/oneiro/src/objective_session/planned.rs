//! Turns objectives into a request: the values that they read, checked against the network.

use std::borrow::Cow;

use oneiro_net::graph::Dim;
use oneiro_net::{Graph, Request, ValueId};

use crate::error::{Error, Result};
use crate::model::{Model, Target, View};
use crate::objective::{Objective, Reads};

/// A network, and a request for the values that objectives read.
pub(super) struct Planned<'m> {
    pub graph: Cow<'m, Graph>,
    pub request: Request,
    /// Captured values, then the values that objectives read.
    pub targets: Vec<Target>,
    /// For every term of every objective, the index of the target that it reads.
    pub read: Vec<Vec<Option<usize>>>,
}

/// Finds the values that objectives read, as targets of a request.
///
/// # Errors
/// If an objective reads nothing of the network, or a layer that does not exist.
pub(super) fn planned<'m>(
    model: &'m Model,
    objectives: &[Objective],
    captured: &[ValueId],
    shapes: Vec<Vec<usize>>,
) -> Result<Planned<'m>> {
    let batch = model.batch(&shapes);
    if objectives.len() > 1 && objectives.len() != batch {
        return Err(Error::Settings(format!("{} objectives for a batch of {batch}", objectives.len())));
    }
    let as_it_is = |&value: &ValueId| Target { value, view: View::Everything };
    let mut targets: Vec<Target> = captured.iter().map(as_it_is).collect();
    // For every term that reads a layer, the index of its target.
    let mut read: Vec<Vec<Option<usize>>> = Vec::new();
    for objective in objectives {
        let terms = objective.terms();
        if terms.iter().all(|t| t.reads() == Reads::Input) {
            return Err(Error::Unit(format!(
                "the objective \"{objective}\" asks for nothing of the network"
            )));
        }
        let mut of_objective = Vec::new();
        for term in terms {
            if term.reads() == Reads::Input {
                of_objective.push(None);
                continue;
            }
            let target = model.target_of(term)?;
            let known = targets.iter().skip(captured.len()).position(|&t| t == target);
            of_objective.push(Some(known.map(|i| i + captured.len()).unwrap_or_else(|| {
                targets.push(target);
                targets.len() - 1
            })));
        }
        read.push(of_objective);
    }
    // Captured values stay unchanged; objectives read views with channels on axis 1.
    let (graph, viewed) = model.viewed(&targets[captured.len()..], &shapes)?;
    let planned = captured.iter().copied().chain(viewed).collect();
    let request = Request::of_shapes(shapes, planned);
    Ok(Planned { graph, request, targets, read })
}

/// Refuses targets in which batch entries are not separate. Each target comes with its name and shape.
pub(super) fn check_batch<'a>(
    targets: impl Iterator<Item = (&'a str, &'a [usize])>,
    batch: usize,
) -> Result<()> {
    for (name, shape) in targets {
        if shape.first() != Some(&batch) {
            return Err(Error::Unit(format!(
                "layer \"{name}\" has shape {shape:?}, whose first axis is not the batch of {batch}"
            )));
        }
    }
    Ok(())
}

/// Refuses terms that do not fit their layer. `shapes` are the shapes of one batch entry.
pub(super) fn check_terms(
    objectives: &[Objective],
    read: &[Vec<Option<usize>>],
    shapes: &[Vec<usize>],
) -> Result<()> {
    for (objective, read) in objectives.iter().zip(read) {
        for (term, target) in objective.terms().into_iter().zip(read) {
            target.map_or(Ok(()), |t| term.check(&shapes[t]))?;
        }
    }
    Ok(())
}

/// Adds a hint about the batch to an error of compiling, if the file fixes another batch size.
pub(super) fn fixed_batch(
    model: &Model,
    batch: usize,
    targets: &[ValueId],
    error: oneiro_net::Error,
) -> Error {
    let fixed = model.graph.inputs.iter().find_map(|i| match i.dims.as_ref()?.first()? {
        Dim::Fixed(n) if *n > 1 && *n != batch && i.dims.as_ref().is_some_and(|d| d.len() > 3) => Some(*n),
        _ => None,
    });
    match fixed {
        Some(fixed) => Error::Batch { error: Box::new(error), fixed, needed: batch },
        None => model.explained(error, targets),
    }
}
