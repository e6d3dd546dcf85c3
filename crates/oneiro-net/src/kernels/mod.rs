//! The arithmetic of operators, over slices of numbers.
//!
//! Kernels do not use graphs, tensors or networks. A kernel takes slices of `f32` in plain N, C, (D,) H, W
//! order and the sizes that describe them. It panics if a slice does not fit its sizes.
//!
//! # Rules
//!
//! *Determinism.* The bits of a result depend on the operands and on the [`Isa`] alone. They do not depend on
//! the number of threads, on an image's batch, or on its place in the batch. Work is divided so that one task
//! computes each output in a fixed order.
//!
//! *Memory.* Scratch memory is thread-local and only grows, so a repeated call allocates nothing.
//!
//! *Safety.* Kernels contain all `unsafe` code. It has three purposes, each behind a safe function that
//! checks its condition first. Instructions that only some machines have: the [`Isa`] is checked before
//! dispatch. Raw addresses in inner loops: sizes are checked before the loop. Tasks that write disjoint parts
//! of one slice: by the division of work, each part belongs to one task.

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
