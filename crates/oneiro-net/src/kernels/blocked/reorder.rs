//! Conversion between the plain layout (N, C, D·H·W) and blocks of channels.

use super::blocks_of;
use super::lanes::LANES;
use crate::kernels::isa::{Isa, multiversion};
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;

/// Number of positions that one task converts to another layout.
const PIECE: usize = 1024;

/// Converts plain layout to blocks of channels. Lanes without a channel become 0. With `accumulate`, the
/// values are added to `dst`.
///
/// # Panics
/// If the slices are not `[batch, channels, plane]` and `[blocks, batch, plane, 16]`.
pub fn block(
    isa: Isa,
    batch: usize,
    channels: usize,
    plane: usize,
    plain: &[f32],
    blocked: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(plain.len(), batch * channels * plane, "plain order of {channels} channels");
    assert_eq!(blocked.len(), batch * blocks_of(channels) * plane * LANES, "blocks of {channels} channels");
    if plain.is_empty() {
        return;
    }
    team::chunks(blocked, plane * LANES, |row, to| {
        let (block, image) = (row / batch, row % batch);
        let lanes = LANES.min(channels - block * LANES);
        let from = &plain[(image * channels + block * LANES) * plane..][..lanes * plane];
        for (piece, to) in to.chunks_mut(PIECE * LANES).enumerate() {
            interleave(isa, from, plane, piece * PIECE, lanes, to, accumulate);
        }
    });
}

/// Converts blocks of channels to plain layout. With `accumulate`, the values are added to the destination.
///
/// # Panics
/// If the slices are not `[blocks, batch, plane, 16]` and `[batch, channels, plane]`.
pub fn unblock(
    isa: Isa,
    batch: usize,
    channels: usize,
    plane: usize,
    blocked: &[f32],
    plain: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(plain.len(), batch * channels * plane, "plain order of {channels} channels");
    assert_eq!(blocked.len(), batch * blocks_of(channels) * plane * LANES, "blocks of {channels} channels");
    if plain.is_empty() {
        return;
    }
    let plain = Disjoint::new(plain);
    team::each(batch * blocks_of(channels), 1, |row| {
        let (block, image) = (row / batch, row % batch);
        let lanes = LANES.min(channels - block * LANES);
        // SAFETY: the channels of one block of one image belong to one task.
        let to = unsafe { plain.part((image * channels + block * LANES) * plane, lanes * plane) };
        let from = &blocked[row * plane * LANES..(row + 1) * plane * LANES];
        for (piece, from) in from.chunks(PIECE * LANES).enumerate() {
            separate(isa, from, plane, piece * PIECE, to, accumulate);
        }
    });
}

multiversion! {
    fn interleave(from: &[f32], plane: usize, first: usize, lanes: usize, to: &mut [f32], accumulate: bool) {
        for (lane, from) in from.chunks_exact(plane).enumerate().take(lanes) {
            let from = &from[first..];
            if accumulate {
                for (to, x) in to.chunks_exact_mut(LANES).zip(from) {
                    to[lane] += x;
                }
            } else {
                for (to, x) in to.chunks_exact_mut(LANES).zip(from) {
                    to[lane] = *x;
                }
            }
        }
        if !accumulate {
            for to in to.chunks_exact_mut(LANES) {
                to[lanes..].fill(0.0);
            }
        }
    }
}

multiversion! {
    fn separate(from: &[f32], plane: usize, first: usize, to: &mut [f32], accumulate: bool) {
        let count = from.len() / LANES;
        for (lane, to) in to.chunks_exact_mut(plane).enumerate() {
            let to = &mut to[first..first + count];
            if accumulate {
                for (to, from) in to.iter_mut().zip(from.chunks_exact(LANES)) {
                    *to += from[lane];
                }
            } else {
                for (to, from) in to.iter_mut().zip(from.chunks_exact(LANES)) {
                    *to = from[lane];
                }
            }
        }
    }
}
