//! Max and average pooling over planes, forward and backward.
//!
//! Rows are processed tap by tap, so that the inner loops have no branches for borders. Planes are divided
//! among threads. Along each dimension, tap k of the window of output o is at
//! `o·stride - pad_before + k·dilation`.

use super::depthwise::positions_inside;
use super::isa::{Isa, multiversion};
use super::scratch::Disjoint;
use rayon::prelude::*;
use std::cell::RefCell;

mod smoothed;

pub use smoothed::{MaxPoolRule, smoothed_max_pool_backward};

/// Windows with at most as many taps record the index of their maximum in a byte.
const BYTE_TAPS: usize = 256;

thread_local! {
    static ROW: RefCell<Row> = const { RefCell::new(Row { taps: Vec::new(), numbers: Vec::new() }) };
}

/// Working memory of one thread.
struct Row {
    /// Forward: the taps of the maxima of a row. Backward: the source offset of each tap of a window.
    taps: Vec<u32>,
    /// Gradients of a row, divided by the divisors of an average.
    numbers: Vec<f32>,
}

/// A pooling as model files describe it. Sizes are in the order D, H, W; leading dimensions that a network
/// lacks are 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Number of images times number of channels.
    pub planes: usize,
    /// Extent of the input: depth, height, width.
    pub src: [usize; 3],
    /// Extent of the output: depth, height, width.
    pub dst: [usize; 3],
    /// Extent of a window in taps.
    pub kernel: [usize; 3],
    /// Distance between windows, in input positions.
    pub stride: [usize; 3],
    /// Distance between taps, in input positions.
    pub dilation: [usize; 3],
    /// Padding before the input, along each dimension.
    pub pad_before: [usize; 3],
    /// Padding after the input. Only the divisor of an average that counts padding depends on it; `dst` gives
    /// the number of windows.
    pub pad_after: [usize; 3],
}

impl PoolGeometry {
    /// Number of taps in a window.
    pub fn taps(&self) -> usize {
        volume(self.kernel)
    }

    /// Number of words for the recorded maxima: a byte for each output if a window has at most 256 taps, else
    /// a word.
    pub fn argmax_words(&self) -> usize {
        let outputs = self.planes * volume(self.dst);
        if self.taps() <= BYTE_TAPS { outputs.div_ceil(4) } else { outputs }
    }

    /// Whether every window covers at least one source position. Otherwise the pooling has no defined result.
    pub fn every_window_sees_the_source(&self) -> bool {
        (0..3).all(|d| (0..self.dst[d]).all(|o| (0..self.kernel[d]).any(|k| self.inside(d, o, k).is_some())))
    }

    /// Returns the source position of a tap along a dimension, or `None` if it lies in the padding.
    #[inline(always)]
    pub(crate) fn inside(&self, d: usize, output: usize, tap: usize) -> Option<usize> {
        let at = output * self.stride[d] + tap * self.dilation[d];
        at.checked_sub(self.pad_before[d]).filter(|&at| at < self.src[d])
    }

    /// Returns the divisor of an average along one dimension.
    #[inline(always)]
    pub(crate) fn count(&self, d: usize, output: usize, include_pad: bool) -> usize {
        let taps = 0..self.kernel[d];
        if include_pad {
            let end = self.pad_before[d] + self.src[d] + self.pad_after[d];
            taps.filter(|k| output * self.stride[d] + k * self.dilation[d] < end).count()
        } else {
            taps.filter(|&k| self.inside(d, output, k).is_some()).count()
        }
    }

    fn check(&self, src: usize, dst: usize) {
        assert_eq!(src, self.planes * volume(self.src), "source of {self:?}");
        assert_eq!(dst, self.planes * volume(self.dst), "destination of {self:?}");
        assert!(self.every_window_sees_the_source(), "a window sees nothing of the source: {self:?}");
    }

