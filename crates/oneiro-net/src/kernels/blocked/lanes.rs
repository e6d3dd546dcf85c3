//! Sixteen `f32` values, one for each channel of a block, in the registers of an instruction set.

use crate::kernels::functions::{BIAS, MANTISSA};

/// Number of channels in a block, and of `f32` values in a register or group of registers. A word of a mask
/// has bits for two blocks.
pub(crate) const LANES: usize = 16;

/// The values of a block of channels at one position.
///
/// # Safety
/// Every method needs its instruction set. `load` and `store` also need sixteen elements at the address, of
/// any alignment.
#[allow(clippy::missing_safety_doc)] // Stated once, above.
pub(crate) trait Lanes: Copy {
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Prefetches a cache line; the address need not be readable.
    #[inline(always)]
    unsafe fn prefetch(_address: *const f32) {}
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self · 2ⁿ` for integers n from −126 to 128 (2¹²⁸ is ∞).
    unsafe fn times_power(self, n: Self) -> Self;
    /// `self + a · b`.
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;
    /// The larger value of each lane, or `other` if either value is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller value of each lane, or `other` if either value is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// A bit for each lane, set where `self > other` or `self` is NaN.
    unsafe fn exceeds(self, other: Self) -> u16;
    /// Clips each lane to `low ..= high`; a NaN stays. Also returns two masks of bits: where `x <= low`, and
    /// where `x >= high`.
    unsafe fn clip(self, low: Self, high: Self) -> (Self, u16, u16);
    /// Sets a lane to 0 where its bit is set.
    unsafe fn zero_where(self, bits: u16) -> Self;
    /// Writes each lane as a byte. The values must be integers below 256.
    unsafe fn store_bytes(self, to: *mut u8);
    /// Returns a bit for each of sixteen bytes, set where the byte equals `byte`.
    unsafe fn bytes_are(from: *const u8, byte: u8) -> u16;
    /// Takes a lane from `other` where its bit is set, else from `self`.
    unsafe fn blend(self, other: Self, bits: u16) -> Self;
    /// Transposes a matrix of 16 × 16 values.
    #[inline(always)]
    unsafe fn transpose(rows: [Self; 16]) -> [Self; 16] {
        let mut from = [[0.0f32; 16]; 16];
        // SAFETY: the caller guarantees the instruction set, and the arrays have sixteen elements each.
        unsafe {
            rows.iter().zip(&mut from).for_each(|(row, to)| row.store(to.as_mut_ptr()));
            std::array::from_fn(|column| {
                let numbers: [f32; 16] = std::array::from_fn(|row| from[row][column]);
                Self::load(numbers.as_ptr())
            })
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Pair;

/// Plain Rust: an array that the compiler vectorizes if it can. On 64-bit Arm it becomes four NEON registers.
#[derive(Clone, Copy)]
pub(crate) struct Plain<const FUSED: bool>([f32; 16]);

impl<const FUSED: bool> Plain<FUSED> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Plain(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    #[inline(always)]
    fn bits(self, f: impl Fn(usize, f32) -> bool) -> u16 {
        (0..16).fold(0, |bits, i| bits | u16::from(f(i, self.0[i])) << i)
    }
}

impl<const FUSED: bool> Lanes for Plain<FUSED> {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Plain([value; 16])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees sixteen elements at the address. Reading an array of f32 unaligned
        // needs no more.
        unsafe { Plain(from.cast::<[f32; 16]>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees sixteen elements at the address. Writing an array of f32 unaligned
        // needs no more.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn times_power(self, n: Self) -> Self {
        self.zip(n, |x, n| x * f32::from_bits(((n as i32 + BIAS) << MANTISSA) as u32))
    }
    #[inline(always)]
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
        // `mul_add` is a slow library call if the machine has no such instruction, so it is used only where
        // `FUSED` is set.
        let one = |sum: f32, a: f32, b: f32| if FUSED { a.mul_add(b, sum) } else { sum + a * b };
        Plain(std::array::from_fn(|i| one(self.0[i], a.0[i], b.0[i])))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn exceeds(self, other: Self) -> u16 {
        self.bits(|i, x| (x > other.0[i] || x.is_nan()) && !other.0[i].is_nan())
    }
    #[inline(always)]
    unsafe fn clip(self, low: Self, high: Self) -> (Self, u16, u16) {
        let clipped =
            Plain(std::array::from_fn(|i| crate::kernels::clip::clip(self.0[i], low.0[i], high.0[i])));
        (clipped, self.bits(|i, x| x <= low.0[i]), self.bits(|i, x| x >= high.0[i]))
    }
    #[inline(always)]
    unsafe fn zero_where(self, bits: u16) -> Self {
        Plain(std::array::from_fn(|i| if bits >> i & 1 == 1 { 0.0 } else { self.0[i] }))
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the caller guarantees room for sixteen bytes.
        unsafe { to.cast::<[u8; 16]>().write_unaligned(std::array::from_fn(|i| self.0[i] as u8)) }
    }
    #[inline(always)]
    unsafe fn bytes_are(from: *const u8, byte: u8) -> u16 {
        // SAFETY: the caller guarantees sixteen bytes at the address.
        let bytes = unsafe { from.cast::<[u8; 16]>().read_unaligned() };
        (0..16).fold(0, |bits, i| bits | u16::from(bytes[i] == byte) << i)
    }
    #[inline(always)]
    unsafe fn blend(self, other: Self, bits: u16) -> Self {
        Plain(std::array::from_fn(|i| if bits >> i & 1 == 1 { other.0[i] } else { self.0[i] }))
    }
}
