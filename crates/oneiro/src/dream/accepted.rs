//! Heights and widths that a network accepts.

use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;

/// A free height and width, or those that the card or the file says where the network refuses the free ones.
///
/// # Errors
/// The refusal, if it also refuses its own.
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
    let own = PictureInput::of_photographs(model, &model.input_shapes(1, None)?)?.extent.size();
    accepts(own).map(|()| own).map_err(|_| refused)
}
