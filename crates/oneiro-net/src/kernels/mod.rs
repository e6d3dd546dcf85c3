//! Kernels: arithmetic over slices and sizes.
//!
//! A kernel knows no graph, no tensor and no network: it takes slices of `f32` in plain N, C, (D,) H, W order
//! and the numbers that describe them, and panics where the two do not fit.
//!
//! # Rules
//!
//! *Determinism.* The bits of a result depend on the operands and on the [`Isa`] alone: not on the number of
//! threads, nor on the batch that an image is in, nor on its place in it. Work is cut so that each output is
//! computed by one task in one fixed order.
//!
//! *Memory.* Scratch is thread-local and only grows; a repeated call allocates nothing.
//!
//! *Safety.* This is the only place with `unsafe`. There are three reasons for it, each behind a safe
//! function that checks its condition first: instructions that not every machine has (an [`Isa`] is checked
//! where it is dispatched on), raw addresses in inner loops (sizes are checked before the loop), and tasks
//! that write disjoint parts of one slice (each part belongs to one task by construction of the cut).

pub mod arena;
pub mod blocked;
pub(crate) mod clip;
pub mod contract;
pub mod correlate;
pub mod depthwise;
pub mod elementwise;
pub mod epilogue;
pub mod functions;
pub(crate) mod gemm;
pub mod isa;
pub mod linear;
pub(crate) mod pages;
pub mod pool;
pub(crate) mod scratch;
pub mod softmax;
pub mod team;

pub use arena::{Arena, Reader, Region};
pub use clip::mask_words;
pub use contract::{Contraction, Index};
pub use correlate::{ConvGeometry, Correlation, PackedWeights};
pub use elementwise::{MaskRows, ReluRule, apply_clip, clip_gradient, map, multiply, zip, zip_accumulate};
pub use epilogue::{Bounds, Epilogue, EpilogueFunction, EpilogueSlices};
pub use functions::{Smooth, apply_swish};
pub use isa::Isa;
pub use linear::{linear, linear_backward};
pub use pool::{
    MaxPoolRule, PoolGeometry, average_pool, average_pool_backward, max_pool, max_pool_backward,
    smoothed_max_pool_backward,
};
pub use softmax::{softmax, softmax_backward};

#[cfg(test)]
pub(crate) mod testing;
