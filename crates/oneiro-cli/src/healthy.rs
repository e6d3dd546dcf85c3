//! Units of a network some of whose weights are not finite: which of them work, and the words for those that do not.

use anyhow::{Result, bail};
use oneiro::objective::{Objective, Reads};
use oneiro::probe::Probe;
use oneiro_net::{ValueId, broken};

use crate::context::Context;
use crate::model::LoadedModel;

/// Values that inputs are fed with to see whether a unit works; none is zero, so that no norm is.
const FED: [f32; 5] = [0.3, -0.2, 0.7, 0.45, -0.6];

/// The weights in front of what objectives read that are not finite, as "w1 channel 2, b1 channel 4".
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

/// Whether a unit can be rendered, for each: its name, its objective, and the size of the pictures.
///
/// Those that depend on weights that are not finite are named in a note.
///
/// # Errors
///
/// None can be rendered.
pub fn healthy(
    context: &Context,
    model: &LoadedModel,
    units: &[(&str, &Objective)],
    size: Option<[usize; 2]>,
) -> Result<Vec<bool>> {
    let Some(weights) = broken_weights(model, units.iter().map(|u| u.1)) else {
        return Ok(vec![true; units.len()]);
    };
    let works: Vec<bool> =
        context.compute(|| units.iter().map(|(_, objective)| works(model, objective, size)).collect());
    let failed: Vec<&str> = units.iter().zip(&works).filter(|(_, w)| !**w).map(|(u, _)| u.0).collect();
    let one = failed.len() == 1;
    if failed.len() == units.len() {
        bail!(
            "weights of the network are not finite: {weights}; {} on them",
            if one {
                format!("{} depends", failed[0])
            } else {
                format!("all of {} depend", failed.join(", "))
            }
        );
    }
    if !failed.is_empty() {
        context.note(&format!(
            "note: weights of the network are not finite: {weights}; {} left out",
            if one { format!("{} is", failed[0]) } else { format!("{} are", failed.join(", ")) }
        ));
    }
    Ok(works)
}

/// Whether an objective is a finite number. What cannot be compiled is for others to complain of.
fn works(model: &LoadedModel, objective: &Objective, size: Option<[usize; 2]>) -> bool {
    if objective.couples() {
        return true;
    }
    let shapes = model.model.input_shapes(1, size);
    let probe = shapes.and_then(|s| Probe::new(&model.model, std::slice::from_ref(objective), &[], s, false));
    let Ok(mut probe) = probe else { return true };
    for i in 0..probe.inputs().len() {
        probe.input_mut(i).iter_mut().zip(FED.iter().cycle()).for_each(|(x, fed)| *x = *fed);
    }
    if probe.show_inputs().is_err() {
        return true;
    }
    probe.forward();
    probe.value(0).is_finite()
}
