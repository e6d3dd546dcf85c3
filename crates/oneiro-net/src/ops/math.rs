//! Arithmetic: functions of one, two and more tensors, comparisons, reductions, quantization.

pub mod binary;
pub mod logic;
pub mod lp_norm;
pub mod quantize;
pub mod reduce;
pub(crate) mod summary;
pub mod unary;
pub mod variadic;
