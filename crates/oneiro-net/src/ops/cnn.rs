//! Layers over positions in space (convolution, pooling, resizing), and normalizations.

pub mod affine_grid;
pub mod batch_norm;
pub mod conv;
pub mod conv_transpose;
pub mod grid_sample;
pub mod lp_pool;
pub mod lrn;
pub mod norm;
pub mod pool;
pub mod resample;
pub mod resize;
pub mod taps;
pub mod unpool;
pub mod window;
