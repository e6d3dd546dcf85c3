//! Resizes and crops planes of `f32`, with the crate `fast_image_resize`.
//!
//! When a picture shrinks, the filter widens with the ratio, so that every source pixel counts. PIL's
//! `Image.resize` and torchvision's `resize(antialias=True)` do so too, with the same sampling points and
//! weights. Sums are in `f64` and rounded to `f32` after each direction, as in PIL's mode F. Nothing is
//! rounded to 8 bits.
//!
//! *Rationale*: four planes are resized together, as pixels with four lanes. Only this float format of
//! `fast_image_resize` sums its lanes in the same order on every instruction set. Results are thus equal, bit
//! for bit, with and without AVX2. With single planes or three lanes, about 3 of a million values differ.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Image, MAX_PIXELS, ShapeError};

/// How many planes are resized together.
const LANES: usize = 4;

/// The share of the scaled picture that the classification protocol keeps. ImageNet networks are evaluated on
/// the central 224 of 256 pixels (torchvision's reference transforms).
pub const CLASSIFY_CROP_FRACTION: f64 = 0.875;

/// The interpolation filter. Widths are those for enlarging; for shrinking, a filter widens with the ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    /// The filter's name in `fast_image_resize`.
    fn algorithm(self) -> ResizeAlg {
        ResizeAlg::Convolution(match self {
            Filter::Area => FilterType::Box,
            Filter::Triangle => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
        })
    }
}

/// Resizes the picture to `height` × `width` pixels, without keeping its aspect ratio.
///
/// # Errors
///
/// [`ShapeError`] if either is 0, or the result would have more than 128 megapixels.
pub fn resize(image: &Image, height: usize, width: usize, filter: Filter) -> Result<Image, ShapeError> {
    resize_center(image, (height, width), (height, width), filter)
}

/// Resizes the picture to `whole` (height, width), but computes only its central `window`. Otherwise a
/// picture one pixel wide and many pixels high would become enormous before it is cropped. If a margin is
/// odd, the window is placed as by torchvision's `center_crop`.
fn resize_center(
    image: &Image,
    whole: (usize, usize),
    window: (usize, usize),
    filter: Filter,
) -> Result<Image, ShapeError> {
    let (height, width) = window;
    if height == 0 || width == 0 || height.saturating_mul(width) as u64 > MAX_PIXELS {
        return Err(ShapeError(format!(
            "cannot make an image of {width}×{height} pixels; both sides need at least one pixel, and the limit is {} million together",
            MAX_PIXELS / 1_000_000
        )));
    }
    let start = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as usize;
    let (top, left) = (start(whole.0, height), start(whole.1, width));
    if (image.height, image.width) == whole {
        return image.crop(left, top, width, height);
    }
    let rows = source_span(image.height, whole.0, top, height);
    let columns = source_span(image.width, whole.1, left, width);
    let options = ResizeOptions::new()
        .resize_alg(filter.algorithm())
        .use_alpha(false)
        .crop(columns.0, rows.0, columns.1, rows.1);
    let refused = |error: &dyn std::fmt::Display| {
        ShapeError(format!(
            "cannot resize an image of {}×{} to {width}×{height} pixels: {error}",
            image.width, image.height
        ))
    };
    let side = |side: usize| u32::try_from(side).map_err(|error| refused(&error));
    let (from_height, from_width) = (side(image.height)?, side(image.width)?);
    let (to_height, to_width) = (side(height)?, side(width)?);
    let pixels = image.height * image.width;
    let mut resizer = Resizer::new();
    let mut data = Vec::with_capacity(image.data.len() / pixels * height * width);
    for planes in image.data.chunks(LANES * pixels) {
        let lanes = interleave(planes, pixels);
        let source = TypedImageRef::new(from_width, from_height, &lanes).map_err(|error| refused(&error))?;
        let mut target = TypedImage::<F32x4>::new(to_width, to_height);
        resizer.resize_typed(&source, &mut target, &options).map_err(|error| refused(&error))?;
        for lane in 0..planes.len() / pixels {
            data.extend(target.pixels().iter().map(|pixel| pixel.0[lane]));
        }
    }
    Ok(Image { height, width, data, ..*image })
}

/// Returns where the pixels `first` to `first + count`, of a side with `whole` pixels, lie on the source's
/// side: their start and length in source pixels.
fn source_span(source: usize, whole: usize, first: usize, count: usize) -> (f64, f64) {
    let at = |target: usize| target as f64 * source as f64 / whole as f64;
    // The length is computed as a difference, so that start plus length never exceeds the source's side.
    (at(first), at(count).min(source as f64 - at(first)))
}

/// Combines one to [`LANES`] planes into pixels; missing lanes repeat the first plane.
fn interleave(planes: &[f32], pixels: usize) -> Vec<F32x4> {
    let plane = |lane: usize| planes.chunks_exact(pixels).nth(lane).unwrap_or(&planes[..pixels]);
    let colors = plane(0).iter().zip(plane(1)).zip(plane(2).iter().zip(plane(3)));
    colors.map(|((a, b), (c, d))| F32x4::new([*a, *b, *c, *d])).collect()
}

/// Scales the picture, with its aspect ratio kept, until it just covers `height` × `width`, then cuts out the
/// centre.
///
/// # Errors
///
/// [`ShapeError`] if either is 0.
pub fn fit_center_crop(image: &Image, height: usize, width: usize) -> Result<Image, ShapeError> {
    let whole = covering((image.height, image.width), height, width);
    resize_center(image, whole, (height, width), Filter::Triangle)
}

/// Crops as the classification protocol does. The picture is scaled, with its aspect ratio kept, until it
/// just covers `ceil(side / fraction)` in both directions. Then the central `height` × `width` pixels are cut
/// out. The usual fraction is [`CLASSIFY_CROP_FRACTION`]; 1 gives [`fit_center_crop`].
///
/// # Errors
///
/// [`ShapeError`] if a side is 0 or `fraction` is not in (0, 1].
pub fn classify_crop(image: &Image, height: usize, width: usize, fraction: f64) -> Result<Image, ShapeError> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        let what = format!("the crop fraction is {fraction}; it must be above 0 and at most 1");
        return Err(ShapeError(what));
    }
    let whole = classify_scale((image.height, image.width), height, width, fraction);
    resize_center(image, whole, (height, width), Filter::Triangle)
}

/// Returns the size (height, width) to which [`classify_crop`] scales a picture of this size before cropping.
pub fn classify_scale(size: (usize, usize), height: usize, width: usize, fraction: f64) -> (usize, usize) {
    /// Tolerance that keeps `224 / 0.875` at 256 despite rounding.
    const SLACK: f64 = 1e-9;
    let enlarged = |side: usize| ((side as f64 / fraction - SLACK).ceil() as usize).max(side);
    covering(size, enlarged(height), enlarged(width))
}

/// Returns the picture's size, with its aspect ratio kept, that covers `height` × `width`. One side is exact;
/// the other is rounded down, as by torchvision's `Resize`.
fn covering(size: (usize, usize), height: usize, width: usize) -> (usize, usize) {
    if size.0 as u128 * width as u128 >= size.1 as u128 * height as u128 {
        (scaled(size.0, width, size.1).max(height), width)
    } else {
        (height, scaled(size.1, height, size.0).max(width))
    }
}

/// Returns `side * numerator / denominator`, rounded down.
fn scaled(side: usize, numerator: usize, denominator: usize) -> usize {
    (side as u128 * numerator as u128 / denominator as u128) as usize
}

#[cfg(test)]
mod tests;
