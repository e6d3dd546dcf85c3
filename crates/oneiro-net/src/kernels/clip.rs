//! The clip `y = min(max(x, low), high)` over rows, and its masks: one bit for each element, set where the
//! gradient stops.
//!
//! A ReLU is a clip to `0 ..= ∞`. In the masks of a matrix, each row begins at a new word: element p of a row
//! is bit p % 32 of the row's word p / 32.

use super::isa::Isa;
use super::scratch::Disjoint;

/// Number of bits in a word of an activation mask.
pub const MASK_BITS: usize = 32;

/// Number of words in a mask row of `row_len` elements.
pub const fn mask_words(row_len: usize) -> usize {
    row_len.div_ceil(MASK_BITS)
}

/// A clip with its masks, which several tasks fill; each task has its own words.
pub(crate) struct Clip<'a> {
    low: f32,
    high: f32,
    below: Option<Disjoint<'a, u32>>,
    above: Option<Disjoint<'a, u32>>,
}

impl<'a> Clip<'a> {
    /// Prepares the clip to `low ..= high` of `rows` rows of `row_len` elements.
    ///
    /// # Panics
    /// If a mask has the wrong length.
    #[track_caller]
    pub(crate) fn new(
        rows: usize,
        row_len: usize,
        low: f32,
        high: f32,
        below: Option<&'a mut [u32]>,
        above: Option<&'a mut [u32]>,
    ) -> Clip<'a> {
        for mask in [&below, &above].into_iter().flatten() {
            assert_eq!(mask.len(), rows * mask_words(row_len), "words of a mask of {rows} rows of {row_len}");
        }
        Clip { low, high, below: below.map(Disjoint::new), above: above.map(Disjoint::new) }
    }

    /// Clips a piece of a row. The piece's masks begin at word `first_word`.
    ///
    /// # Safety
    /// No other task uses these words at the same time.
    pub(crate) unsafe fn apply(&self, isa: Isa, piece: &mut [f32], first_word: usize) {
        let words = mask_words(piece.len());
        // SAFETY: the caller guarantees that no other task uses these words.
        let below = self.below.as_ref().map(|mask| unsafe { mask.part(first_word, words) });
        // SAFETY: the caller guarantees that no other task uses these words.
        let above = self.above.as_ref().map(|mask| unsafe { mask.part(first_word, words) });
        clip_row(isa, piece, self.low, self.high, below, above);
    }
}

/// Clips a row in place: to `low` where `x < low`, to `high` where `x > high`; a NaN stays.
///
/// If given, `below` and `above` get a set bit where the gradient stops: at `x <= low` and at `x >= high`.
/// Both have `mask_words(row.len())` words, and every bit is written.
fn clip_row(
    isa: Isa,
    row: &mut [f32],
    low: f32,
    high: f32,
    below: Option<&mut [u32]>,
    above: Option<&mut [u32]>,
) {
    let words = mask_words(row.len());
    let mut nothing: [&mut [u32]; 2] = [&mut [], &mut []];
    let [no_below, no_above] = &mut nothing;
    let below = below.unwrap_or(no_below);
    let above = above.unwrap_or(no_above);
    assert!(
        below.is_empty() || below.len() == words,
        "the mask of a row of {} has {}",
        row.len(),
        below.len()
    );
    assert!(
        above.is_empty() || above.len() == words,
        "the mask of a row of {} has {}",
        row.len(),
        above.len()
    );
    isa.require();
    match isa {
        // SAFETY: `require` has checked the instruction set.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::clip_avx512(row, low, high, below, above) },
        // SAFETY: `require` has checked the instruction set.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::clip_avx2(row, low, high, below, above) },
        _ => clip_words(row, low, high, below, above, word_by_comparison),
    }
}

/// Clips up to 32 values and returns the bits of both masks.
fn word_by_comparison(chunk: &mut [f32], low: f32, high: f32) -> (u32, u32) {
    let (mut under, mut over) = (0, 0);
    for (bit, x) in chunk.iter_mut().enumerate() {
        under |= u32::from(*x <= low) << bit;
        over |= u32::from(*x >= high) << bit;
        *x = clip(*x, low, high);
    }
    (under, over)
}

