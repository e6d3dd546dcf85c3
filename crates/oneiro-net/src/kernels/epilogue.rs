//! Epilogues: operations on the results of a kernel before they are stored.
//!
//! | form | holds | read by |
//! |---|---|---|
//! | [`EpilogueFunction`] | an activation function | passes and plans |
//! | [`EpilogueFunction`] of regions | the function, and the regions of its masks and slopes | a plan's steps |
//! | [`Epilogue`] | all operations and their data, as slices | kernels |
//! | `EpilogueAddresses` | all operations and their data, as addresses | loops over registers |
//!
//! In the forward pass, a step of a plan adds a residual and applies an activation function. In the backward
//! pass, the last contribution to a gradient is multiplied by the activation's slopes or zeroed by its masks.
//! Slopes and masks come from the step that computed the value.

use super::blocked::lanes::{LANES, Lanes};
use super::blocked::swish;
use super::clip::mask_words;

/// Positions by which slopes are prefetched. Slopes are no longer in the cache, as the forward pass wrote
/// them long ago.
const AHEAD: usize = 64;

/// The bounds of a clamp to `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Lower bound; −∞ if there is none.
    pub low: f32,
    /// Upper bound; ∞ if there is none.
    pub high: f32,
    /// Whether these bounds are the range of a number format rather than an activation function. Rules for
    /// the gradients of ReLUs then do not apply.
    pub saturates: bool,
}

/// An elementwise activation function.
///
/// `M` is the place of the activation masks and `S` the place of the slopes: none yet (`()`), a region of the
/// arena, or a slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EpilogueFunction<M = (), S = ()> {
    /// `y = low` where `x < low`, `high` where `x > high`; a NaN stays. A ReLU clips to [0, ∞).
    ///
    /// A mask has one row of [`mask_words`] words for each plane of positions, and every word is written. Bit
    /// p % 32 of word p / 32 belongs to element p of the row. In blocks of channels, a plane has sixteen
    /// elements for each position.
    Clip {
        /// The bounds of the clamp.
        bounds: Bounds,
        /// Mask with bits set where `x <= low`.
        below: M,
        /// Mask with bits set where `x >= high`.
        above: M,
    },
    /// The function x·sigmoid(αx) (Ramachandran et al. 2017).
    Swish {
        /// The factor α of x·sigmoid(αx).
        alpha: f32,
        /// The derivative at each element, in the order of the result.
        slopes: S,
    },
}

impl EpilogueFunction {
    /// Creates a clamp to these bounds.
    pub fn clip(bounds: Bounds) -> Self {
        Self::Clip { bounds, below: (), above: () }
    }

    /// Creates the function x·sigmoid(αx).
    pub fn swish(alpha: f32) -> Self {
        Self::Swish { alpha, slopes: () }
    }
}

impl<M, S> EpilogueFunction<M, S> {
    /// The bounds, if the function is a clamp.
    pub fn bounds(&self) -> Option<Bounds> {
        match self {
            Self::Clip { bounds, .. } => Some(*bounds),
            Self::Swish { .. } => None,
        }
    }
}

/// An activation function with the slices for its masks or slopes, if the backward pass needs them.
pub type EpilogueSlices<'a> = EpilogueFunction<Option<&'a mut [u32]>, Option<&'a mut [f32]>>;

/// Operations on every result before it is stored, in the order of the fields.
#[derive(Debug, Default)]
pub struct Epilogue<'a> {
    /// A residual to add. It has the layout of the result.
    pub add: Option<&'a [f32]>,
    /// Slopes of an activation function, by which a gradient is multiplied. They have the layout of the
    /// result.
    pub slopes: Option<&'a [f32]>,
    /// Activation masks of a clip. The gradient becomes 0 where a bit of either mask is set.
    pub activation_masks: [Option<&'a [u32]>; 2],
    /// The activation function that is applied last.
    pub function: Option<EpilogueSlices<'a>>,
}

impl<'a> Epilogue<'a> {
    /// An epilogue without operations.
    pub fn none() -> Self {
        Self::default()
    }

    /// An epilogue with an activation function alone.
    pub fn of(function: Option<EpilogueSlices<'a>>) -> Self {
        Self { function, ..Self::default() }
    }

    fn is_none(&self) -> bool {
        self.add.is_none()
            && self.slopes.is_none()
            && self.activation_masks == [None, None]
            && self.function.is_none()
    }

