//! Elementwise maps over slices, the clip of activations, and the rules for the gradient of a clip.
//!
//! Slices are divided into fixed chunks that threads share. Short slices are computed on the calling thread.

use super::clip::{Clip, MASK_BITS, mask_words};
use super::isa::{Isa, multiversion};
use super::scratch::Disjoint;
use super::team;

/// Elements of a task: enough to outweigh the cost of handing it over, few enough to stay in a cache. A
/// multiple of the bits of a mask word.
const CHUNK: usize = 8192;

/// Computes `dst[i] = f(src[i])`.
///
/// # Panics
/// If the lengths differ. The functions below panic likewise.
pub fn map(src: &[f32], dst: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    assert_eq!(src.len(), dst.len(), "a map between slices of different lengths");
    chunked(dst, |start, dst| dst.iter_mut().zip(&src[start..]).for_each(|(y, &x)| *y = f(x)));
}

/// Computes `dst[i] = f(a[i], b[i])`.
pub fn zip(a: &[f32], b: &[f32], dst: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!((a.len(), b.len()), (dst.len(), dst.len()), "a zip of slices of different lengths");
    chunked(dst, |start, dst| {
        dst.iter_mut().zip(&a[start..]).zip(&b[start..]).for_each(|((y, &a), &b)| *y = f(a, b));
    });
}

/// Adds `f(a[i], b[i])` to `dst[i]`.
pub fn zip_accumulate(a: &[f32], b: &[f32], dst: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!((a.len(), b.len()), (dst.len(), dst.len()), "a zip of slices of different lengths");
    chunked(dst, |start, dst| {
        dst.iter_mut().zip(&a[start..]).zip(&b[start..]).for_each(|((y, &a), &b)| *y += f(a, b));
    });
}

/// Multiplies `dst[i]` by `factors[i]`.
pub fn multiply(factors: &[f32], dst: &mut [f32]) {
    assert_eq!(factors.len(), dst.len(), "a product of slices of different lengths");
    chunked(dst, |start, dst| dst.iter_mut().zip(&factors[start..]).for_each(|(y, f)| *y *= f));
}

/// Calls `work(start, chunk)` for the chunks of a slice.
pub(super) fn chunked(values: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    if values.len() <= CHUNK {
        work(0, values);
    } else {
        team::chunks(values, CHUNK, |chunk, values| work(chunk * CHUNK, values));
    }
}

/// Clips `rows` rows of `row_len` elements in place and records masks, as
/// [`EpilogueFunction::Clip`](super::EpilogueFunction::Clip) describes.
///
/// # Panics
/// If a slice has the wrong length.
pub fn apply_clip(
    isa: Isa,
    rows: usize,
    row_len: usize,
    y: &mut [f32],
    low: f32,
    high: f32,
    below: Option<&mut [u32]>,
    above: Option<&mut [u32]>,
) {
    assert_eq!(y.len(), rows * row_len, "{rows} rows of {row_len}");
    let clip = Clip::new(rows, row_len, low, high, below, above);
    each_piece(rows, row_len, y, |first_word, piece| {
        // SAFETY: a piece begins at a new word of its row. The piece and its words belong to one task.
        unsafe { clip.apply(isa, piece, first_word) };
    });
}

/// Calls `work(first mask word, piece)` for every row of a matrix. Long rows are divided into pieces of whole
/// mask words; a task takes many short rows.
fn each_piece(rows: usize, row_len: usize, values: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    if rows * row_len == 0 {
        return;
    }
    let pieces = row_len.div_ceil(CHUNK);
    let words = mask_words(row_len);
    let values = Disjoint::new(values);
    let run = |index: usize| {
        let (row, start) = (index / pieces, index % pieces * CHUNK);
        // SAFETY: pieces do not overlap, and each belongs to one task.
        let piece = unsafe { values.part(row * row_len + start, CHUNK.min(row_len - start)) };
        work(row * words + start / MASK_BITS, piece);
    };
    if rows * row_len <= CHUNK {
        (0..rows * pieces).for_each(run);
    } else {
        let at_least = (CHUNK / row_len).max(1);
        team::each(rows * pieces, at_least, run);
    }
}

