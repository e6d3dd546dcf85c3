//! Means over all positions of values in blocks of channels.

use crate::kernels::blocked::{self, Map, Per};
use crate::ops::blocked::Maps;
use crate::ops::{Backward, Forward, Kernel, Site};

/// The kernel of a mean over all positions of each channel.
#[derive(Debug)]
pub(crate) struct Mean {
    maps: Maps,
    factor: f32,
}

impl Mean {
    /// The mean over the positions of `rows` planes.
    pub(crate) fn new(site: Site<'_>, rows: usize, plane: usize) -> Self {
        Self { maps: Maps { isa: site.isa, rows, plane }, factor: 1.0 / plane as f32 }
    }
}

impl Kernel for Mean {
    fn joins_team(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, _operand: usize) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        blocked::sum(self.maps.isa, self.maps.rows, self.maps.plane, x, None, self.factor, y, false);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, mut epilogue) = (io.accumulate, io.epilogue());
        let (dy, dx) = io.io();
        // dy has one number for each channel, and so does the divisor.
        let factor = [self.factor; blocked::BLOCK];
        let operands = [Per::Channel(dy), Per::Channel(&factor), Per::None];
        self.maps.run(Map::Mul, operands, dx, accumulate, &mut epilogue);
    }
}
