//! Kernels over values in blocks of channels.
//!
//! A value of shape (N, C, D, H, W) lies in memory as `[⌈C / 16⌉][N][D · H · W][16]`: sixteen channels of one position
//! side by side, where one register (or a few) holds them. Blocks come before images, so that channels which follow each
//! other do so in memory, whatever the batch: the parts of a concatenation are parts of one piece. Convolutions then read their source as it is, with no copy
//! per tap, pooling and depthwise convolution need no shuffles, and Winograd's transforms are plain additions of
//! registers. Lanes beyond the last channel hold numbers that nothing mixes with others: convolutions write zeros
//! there and never read them.

mod dense;
mod depthwise;
mod elementwise;
mod finish;
mod first_conv;
mod isa_dispatch;
mod lanes;
mod peak_flops;
mod pool;
mod reorder;
mod swish;
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
use finish::Finish;

/// Channels of a block.
pub const BLOCK: usize = lanes::LANES;

/// Blocks of so many channels.
pub const fn blocks_of(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// Bits of a mask in units of a block: one row of a mask covers a plane of positions, in whole words.
const fn mask_plane(plane: usize) -> usize {
    mask_words(plane * BLOCK) * 2
}

/// What is done to every result before it leaves its register, in this order.
#[derive(Debug, Default)]
pub struct Ending<'a> {
    /// Numbers to add, which lie as the destination does.
    pub add: Option<&'a [f32]>,
    /// Masks of a clip that the result is the gradient behind of: 0 where one is set.
    pub gates: [Option<&'a [u32]>; 2],
    /// Slopes of a function that the result is the gradient behind of: factors, which lie as the destination does.
    pub slopes: Option<&'a [f32]>,
    /// A clamp, and its masks.
    pub clip: Option<EndingClip<'a>>,
    /// The function x·sigmoid(αx).
    pub swish: Option<EndingSwish<'a>>,
}

/// The function x·sigmoid(αx) of an [`Ending`].
#[derive(Debug)]
pub struct EndingSwish<'a> {
    /// α.
    pub alpha: f32,
    /// Where its slopes are kept, as the destination lies.
    pub slopes: Option<&'a mut [f32]>,
}

/// The clamp of an [`Ending`]; masks as for [`Epilogue::Clip`](super::Epilogue::Clip), a row for each image of
/// a block of channels.
#[derive(Debug)]
pub struct EndingClip<'a> {
    /// Lower bound.
    pub low: f32,
    /// Upper bound.
    pub high: f32,
    /// Set where `x <= low`.
    pub below: Option<&'a mut [u32]>,
    /// Set where `x >= high`.
    pub above: Option<&'a mut [u32]>,
}

impl Ending<'_> {
    /// Addresses for tiles; `None` if there is nothing to do.
    ///
    /// # Panics
    /// Where a slice does not fit a destination of `rows` planes.
    fn finish(&mut self, dst: &[f32], rows: usize, plane: usize) -> Option<Finish> {
        let masks = self.gates == [None, None] && self.clip.is_none();
        if masks && self.add.is_none() && self.slopes.is_none() && self.swish.is_none() {
            return None;
        }
        let words = rows * mask_words(plane * BLOCK);
        let mut finish = Finish {
            add: std::ptr::null(),
            base: dst.as_ptr(),
            gates: [std::ptr::null(); 2],
            clip: self.clip.is_some(),
            low: 0.0,
            high: 0.0,
            below: std::ptr::null_mut(),
            above: std::ptr::null_mut(),
            factors: std::ptr::null(),
            swish: None,
            slopes: std::ptr::null_mut(),
        };
        if let Some(slopes) = self.slopes {
            assert_eq!(slopes.len(), dst.len(), "slopes to multiply by");
            finish.factors = slopes.as_ptr();
        }
        if let Some(swish) = &mut self.swish {
            finish.swish = Some(swish.alpha);
            if let Some(slopes) = &mut swish.slopes {
                assert_eq!(slopes.len(), dst.len(), "slopes to keep");
                finish.slopes = slopes.as_mut_ptr();
            }
        }
        if let Some(add) = self.add {
            assert_eq!(add.len(), dst.len(), "numbers to add");
            finish.add = add.as_ptr();
        }
        for (gate, mask) in finish.gates.iter_mut().zip(self.gates) {
            if let Some(mask) = mask {
                assert_eq!(mask.len(), words, "words of a mask of {rows} rows of {plane} positions");
                *gate = mask.as_ptr().cast();
            }
        }
        if let Some(clip) = &mut self.clip {
            (finish.low, finish.high) = (clip.low, clip.high);
            for (to, mask) in [(&mut finish.below, &mut clip.below), (&mut finish.above, &mut clip.above)] {
                if let Some(mask) = mask {
                    assert_eq!(mask.len(), words, "words of a mask of {rows} rows of {plane} positions");
                    *to = mask.as_mut_ptr().cast();
                }
            }
        }
        Some(finish)
    }
}

/// Part `part` of `all` things that are cut into `parts` nearly equal ones: from and to.
fn even(parts: usize, part: usize, all: usize) -> (usize, usize) {
    (all * part / parts, all * (part + 1) / parts)
}

/// A finish that tasks share.
struct Shared(Option<Finish>);

impl Shared {
    fn get(&self) -> Option<&Finish> {
        self.0.as_ref()
    }
}

// SAFETY: its addresses are of slices that outlive the call; tasks write masks at disjoint places, those of their own
// outputs.
unsafe impl Sync for Shared {}

/// Numbers at an address that suits every instruction set.
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

    /// A bias `[groups · channels]` with every group padded to whole blocks by zeros; all zeros where there is none.
    ///
    /// # Panics
    /// Where it has another length.
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

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }
}
