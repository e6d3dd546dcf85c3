//! Pooling over values whose channels are stored in blocks.

use crate::error::OpError;
use crate::kernels::blocked::{self, MAX_TAPS, Pooling, winner_words};
use crate::kernels::{Isa, MaxPoolRule, PoolGeometry};
use crate::ops::blocked::{plane_of, rows_of};
use crate::ops::cnn::pool::Pool;
use crate::ops::math::reduce::Mean;
use crate::ops::{Backward, Built, Forward, Kernel, Site};

/// Returns the kernel over blocks of channels. There is none for positions, the smoothed rule and very large
/// windows.
pub(super) fn built(pool: &Pool, site: Site<'_>) -> Result<Option<Built>, OpError> {
    let input = site.inputs.need(0)?;
    let rows = rows_of(input);
    if matches!(pool, Pool::GlobalAverage) {
        return Ok(Some(Built::new(Mean::new(site, rows, plane_of(input)), 1)));
    }
    let pooling = match pool {
        Pool::Max { positions: false, rule: MaxPoolRule::Exact, .. } => Pooling::Max,
        Pool::GlobalMax { rule: MaxPoolRule::Exact } => Pooling::Max,
        Pool::Average { count_padding, .. } => Pooling::Average { count_padding: *count_padding },
        _ => return Ok(None),
    };
    let geometry = pool.geometry(site.inputs, rows)?;
    if geometry.taps() > MAX_TAPS {
        return Ok(None);
    }
    Ok(Some(Built::new(Windows { isa: site.isa, pooling, geometry }, 1)))
}

#[derive(Debug)]
struct Windows {
    isa: Isa,
    pooling: Pooling,
    geometry: PoolGeometry,
}

impl Kernel for Windows {
    fn joins_team(&self) -> bool {
        true
    }

    fn saved_words(&self) -> usize {
        if self.pooling == Pooling::Max { winner_words(&self.geometry) } else { 0 }
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, _operand: usize) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let saved = std::mem::take(&mut io.saved);
        let (x, y) = io.io(0);
        blocked::pool(self.isa, self.pooling, &self.geometry, x, y, saved, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, saved, mut epilogue) = (io.accumulate, io.saved, io.epilogue());
        let (dy, dx) = io.io();
        blocked::pool_backward(
            self.isa,
            self.pooling,
            &self.geometry,
            saved,
            dy,
            dx,
            accumulate,
            &mut epilogue,
        );
    }
}