/// The rule for the gradient of a clipped activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReluRule {
    /// The derivative: the gradient is 0 where the activation was clipped.
    Exact,
    /// Like `Exact`, unless the gradient of a batch entry would be 0 everywhere. That entry's gradient then
    /// passes unmasked, except where it would push further into the clip. This starts units that are off
    /// everywhere (Lucid's redirected ReLU gradients).
    Redirected,
    /// Where the activation was clipped, the gradient is multiplied by this slope.
    Leaky(f32),
    /// Like `Exact`, but only positive gradients pass (Springenberg et al., *Striving for simplicity*, 2015).
    Guided,
    /// All positive gradients pass, whether clipped or not; negative ones do not (Zeiler and Fergus,
    /// *Visualizing and understanding convolutional networks*, 2014).
    Deconv,
}

/// The rows of a mask that belong to each entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskRows {
    /// Number of entries (images) in the batch.
    pub entries: usize,
    /// Number of mask rows for each entry of the batch.
    pub per_entry: usize,
    /// Number of elements in a mask row.
    pub row_len: usize,
    /// Whether the entry is the faster index of the rows, as in blocks of channels.
    pub interleaved: bool,
}

impl MaskRows {
    /// Number of mask rows of all entries of the batch.
    pub fn rows(&self) -> usize {
        self.entries * self.per_entry
    }

    /// Returns the contiguous ranges of rows of an entry, as (first row, number of rows).
    fn stretches(self, entry: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        let (count, len) = if self.interleaved { (self.per_entry, 1) } else { (1, self.per_entry) };
        (0..count).map(move |i| {
            (if self.interleaved { i * self.entries + entry } else { entry * self.per_entry }, len)
        })
    }
}

/// Turns the gradient with respect to a clip's result into the gradient with respect to its operand, in
/// place.
///
/// `dy` is the gradient of an objective that is to be maximized, with the rows that `rows` describes. Masks
/// have a row of [`mask_words`] words for each row of `dy`, as [`apply_clip`] records them. A missing mask
/// stops no gradient.
///
/// [`ReluRule::Redirected`] in detail: if the exact gradient of an entry is zero everywhere, the entry's
/// gradient passes as it is. The exceptions: where `below` is set only positive values pass, and where
/// `above` is set only negative ones.
///
/// # Panics
/// If a slice has the wrong length.
pub fn clip_gradient(
    isa: Isa,
    rule: ReluRule,
    rows: MaskRows,
    dy: &mut [f32],
    below: Option<&[u32]>,
    above: Option<&[u32]>,
) {
    let MaskRows { entries, row_len, .. } = rows;
    assert_eq!(dy.len(), rows.rows() * row_len, "gradient of {rows:?}");
    for mask in [below, above].into_iter().flatten() {
        assert_eq!(mask.len(), rows.rows() * mask_words(row_len), "words of a mask of {rows:?}");
    }
    if rule != ReluRule::Redirected {
        return pass(isa, rule, false, rows.rows(), row_len, dy, below, above);
    }
    let words = mask_words(row_len);
    for entry in 0..entries {
        let redirect = !rows.stretches(entry).any(|(first, count)| {
            let [below, above] =
                [below, above].map(|mask| mask.map(|mask| &mask[first * words..(first + count) * words]));
            anything_passes(count, row_len, &dy[first * row_len..(first + count) * row_len], below, above)
        });
        for (first, count) in rows.stretches(entry) {
            let [below, above] =
                [below, above].map(|mask| mask.map(|mask| &mask[first * words..(first + count) * words]));
            let dy = &mut dy[first * row_len..(first + count) * row_len];
            pass(isa, rule, redirect, count, row_len, dy, below, above);
        }
    }
}

/// Whether any element of the gradient is not zero under the exact rule.
fn anything_passes(
    rows: usize,
    row_len: usize,
    dy: &[f32],
    below: Option<&[u32]>,
    above: Option<&[u32]>,
) -> bool {
    let words = mask_words(row_len);
    (0..rows).any(|row| {
        dy[row * row_len..(row + 1) * row_len].chunks(MASK_BITS).enumerate().any(|(word, dy)| {
            let [below, above] = [below, above].map(|mask| mask.map_or(0, |mask| mask[row * words + word]));
            let stopped = below | above;
            dy.iter().enumerate().any(|(bit, &dy)| dy != 0.0 && stopped >> bit & 1 == 0)
        })
    })
}