    /// Calls `visit(tap, row)` for the source rows that the windows of output row `line` cover. `tap` is the
    /// index of the row in the window.
    #[inline(always)]
    fn source_rows(&self, line: usize, mut visit: impl FnMut(usize, usize)) {
        let (oz, oy) = (line / self.dst[1], line % self.dst[1]);
        for kz in 0..self.kernel[0] {
            let Some(z) = self.inside(0, oz, kz) else { continue };
            for ky in 0..self.kernel[1] {
                let Some(y) = self.inside(1, oy, ky) else { continue };
                visit(kz * self.kernel[1] + ky, z * self.src[1] + y);
            }
        }
    }

    /// Offset of a tap along a row, relative to the window's index times the stride.
    #[inline(always)]
    fn offset(&self, kx: usize) -> isize {
        (kx * self.dilation[2]) as isize - self.pad_before[2] as isize
    }
}

/// Computes the maximum of each window. Of equal maxima the first in the order of taps (D, H, W) is recorded,
/// and a NaN exceeds every number.
///
/// `argmax`, if given, records the tap of each maximum. It has [`PoolGeometry::argmax_words`] words.
///
/// # Panics
/// If a slice has the wrong length or a window covers no source position.
pub fn max_pool(isa: Isa, geometry: &PoolGeometry, src: &[f32], dst: &mut [f32], argmax: Option<&mut [u32]>) {
    geometry.check(src.len(), dst.len());
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    if dst.is_empty() {
        return;
    }
    if let Some(argmax) = &argmax {
        assert_eq!(argmax.len(), geometry.argmax_words(), "recorded maxima of {geometry:?}");
    }
    let (bytes, words) = match argmax {
        None => (None, None),
        Some(argmax) if geometry.taps() <= BYTE_TAPS => {
            (Some(Disjoint::new(bytemuck::cast_slice_mut::<u32, u8>(argmax))), None)
        }
        Some(argmax) => (None, Some(Disjoint::new(argmax))),
    };
    dst.par_chunks_mut(dst_plane).enumerate().for_each(|(plane, dst)| {
        let source = &src[plane * src_plane..(plane + 1) * src_plane];
        let start = plane * dst_plane;
        // SAFETY: a plane belongs to one task, and so do the records of its maxima.
        let bytes = bytes.as_ref().map(|bytes| unsafe { bytes.part(start, dst_plane) });
        // SAFETY: a plane belongs to one task, and so do the records of its maxima.
        let words = words.as_ref().map(|words| unsafe { words.part(start, dst_plane) });
        ROW.with_borrow_mut(|row| {
            row.taps.resize(geometry.dst[2], 0);
            max_plane(isa, geometry, source, dst, bytes, words, &mut row.taps);
        });
    });
}

/// Marks a window of which no tap has been read yet.
const NOTHING: u32 = u32::MAX;

multiversion! {
    fn max_plane(
        geometry: &PoolGeometry,
        src: &[f32],
        dst: &mut [f32],
        bytes: Option<&mut [u8]>,
        words: Option<&mut [u32]>,
        best_tap: &mut [u32],
    ) {
        let (mut bytes, mut words) = (bytes, words);
        let (width, line_len) = (geometry.dst[2], geometry.src[2]);
        for (line, best) in dst.chunks_exact_mut(width).enumerate() {
            best_tap.fill(NOTHING);
            best.fill(f32::NEG_INFINITY);
            geometry.source_rows(line, |tap, row| {
                let row = &src[row * line_len..(row + 1) * line_len];
                for kx in 0..geometry.kernel[2] {
                    let index = (tap * geometry.kernel[2] + kx) as u32;
                    take_greater(best, best_tap, row, index, geometry.stride[2], geometry.offset(kx));
                }
            });
            let outputs = line * width..(line + 1) * width;
            if let Some(bytes) = &mut bytes {
                for (byte, tap) in bytes[outputs.clone()].iter_mut().zip(&*best_tap) {
                    *byte = *tap as u8;
                }
            }
            if let Some(words) = &mut words {
                words[outputs].copy_from_slice(best_tap);
            }
        }
    }
}

