//! Steps and tensors between lowering and memory: storages have lengths and lives, but no place yet.

use std::sync::Arc;

use crate::kernels::EpilogueFunction;
use crate::ops::{Kernel, Layout};

/// First and last moment of need.
pub(super) type Life = (usize, usize);

/// A tensor that needs a place: its length, and the moments at which it is touched.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) len: usize,
    pub(super) value: Option<Life>,
    pub(super) gradient: Option<Life>,
    /// Whether the gradient flows back through it to an input.
    pub(super) differentiable: bool,
    /// Whether an objective writes its gradient.
    pub(super) seeded: bool,
    /// Whether the gradient is kept to the end, unchanged.
    pub(super) kept: bool,
    /// Whether the gradient has been written, so that later contributions add.
    pub(super) written: bool,
}

pub(super) struct LoweredStep {
    pub(super) name: String,
    pub(super) op_type: String,
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) flops: u64,
    pub(super) operands: Vec<LoweredOperand>,
    /// Which operands lie inside the output.
    pub(super) in_place: Vec<bool>,
    pub(super) output: usize,
    /// Shape under which the output lies in memory.
    pub(super) shape: Vec<usize>,
    pub(super) layout: Layout,
    pub(super) epilogue: Option<EpilogueFunction>,
}

pub(super) enum LoweredOperand {
    Constant(Arc<Vec<f32>>),
    Storage(usize),
}

/// A step's share in the gradient of one of its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) operand: usize,
    pub(super) storage: usize,
    /// Whether others contributed before.
    pub(super) accumulate: bool,
    /// The step whose activation mask it applies.
    pub(super) activation_mask_of: Option<usize>,
    /// Whether the operand's gradient is the output's, in one place: nothing is left to do.
    pub(super) aliased: bool,
}

/// The contributions of one step.
#[derive(Debug)]
pub(super) struct BackwardLowered {
    pub(super) step: usize,
    pub(super) contributions: Vec<Contribution>,
}

/// Where a storage lies: inside which storage, and at which offset (elements).
pub(super) type Home = (usize, usize);

/// The outermost storage that `s` lies in, and where.
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