fn pass(
    isa: Isa,
    rule: ReluRule,
    redirect: bool,
    rows: usize,
    row_len: usize,
    dy: &mut [f32],
    below: Option<&[u32]>,
    above: Option<&[u32]>,
) {
    each_piece(rows, row_len, dy, |mask_start, piece| {
        let words = mask_start..mask_start + mask_words(piece.len());
        let [below, above] = [below, above].map(|mask| mask.map_or(&[][..], |mask| &mask[words.clone()]));
        match rule {
            ReluRule::Exact => scale_masked(isa, piece, below, above, 0.0),
            ReluRule::Leaky(slope) => scale_masked(isa, piece, below, above, slope),
            ReluRule::Redirected if redirect => turn_back(isa, piece, below, above),
            ReluRule::Redirected => scale_masked(isa, piece, below, above, 0.0),
            ReluRule::Guided => {
                scale_masked(isa, piece, below, above, 0.0);
                keep_positive(piece);
            }
            ReluRule::Deconv => keep_positive(piece),
        }
    });
}

/// Returns a word of a mask, or 0 if the mask is missing (empty).
#[inline(always)]
fn word(mask: &[u32], index: usize) -> u32 {
    mask.get(index).copied().unwrap_or(0)
}

multiversion! {
    /// Multiplies the gradient by `slope` where a mask is set. A slope of 0 gives 0 for any gradient, NaN
    /// included.
    fn scale_masked(dy: &mut [f32], below: &[u32], above: &[u32], slope: f32) {
        for (index, dy) in dy.chunks_mut(MASK_BITS).enumerate() {
            let stopped = word(below, index) | word(above, index);
            for (bit, dy) in dy.iter_mut().enumerate() {
                let scaled = if slope == 0.0 { 0.0 } else { *dy * slope };
                *dy = if stopped & (1 << bit) == 0 { *dy } else { scaled };
            }
        }
    }
}

multiversion! {
    /// Sets to 0 every gradient that would push its activation further below or above the clip.
    fn turn_back(dy: &mut [f32], below: &[u32], above: &[u32]) {
        for (index, dy) in dy.chunks_mut(MASK_BITS).enumerate() {
            let (below, above) = (word(below, index), word(above, index));
            for (bit, dy) in dy.iter_mut().enumerate() {
                let (down, up) = (below & (1 << bit) != 0, above & (1 << bit) != 0);
                let further = down & (*dy <= 0.0) | up & (*dy >= 0.0);
                *dy = if further { 0.0 } else { *dy };
            }
        }
    }
}

