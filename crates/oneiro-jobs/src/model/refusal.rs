//! The error of networks that take no pictures, for all commands that need pictures as inputs.

use oneiro::card::InputKind;
use oneiro_net::graph::Dim;

use super::LoadedModel;
use super::error::ModelError;

/// Numbers of axes of pictures and of clips.
const PICTURE_RANKS: [usize; 2] = [4, 5];

/// Returns an error if no input of the network takes pictures or has as many axes as pictures.
///
/// # Errors
/// [`ModelError::NoPictures`] if the network takes no pictures.
pub fn require_pictures(model: &LoadedModel) -> Result<(), ModelError> {
    let inputs = model.model.graph.inputs.iter().zip(&model.model.card.input).enumerate();
    let read: Vec<_> = inputs.filter(|(i, _)| model.model.is_read(*i)).map(|(_, input)| input).collect();
    let may_be = |(input, card): &(&oneiro_net::graph::Input, &oneiro::card::InputCard)| {
        card.kind != InputKind::Tensor
            || input.dims.as_ref().is_none_or(|dims| PICTURE_RANKS.contains(&dims.len()))
    };
    let Some((first, _)) = read.first() else { return Ok(()) };
    if read.iter().any(may_be) {
        return Ok(());
    }
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(n) => n.to_string(),
        Dim::Free(name) if name.is_empty() => "?".into(),
        Dim::Free(name) => name.clone(),
    };
    Err(ModelError::NoPictures {
        model: model.source.clone(),
        input: model.model.graph.name(first.value).to_owned(),
        shape: first.dims.iter().flatten().map(extent).collect(),
        begin_at: model.model.beginning(&[], None),
    })
}
