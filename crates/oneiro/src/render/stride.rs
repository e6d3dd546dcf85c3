//! How far a picture may be shifted: the margin that a jitter by a layer's stride needs.

use oneiro_net::analysis;

use crate::card::{InputKind, Layout};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Reads};
use crate::preset::{Jitter, Preset};

/// Pixels by which pictures are larger than what the network sees: j − 1.
pub(super) fn margin(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<usize> {
    Ok(match preset.jitter {
        Jitter::None => 0,
        Jitter::Pixels(_) => preset.jitter.pixels(1) - 1,
        Jitter::QuarterStride | Jitter::Stride => preset.jitter.pixels(stride(model, preset, objectives)?) - 1,
    })
}

/// The largest accumulated stride, from a picture input to a layer that an objective reads.
pub(super) fn stride(model: &Model, preset: &Preset, objectives: &[Objective]) -> Result<usize> {
    let shapes = model.input_shapes(1, preset.size)?;
    let last = model.card.layout == Layout::Nhwc;
    let layers = analysis::layers(&model.graph, &model.names(), &shapes, last)?.layers;
    let mut largest = 1;
    for term in objectives.iter().flat_map(Objective::terms).filter(|t| t.reads() != Reads::Input) {
        let value = model.value_of(term)?;
        let fields = layers.iter().filter(|l| l.value == value).flat_map(|l| &l.fields);
        let of_pictures = fields.filter(|(input, _)| model.card.input[*input].kind != InputKind::Tensor);
        let strides = of_pictures.flat_map(|(_, field)| &field.stride).copied();
        match strides.max() {
            Some(stride) => largest = largest.max(stride),
            None => {
                return Err(Error::Settings(format!(
                    "the stride of {term}'s layer is not known; give the jitter in pixels"
                )));
            }
        }
    }
    Ok(largest)
}
