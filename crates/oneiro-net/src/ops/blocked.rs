//! Values in blocks of channels: their extents, and elementwise maps over them.

use crate::kernels::blocked::{Map, Per, blocks_of, map};
use crate::kernels::{Epilogue, Isa};
use crate::ops::Fact;
use crate::tensor::volume;

/// Number of planes of a value in blocks: images times blocks of channels.
pub(crate) fn rows_of(fact: &Fact) -> usize {
    fact.shape[0] * blocks_of(fact.shape[1])
}

/// Number of positions in one channel of a value.
pub(crate) fn plane_of(fact: &Fact) -> usize {
    volume(&fact.shape[2..])
}

/// Pads one number for each channel with zeros to whole blocks.
pub(crate) fn padded(channels: &[f32]) -> Vec<f32> {
    let mut padded = channels.to_vec();
    padded.resize(blocks_of(channels.len()) * crate::kernels::blocked::BLOCK, 0.0);
    padded
}

/// Elementwise maps over a value whose channels are stored in blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maps {
    pub isa: Isa,
    pub rows: usize,
    pub plane: usize,
}

impl Maps {
    /// Prepares maps over a value of this shape.
    pub(crate) fn over(isa: Isa, fact: &Fact) -> Self {
        Self { isa, rows: rows_of(fact), plane: plane_of(fact) }
    }

    pub(crate) fn run(
        &self,
        of: Map,
        operands: [Per<'_>; 3],
        dst: &mut [f32],
        accumulate: bool,
        epilogue: &mut Epilogue<'_>,
    ) {
        map(self.isa, of, self.rows, self.plane, operands, dst, accumulate, epilogue);
    }
}
