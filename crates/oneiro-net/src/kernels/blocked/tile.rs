//! The inner loop: a small tile of outputs in registers, R positions by V blocks of sixteen channels.
//!
//! ```text
//! out[v][j] = start[v] + Σ_r Σ_i w[r][i][v] · src[offsets[r] + 16·j + i]        j < R, v < V
//! ```
//!
//! A *run* is one block of input channels seen through one tap. Its values at neighbouring positions are
//! sixteen elements apart. So one kernel serves 1×1 and k×k convolutions and the products of Winograd's
//! transform, in one to three dimensions. Each source value is broadcast and multiplied by V registers of
//! weights.

use super::lanes::{LANES, Lanes};
use crate::kernels::epilogue::EpilogueAddresses;
use crate::kernels::isa::Isa;

/// Arguments of the computation of one register tile.
#[derive(Clone, Copy)]
pub(crate) struct TileCall {
    /// Address in the source to which the offsets are relative.
    pub(crate) src: *const f32,
    /// Offset in the source of each run of products.
    pub(crate) offsets: *const usize,
    /// Number of runs of products.
    pub(crate) runs: usize,
    /// Number of channels in each run, at most 16.
    pub(crate) steps: usize,
    /// Weights of the tile, `[runs][steps][V][16]`.
    pub(crate) weights: *const f32,
    /// Weights that a later tile will read, prefetched by this tile. The address need not be valid.
    pub(crate) ahead: *const f32,
    /// Elements by which the prefetch address advances with each product.
    pub(crate) pace: usize,
    /// Distance in elements between the first value of a run in this tile and in the next. The next tile's
    /// source is prefetched, too: one position with each product.
    pub(crate) next: usize,
    /// Address of the tile's first output.
    pub(crate) out: *mut f32,
    /// Elements from one block of output channels to the next.
    pub(crate) out_block: usize,
    /// Elements from one output position to the next.
    pub(crate) out_step: usize,
    /// Start of the sums, `[V][16]`. If null, the sums start from what `out` holds.
    pub(crate) start: *const f32,
    /// Whether the contents of `out` were written long ago and have to be prefetched.
    pub(crate) far: bool,
    /// Epilogue of the sums; null if there is none.
    pub(crate) epilogue: *const EpilogueAddresses,
    /// Index of the first output in the masks; below, the distances between blocks and between positions.
    pub(crate) mask_at: usize,
    pub(crate) mask_block: usize,
    pub(crate) mask_step: usize,
}

/// A compiled tile of R positions and V blocks.
///
/// # Safety
/// The machine has the tile's instruction set. Each address of the call is valid for R positions and V
/// blocks, and for the counts of the call.
pub(crate) type Tile = unsafe fn(&TileCall);

/// # Safety
/// The contract of [`Tile`].
#[inline(always)]
unsafe fn tile<X: Lanes, const R: usize, const V: usize>(call: &TileCall) {
    // SAFETY: the caller guarantees R positions and V blocks at every address.
    unsafe {
        if call.far {
            fetch::<X, R, V>(call, call.out);
        }
        if !call.epilogue.is_null() {
            let epilogue = &*call.epilogue;
            let place = call.out.offset_from(epilogue.base);
            for also in [epilogue.add, epilogue.factors] {
                if !also.is_null() {
                    fetch::<X, R, V>(call, also.offset(place));
                }
            }
        }
        let mut sum = [[X::splat(0.0); V]; R];
        let mut weights = call.weights;
        let mut ahead = call.ahead;
        for run in 0..call.runs {
            let mut src = call.src.add(*call.offsets.add(run));
            let mut next = src.wrapping_add(call.next);
            for _ in 0..call.steps {
                X::prefetch(next);
                next = next.wrapping_add(LANES);
                X::prefetch(ahead);
                ahead = ahead.wrapping_add(call.pace);
                let mut w = [X::splat(0.0); V];
                for v in 0..V {
                    w[v] = X::load(weights.add(v * LANES));
                }
                for j in 0..R {
                    let x = X::splat(*src.add(j * LANES));
                    for v in 0..V {
                        sum[j][v] = sum[j][v].multiply_add(x, w[v]);
                    }
                }
                src = src.add(1);
                weights = weights.add(V * LANES);
            }
        }
        if call.epilogue.is_null() {
            for v in 0..V {
                let out = call.out.add(v * call.out_block);
                let start = X::load(if call.start.is_null() { out } else { call.start.add(v * LANES) });
                for j in 0..R {
                    let to = out.add(j * call.out_step);
                    let before = if call.start.is_null() { X::load(to) } else { start };
                    before.add(sum[j][v]).store(to);
                }
            }
            return;
        }
        for v in 0..V {
            let out = call.out.add(v * call.out_block);
            let start = X::load(if call.start.is_null() { out } else { call.start.add(v * LANES) });
            for j in 0..R {
                let before = if call.start.is_null() { X::load(out.add(j * call.out_step)) } else { start };
                sum[j][v] = before.add(sum[j][v]);
            }
        }
        apply_epilogue(call, &mut sum);
        for v in 0..V {
            for j in 0..R {
                sum[j][v].store(call.out.add(v * call.out_block + j * call.out_step));
            }
        }
        if (*call.epilogue).swish.is_some() {
            swish_of::<X>(call, R, V);
        }
    }
}

