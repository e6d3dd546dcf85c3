//! The input that a dream changes.

use crate::card::{InputCard, InputKind};
use crate::error::Result;
use crate::model::Model;

/// Returns the index of the input that a dream changes: the only one of images, or the only one of clips.
///
/// # Errors
/// If there is no such input, several inputs take pictures, or it takes bands.
pub(super) fn dreamt_input(model: &Model) -> Result<usize> {
    let of_pictures = |(_, card): &(usize, &InputCard)| card.kind != InputKind::Tensor;
    let mut inputs = model.card.input.iter().enumerate().filter(of_pictures);
    let index = match (inputs.next(), inputs.next()) {
        (Some((index, card)), None) if card.kind == InputKind::Clip => index,
        _ => model.image_input()?,
    };
    model.check_colors(index)?;
    Ok(index)
}
