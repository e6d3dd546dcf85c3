//! Prepares optical flow for a network: read from files, or computed by TV-L1.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oneiro_media::flow::{Flow, Luminance, TvL1Options, luminance as luminance_of, tvl1};
use oneiro_media::{Filter, Image, MediaError, classify_crop, classify_scale, resize};
use rayon::prelude::*;

use crate::error::Result;
use crate::source::error::SourceError;
use crate::source::framing::kept_share;

/// The largest ratio of the aspect ratios of flow and video. Flow extraction tools round sides: 340×256 for
/// 320×240.
const ASPECT_TOLERANCE: f64 = 1.1;

/// Returns an error unless flow from a file can belong to a video of `total` frames with this height and
/// width. A file may lack the last field, or have one more for the last frame.
///
/// # Errors
/// [`SourceError::Flow`], which says what does not fit.
pub(super) fn check(flow: &Flow, file: &Path, video: &Path, total: usize, size: [usize; 2]) -> Result<()> {
    let aspect = |height: usize, width: usize| width as f64 / height as f64;
    let ratio = aspect(flow.height, flow.width) / aspect(size[0], size[1]);
    let unknown = flow.data.iter().filter(|value| !value.is_finite()).count();
    let why = if unknown > 0 {
        format!("{unknown} of its numbers are not finite; fill them first")
    } else if total > 1 && (flow.frames + 2 < total || flow.frames > total) {
        let (fields, needed) = (flow.frames, total.saturating_sub(1));
        format!(
            "it has {fields} fields, and a video of {total} frames has {needed}: one from each frame to the next"
        )
    } else if !(1.0 / ASPECT_TOLERANCE..=ASPECT_TOLERANCE).contains(&ratio) {
        let [height, width] = size;
        format!("its fields are {}x{}, and the frames {height}x{width}", flow.height, flow.width)
    } else {
        return Ok(());
    };
    let clip = video.display().to_string();
    Err(SourceError::Flow { file: file.to_owned(), clip, why }.into())
}

/// Returns a frame's luminance, scaled down if the network's input is smaller: flow of large frames takes
/// long to compute, and its details would be lost. The scale is that of pictures before the crop.
pub(super) fn luminance(frame: &Image, size: [usize; 2], crop: Option<f64>) -> Result<Luminance> {
    let from = [frame.height, frame.width];
    let (height, width) = scaled(from, size, crop);
    let small;
    let frame = if height * width < frame.height * frame.width {
        small = resize(frame, height, width, Filter::Triangle).map_err(MediaError::from)?;
        &small
    } else {
        frame
    };
    Ok(luminance_of(frame)?.swap_remove(0))
}

/// Returns height and width to which a picture is scaled before the crop.
fn scaled(from: [usize; 2], size: [usize; 2], crop: Option<f64>) -> (usize, usize) {
    classify_scale((from[0], from[1]), size[0], size[1], kept_share(from, size, crop))
}

/// Computes flow fields by TV-L1; field t leads from frame t to frame t + 1. A field whose second frame is
/// missing has no motion.
pub(super) fn computed<'f>(
    wanted: &BTreeSet<usize>,
    frame: impl Fn(usize) -> Option<&'f Luminance> + Sync,
) -> Result<BTreeMap<usize, Flow>, MediaError> {
    let wanted: Vec<usize> = wanted.iter().copied().collect();
    let field = |&t: &usize| -> Result<Option<(usize, Flow)>, MediaError> {
        let Some(from) = frame(t) else { return Ok(None) };
        let flow = match frame(t + 1) {
            Some(to) => tvl1(from, to, &TvL1Options::default())?,
            None => Flow::new(1, from.height, from.width, vec![0.0; 2 * from.data.len()])?,
        };
        Ok(Some((t, flow)))
    };
    let fields = wanted.par_iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(fields.into_iter().flatten().collect())
}

