//! Sixteen lanes on x86-64: one register of AVX-512, or two AVX2 registers of eight lanes.

use super::{BIAS, Lanes, MANTISSA};
use std::arch::x86_64::*;

impl Lanes for __m512 {
    #[inline(always)]
    unsafe fn prefetch(address: *const f32) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_storeu_ps(to, self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_sub_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_mul_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_div_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn times_power(self, n: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(BIAS));
            let power = _mm512_castsi512_ps(_mm512_slli_epi32::<MANTISSA>(exponent));
            _mm512_mul_ps(self, power)
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_max_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_min_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn exceeds(self, other: Self) -> u16 {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self, other) & !_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other, other)
        }
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> (Self, u16, u16) {
        // `max` and `min` return their second operand, here the value, if it is NaN or equal to the bound.
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let below = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self, low);
            let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self, high);
            (_mm512_min_ps(high, _mm512_max_ps(low, self)), below, above)
        }
    }
    #[inline(always)]
    unsafe fn zero_where(self, bits: u16) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_maskz_mov_ps(!bits, self) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(self))) }
    }
    #[inline(always)]
    unsafe fn bytes_are(from: *const u8, byte: u8) -> u16 {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm_cmpeq_epi8_mask(_mm_loadu_si128(from.cast()), _mm_set1_epi8(byte as i8)) }
    }
    #[inline(always)]
    unsafe fn blend(self, other: Self, bits: u16) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { _mm512_mask_mov_ps(self, bits, other) }
    }
    #[inline(always)]
    unsafe fn transpose(rows: [Self; 16]) -> [Self; 16] {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let mut out = rows;
            // First transpose within each quarter of a register: `fours[j]` gets the columns 4 · quarter + j
            // of four rows.
            let mut fours = rows;
            for (four, rows) in fours.chunks_exact_mut(4).zip(rows.chunks_exact(4)) {
                let low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
                let high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
                let low2 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
                let high2 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
                four[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
                four[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
                four[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
                four[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
            }
            for j in 0..4 {
                // Combines quarters 0 and 2, and quarters 1 and 3, of the upper eight rows and of the lower
                // eight.
                let even = _mm512_shuffle_f32x4::<0x88>(fours[j], fours[4 + j]);
                let even2 = _mm512_shuffle_f32x4::<0x88>(fours[8 + j], fours[12 + j]);
                let odd = _mm512_shuffle_f32x4::<0xdd>(fours[j], fours[4 + j]);
                let odd2 = _mm512_shuffle_f32x4::<0xdd>(fours[8 + j], fours[12 + j]);
                out[j] = _mm512_shuffle_f32x4::<0x88>(even, even2);
                out[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd, odd2);
                out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even, even2);
                out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd, odd2);
            }
            out
        }
    }
}

/// Returns a bit for each of sixteen bytes, set where the byte equals `byte`.
///
/// # Safety
/// Sixteen bytes at the address can be read.
#[inline(always)]
unsafe fn bytes_equal(from: *const u8, byte: u8) -> u16 {
    // SAFETY: SSE2 belongs to x86-64; the caller guarantees sixteen bytes at the address.
    unsafe {
        let equal = _mm_cmpeq_epi8(_mm_loadu_si128(from.cast()), _mm_set1_epi8(byte as i8));
        _mm_movemask_epi8(equal) as u16
    }
}

/// Sixteen `f32` values in two AVX registers of eight lanes.
#[derive(Clone, Copy)]
pub(crate) struct Pair(__m256, __m256);

/// Returns all ones in each lane whose bit is set.
#[inline(always)]
unsafe fn spread(bits: u16) -> (__m256, __m256) {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe {
        let select = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
        let of = |bits: i32| {
            let chosen = _mm256_and_si256(_mm256_set1_epi32(bits), select);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, select))
        };
        (of(i32::from(bits & 255)), of(i32::from(bits >> 8)))
    }
}

#[inline(always)]
unsafe fn gather(low: __m256, high: __m256) -> u16 {
    // SAFETY: the caller guarantees that the machine has the instruction set.
    unsafe { _mm256_movemask_ps(low) as u16 | (_mm256_movemask_ps(high) as u16) << 8 }
}

impl Lanes for Pair {
    #[inline(always)]
    unsafe fn prefetch(address: *const f32) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn times_power(self, n: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let bias = _mm256_set1_epi32(BIAS);
            let power = |n| {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), bias);
                _mm256_castsi256_ps(_mm256_slli_epi32::<{ MANTISSA as i32 }>(exponent))
            };
            Pair(_mm256_mul_ps(self.0, power(n.0)), _mm256_mul_ps(self.1, power(n.1)))
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { Pair(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn exceeds(self, other: Self) -> u16 {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let of = |a, b| {
                _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(b, b), _mm256_cmp_ps::<_CMP_NLE_UQ>(a, b))
            };
            gather(of(self.0, other.0), of(self.1, other.1))
        }
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> (Self, u16, u16) {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let below = gather(
                _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, low.0),
                _mm256_cmp_ps::<_CMP_LE_OQ>(self.1, low.1),
            );
            let above = gather(
                _mm256_cmp_ps::<_CMP_GE_OQ>(self.0, high.0),
                _mm256_cmp_ps::<_CMP_GE_OQ>(self.1, high.1),
            );
            let of = |x, low, high| _mm256_min_ps(high, _mm256_max_ps(low, x));
            (Pair(of(self.0, low.0, high.0), of(self.1, low.1, high.1)), below, above)
        }
    }
    #[inline(always)]
    unsafe fn zero_where(self, bits: u16) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let (low, high) = spread(bits);
            Pair(_mm256_andnot_ps(low, self.0), _mm256_andnot_ps(high, self.1))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the caller guarantees the instruction set and the address. Packing saturates, but values
        // below 256 do not. It works within halves of a register, and the permutation restores the order.
        unsafe {
            let (low, high) = (_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1));
            let pairs = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            let (first, second) = (_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            _mm_storeu_si128(to.cast(), _mm_packus_epi16(first, second));
        }
    }
    #[inline(always)]
    unsafe fn bytes_are(from: *const u8, byte: u8) -> u16 {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe { bytes_equal(from, byte) }
    }
    #[inline(always)]
    unsafe fn blend(self, other: Self, bits: u16) -> Self {
        // SAFETY: the caller guarantees the instruction set and the elements at each address (see `Lanes`).
        unsafe {
            let (low, high) = spread(bits);
            Pair(_mm256_blendv_ps(self.0, other.0, low), _mm256_blendv_ps(self.1, other.1, high))
        }
    }
}
