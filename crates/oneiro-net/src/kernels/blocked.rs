//! Kernels over feature maps whose channels are stored in blocks of sixteen.
//!
//! A value of shape (N, C, D, H, W) lies in memory as `[⌈C / 16⌉][N][D · H · W][16]`. The sixteen channels of
//! one position are contiguous and fit one register or a few. Blocks come before images, so that consecutive
//! blocks of channels are contiguous whatever the batch; the parts of a concatenation are then ranges of one
//! array. Convolutions read their source directly, without a copy for each tap. Pooling and depthwise
//! convolution need no shuffles, and Winograd's transforms are plain additions of registers. Lanes beyond the
//! last channel do not affect other lanes: convolutions write zeros to them and never read them.

mod dense;
mod depthwise;
mod elementwise;
mod first_conv;
mod isa_dispatch;
pub(super) mod lanes;
mod peak_flops;
mod pool;
mod reorder;
pub(crate) mod summary;
pub(super) mod swish;
#[cfg(test)]
mod tests;
mod tile;
mod windows;
mod winograd;

pub use dense::Dense;
pub use depthwise::Depthwise;
pub use elementwise::{Map, Per, map, sum};
pub use first_conv::FirstConv;
pub use peak_flops::multiply_in_cache;
pub use pool::{MAX_TAPS, Pooling, pool, pool_backward, winner_words};
pub use reorder::{block, unblock};
pub use winograd::{LineOutputs, LineWinograd, Outputs, Winograd};

use super::clip::mask_words;
use super::pages::Pages;

/// Number of channels in a block.
pub const BLOCK: usize = lanes::LANES;

/// The number of blocks for a number of channels.
pub const fn blocks_of(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// Words of an activation mask for one plane: each position has one bit for each of the sixteen channels.
const fn mask_plane(plane: usize) -> usize {
    mask_words(plane * BLOCK) * 2
}

/// Bounds of part number `part`, if `all` items are divided into `parts` nearly equal parts.
fn even(parts: usize, part: usize, all: usize) -> (usize, usize) {
    (all * part / parts, all * (part + 1) / parts)
}

/// `f32` values at an address that is aligned for every instruction set.
#[derive(Default)]
struct Packed(Pages);

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers", self.0.len())
    }
}

impl Packed {
    fn zeros(len: usize) -> Packed {
        Packed(Pages::new(len))
    }

    /// A bias `[groups · channels]`, each group padded with zeros to whole blocks. Without a bias, all zeros.
    ///
    /// # Panics
    /// If the bias has the wrong length.
    fn bias(bias: Option<&[f32]>, groups: usize, channels: usize) -> Packed {
        let mut padded = Packed::zeros(groups * blocks_of(channels) * BLOCK);
        if let Some(bias) = bias {
            assert_eq!(bias.len(), groups * channels, "a bias of {groups} groups of {channels} channels");
            let to = padded.as_mut_slice().chunks_mut(blocks_of(channels) * BLOCK);
            to.zip(bias.chunks(channels)).for_each(|(to, from)| to[..channels].copy_from_slice(from));
        }
        padded
    }

    fn as_slice(&self) -> &[f32] {
        self.0.as_slice()
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        self.0.as_mut_slice()
    }
}