/// Scales and crops flow as [`framed`](crate::source::framing::framed) does with pictures of that size.
/// Vectors are scaled too, each component by the factor of its axis. Returns `[2, T, H, W]`, with u of all
/// fields first.
pub(super) fn framed(flow: &Flow, size: [usize; 2], crop: Option<f64>) -> Result<Image, MediaError> {
    framed_at(flow, size, crop, [flow.height, flow.width])
}

/// Scales and crops flow like [`framed`], but with the crop for a video of another size: [`luminance`] may
/// have scaled the frames down before flow was computed.
pub(super) fn framed_at(
    flow: &Flow,
    size: [usize; 2],
    crop: Option<f64>,
    video: [usize; 2],
) -> Result<Image, MediaError> {
    let from = [flow.height, flow.width];
    let share = kept_share(video, size, crop);
    let (height, width) = classify_scale((from[0], from[1]), size[0], size[1], share);
    let planes = (0..flow.frames).map(|t| flow.u(t)).chain((0..flow.frames).map(|t| flow.v(t)));
    let image = Image::new([2, flow.frames, from[0], from[1]], planes.flatten().copied().collect())?;
    let mut image = classify_crop(&image, size[0], size[1], share)?;
    let half = image.data.len() / 2;
    let (u, v) = image.data.split_at_mut(half);
    for (component, to, from) in [(u, width, from[1]), (v, height, from[0])] {
        if to != from {
            let factor = (to as f64 / from as f64) as f32;
            component.iter_mut().for_each(|pixels| *pixels *= factor);
        }
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a flow field with the same vector everywhere.
    fn even(height: usize, width: usize, [u, v]: [f32; 2]) -> Flow {
        let plane = |value: f32| vec![value; height * width];
        Flow::new(1, height, width, [plane(u), plane(v)].concat()).unwrap()
    }

    #[test]
    fn vectors_are_scaled_with_their_field() {
        let flow = Flow::stack(&[even(10, 20, [2.0, -1.0]), even(10, 20, [4.0, 0.5])]).unwrap();
        let image = framed(&flow, [5, 10], Some(1.0)).unwrap();
        assert_eq!(image.shape(), [2, 2, 5, 10]);
        let values: Vec<f32> = image.data.chunks(50).map(|plane| plane[7]).collect();
        assert_eq!(values, [1.0, 2.0, -0.5, 0.25]);
        // A flow field of the network's input size stays as it is.
        let image = framed(&flow, [10, 20], None).unwrap();
        assert_eq!(image.data[..200], [2.0; 200]);
    }

    #[test]
    fn flow_of_large_frames_is_computed_at_the_networks_scale() {
        let frame = Image::filled(90, 60, [0.5; 3]);
        let small = luminance(&frame, [32, 32], Some(0.8)).unwrap();
        assert_eq!((small.height, small.width), (40, 60));
        let flow = even(40, 60, [1.0, 1.0]);
        // The flow already has the network's scale, so it is only cropped.
        let image = framed_at(&flow, [32, 32], Some(0.8), [60, 90]).unwrap();
        assert!(image.shape() == [2, 32, 32] || image.shape() == [2, 1, 32, 32]);
        assert!(image.data.iter().all(|&value| value == 1.0));
    }

    #[test]
    fn flow_of_another_video_is_refused() {
        let says = |flow: &Flow, total: usize, size: [usize; 2], words: &str| {
            let error = check(flow, Path::new("f.npy"), Path::new("v.gif"), total, size).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        };
        let flow = even(10, 20, [0.0; 2]);
        for total in [1, 2, 3] {
            check(&flow, Path::new("f"), Path::new("v"), total, [20, 40]).unwrap();
        }
        says(&flow, 9, [10, 20], "1 fields");
        says(&flow, 2, [20, 20], "10x20");
        says(&even(2, 2, [f32::NAN, 0.0]), 2, [2, 2], "not finite");
    }
}
