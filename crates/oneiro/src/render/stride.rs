//! Strides and receptive fields of the layers that an objective reads. The stride determines the jitter.

use std::collections::BTreeMap;

use oneiro_net::analysis::{self, Layer, ReceptiveField};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::preset::{Jitter, Preset};

/// Margin of an input's pictures beyond what the network sees, in pixels: j − 1. `preset` is the recipe as it
/// holds for that input.
pub(super) fn margin(
    model: &Model,
    preset: &Preset,
    input: usize,
    objectives: &[Objective],
) -> Result<usize> {
    Ok(match preset.jitter {
        Jitter::None => 0,
        Jitter::Pixels(_) => preset.jitter.pixels(1) - 1,
        Jitter::QuarterStride | Jitter::Stride => {
            let fields = fields(model, &layers(model, preset)?, objectives)?;
            let of_input = fields.iter().filter(|(of, _)| *of == input);
            // Height and width are the last axes of a plane.
            let strides = of_input.flat_map(|(_, field)| field.stride.iter().rev().take(2));
            preset.jitter.pixels(strides.copied().max().unwrap_or(1)) - 1
        }
    })
}

/// ρ² of an objective in each input that it depends on: the area of the largest receptive field of its
/// layers.
pub(super) fn field_areas(
    model: &Model,
    preset: &Preset,
    objective: &Objective,
) -> Result<BTreeMap<usize, f64>> {
    let mut areas = BTreeMap::new();
    for (input, field) in fields(model, &layers(model, preset)?, std::slice::from_ref(objective))? {
        let area = field.extent.iter().rev().take(2).product::<usize>().max(1) as f64;
        let largest: &mut f64 = areas.entry(input).or_insert(area);
        *largest = largest.max(area);
    }
    Ok(areas)
}

/// Returns the network's layers for pictures of the preset's size.
pub(super) fn layers(model: &Model, preset: &Preset) -> Result<Vec<Layer>> {
    let shapes = model.input_shapes(1, preset.size)?;
    let layered = model.all_layered(&shapes)?;
    Ok(analysis::layers(&model.graph, &model.names(), &shapes, layered.followed())?.layers)
}

/// The receptive fields of the layers that objectives read, each with the picture input that it lies in.
pub(super) fn fields(
    model: &Model,
    layers: &[Layer],
    objectives: &[Objective],
) -> Result<Vec<(usize, ReceptiveField)>> {
    let mut found = Vec::new();
    for term in objectives.iter().flat_map(Objective::terms).filter(|t| t.reads() != Reads::Input) {
        let value = model.value_of(term)?;
        let before = found.len();
        let of_layer = layers.iter().filter(|l| l.value == value).flat_map(|l| &l.fields);
        let of_pictures = of_layer.filter(|(input, _)| model.card.input[*input].kind != InputKind::Tensor);
        found.extend(of_pictures.cloned());
        if found.len() == before {
            return Err(Error::Settings(format!(
                "what {term} sees of the picture is not known; give the jitter in pixels, and a weight"
            )));
        }
    }
    Ok(found)
}
