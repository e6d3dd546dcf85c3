//! Strides and receptive fields of the layers that an objective reads. The stride determines the jitter.

use oneiro_net::analysis::{self, Layer, ReceptiveField};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::preset::{Jitter, Preset};

/// Returns how many pixels larger the picture is than the network's input, so that jitter can shift it: j − 1
/// for a jitter of j positions.
pub(super) fn margin(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<usize> {
    Ok(match preset.jitter {
        Jitter::None => 0,
        Jitter::Pixels(_) => preset.jitter.pixels(1) - 1,
        Jitter::QuarterStride | Jitter::Stride => {
            let strides = fields(model, &layers(model, preset)?, objectives)?
                .into_iter()
                .flat_map(|field| field.stride);
            preset.jitter.pixels(strides.max().unwrap_or(1)) - 1
        }
    })
}

/// Returns ρ², the area of the largest receptive field among the layers that an objective reads.
pub(super) fn field_area(model: &Model, preset: &Preset, objective: &Objective) -> Result<f64> {
    let fields = fields(model, &layers(model, preset)?, std::slice::from_ref(objective))?;
    let area = |field: &ReceptiveField| field.extent.iter().rev().take(2).product::<usize>() as f64;
    Ok(fields.iter().map(area).fold(1.0, f64::max))
}

/// Returns the network's layers for pictures of the preset's size.
pub(super) fn layers(model: &Model, preset: &Preset) -> Result<Vec<Layer>> {
    let shapes = model.input_shapes(1, preset.size)?;
    let layered = model.all_layered(&shapes)?;
    Ok(analysis::layers(&model.graph, &model.names(), &shapes, layered.followed())?.layers)
}

/// Returns the receptive fields, on picture inputs, of the layers that the objectives read.
pub(super) fn fields(
    model: &Model,
    layers: &[Layer],
    objectives: &[Objective],
) -> Result<Vec<ReceptiveField>> {
    let mut found = Vec::new();
    for term in objectives.iter().flat_map(Objective::terms).filter(|t| t.reads() != Reads::Input) {
        let value = model.value_of(term)?;
        let before = found.len();
        let of_layer = layers.iter().filter(|l| l.value == value).flat_map(|l| &l.fields);
        let of_pictures = of_layer.filter(|(input, _)| model.card.input[*input].kind != InputKind::Tensor);
        found.extend(of_pictures.map(|(_, field)| field.clone()));
        if found.len() == before {
            return Err(Error::Settings(format!(
                "what {term} sees of the picture is not known; give the jitter in pixels, and a weight"
            )));
        }
    }
    Ok(found)
}
