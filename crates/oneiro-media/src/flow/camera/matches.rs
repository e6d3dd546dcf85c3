//! Matches corners of two frames by the correlation of the patches around them.

use super::corners::{Corner, MARGIN};
use super::{CameraOptions, Match};
use crate::flow::Luminance;

/// How many pixels a patch reaches from its centre to each side; corners keep farther from the border.
const REACH: usize = 5;
const _: () = assert!(REACH < MARGIN);
/// Number of pixels in a patch.
const PATCH: usize = (2 * REACH + 1) * (2 * REACH + 1);

/// The pixels of a patch with mean 0 and norm 1, so that the correlation of two patches is their scalar
/// product.
type Patch = [f32; PATCH];

/// Returns the pairs of corners that are each other's best match.
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
    // Best partner so far of each corner, and the correlation with it.
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
    // The norm is above 0, since a patch around a corner is never flat.
    patch.iter_mut().for_each(|value| *value /= length.max(f32::MIN_POSITIVE));
    patch
}