/// Clips one value; a NaN stays.
#[inline(always)]
pub(crate) fn clip(x: f32, low: f32, high: f32) -> f32 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// Divides a row into pieces of one mask word and calls `word` to clip each.
#[inline(always)]
fn clip_words(
    row: &mut [f32],
    low: f32,
    high: f32,
    below: &mut [u32],
    above: &mut [u32],
    word: impl Fn(&mut [f32], f32, f32) -> (u32, u32),
) {
    for (index, chunk) in row.chunks_mut(MASK_BITS).enumerate() {
        let (under, over) = word(chunk, low, high);
        if let Some(to) = below.get_mut(index) {
            *to = under;
        }
        if let Some(to) = above.get_mut(index) {
            *to = over;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub(super) fn clip_avx512(row: &mut [f32], low: f32, high: f32, below: &mut [u32], above: &mut [u32]) {
        let (lows, highs) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
        let (mut index, mut chunks) = (0, row.chunks_exact_mut(MASK_BITS));
        for chunk in &mut chunks {
            let (mut under, mut over) = (0, 0);
            for half in 0..2 {
                let at = chunk[16 * half..][..16].as_mut_ptr();
                // SAFETY: the address belongs to a slice of sixteen elements.
                let x = unsafe { _mm512_loadu_ps(at) };
                under |= u32::from(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(x, lows)) << (16 * half);
                over |= u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, highs)) << (16 * half);
                let x = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, highs), x, highs);
                let x = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, lows), x, lows);
                // SAFETY: the address belongs to a slice of sixteen elements that may be written.
                unsafe { _mm512_storeu_ps(at, x) };
            }
            put(below, above, index, under, over);
            index += 1;
        }
        rest(chunks.into_remainder(), low, high, below, above, index);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn clip_avx2(row: &mut [f32], low: f32, high: f32, below: &mut [u32], above: &mut [u32]) {
        let (lows, highs) = (_mm256_set1_ps(low), _mm256_set1_ps(high));
        let (mut index, mut chunks) = (0, row.chunks_exact_mut(MASK_BITS));
        for chunk in &mut chunks {
            let (mut under, mut over) = (0, 0);
            for quarter in 0..4 {
                let at = chunk[8 * quarter..][..8].as_mut_ptr();
                // SAFETY: the address belongs to a slice of eight elements.
                let x = unsafe { _mm256_loadu_ps(at) };
                let bits = |comparison| (_mm256_movemask_ps(comparison) as u32) << (8 * quarter);
                under |= bits(_mm256_cmp_ps::<_CMP_LE_OQ>(x, lows));
                over |= bits(_mm256_cmp_ps::<_CMP_GE_OQ>(x, highs));
                let x = _mm256_blendv_ps(x, highs, _mm256_cmp_ps::<_CMP_GT_OQ>(x, highs));
                let x = _mm256_blendv_ps(x, lows, _mm256_cmp_ps::<_CMP_LT_OQ>(x, lows));
                // SAFETY: the address belongs to a slice of eight elements that may be written.
                unsafe { _mm256_storeu_ps(at, x) };
            }
            put(below, above, index, under, over);
            index += 1;
        }
        rest(chunks.into_remainder(), low, high, below, above, index);
    }

    #[inline(always)]
    fn put(below: &mut [u32], above: &mut [u32], index: usize, under: u32, over: u32) {
        if let Some(to) = below.get_mut(index) {
            *to = under;
        }
        if let Some(to) = above.get_mut(index) {
            *to = over;
        }
    }

    /// Clips the last piece of a row, which has fewer elements than a mask word has bits.
    #[inline(always)]
    fn rest(tail: &mut [f32], low: f32, high: f32, below: &mut [u32], above: &mut [u32], index: usize) {
        if !tail.is_empty() {
            let (under, over) = word_by_comparison(tail, low, high);
            put(below, above, index, under, over);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_clips_and_masks_as_the_definition_says() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 6.0, 1e-40, -1e-40];
        let mut failures = Vec::new();
        for isa in Isa::available() {
            for len in [0, 1, 7, 31, 32, 33, 64, 71] {
                for (low, high) in [(0.0, f32::INFINITY), (0.0, 6.0), (-1.0, 1.0)] {
                    let source: Vec<f32> = (0..len)
                        .map(|i| if i % 5 == 0 { special[i / 5 % 8] } else { (i * 7 % 17) as f32 - 8.0 })
                        .collect();
                    let mut row = source.clone();
                    let (mut below, mut above) = (vec![!0; mask_words(len)], vec![!0; mask_words(len)]);
                    clip_row(isa, &mut row, low, high, Some(&mut below), Some(&mut above));
                    for (i, &x) in source.iter().enumerate() {
                        let bit = |mask: &[u32]| mask[i / 32] >> (i % 32) & 1 == 1;
                        let same =
                            row[i].to_bits() == clip(x, low, high).to_bits() || x.is_nan() && row[i].is_nan();
                        if !same || bit(&below) != (x <= low) || bit(&above) != (x >= high) {
                            failures.push(format!("{isa:?} len {len} at {i}: {x} -> {}", row[i]));
                        }
                    }
                    let spare = (32 - len % 32) % 32;
                    if spare > 0 && below[len / 32].leading_zeros() < spare as u32 {
                        failures.push(format!("{isa:?} len {len}: bits beyond the row are set"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
