//! Finds the heights and widths of pictures that a network accepts.

use crate::dream::input::dreamt_input;
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;

/// Returns the requested height and width. If the network refuses them, returns the size of the card or file
/// instead.
///
/// # Errors
/// The network's error for the requested size, if it refuses its own size, too.
pub(super) fn accepted_size(
    model: &Model,
    free: [usize; 2],
    accepts: impl Fn([usize; 2]) -> Result<()>,
) -> Result<[usize; 2]> {
    let refused = match accepts(free) {
        Ok(()) => return Ok(free),
        Err(refused @ Error::Network(_)) => refused,
        Err(other) => return Err(other),
    };
    let own = PictureInput::new(model, dreamt_input(model)?, &model.input_shapes(1, None)?)?.extent.size();
    accepts(own).map(|()| own).map_err(|_| refused)
}