    /// Returns the addresses for loops over registers of a destination in blocks of channels, or `None` if
    /// there is nothing to do.
    ///
    /// # Panics
    /// If a slice does not fit a destination of `rows` planes of `plane` positions.
    pub(crate) fn addresses(&mut self, dst: &[f32], rows: usize, plane: usize) -> Option<EpilogueAddresses> {
        if self.is_none() {
            return None;
        }
        let words = rows * mask_words(plane * LANES);
        let check = |mask: &[u32]| {
            assert_eq!(mask.len(), words, "words of a mask of {rows} rows of {plane} positions");
        };
        let mut addresses = EpilogueAddresses {
            add: std::ptr::null(),
            base: dst.as_ptr(),
            activation_masks: [std::ptr::null(); 2],
            clip: false,
            low: 0.0,
            high: 0.0,
            below: std::ptr::null_mut(),
            above: std::ptr::null_mut(),
            factors: std::ptr::null(),
            swish: None,
            slopes: std::ptr::null_mut(),
        };
        if let Some(add) = self.add {
            assert_eq!(add.len(), dst.len(), "a residual to add");
            addresses.add = add.as_ptr();
        }
        if let Some(slopes) = self.slopes {
            assert_eq!(slopes.len(), dst.len(), "slopes to multiply by");
            addresses.factors = slopes.as_ptr();
        }
        for (to, mask) in addresses.activation_masks.iter_mut().zip(self.activation_masks) {
            if let Some(mask) = mask {
                check(mask);
                *to = mask.as_ptr().cast();
            }
        }
        match &mut self.function {
            None => {}
            Some(EpilogueFunction::Clip { bounds, below, above }) => {
                addresses.clip = true;
                (addresses.low, addresses.high) = (bounds.low, bounds.high);
                for (to, mask) in [(&mut addresses.below, below), (&mut addresses.above, above)] {
                    if let Some(mask) = mask {
                        check(mask);
                        *to = mask.as_mut_ptr().cast();
                    }
                }
            }
            Some(EpilogueFunction::Swish { alpha, slopes }) => {
                addresses.swish = Some(*alpha);
                if let Some(slopes) = slopes {
                    assert_eq!(slopes.len(), dst.len(), "slopes to keep");
                    addresses.slopes = slopes.as_mut_ptr();
                }
            }
        }
        Some(addresses)
    }
}

/// An [`Epilogue`] as addresses, applied in the order of the fields. A null address means that the operation
/// is absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpilogueAddresses {
    /// The residual; its first element belongs to `base`.
    pub(crate) add: *const f32,
    /// First element of the destination. `add`, `factors` and `slopes` have the same layout from their first
    /// elements on.
    pub(crate) base: *const f32,
    /// Slopes of an activation function, by which the result is multiplied.
    pub(crate) factors: *const f32,
    /// Masks: the result becomes 0 where one of them has a bit set.
    pub(crate) activation_masks: [*const u16; 2],
    /// Whether to clip; `below` and `above` record where, unless they are null.
    pub(crate) clip: bool,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) below: *mut u16,
    pub(crate) above: *mut u16,
    /// α of x·sigmoid(αx); its slopes are recorded in `slopes`, unless that is null.
    pub(crate) swish: Option<f32>,
    pub(crate) slopes: *mut f32,
}

impl EpilogueAddresses {
    /// Applies the epilogue to one register of sums, which will be stored at `to`. `mask` is its index in the
    /// masks.
    ///
    /// # Safety
    /// The machine has the instruction set of `X`. Each address that is not null has the elements of this
    /// index, and of `to`.
    #[inline(always)]
    pub(crate) unsafe fn apply<X: Lanes>(&self, mut sum: X, to: *const f32, mask: usize) -> X {
        // SAFETY: the caller guarantees the addresses.
        unsafe {
            if !self.add.is_null() {
                sum = sum.add(X::load(self.add.offset(to.offset_from(self.base))));
            }
            if !self.factors.is_null() {
                let factors = self.factors.offset(to.offset_from(self.base));
                X::prefetch(factors.wrapping_add(AHEAD * LANES));
                sum = sum.mul(X::load(factors));
            }
            for activation_mask in self.activation_masks {
                if !activation_mask.is_null() {
                    sum = sum.zero_where(*activation_mask.add(mask));
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

    /// Applies x·sigmoid(αx) if that is the activation function.
    ///
    /// # Safety
    /// The contract of [`EpilogueAddresses::apply`].
    #[inline(always)]
    pub(crate) unsafe fn swish_of<X: Lanes>(&self, x: X, to: *const f32) -> X {
        let Some(alpha) = self.swish else { return x };
        // SAFETY: the caller guarantees the addresses.
        unsafe {
            let (value, slope) = swish::swish(x, alpha);
            if !self.slopes.is_null() {
                slope.store(self.slopes.offset(to.offset_from(self.base)));
            }
            value
        }
    }
}

/// An epilogue that the tasks of one step share.
pub(crate) struct SharedEpilogue(pub(crate) Option<EpilogueAddresses>);

impl SharedEpilogue {
    pub(crate) fn get(&self) -> Option<&EpilogueAddresses> {
        self.0.as_ref()
    }
}

// SAFETY: its addresses belong to slices that outlive the call. Each task writes only the masks and slopes of
// its own outputs.
unsafe impl Sync for SharedEpilogue {}
