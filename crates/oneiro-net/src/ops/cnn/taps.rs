//! Linear maps along single axes, as lists of taps. [`super::resize`] creates them, and [`super::resample`]
//! applies them.

/// Taps of one output index: (input index, weight). `None` marks an index outside the input, which gets the
/// fill value.
pub type Taps = Option<Vec<(usize, f32)>>;

/// A linear map with one list of taps for each axis. `None` keeps the axis unchanged.
#[derive(Debug)]
pub struct Resampling {
    /// Taps of every output index of every axis.
    pub axes: Vec<Option<Vec<Taps>>>,
    /// The value of outputs that lie outside the input.
    pub fill: f32,
}
