//! Linear maps along single axes, as lists of taps: [`super::resize`] makes them, [`super::resample`] applies
//! them.

/// Taps of one output index: (input index, weight). `None` marks an index outside everything, which gets the
/// fill value.
pub type Taps = Option<Vec<(usize, f32)>>;

/// A linear map, one list of taps an axis; `None` keeps the axis as it is.
#[derive(Debug)]
pub struct Resampling {
    /// Taps of every output index of every axis.
    pub axes: Vec<Option<Vec<Taps>>>,
    /// Value of outputs outside.
    pub fill: f32,
}