fn keep_positive(dy: &mut [f32]) {
    dy.iter_mut().for_each(|dy| *dy = if *dy > 0.0 { *dy } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::clip::clip;
    use crate::kernels::testing::{in_pool, numbers};

    #[test]
    fn maps_equal_the_plain_loop_on_slices_shorter_and_longer_than_a_chunk() {
        for len in [0, 1, 31, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let (a, b) = (numbers(len, 1), numbers(len, 2));
            let mut results = [b.clone(), b.clone(), b.clone()];
            let [mapped, zipped, added] = &mut results;
            map(&a, mapped, |x| x * 2.0);
            zip(&a, &b, zipped, |x, y| x - y);
            zip_accumulate(&a, &b, added, |x, y| x * y);
            for i in 0..len {
                let expected = [a[i] * 2.0, a[i] - b[i], b[i] + a[i] * b[i]];
                assert_eq!([0, 1, 2].map(|r| results[r][i]), expected, "length {len} at {i}");
            }
        }
    }

    /// Shapes of activation masks in the tests: rows for each batch entry, and elements in a row.
    const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 31), (2, 32), (5, 49), (300, 33), (2, 2 * CHUNK + 5)];

    fn bit(mask: &[u32], row_len: usize, i: usize) -> bool {
        mask[i / row_len * mask_words(row_len) + i % row_len / 32] >> (i % row_len % 32) & 1 == 1
    }

    #[test]
    fn a_clip_clips_and_records_what_it_stopped() {
        for isa in Isa::available() {
            for (rows, row_len) in SHAPES {
                let source = numbers(rows * row_len, 1);
                let run = |threads| {
                    let mut y = source.clone();
                    let mut masks =
                        [vec![!0; rows * mask_words(row_len)], vec![!0; rows * mask_words(row_len)]];
                    let [below, above] = &mut masks;
                    in_pool(threads, || {
                        apply_clip(isa, rows, row_len, &mut y, -0.5, 0.25, Some(below), Some(above))
                    });
                    (y, masks)
                };
                let (y, [below, above]) = run(1);
                assert_eq!(run(3), (y.clone(), [below.clone(), above.clone()]));
                for (i, &x) in source.iter().enumerate() {
                    let found = (y[i], bit(&below, row_len, i), bit(&above, row_len, i));
                    let expected = (clip(x, -0.5, 0.25), x <= -0.5, x >= 0.25);
                    assert_eq!(found, expected, "{isa:?}, {rows} rows of {row_len}, at {i}");
                }
            }
        }
    }

    /// The rules for a single element. `stuck` says that the exact rule passes nothing for the entry.
    fn reference_rule(rule: ReluRule, stuck: bool, dy: f32, below: bool, above: bool) -> f32 {
        let exact = if below || above { 0.0 } else { dy };
        match rule {
            ReluRule::Exact => exact,
            ReluRule::Redirected if stuck => match (below, above) {
                (true, _) if dy <= 0.0 => 0.0,
                (_, true) if dy >= 0.0 => 0.0,
                _ => dy,
            },
            ReluRule::Redirected => exact,
            ReluRule::Leaky(slope) => {
                if below || above {
                    dy * slope
                } else {
                    dy
                }
            }
            ReluRule::Guided => exact.max(0.0),
            ReluRule::Deconv => dy.max(0.0),
        }
    }

    #[test]
    fn every_rule_equals_its_definition_with_and_without_masks() {
        let rules = [
            ReluRule::Exact,
            ReluRule::Redirected,
            ReluRule::Leaky(0.25),
            ReluRule::Guided,
            ReluRule::Deconv,
        ];
        let mut failures = Vec::new();
        for isa in Isa::available() {
            for (rows, row_len) in SHAPES {
                // Entry 0 has a few active units, entry 1 has none, and entry 2 has active units with zero
                // gradient.
                let size = rows * row_len;
                let words = rows * mask_words(row_len);
                let mut dy = numbers(3 * size, 1);
                let mut below: Vec<u32> = numbers(3 * words, 2).iter().map(|v| v.to_bits() << 9).collect();
                let above: Vec<u32> = below.iter().map(|word| !word & 0x0F0F_3333).collect();
                for (word, above) in below[words..].iter_mut().zip(&above[words..]) {
                    *word = !above;
                }
                below[2 * words] &= !1;
                dy[2 * size] = 0.0;
                for rule in rules {
                    for (with_below, with_above) in
                        [(true, true), (true, false), (false, true), (false, false)]
                    {
                        let masks = [with_below.then_some(&below[..]), with_above.then_some(&above[..])];
                        let run = |threads| {
                            let mut found = dy.clone();
                            let [below, above] = masks;
                            in_pool(threads, || {
                                let rows =
                                    MaskRows { entries: 3, per_entry: rows, row_len, interleaved: false };
                                clip_gradient(isa, rule, rows, &mut found, below, above)
                            });
                            found
                        };
                        let found = run(1);
                        let stopped = |i: usize| masks.map(|m| m.is_some_and(|m| bit(m, row_len, i)));
                        let stuck: Vec<bool> = (0..3)
                            .map(|e| {
                                (e * size..(e + 1) * size).all(|i| stopped(i) != [false; 2] || dy[i] == 0.0)
                            })
                            .collect();
                        let wrong = (0..3 * size).find(|&i| {
                            let [below, above] = stopped(i);
                            found[i] != reference_rule(rule, stuck[i / size], dy[i], below, above)
                        });
                        if wrong.is_some() || run(3) != found {
                            let masks = (with_below, with_above);
                            failures.push(format!(
                                "{isa:?} {rule:?} {rows} rows of {row_len}, masks {masks:?}: {wrong:?}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
