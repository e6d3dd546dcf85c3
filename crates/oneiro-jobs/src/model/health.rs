//! Weights that are not finite: finds out which units can be rendered, and describes the problem for others.

use oneiro::objective::{Objective, Reads};
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::{ValueId, broken};

use super::error::ModelError;
use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::remark::Remark;

/// Values of inputs in a test run that finds out whether a unit's value is finite. None is zero, so that no
/// norm is zero.
const FED: [f32; 5] = [0.3, -0.2, 0.7, 0.45, -0.6];

/// Describes the weights that are not finite and on which objectives depend, as "w1 channel 2, b1 channel 4".
pub fn broken_weights<'a>(
    model: &LoadedModel,
    objectives: impl IntoIterator<Item = &'a Objective>,
) -> Option<String> {
    let mut layers: Vec<ValueId> = objectives
        .into_iter()
        .flat_map(|o| o.terms())
        .filter(|t| t.reads() != Reads::Input)
        .filter_map(|t| model.model.value_of(t).ok())
        .collect();
    layers.sort_unstable();
    layers.dedup();
    broken::describe(&model.model.graph, &layers)
}

/// Returns an error if units depend on weights that are not finite. `units` holds names and objectives;
/// `size` is the size of the pictures.
///
/// # Errors
///
/// The error names the weights and the units.
pub fn require_healthy(
    context: &Context,
    model: &LoadedModel,
    units: &[(&str, &Objective)],
    size: Option<[usize; 2]>,
) -> Result<()> {
    match failures(context, model, units, size) {
        Some((weights, works)) if works.contains(&false) => {
            Err(refused(weights, &failed(units, &works)).into())
        }
        _ => Ok(()),
    }
}

/// Returns for each unit whether it can be rendered. A remark names those that depend on weights that are not
/// finite.
///
/// # Errors
///
/// If no unit is left that can be rendered.
pub fn healthy(
    context: &Context,
    model: &LoadedModel,
    units: &[(&str, &Objective)],
    size: Option<[usize; 2]>,
) -> Result<Vec<bool>> {
    let Some((weights, works)) = failures(context, model, units, size) else {
        return Ok(vec![true; units.len()]);
    };
    if !works.contains(&true) {
        return Err(refused(weights, &failed(units, &works)).into());
    }
    let failed = failed(units, &works);
    if !failed.is_empty() {
        let units = failed.into_iter().map(str::to_owned).collect();
        context.remark(Remark::LeftOut { weights, units });
    }
    Ok(works)
}

/// Returns a description of the weights that are not finite and on which the units depend, and which units
/// have finite values. Returns `None` if all these weights are finite.
fn failures(
    context: &Context,
    model: &LoadedModel,
    units: &[(&str, &Objective)],
    size: Option<[usize; 2]>,
) -> Option<(String, Vec<bool>)> {
    let weights = broken_weights(model, units.iter().map(|u| u.1))?;
    let works = || units.iter().map(|(_, objective)| works(model, objective, size)).collect();
    Some((weights, context.compute(works)))
}

fn failed<'a>(units: &[(&'a str, &Objective)], works: &[bool]) -> Vec<&'a str> {
    units.iter().zip(works).filter(|(_, works)| !**works).map(|(unit, _)| unit.0).collect()
}

fn refused(weights: String, failed: &[&str]) -> ModelError {
    ModelError::BrokenWeights { weights, units: failed.iter().map(|unit| (*unit).to_owned()).collect() }
}

/// Whether the value of an objective, and the features with which it compares, are finite. Other errors are
/// reported elsewhere and count as finite.
fn works(model: &LoadedModel, objective: &Objective, size: Option<[usize; 2]>) -> bool {
    if objective.couples() {
        return true;
    }
    let shapes = model.model.input_shapes(1, size);
    let session = shapes
        .and_then(|s| ObjectiveSession::new(&model.model, std::slice::from_ref(objective), &[], s, false));
    let mut session = match session {
        Ok(session) => session,
        Err(oneiro::Error::Term(why)) => return !why.is_not_finite(),
        Err(_) => return true,
    };
    for i in 0..session.inputs().len() {
        session.input_mut(i).iter_mut().zip(FED.iter().cycle()).for_each(|(x, fed)| *x = *fed);
    }
    if session.show_inputs().is_err() {
        return true;
    }
    session.forward();
    session.value(0).is_finite()
}