/// Compares the values of one tap with the maxima of a row of windows.
#[inline(always)]
fn take_greater(best: &mut [f32], best_tap: &mut [u32], row: &[f32], tap: u32, stride: usize, offset: isize) {
    let range = positions_inside(best.len(), row.len(), stride, offset);
    if range.is_empty() {
        return;
    }
    let row = &row[((range.start * stride) as isize + offset) as usize..];
    let (best, best_tap) = (&mut best[range.clone()], &mut best_tap[range]);
    #[inline(always)]
    fn take(best: &mut f32, best_tap: &mut u32, x: f32, tap: u32) {
        let better = (x > *best) | (x.is_nan() & !best.is_nan()) | (*best_tap == NOTHING);
        *best = if better { x } else { *best };
        *best_tap = if better { tap } else { *best_tap };
    }
    if stride == 1 {
        for ((best, best_tap), x) in best.iter_mut().zip(best_tap).zip(row) {
            take(best, best_tap, *x, tap);
        }
    } else {
        for ((best, best_tap), x) in best.iter_mut().zip(best_tap).zip(row.iter().step_by(stride)) {
            take(best, best_tap, *x, tap);
        }
    }
}

/// Adds every gradient to the position of its window's maximum, as [`max_pool`] recorded it. With
/// `accumulate`, `dx` keeps its contents, else it starts from zeros.
///
/// # Panics
/// If a slice has the wrong length or `argmax` was not recorded with this geometry.
pub fn max_pool_backward(
    geometry: &PoolGeometry,
    argmax: &[u32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    geometry.check(dx.len(), dy.len());
    assert_eq!(argmax.len(), geometry.argmax_words(), "recorded maxima of {geometry:?}");
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(src_plane).enumerate().for_each(|(plane, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        let outputs = plane * dst_plane..(plane + 1) * dst_plane;
        ROW.with_borrow_mut(|row| {
            let [_, height, width] = geometry.kernel;
            let offset = |tap: usize| {
                let (z, y, x) = (tap / width / height, tap / width % height, tap % width);
                let [dz, dy, dx] = geometry.dilation;
                ((z * dz * geometry.src[1] + y * dy) * geometry.src[2] + x * dx) as u32
            };
            row.taps.clear();
            row.taps.extend((0..geometry.taps()).map(offset));
            let dy = &dy[outputs.clone()];
            if geometry.taps() <= BYTE_TAPS {
                let taps = bytemuck::cast_slice::<u32, u8>(argmax)[outputs].iter().map(|&tap| tap.into());
                send_back(geometry, &row.taps, taps, dy, dx);
            } else {
                send_back(geometry, &row.taps, argmax[outputs].iter().map(|&tap| tap as usize), dy, dx);
            }
        });
    });
}

/// Computes one plane of [`max_pool_backward`].
#[inline(always)]
fn send_back(
    geometry: &PoolGeometry,
    offsets: &[u32],
    mut taps: impl Iterator<Item = usize>,
    dy: &[f32],
    dx: &mut [f32],
) {
    let [_, height, width] = geometry.src;
    for (line, dy) in dy.chunks_exact(geometry.dst[2]).enumerate() {
        let (oz, oy) = (line / geometry.dst[1], line % geometry.dst[1]);
        // Positions of this row of windows, relative to the padding's first corner; the corner is subtracted
        // last.
        let row = (oz * geometry.stride[0] * height + oy * geometry.stride[1]) * width;
        let [pz, py, px] = geometry.pad_before;
        let corner = (pz * height + py) * width + px;
        for ((ox, dy), tap) in dy.iter().enumerate().zip(&mut taps) {
            dx[row + ox * geometry.stride[2] + offsets[tap] as usize - corner] += dy;
        }
    }
}

/// Computes the average of each window over its taps inside the source. With `count_include_pad`, the divisor
/// counts taps inside the padded source instead.
///
/// The divisor is the same as in PyTorch and ONNX. A window that `ceil_mode` lets extend beyond the padding
/// does not count taps beyond it.
///
/// # Panics
/// If a slice has the wrong length or a window covers no source position.
pub fn average_pool(
    isa: Isa,
    geometry: &PoolGeometry,
    count_include_pad: bool,
    src: &[f32],
    dst: &mut [f32],
) {
    geometry.check(src.len(), dst.len());
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    if dst.is_empty() {
        return;
    }
    dst.par_chunks_mut(dst_plane).enumerate().for_each(|(plane, dst)| {
        let source = &src[plane * src_plane..(plane + 1) * src_plane];
        average_plane(isa, geometry, count_include_pad, source, dst);
    });
}

multiversion! {
    fn average_plane(geometry: &PoolGeometry, include_pad: bool, src: &[f32], dst: &mut [f32]) {
        let (width, line_len) = (geometry.dst[2], geometry.src[2]);
        for (line, sums) in dst.chunks_exact_mut(width).enumerate() {
            sums.fill(0.0);
            geometry.source_rows(line, |_, row| {
                let row = &src[row * line_len..(row + 1) * line_len];
                for kx in 0..geometry.kernel[2] {
                    add_row(sums, row, geometry.stride[2], geometry.offset(kx));
                }
            });
            let count = row_count(geometry, line, include_pad);
            for (ox, sum) in sums.iter_mut().enumerate() {
                *sum /= (count * geometry.count(2, ox, include_pad)) as f32;
            }
        }
    }
}

/// Returns the divisor of a row of windows, apart from the factor of the last dimension.
#[inline(always)]
fn row_count(geometry: &PoolGeometry, line: usize, include_pad: bool) -> usize {
    geometry.count(0, line / geometry.dst[1], include_pad)
        * geometry.count(1, line % geometry.dst[1], include_pad)
}

#[inline(always)]
fn add_row(sums: &mut [f32], row: &[f32], stride: usize, offset: isize) {
    let range = positions_inside(sums.len(), row.len(), stride, offset);
    if range.is_empty() {
        return;
    }
    let row = &row[((range.start * stride) as isize + offset) as usize..];
    if stride == 1 {
        sums[range].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    } else {
        sums[range].iter_mut().zip(row.iter().step_by(stride)).for_each(|(sum, x)| *sum += x);
    }
}

/// Computes the adjoint of [`average_pool`]. With `accumulate` the gradient is added to `dx`, else `dx` is
/// overwritten.
///
/// # Panics
/// If a slice has the wrong length or a window covers no source position.
pub fn average_pool_backward(
    isa: Isa,
    geometry: &PoolGeometry,
    count_include_pad: bool,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    geometry.check(dx.len(), dy.len());
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(src_plane).enumerate().for_each(|(plane, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        let dy = &dy[plane * dst_plane..(plane + 1) * dst_plane];
        ROW.with_borrow_mut(|row| {
            row.numbers.resize(geometry.dst[2], 0.0);
            average_plane_backward(isa, geometry, count_include_pad, dy, dx, &mut row.numbers);
        });
    });
}

multiversion! {
    fn average_plane_backward(
        geometry: &PoolGeometry,
        include_pad: bool,
        dy: &[f32],
        dx: &mut [f32],
        shares: &mut [f32],
    ) {
        let (width, line_len, stride) = (geometry.dst[2], geometry.src[2], geometry.stride[2]);
        for (line, dy) in dy.chunks_exact(width).enumerate() {
            let count = row_count(geometry, line, include_pad);
            for (ox, (share, dy)) in shares.iter_mut().zip(dy).enumerate() {
                *share = dy / (count * geometry.count(2, ox, include_pad)) as f32;
            }
            geometry.source_rows(line, |_, row| {
                let row = &mut dx[row * line_len..(row + 1) * line_len];
                for kx in 0..geometry.kernel[2] {
                    let range = positions_inside(width, line_len, stride, geometry.offset(kx));
                    if range.is_empty() {
                        continue;
                    }
                    let row = &mut row[((range.start * stride) as isize + geometry.offset(kx)) as usize..];
                    if stride == 1 {
                        row.iter_mut().zip(&shares[range]).for_each(|(x, share)| *x += share);
                    } else {
                        row.iter_mut().step_by(stride).zip(&shares[range]).for_each(|(x, share)| *x += share);
                    }
                }
            });
        }
    }
}

/// Number of elements in a box of this extent.
fn volume(extent: [usize; 3]) -> usize {
    extent.iter().product()
}

#[cfg(test)]
mod tests;
