//! Matches of corners by the correlation of the patches around them.

use super::corners::{Corner, MARGIN};
use super::{CameraOptions, Match};
use crate::flow::Luminance;

/// Pixels of a patch on each side of its middle; corners keep this far from the border.
const REACH: usize = 5;
const _: () = assert!(REACH < MARGIN);
/// Pixels of a patch.
const PATCH: usize = (2 * REACH + 1) * (2 * REACH + 1);

/// A patch of mean 0 and length 1, so that a correlation is a scalar product.
type Patch = [f32; PATCH];

/// Pairs of corners each of which is the best for the other.
pub(super) fn matches(
    a: &Luminance,
    from: &[Corner],
    b: &Luminance,
    to: &[Corner],
    options: &CameraOptions,
) -> Vec<Match> {
    let patches = |frame: &Luminance, corners: &[Corner]| -> Vec<Patch> {
        corners.iter().map(|corner| patch(frame, corner)).collect()
    };
    let (from_patches, to_patches) = (patches(a, from), patches(b, to));
    // The best partner of each corner so far, with the correlation.
    let mut best_to: Vec<Option<(usize, f32)>> = vec![None; from.len()];
    let mut best_from: Vec<Option<(usize, f32)>> = vec![None; to.len()];
    for (i, corner) in from.iter().enumerate() {
        for (j, other) in to.iter().enumerate() {
            let apart = |a: usize, b: usize| a.abs_diff(b) as f32;
            if apart(corner.x, other.x).hypot(apart(corner.y, other.y)) > options.reach {
                continue;
            }
            let correlation: f32 = from_patches[i].iter().zip(&to_patches[j]).map(|(a, b)| a * b).sum();
            let better = |best: &Option<(usize, f32)>| best.is_none_or(|(_, least)| correlation > least);
            if better(&best_to[i]) {
                best_to[i] = Some((j, correlation));
            }
            if better(&best_from[j]) {
                best_from[j] = Some((i, correlation));
            }
        }
    }
    let mutual = best_to.iter().enumerate().filter_map(|(i, best)| {
        let (j, correlation) = (*best)?;
        let (back, _) = best_from[j]?;
        (back == i && correlation >= options.correlation).then(|| Match::new(from[i].exact, to[j].exact))
    });
    mutual.collect()
}

fn patch(frame: &Luminance, corner: &Corner) -> Patch {
    let mut patch = [0.0; PATCH];
    let rows = corner.y - REACH..=corner.y + REACH;
    for (row, values) in rows.zip(patch.chunks_exact_mut(2 * REACH + 1)) {
        values.copy_from_slice(&frame.data[row * frame.width + corner.x - REACH..][..2 * REACH + 1]);
    }
    let mean = patch.iter().sum::<f32>() / PATCH as f32;
    patch.iter_mut().for_each(|value| *value -= mean);
    let length = patch.iter().map(|value| value * value).sum::<f32>().sqrt();
    // A corner has a gradient, so no patch is flat.
    patch.iter_mut().for_each(|value| *value /= length.max(f32::MIN_POSITIVE));
    patch
}
