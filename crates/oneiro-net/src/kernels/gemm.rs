//! The inner loop of dense layers: a small tile of a matrix product, in registers.
//!
//! ```text
//! c[i][j] = start + Σ_k a[k][i] · b[k][j]        i < rows, j < vectors · lanes
//! ```
//!
//! `a` is a panel of weights packed `[K][rows]`, `b` a panel of columns packed `[K][NR]`. `start` is a bias,
//! or the contents of `c`. Every element is the sum, in order, of chains of at most [`CHAIN`] multiply-adds,
//! each begun at zero. So the rounding error of a long sum grows with the number of chains, not of products
//! (blocked summation; Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 4.2). Where
//! chains begin depends on k alone. So no result depends on threads, on the height or width of a tile, or on
//! an element's place in it.
//!
//! The tile is shaped so that its sums fill the registers of the instruction set, after Goto and van de
//! Geijn, *Anatomy of high-performance matrix multiplication* (2008).

use super::isa::Isa;

/// Multiply-adds of one chain. Shorter chains are more accurate, but each chain costs a pass over the tile's
/// sums.
pub(crate) const CHAIN: usize = 64;

/// The most rows that a tile has on any instruction set.
pub(crate) const MAX_ROWS: usize = 14;
/// The most columns that a tile has on any instruction set.
pub(crate) const MAX_COLUMNS: usize = 32;

/// The shape of the full tile on one instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// Number of rows (output channels) of a full tile.
    pub rows: usize,
    /// Number of `f32` values in a register.
    pub lanes: usize,
    /// Columns (positions) of a full tile: a whole number of registers.
    pub columns: usize,
}

impl TileShape {
    /// The size of a full register tile for an instruction set.
    pub(crate) fn of(isa: Isa) -> TileShape {
        match isa {
            Isa::Avx512 => TileShape { rows: 14, lanes: 16, columns: 32 },
            Isa::Avx2 => TileShape { rows: 6, lanes: 8, columns: 16 },
            Isa::Neon => TileShape { rows: 8, lanes: 4, columns: 8 },
            Isa::Portable => TileShape { rows: 4, lanes: 8, columns: 8 },
        }
    }

    /// Number of rows in a panel if `rows` rows are divided into nearly equal panels. There are as few panels
    /// as with full tiles.
    pub(crate) fn panel_rows(self, rows: usize) -> usize {
        rows.div_ceil(rows.div_ceil(self.rows).max(1)).max(1)
    }
}

/// A compiled tile: `(k, a, b, c, c_stride, start)`.
///
/// # Safety
/// The machine has the tile's instruction set. With R rows and W columns: `a` has k·R elements, and `b` has k
/// rows of the full tile's width. `c` has R rows of W elements, `c_stride` apart, that no other thread
/// accesses. `start` has R elements, or is null; the sums then start from `c`.
pub(crate) type Tile = unsafe fn(usize, *const f32, *const f32, *mut f32, usize, *const f32);

/// A SIMD register of `f32` values.
///
/// # Safety
/// Every method needs its instruction set. `load` and `store` also need `LANES` elements at the address, of
/// any alignment.
#[allow(clippy::missing_safety_doc)] // Stated once, above.
trait Vector: Copy {
    const LANES: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    /// `self + a · b`.
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;
}

/// The tile of `R` rows and the width of `V` registers, for panels that are `N` columns wide.
///
/// # Safety
/// The contract of [`Tile`].
#[inline(always)]
unsafe fn tile<X: Vector, const R: usize, const V: usize, const N: usize>(
    k: usize,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
    c_stride: usize,
    start: *const f32,
) {
    // SAFETY: all addresses stay inside the lengths that the contract of `Tile` names. These are R·k elements
    // of `a`, N·k of `b` (V registers of each row, V · LANES <= N), R rows of V registers of `c`, and R
    // elements of `start`. The caller guarantees the instruction set.
    unsafe {
        let mut left = k;
        let mut start = start;
        loop {
            let mut sum = [[X::splat(0.0); V]; R];
            for _ in 0..left.min(CHAIN) {
                let mut column = [X::splat(0.0); V];
                for j in 0..V {
                    column[j] = X::load(b.add(j * X::LANES));
                }
                for i in 0..R {
                    let weight = X::splat(*a.add(i));
                    for j in 0..V {
                        sum[i][j] = sum[i][j].multiply_add(weight, column[j]);
                    }
                }
                a = a.add(R);
                b = b.add(N);
            }
            for i in 0..R {
                for j in 0..V {
                    let to = c.add(i * c_stride + j * X::LANES);
                    let before = if start.is_null() { X::load(to) } else { X::splat(*start.add(i)) };
                    before.add(sum[i][j]).store(to);
                }
            }
            left -= left.min(CHAIN);
            if left == 0 {
                break;
            }
            start = std::ptr::null();
        }
    }
}

/// Defines the tiles of one instruction set: its register type, and a table of tiles by rows for each width.
macro_rules! family {
    (
        $module:ident, $arch:meta, $feature:meta, $vector:ty, $columns:literal,
        [$($width:literal),*], $rows:tt
    ) => {
        #[cfg($arch)]
        mod $module {
            use super::*;

            #[cfg_attr(all(), $feature)]
            unsafe fn entry<const R: usize, const V: usize>(
                k: usize, a: *const f32, b: *const f32, c: *mut f32, c_stride: usize, start: *const f32,
            ) {
                // SAFETY: the caller keeps the contract of `Tile`, which is this function's own.
                unsafe { tile::<$vector, R, V, $columns>(k, a, b, c, c_stride, start) }
            }

            pub(super) fn tile_of(rows: usize, vectors: usize) -> Option<Tile> {
                match vectors {
                    $($width => family!(@rows rows, $width, $rows),)*
                    _ => None,
                }
            }
        }
    };
    (@rows $value:ident, $width:literal, [$($rows:literal),*]) => {
        match $value {
            $($rows => Some(entry::<$rows, $width> as Tile),)*
            _ => None,
        }
    };
}

