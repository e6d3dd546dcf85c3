//! Steps and tensors between lowering and memory layout: storages have lengths and lives, but no places yet.

use std::sync::Arc;

use crate::kernels::EpilogueFunction;
use crate::ops::{Kernel, Layout};

/// The first and the last moment at which a storage is needed.
pub(super) type Life = (usize, usize);

/// A tensor that needs memory: its length, and the moments at which it is written or read.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) len: usize,
    pub(super) value: Option<Life>,
    pub(super) gradient: Option<Life>,
    /// Whether its gradient is needed on the way to an input's gradient.
    pub(super) differentiable: bool,
    /// Whether an objective writes a seed to its gradient.
    pub(super) seeded: bool,
    /// Whether its gradient is kept unchanged until the end.
    pub(super) kept: bool,
    /// Whether its gradient has been written already, so that later contributions are added.
    pub(super) written: bool,
}

pub(super) struct LoweredStep {
    pub(super) name: String,
    pub(super) op_type: String,
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) flops: u64,
    pub(super) operands: Vec<LoweredOperand>,
    /// For each operand, whether it lies inside the output.
    pub(super) in_place: Vec<bool>,
    pub(super) output: usize,
    /// Shape of the output in memory, which depends on the layout.
    pub(super) shape: Vec<usize>,
    pub(super) layout: Layout,
    pub(super) epilogue: Option<EpilogueFunction>,
}

pub(super) enum LoweredOperand {
    Constant(Arc<Vec<f32>>),
    Storage(usize),
}

/// A step's contribution to the gradient of one of its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) operand: usize,
    pub(super) storage: usize,
    /// Whether other steps added to this gradient before.
    pub(super) accumulate: bool,
    /// The step whose activation mask this contribution applies.
    pub(super) activation_mask_of: Option<usize>,
    /// Whether the operand shares the output's gradient, so that there is nothing to compute.
    pub(super) aliased: bool,
}

/// All contributions of one step to gradients.
#[derive(Debug)]
pub(super) struct BackwardLowered {
    pub(super) step: usize,
    pub(super) contributions: Vec<Contribution>,
}

/// The place of a storage: the storage that contains it, and its offset there in elements.
pub(super) type Home = (usize, usize);

/// Returns the outermost storage that contains `s`, and the offset of `s` in it.
pub(super) fn home(inside: &[Option<Home>], s: usize) -> Home {
    let (mut at, mut offset) = (s, 0);
    while let Some((outer, by)) = inside[at] {
        (at, offset) = (outer, offset + by);
    }
    (at, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_lies_in_the_outermost_whole() {
        let inside = [Some((1, 3)), Some((3, 10)), None, None];
        assert_eq!([0, 1, 2, 3].map(|s| home(&inside, s)), [(3, 13), (3, 10), (2, 0), (3, 0)]);
    }
}
