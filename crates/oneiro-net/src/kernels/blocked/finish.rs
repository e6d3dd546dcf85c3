//! What is done to sums before they leave their registers.

use super::lanes::LANES;
use super::lanes::Lanes;
use super::swish;

/// Positions by which factors are fetched ahead: they were written long before, in the pass forward.
const AHEAD: usize = 64;

/// What is done to every sum before it leaves its register, in this order. Null: not done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    /// Added: numbers that lie as the output does, from the output's own first number.
    pub(crate) add: *const f32,
    /// The destination's first number, which `add` runs parallel to.
    pub(crate) base: *const f32,
    /// 0 where one of these has its bit set.
    pub(crate) gates: [*const u16; 2],
    /// Clamps, and writes where it did.
    pub(crate) clip: bool,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) below: *mut u16,
    pub(crate) above: *mut u16,
    /// Multiplied by these numbers, which lie as `add` does.
    pub(crate) factors: *const f32,
    /// Becomes x·sigmoid(αx), with the slope there written to a place that runs parallel to the output.
    pub(crate) swish: Option<f32>,
    pub(crate) slopes: *mut f32,
}

impl Finish {
    /// Finishes one register of sums that goes to `to`, with its index in the masks.
    ///
    /// # Safety
    /// The family is there; the addresses that are not null have what the index and `to` ask for.
    #[inline(always)]
    pub(crate) unsafe fn apply<X: Lanes>(&self, mut sum: X, to: *const f32, mask: usize) -> X {
        // SAFETY: the caller grants the addresses.
        unsafe {
            if !self.add.is_null() {
                sum = sum.add(X::load(self.add.offset(to.offset_from(self.base))));
            }
            if !self.factors.is_null() {
                let factors = self.factors.offset(to.offset_from(self.base));
                X::prefetch(factors.wrapping_add(AHEAD * LANES));
                sum = sum.mul(X::load(factors));
            }
            for gate in self.gates {
                if !gate.is_null() {
                    sum = sum.zero_where(*gate.add(mask));
                }
            }
            if self.clip {
                let (clipped, below, above) = sum.clip(X::splat(self.low), X::splat(self.high));
                sum = clipped;
                if !self.below.is_null() {
                    *self.below.add(mask) = below;
                }
                if !self.above.is_null() {
                    *self.above.add(mask) = above;
                }
            }
            self.swish_of(sum, to)
        }
    }

    /// x·sigmoid(αx), where it is asked for.
    ///
    /// # Safety
    /// As [`Finish::apply`].
    #[inline(always)]
    pub(crate) unsafe fn swish_of<X: Lanes>(&self, x: X, to: *const f32) -> X {
        let Some(alpha) = self.swish else { return x };
        // SAFETY: the caller grants the addresses.
        unsafe {
            let (value, slope) = swish::swish(x, alpha);
            if !self.slopes.is_null() {
                slope.store(self.slopes.offset(to.offset_from(self.base)));
            }
            value
        }
    }
}