/// Prefetches elements laid out like the outputs, from this address on. The tile reads them after its
/// products.
///
/// # Safety
/// The machine has the instruction set of `X`.
#[inline(always)]
unsafe fn fetch<X: Lanes, const R: usize, const V: usize>(call: &TileCall, from: *const f32) {
    for v in 0..V {
        for j in 0..R {
            // SAFETY: the caller guarantees that the machine has the instruction set.
            unsafe { X::prefetch(from.wrapping_add(v * call.out_block + j * call.out_step)) };
        }
    }
}

/// Applies the epilogue, except a swish, to the sums while they are in registers. Reading the sums again from
/// memory would be slow where planes are a multiple of 4096 bytes: the loads would seem to depend on stores
/// to other blocks. Each loop is short, because the compiler would otherwise keep the sums in memory from the
/// beginning.
///
/// # Safety
/// The contract of [`Tile`], and the call has an epilogue.
#[inline(always)]
unsafe fn apply_epilogue<X: Lanes, const R: usize, const V: usize>(call: &TileCall, sum: &mut [[X; V]; R]) {
    // SAFETY: the caller guarantees the outputs, and the operands of the epilogue at the same places.
    unsafe {
        let epilogue = &*call.epilogue;
        let place = call.out.offset_from(epilogue.base);
        let at = |v: usize, j: usize| v * call.out_block + j * call.out_step;
        if !epilogue.add.is_null() {
            let add = epilogue.add.offset(place);
            for v in 0..V {
                for j in 0..R {
                    sum[j][v] = sum[j][v].add(X::load(add.add(at(v, j))));
                }
            }
        }
        if !epilogue.factors.is_null() {
            let factors = epilogue.factors.offset(place);
            for v in 0..V {
                for j in 0..R {
                    sum[j][v] = sum[j][v].mul(X::load(factors.add(at(v, j))));
                }
            }
        }
        let mask = |v: usize, j: usize| call.mask_at + v * call.mask_block + j * call.mask_step;
        for activation_mask in epilogue.activation_masks {
            if !activation_mask.is_null() {
                for v in 0..V {
                    for j in 0..R {
                        sum[j][v] = sum[j][v].zero_where(*activation_mask.add(mask(v, j)));
                    }
                }
            }
        }
        if epilogue.clip {
            let (low, high) = (X::splat(epilogue.low), X::splat(epilogue.high));
            if !epilogue.below.is_null() {
                for v in 0..V {
                    for j in 0..R {
                        *epilogue.below.add(mask(v, j)) = sum[j][v].clip(low, high).1;
                    }
                }
            }
            if !epilogue.above.is_null() {
                for v in 0..V {
                    for j in 0..R {
                        *epilogue.above.add(mask(v, j)) = sum[j][v].clip(low, high).2;
                    }
                }
            }
            for v in 0..V {
                for j in 0..R {
                    sum[j][v] = sum[j][v].clip(low, high).0;
                }
            }
        }
    }
}

