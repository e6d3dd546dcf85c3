//! Conversion between plain order and blocks of channels. A plan inserts it between kernels of different
//! layouts.

use crate::kernels::Isa;
use crate::kernels::blocked::{block, unblock};
use crate::ops::{Backward, Forward, Kernel, Layout};

/// Converts a value with batch and channel axes to a layout.
#[derive(Debug)]
pub(crate) struct Reorder {
    isa: Isa,
    batch: usize,
    channels: usize,
    plane: usize,
    to: Layout,
}

impl Reorder {
    pub(crate) fn new(isa: Isa, shape: &[usize], to: Layout) -> Self {
        Self { isa, batch: shape[0], channels: shape[1], plane: shape[2..].iter().product(), to }
    }
}

impl Kernel for Reorder {
    fn joins_team(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let run = if self.to == Layout::Blocked { block } else { unblock };
        run(self.isa, self.batch, self.channels, self.plane, x, y, false);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        let run = if self.to == Layout::Blocked { unblock } else { block };
        run(self.isa, self.batch, self.channels, self.plane, dy, dx, accumulate);
    }
}
