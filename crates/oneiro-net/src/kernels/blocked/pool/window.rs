//! The positions of the source that a window covers.

use super::MAX_TAPS;
use crate::kernels::pool::PoolGeometry;

/// Calls `visit(tap, position in the plane)` for each tap of a window that lies inside the source.
#[inline(always)]
pub(super) fn window(geometry: &PoolGeometry, line: usize, x: usize, mut visit: impl FnMut(usize, usize)) {
    let [_, taps_y, taps_x] = geometry.kernel;
    let (oz, oy) = (line / geometry.dst[1], line % geometry.dst[1]);
    for kz in 0..geometry.kernel[0] {
        let Some(z) = geometry.inside(0, oz, kz) else { continue };
        for ky in 0..taps_y {
            let Some(y) = geometry.inside(1, oy, ky) else { continue };
            let row = (z * geometry.src[1] + y) * geometry.src[2];
            for kx in 0..taps_x {
                let Some(sx) = geometry.inside(2, x, kx) else { continue };
                visit((kz * taps_y + ky) * taps_x + kx, row + sx);
            }
        }
    }
}

/// Windows that lie wholly inside the source. Their taps have the same offsets everywhere.
pub(super) struct Inner {
    /// Indices of the windows that lie inside, first and end, along depth, height and width.
    pub(super) ranges: [(usize, usize); 3],
    /// Offsets of the taps from tap 0, in positions.
    pub(super) offsets: [usize; MAX_TAPS],
}

impl Inner {
    pub(super) fn of(geometry: &PoolGeometry) -> Inner {
        let ranges = [0, 1, 2].map(|d| {
            let whole = |o: usize| {
                geometry.inside(d, o, 0).is_some() && geometry.inside(d, o, geometry.kernel[d] - 1).is_some()
            };
            let first = (0..geometry.dst[d]).find(|&o| whole(o)).unwrap_or(geometry.dst[d]);
            let end = (first..geometry.dst[d]).find(|&o| !whole(o)).unwrap_or(geometry.dst[d]);
            (first, end)
        });
        let mut offsets = [0; MAX_TAPS];
        let [_, taps_y, taps_x] = geometry.kernel;
        for (tap, offset) in offsets.iter_mut().enumerate().take(geometry.taps()) {
            let at = [tap / taps_x / taps_y, tap / taps_x % taps_y, tap % taps_x];
            let [z, y, x] = [0, 1, 2].map(|d| at[d] * geometry.dilation[d]);
            *offset = (z * geometry.src[1] + y) * geometry.src[2] + x;
        }
        Inner { ranges, offsets }
    }

    /// Returns the range of inner windows along an output line, and the source position of tap 0 of window 0.
    /// That position may be outside the source.
    pub(super) fn line(&self, geometry: &PoolGeometry, line: usize) -> (usize, usize, isize) {
        let (z, y) = (line / geometry.dst[1], line % geometry.dst[1]);
        let inside = |d: usize, o: usize| (self.ranges[d].0..self.ranges[d].1).contains(&o);
        if !inside(0, z) || !inside(1, y) {
            return (0, 0, 0);
        }
        let first = |d: usize, o: usize| (o * geometry.stride[d]) as isize - geometry.pad_before[d] as isize;
        let row = first(0, z) * geometry.src[1] as isize + first(1, y);
        (self.ranges[2].0, self.ranges[2].1, row * geometry.src[2] as isize + first(2, 0))
    }
}

/// Calls `visit(tap, position)` for the taps of one output that lie inside the source. Inner windows use
/// their table of offsets.
macro_rules! taps {
    ($geometry:ident, $inner:ident, $line:expr, $range:expr, $x:ident, |$tap:pat_param, $from:ident| $body:expr) => {
        if ($range.0..$range.1).contains(&$x) {
            let first = ($range.2 + ($x * $geometry.stride[2]) as isize) as usize;
            for (tap, offset) in $inner.offsets[..$geometry.taps()].iter().enumerate() {
                let ($tap, $from) = (tap, first + offset);
                $body
            }
        } else {
            window($geometry, $line, $x, |$tap, $from| $body)
        }
    };
}

pub(super) use taps;
