//! Operators: the computation of a node, as ONNX defines it.
//!
//! | family | operators |
//! |---|---|
//! | [`array`] | move, index and make elements: `Concat`, `Gather`, `Pad`, `Reshape`, `ScatterND`, `Slice`, `TopK`, `Transpose` |
//! | [`cnn`] | layers over positions in space: `Conv`, `MaxPool`, `Resize`, `GridSample`, and normalizations: `BatchNormalization`, `LayerNormalization`, `LRN` |
//! | [`nn`] | dense layers, products of matrices, activation functions, attention: `Gemm`, `MatMul`, `Einsum`, `Relu`, `Softmax` |
//! | [`math`] | arithmetic: functions of one, two and more tensors, comparisons, reductions, quantization: `Add`, `Sigmoid`, `Where`, `ReduceMean` |
//! | [`control_flow`] | `If` |
//!
//! One file holds one operator, or a few that share a shape rule and a kernel. Each file contains
//!
//! 1. the reading of its attributes (`read`),
//! 2. its shape rule ([`Operator::infer`]),
//! 3. its evaluation on constants, where that is not simply the kernel ([`Operator::evaluate`]),
//! 4. its kernel for fixed shapes: forward, and the vector-Jacobian product with respect to each data input
//!    ([`Kernel`]).
//!
//! An [`Operator`] consists of attributes only. A plan asks it once for a [`Kernel`], when shapes are fixed
//! and weights can be packed. All data is f32: booleans are 0 and 1, and integers that depend on the data are
//! whole numbers. Such integers are positions of extremes, possibly moved. Arithmetic on integers is
//! supported only where it folds to constants.

use crate::error::OpError;

pub use crate::attributes::{Attribute, Attributes};
pub use facts::{Fact, Facts};
pub use kernel::{Backward, Forward, Kernel, Operand};
pub(crate) use kernel::{put, put_with};
pub use operator::{Built, Layout, Normalization, Operator, Reach, Site, Unsupported};
pub use registry::build;

pub mod array;
pub(crate) mod batch_independence;
pub(crate) mod blocked;
pub mod cnn;
pub mod control_flow;
mod facts;
mod kernel;
pub mod math;
pub mod nn;
mod operator;
mod registry;
#[cfg(test)]
pub(crate) mod testing;
pub mod weight_form;

/// Integers below this are exact in f32.
pub(crate) const EXACT_INTEGERS: usize = 1 << f32::MANTISSA_DIGITS;

/// Returns an error unless positions up to this extent are exact in f32.
pub(crate) fn exact_positions(extent: usize) -> Result<(), OpError> {
    if extent <= EXACT_INTEGERS {
        Ok(())
    } else {
        Err(OpError::Refused(format!("positions among {extent} elements are too large for f32")))
    }
}

/// Resolves a possibly negative axis of a tensor of this rank.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    if (0..rank as i64).contains(&resolved) {
        Ok(resolved as usize)
    } else {
        Err(OpError::Refused(format!("axis {axis} is outside a tensor of rank {rank}")))
    }
}