/// Applies x·sigmoid(αx) to the outputs of a tile, while they are in the first-level cache.
///
/// # Safety
/// The contract of [`Tile`], and the call has an epilogue with a swish.
#[inline(always)]
unsafe fn swish_of<X: Lanes>(call: &TileCall, positions: usize, blocks: usize) {
    // SAFETY: the caller guarantees the outputs, and the slopes at the same places.
    unsafe {
        let epilogue = *call.epilogue;
        for v in 0..blocks {
            for j in 0..positions {
                let to = call.out.add(v * call.out_block + j * call.out_step);
                epilogue.swish_of(X::load(to), to).store(to);
            }
        }
    }
}

/// Returns the most positions of a tile with this number of blocks for which the instruction set has
/// registers. Returns 0 if there is no tile of so many blocks.
pub(crate) fn most_positions(isa: Isa, blocks: usize) -> usize {
    let by_blocks: &[usize] = match isa {
        // 32 registers hold the sums, one register of weights for each block, and one source value.
        Isa::Avx512 => &[14, 14, 9, 6],
        // 16 registers of eight lanes: sums and weights take two registers each.
        Isa::Avx2 => &[6],
        // 32 registers of four lanes: sums and weights take four registers each.
        Isa::Neon => &[6],
        Isa::Portable => &[2],
    };
    blocks.checked_sub(1).and_then(|b| by_blocks.get(b)).copied().unwrap_or(0)
}

/// Most blocks of a tile, on any instruction set.
pub(crate) const MAX_BLOCKS: usize = 4;

macro_rules! family {
    ($module:ident, $arch:meta, $feature:meta, $lanes:ty, $($blocks:literal: $positions:tt),*) => {
        #[cfg($arch)]
        mod $module {
            use super::*;

            #[cfg_attr(all(), $feature)]
            unsafe fn entry<const R: usize, const V: usize>(call: &TileCall) {
                // SAFETY: the caller keeps the contract of `Tile`, which is this function's own.
                unsafe { tile::<$lanes, R, V>(call) }
            }

            pub(super) fn tile_of(positions: usize, blocks: usize) -> Option<Tile> {
                match blocks {
                    $($blocks => family!(@positions positions, $blocks, $positions),)*
                    _ => None,
                }
            }
        }
    };
    (@positions $value:ident, $blocks:literal, [$($positions:literal),*]) => {
        match $value {
            $($positions => Some(entry::<$positions, $blocks> as Tile),)*
            _ => None,
        }
    };
}

family!(
    avx512,
    target_arch = "x86_64",
    target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq"),
    std::arch::x86_64::__m512,
    1: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    2: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    3: [1, 2, 3, 4, 5, 6, 7, 8, 9],
    4: [1, 2, 3, 4, 5, 6]
);
family!(
    avx2,
    target_arch = "x86_64",
    target_feature(enable = "avx2,fma"),
    super::super::lanes::Pair,
    1: [1, 2, 3, 4, 5, 6]
);
family!(
    neon,
    target_arch = "aarch64",
    target_feature(enable = "neon"),
    super::super::lanes::Plain<true>,
    1: [1, 2, 3, 4, 5, 6]
);
family!(portable, all(), inline(never), super::super::lanes::Plain<false>, 1: [1, 2]);

/// Returns the compiled tile for a number of positions and blocks.
///
/// # Panics
/// If the machine lacks the instruction set, or no such tile is compiled for it.
pub(crate) fn tile_of(isa: Isa, positions: usize, blocks: usize) -> Tile {
    isa.require();
    let found = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::tile_of(positions, blocks),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::tile_of(positions, blocks),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => neon::tile_of(positions, blocks),
        _ => portable::tile_of(positions, blocks),
    };
    match found {
        Some(tile) => tile,
        None => panic!("{} has no tile of {positions} positions and {blocks} blocks", isa.name()),
    }
}
