//! The smoothed gradient of max-pooling: gradients are distributed as an L2 pool over the same window would
//! do.

use super::{PoolGeometry, ROW, volume};
use crate::kernels::depthwise::positions_inside;
use crate::kernels::isa::{Isa, multiversion};
use rayon::prelude::*;

/// Added to a window's sum of squares, so that a window of zeros causes no division by zero; its gradient is
/// 0 in any case. The square root, 1e-15, is far below any activation that matters.
pub const TINY: f32 = 1e-30;

/// The rule for the gradient of a max-pooling. The forward result is the maximum under every rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaxPoolRule {
    /// The derivative: the whole gradient goes to the first of the largest values.
    #[default]
    Exact,
    /// The gradient of an L2 pool, √Σ x²: dxᵢ += dy · xᵢ / √(Σⱼ xⱼ² + `TINY`) over the window. All values
    /// near the maximum get a share, so pictures lack the grid pattern that choosing a single position
    /// causes. The idea is from Lucid: its `smoothed_maxpool_grad` with `smooth_type="L2"` differentiates
    /// mean(x²) / (0.01 + mean(|x|)) instead of the norm.
    Smoothed,
}

/// Computes the gradient under [`MaxPoolRule::Smoothed`]; `src` is the input of the pooling. With
/// `accumulate` the gradient is added to `dx`, else `dx` is overwritten.
///
/// # Panics
/// If a slice has the wrong length or a window covers no source position.
pub fn smoothed_max_pool_backward(
    isa: Isa,
    geometry: &PoolGeometry,
    src: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    geometry.check(dx.len(), dy.len());
    assert_eq!(src.len(), dx.len(), "an operand and its gradient have one shape");
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(src_plane).enumerate().for_each(|(plane, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        let src = &src[plane * src_plane..(plane + 1) * src_plane];
        let dy = &dy[plane * dst_plane..(plane + 1) * dst_plane];
        ROW.with_borrow_mut(|row| {
            row.numbers.resize(geometry.dst[2], 0.0);
            plane_backward(isa, geometry, src, dy, dx, &mut row.numbers);
        });
    });
}

multiversion! {
    fn plane_backward(geometry: &PoolGeometry, src: &[f32], dy: &[f32], dx: &mut [f32], shares: &mut [f32]) {
        let (width, line_len, stride) = (geometry.dst[2], geometry.src[2], geometry.stride[2]);
        for (line, dy) in dy.chunks_exact(width).enumerate() {
            shares.fill(TINY);
            geometry.source_rows(line, |_, row| {
                let row = &src[row * line_len..(row + 1) * line_len];
                for kx in 0..geometry.kernel[2] {
                    let range = positions_inside(width, line_len, stride, geometry.offset(kx));
                    if range.is_empty() {
                        continue;
                    }
                    let row = &row[((range.start * stride) as isize + geometry.offset(kx)) as usize..];
                    shares[range].iter_mut().zip(row.iter().step_by(stride)).for_each(|(sum, x)| *sum += x * x);
                }
            });
            shares.iter_mut().zip(dy).for_each(|(share, dy)| *share = dy / share.sqrt());
            geometry.source_rows(line, |_, row| {
                let at = row * line_len..(row + 1) * line_len;
                let (x, dx) = (&src[at.clone()], &mut dx[at]);
                for kx in 0..geometry.kernel[2] {
                    let range = positions_inside(width, line_len, stride, geometry.offset(kx));
                    if range.is_empty() {
                        continue;
                    }
                    let start = ((range.start * stride) as isize + geometry.offset(kx)) as usize;
                    let taps = dx[start..].iter_mut().step_by(stride).zip(x[start..].iter().step_by(stride));
                    taps.zip(&shares[range]).for_each(|((dx, x), share)| *dx += share * x);
                }
            });
        }
    }
}
