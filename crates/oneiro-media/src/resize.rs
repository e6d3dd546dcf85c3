//! Resizing and cropping planes of `f32`.
//!
//! When a picture shrinks, the filter widens with the ratio, so that every source pixel counts: what PIL's
//! `Image.resize` and torchvision's `resize(antialias=True)` do, with the same sampling points and weights,
//! only in `f32` throughout, where theirs round to 8 bits after each direction.

use crate::{Image, MediaError, Result};
use oneiro_image::MAX_PIXELS;

/// The share of the resized picture that the classification protocol keeps: ImageNet networks are evaluated
/// on the central 224 of 256 pixels (torchvision's reference transforms).
pub const CLASSIFY_CROP_FRACTION: f64 = 0.875;

/// The interpolation kernel, at the scale of an enlargement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// The mean over the source area of each pixel; nearest neighbour when enlarging. PIL's `BOX`.
    Area,
    /// A triangle two pixels wide. PIL's `BILINEAR`.
    #[default]
    Triangle,
    /// Keys' cubic with a = −0.5 (Keys 1981), four pixels wide; it may overshoot 0–1. PIL's `BICUBIC`.
    Bicubic,
}

impl Filter {
    /// Half the width of the kernel.
    fn support(self) -> f64 {
        match self {
            Filter::Area => 0.5,
            Filter::Triangle => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        /// Keys' parameter: the only one of third order.
        const A: f64 = -0.5;
        let d = x.abs();
        match self {
            Filter::Area if x > -0.5 && x <= 0.5 => 1.0,
            Filter::Triangle if d < 1.0 => 1.0 - d,
            Filter::Bicubic if d < 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
            Filter::Bicubic if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The picture at `height` × `width` pixels, whatever its aspect.
///
/// # Errors
///
/// [`MediaError::Shape`] if either is 0, or the result would have more than 128 megapixels.
pub fn resize(image: &Image, height: usize, width: usize, filter: Filter) -> Result<Image> {
    resize_center(image, (height, width), (height, width), filter)
}

/// The central `window` of the picture resized to `whole` (both height, width). Only the window is computed:
/// a picture one pixel wide and many high would otherwise become enormous before it is cropped. Half a
/// pixel of margin goes to the even side, as in torchvision's `center_crop`.
fn resize_center(
    image: &Image,
    whole: (usize, usize),
    window: (usize, usize),
    filter: Filter,
) -> Result<Image> {
    let data = planes_center(&image.data, (image.height, image.width), whole, window, filter)?;
    Ok(Image { height: window.0, width: window.1, data, ..*image })
}

/// The same for any number of planes of a size (height, width), one after another.
fn planes_center(
    data: &[f32],
    size: (usize, usize),
    whole: (usize, usize),
    window: (usize, usize),
    filter: Filter,
) -> Result<Vec<f32>> {
    let (height, width) = window;
    if height == 0 || width == 0 || height.saturating_mul(width) as u64 > MAX_PIXELS {
        let what = format!(
            "cannot make an image of {width}×{height} pixels; both sides need at least one pixel, and the limit is {} million together",
            MAX_PIXELS / 1_000_000
        );
        return Err(MediaError::Shape { what });
    }
    let start = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as usize;
    let (top, left) = (start(whole.0, height), start(whole.1, width));
    let planes = data.chunks_exact(size.0 * size.1);
    let mut out = Vec::with_capacity(planes.len() * height * width);
    if size == whole {
        for row in planes.flat_map(|plane| plane.chunks_exact(size.1).skip(top).take(height)) {
            out.extend_from_slice(&row[left..left + width]);
        }
        return Ok(out);
    }
    let columns: Vec<Tap> = (left..left + width).map(|x| tap(size.1, whole.1, x, filter)).collect();
    let mut rows: Vec<Tap> = (top..top + height).map(|y| tap(size.0, whole.0, y, filter)).collect();
    // The source rows that matter are those from the first row's first to the last row's last.
    let first = rows[0].first;
    let last = rows.iter().map(|tap| tap.first + tap.weights.len()).max().unwrap_or(first);
    rows.iter_mut().for_each(|tap| tap.first -= first);
    for plane in planes {
        let narrow = along_rows(&plane[first * size.1..last * size.1], size.1, &columns);
        along_columns(&narrow, width, &rows, &mut out);
    }
    Ok(out)
}

/// Scales the picture, aspect kept, until it just covers `height` × `width`, then cuts out the centre.
///
/// # Errors
///
/// [`MediaError::Shape`] if either is 0.
pub fn fit_center_crop(image: &Image, height: usize, width: usize) -> Result<Image> {
    let whole = covering((image.height, image.width), height, width);
    resize_center(image, whole, (height, width), Filter::Triangle)
}

/// The classification protocol: scale the picture, aspect kept, until it just covers `ceil(side / fraction)`
/// both ways (for a square: the shorter side becomes that), then cut out the central `height` × `width`.
/// [`CLASSIFY_CROP_FRACTION`] is usual; 1 is [`fit_center_crop`].
///
/// # Errors
///
/// [`MediaError::Shape`] if a side is 0 or `fraction` is not in (0, 1].
pub fn classify_crop(image: &Image, height: usize, width: usize, fraction: f64) -> Result<Image> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        let what = format!("the crop fraction is {fraction}; it must be above 0 and at most 1");
        return Err(MediaError::Shape { what });
    }
    let whole = classify_scale((image.height, image.width), height, width, fraction);
    resize_center(image, whole, (height, width), Filter::Triangle)
}

/// The size (height, width) to which [`classify_crop`] scales a picture of this size before it cuts.
pub fn classify_scale(size: (usize, usize), height: usize, width: usize, fraction: f64) -> (usize, usize) {
    /// Keeps `224 / 0.875` at 256 whatever the rounding.
    const SLACK: f64 = 1e-9;
    let enlarged = |side: usize| ((side as f64 / fraction - SLACK).ceil() as usize).max(side);
    covering(size, enlarged(height), enlarged(width))
}

/// The size of the picture, aspect kept, that covers `height` × `width`: one side exact, the other rounded
/// down, as torchvision's `Resize` does.
fn covering(size: (usize, usize), height: usize, width: usize) -> (usize, usize) {
    if size.0 as u128 * width as u128 >= size.1 as u128 * height as u128 {
        (scaled(size.0, width, size.1).max(height), width)
    } else {
        (height, scaled(size.1, height, size.0).max(width))
    }
}

/// `side * numerator / denominator`, rounded down.
fn scaled(side: usize, numerator: usize, denominator: usize) -> usize {
    (side as u128 * numerator as u128 / denominator as u128) as usize
}

/// Which source pixels make one target pixel: `weights[i]` of pixel `first + i`. The weights sum to 1.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

fn tap(source: usize, target: usize, i: usize, filter: Filter) -> Tap {
    let ratio = source as f64 / target as f64;
    let stretch = ratio.max(1.0);
    let support = filter.support() * stretch;
    let center = (i as f64 + 0.5) * ratio;
    let first = (center - support + 0.5).max(0.0) as usize;
    let last = ((center + support + 0.5) as usize).min(source);
    let weight = |x: usize| filter.weight((x as f64 - center + 0.5) / stretch);
    let weights: Vec<f64> = (first..last).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    Tap { first, weights: weights.iter().map(|weight| (weight / sum) as f32).collect() }
}

fn along_rows(plane: &[f32], width: usize, taps: &[Tap]) -> Vec<f32> {
    let mut out = Vec::with_capacity(plane.len() / width * taps.len());
    for row in plane.chunks_exact(width) {
        out.extend(taps.iter().map(|tap| {
            let pixels = &row[tap.first..tap.first + tap.weights.len()];
            pixels.iter().zip(&tap.weights).map(|(value, weight)| value * weight).sum::<f32>()
        }));
    }
    out
}

/// Appends the resized plane to `out`: whole rows are added up, which compilers turn into vector code.
fn along_columns(plane: &[f32], width: usize, taps: &[Tap], out: &mut Vec<f32>) {
    for tap in taps {
        let start = out.len();
        out.resize(start + width, 0.0);
        let sum = &mut out[start..];
        for (row, &weight) in plane[tap.first * width..].chunks_exact(width).zip(&tap.weights) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
}

#[cfg(test)]
mod tests;
