//! Weights of objectives relative to regularizers.

use super::batch_item::BatchItem;
use super::stride;
use crate::error::Result;
use crate::model::Model;
use crate::objective::{Objective, TermKind};
use crate::objective_session::ObjectiveSession;
use crate::preset::Preset;

/// Returns the weight of each objective: `weight`, or `unit_weight` / (ρ² · â) for objectives that
/// compare with no picture. ρ² is taken at the input where it is largest; at other inputs, the gradient gets
/// a factor. The gradients of relative objectives are scaled in every step.
pub(super) fn weigh(
    model: &Model,
    preset: &Preset,
    objectives: &[Objective],
    session: &ObjectiveSession,
    entries: &mut [BatchItem],
) -> Result<Vec<f64>> {
    let weigh = |(objective, entry): (&Objective, &mut BatchItem)| match preset.unit_weight {
        Some(_) if !objective.compares() && preset.relative => {
            for state in &mut entry.states {
                state.force = preset.of_input(&state.input.name, state.input.kind).unit_weight;
            }
            Ok(preset.weight)
        }
        Some(weight) if !objective.compares() => {
            let areas = stride::field_areas(model, preset, objective)?;
            let largest = areas.values().copied().fold(1.0, f64::max);
            for state in &mut entry.states {
                let area = areas.get(&state.input.index).copied().unwrap_or(largest);
                let own = preset.of_input(&state.input.name, state.input.kind).unit_weight.unwrap_or(weight);
                state.objective_factor = (largest / area * own / weight) as f32;
            }
            let positions = if preset.sum_positions { positions(model, session, objective)? } else { 1 };
            Ok(weight * positions as f64 / (largest * preset.max_activation))
        }
        _ => Ok(preset.weight),
    };
    objectives.iter().zip(entries).map(weigh).collect()
}

/// Returns the largest number of positions over which a term of the objective takes a mean.
fn positions(model: &Model, session: &ObjectiveSession, objective: &Objective) -> Result<usize> {
    let mut most = 1;
    for term in objective.terms() {
        let is_mean = match &term.kind {
            TermKind::Channel(_) => true,
            TermKind::Direction(direction) => direction.at.is_none(),
            _ => false,
        };
        if is_mean && term.region.is_all() {
            let shape = session.shape_of(model.target_of(term)?).unwrap_or_default();
            most = most.max(shape.iter().skip(1).product());
        }
    }
    Ok(most)
}