family!(
    avx512,
    target_arch = "x86_64",
    target_feature(enable = "avx512f"),
    std::arch::x86_64::__m512,
    32,
    [1, 2],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
);
family!(
    avx2,
    target_arch = "x86_64",
    target_feature(enable = "avx2,fma"),
    std::arch::x86_64::__m256,
    16,
    [1, 2],
    [1, 2, 3, 4, 5, 6]
);
family!(
    neon,
    target_arch = "aarch64",
    target_feature(enable = "neon"),
    std::arch::aarch64::float32x4_t,
    8,
    [1, 2],
    [1, 2, 3, 4, 5, 6, 7, 8]
);
family!(portable, all(), inline(never), [f32; 8], 8, [1], [1, 2, 3, 4]);

/// Returns the compiled tile of `rows` rows and the width of `vectors` registers.
///
/// # Panics
/// If the machine lacks the instruction set, or no such tile is compiled for it.
pub(crate) fn tile_of(isa: Isa, rows: usize, vectors: usize) -> Tile {
    isa.require();
    let found = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::tile_of(rows, vectors),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::tile_of(rows, vectors),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => neon::tile_of(rows, vectors),
        _ => portable::tile_of(rows, vectors),
    };
    match found {
        Some(tile) => tile,
        None => panic!("{} has no tile of {rows} rows and {vectors} registers", isa.name()),
    }
}

/// Implements the methods of [`Vector`] with one instruction each.
macro_rules! vector {
    (
        $arch:literal, $type:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident, $add:ident,
        |$sum:ident, $a:ident, $b:ident| $fma:expr
    ) => {
        #[cfg(target_arch = $arch)]
        const _: () = {
            #[cfg(target_arch = "aarch64")]
            use std::arch::aarch64::*;
            #[cfg(target_arch = "x86_64")]
            use std::arch::x86_64::*;

            impl Vector for $type {
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: the caller guarantees the instruction set.
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: the caller guarantees the instruction set and LANES elements at the address
                    // (see `Vector`).
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: the caller guarantees the instruction set and LANES elements at the address
                    // (see `Vector`).
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller guarantees the instruction set.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn multiply_add(self, $a: Self, $b: Self) -> Self {
                    let $sum = self;
                    // SAFETY: the caller guarantees the instruction set.
                    unsafe { $fma }
                }
            }
        };
    };
}

vector!(
    "x86_64",
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    |sum, a, b| _mm512_fmadd_ps(a, b, sum)
);
vector!(
    "x86_64",
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    |sum, a, b| _mm256_fmadd_ps(a, b, sum)
);
vector!("aarch64", float32x4_t, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, |sum, a, b| vfmaq_f32(
    sum, a, b
));

impl Vector for [f32; 8] {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees eight elements at the address. Reading an array of f32 unaligned
        // needs no more.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees eight elements at the address. Writing an array of f32 unaligned
        // needs no more.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
    #[inline(always)]
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
        let mut sum = self;
        for i in 0..8 {
            // `mul_add` is avoided, because it is a library call on machines without such an instruction.
            sum[i] += a[i] * b[i];
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_of_every_family_equals_the_triple_loop_and_leaves_its_surroundings_alone() {
        let mut failures = Vec::new();
        for isa in Isa::available() {
            let shape = TileShape::of(isa);
            for rows in 1..=shape.rows {
                for vectors in 1..=shape.columns / shape.lanes {
                    for (k, with_start) in [(0, true), (1, false), (7, true), (33, false)] {
                        let width = vectors * shape.lanes;
                        let a: Vec<f32> = (0..k * rows).map(|i| ((i * 37 % 19) as f32 - 9.0) / 8.0).collect();
                        let b: Vec<f32> =
                            (0..k * shape.columns).map(|i| ((i * 29 % 23) as f32 - 11.0) / 4.0).collect();
                        let start: Vec<f32> = (0..rows).map(|i| i as f32).collect();
                        let stride = width + 3;
                        let mut c: Vec<f32> = (0..rows * stride).map(|i| (i % 5) as f32).collect();
                        let mut expected = c.clone();
                        for i in 0..rows {
                            for j in 0..width {
                                let mut sum = if with_start { start[i] } else { c[i * stride + j] };
                                for l in 0..k {
                                    sum += a[l * rows + i] * b[l * shape.columns + j];
                                }
                                expected[i * stride + j] = sum;
                            }
                        }
                        let first = if with_start { start.as_ptr() } else { std::ptr::null() };
                        // SAFETY: the vectors have the lengths that the contract of `Tile` names.
                        unsafe {
                            tile_of(isa, rows, vectors)(
                                k,
                                a.as_ptr(),
                                b.as_ptr(),
                                c.as_mut_ptr(),
                                stride,
                                first,
                            )
                        };
                        // All values are small binary fractions, so every sum is exact in any order.
                        if c != expected {
                            failures.push(format!("{isa:?} {rows}x{vectors} k={k} start={with_start}"));
                        }
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn panels_are_as_few_as_full_tiles_need_and_nearly_equal() {
        let shape = TileShape { rows: 14, lanes: 16, columns: 32 };
        let cases = [(1, 1), (3, 3), (14, 14), (15, 8), (64, 13), (256, 14), (512, 14)];
        assert_eq!(cases.map(|(rows, _)| (rows, shape.panel_rows(rows))), cases);
    }
}
