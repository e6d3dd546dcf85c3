//! Images of a batch that share low resolutions (Lucid's notebook on aligned interpolation, `lowres_tensor`).
//! Large shapes are at the same place in all images, and each image adds its own detail.
//!
//! The parameters are `[C, H/k, W/k]` for each factor k, in the order of [`SharedOptions::factors`], and then
//! those of the detail. The detail is a half spectrum as in [`Fourier`](super::Fourier), or one number for
//! each value of the image. With t the detail's plane before colours are mixed,
//!
//! image = squash(M · (weight · Σ up(low resolution) + t)).
//!
//! The low resolutions are the parameters that [`Param::shared`] names.

use super::colors::Colors;
use super::fourier::{Fourier, FourierOptions};
use super::pyramid::Pyramid;
use super::{INIT_STD, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::color::Decorrelate;
use crate::error::{Error, Result};
use crate::rng::Stream;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The parameters that each image of a batch has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Detail {
    /// A half spectrum that is scaled by frequency, with Lucid's decay and divisor.
    #[default]
    Fourier,
    /// One number for each value of the image.
    Pixel,
    /// No detail: all images are equal and blurred.
    None,
}

/// Settings of [`Shared`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedOptions {
    /// Ratio of the image's size to that of each shared tensor.
    pub factors: Vec<usize>,
    /// The weight of the shared tensors. Above 1, more of an image is shared.
    pub weight: f32,
    /// The parameters that each image has for itself.
    pub detail: Detail,
    /// Where the decorrelated colours come from.
    pub decorrelate: Decorrelate,
    /// The function that limits values. With [`Squash::Identity`], the mean colour of photographs (or of the
    /// data) is added.
    pub squash: Squash,
    /// Standard deviation of the initial parameters.
    pub init_std: f32,
}

impl Default for SharedOptions {
    /// A quarter and an eighth of the side, coarse enough to leave the texture to each image. The detail is a
    /// spectrum, in which all frequencies start as strong as in photographs.
    fn default() -> SharedOptions {
        SharedOptions {
            factors: vec![4, 8],
            weight: 1.0,
            detail: Detail::Fourier,
            decorrelate: Decorrelate::Imagenet,
            squash: Squash::Sigmoid,
            init_std: INIT_STD,
        }
    }
}

/// A parametrization with shared low resolutions, and detail for each image.
#[derive(Debug, Clone)]
pub struct Shared {
    extent: Extent,
    options: SharedOptions,
    colors: Colors,
    pyramid: Pyramid,
    /// The parametrization of the spectrum, without mixing and squash.
    fourier: Option<Fourier>,
}

impl Shared {
    /// Creates the parametrization for images of this extent.
    ///
    /// # Errors
    ///
    /// If a factor is 0, there is nothing to optimise, or the weight is 0 or not finite. Also if colours are
    /// to be decorrelated by data, but `sources` has none for C channels.
    pub fn new(extent: impl Into<Extent>, options: SharedOptions, sources: &ParamSources) -> Result<Shared> {
        let extent = extent.into();
        let wrong = |text: &str| Err(Error::Settings(format!("shared low resolutions: {text}")));
        if options.factors.contains(&0) {
            return wrong("a factor is 0; 1 is the size of the image");
        }
        if options.factors.is_empty() && options.detail == Detail::None {
            return wrong("there are neither factors nor detail; give one of them");
        }
        if !options.weight.is_finite() || options.weight == 0.0 {
            return wrong("the weight must be a number other than 0");
        }
        let colors = Colors::new(extent.channels, options.decorrelate, options.squash, sources)?;
        let fourier = (options.detail == Detail::Fourier).then(|| {
            let plain = FourierOptions {
                decorrelate: Decorrelate::None,
                squash: Squash::Identity,
                init_std: options.init_std,
                ..FourierOptions::default()
            };
            let mixing = crate::color::Mixing::identity(extent.channels);
            Fourier::with_colors(
                extent,
                plain,
                Colors::with_mixing(mixing, vec![0.0; extent.channels], Squash::Identity),
            )
        });
        let pyramid = Pyramid::new(extent, &options.factors);
        Ok(Shared { extent, options, colors, pyramid, fourier })
    }

    fn pixels(&self) -> usize {
        self.extent.values()
    }

    fn detail_len(&self) -> usize {
        match (&self.fourier, self.options.detail) {
            (Some(fourier), _) => fourier.len(),
            (None, Detail::Pixel) => self.pixels(),
            (None, _) => 0,
        }
    }
}

impl Param for Shared {
    fn len(&self) -> usize {
        self.pyramid.len() + self.detail_len()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn shared(&self) -> Range<usize> {
        0..self.pyramid.len()
    }

    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32> {
        let mut params = normal_numbers(shared, self.pyramid.len(), 0.0, self.options.init_std);
        params.extend(normal_numbers(rng, self.detail_len(), 0.0, self.options.init_std));
        params
    }

    /// The whole image becomes detail, so that the shared part is equal for every image.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        let mut image = image.to_vec();
        self.colors.unapply(&mut image);
        let detail = match (&self.fourier, self.options.detail) {
            (Some(fourier), _) => fourier.from_image(&image)?,
            (None, Detail::Pixel) => image,
            (None, _) => return None,
        };
        let mut params = vec![0.0; self.pyramid.len()];
        params.extend(detail);
        Some(params)
    }

    fn work(&self) -> Work {
        // The planes of the pyramid, and one more for the detail.
        let mut planes = self.pyramid.work();
        planes.push(self.fourier.as_ref().map(Param::work).unwrap_or_default());
        Work { image: vec![0.0; self.pixels()], planes, ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        let (low, detail) = params.split_at(self.pyramid.len());
        let [planes @ .., of_detail] = &mut work.planes[..] else { return };
        out.fill(0.0);
        self.pyramid.add(low, planes, out);
        let weight = self.options.weight;
        let mut add = |detail: &[f32]| out.iter_mut().zip(detail).for_each(|(o, d)| *o = weight * *o + d);
        match (&self.fourier, self.options.detail) {
            (Some(fourier), _) => {
                fourier.image(detail, of_detail, &mut work.image);
                add(&work.image);
            }
            (None, Detail::Pixel) => add(detail),
            (None, _) => out.iter_mut().for_each(|o| *o *= weight),
        }
        self.colors.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let (low, detail) = grad_params.split_at_mut(self.pyramid.len());
        let [planes @ .., of_detail] = &mut work.planes[..] else { return };
        let gradient = &mut work.image;
        gradient.copy_from_slice(grad_image);
        self.colors.adjoint(gradient, &work.squashed);
        match &self.fourier {
            // The detail has no mixing and squash, so its adjoint does not depend on its parameters.
            Some(fourier) => fourier.adjoint(&[], of_detail, gradient, detail),
            None if self.options.detail == Detail::Pixel => detail.copy_from_slice(gradient),
            None => {}
        }
        self.pyramid.adjoint(gradient, planes, low);
        low.iter_mut().for_each(|g| *g *= self.options.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    fn shared(shape: [usize; 3], detail: Detail, weight: f32) -> Shared {
        let options = SharedOptions { detail, weight, ..SharedOptions::default() };
        Shared::new(shape, options, &ParamSources::default()).unwrap()
    }

    #[test]
    fn gradient_and_way_back() {
        for shape in [[3, 17, 8], [1, 5, 4], [2, 1, 1]] {
            for detail in [Detail::Fourier, Detail::Pixel, Detail::None] {
                let param = shared(shape, detail, 1.5);
                checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
                match detail {
                    Detail::None => assert!(param.from_image(&vec![0.5; param.pixels()]).is_none()),
                    _ => checks::assert_way_back(&param, 1e-4),
                }
            }
        }
    }

    #[test]
    fn the_shared_range_starts_from_the_second_stream_alone() {
        let param = shared([3, 16, 16], Detail::Fourier, 1.0);
        let start = |own: u64| param.init(&mut Stream::new(own, 0), &mut Stream::new(9, 9));
        let (a, b) = (start(1), start(2));
        let range = param.shared();
        assert_eq!(range, 0..3 * (16 + 4));
        assert_eq!(a[range.clone()], b[range.clone()]);
        assert!(a[range.end..].iter().zip(&b[range.end..]).all(|(a, b)| a != b));
    }

    #[test]
    fn a_change_of_the_shared_range_moves_every_image_alike() {
        let options = SharedOptions { squash: Squash::Identity, ..SharedOptions::default() };
        let param = Shared::new([3, 16, 16], options, &ParamSources::default()).unwrap();
        let moved = |own: u64| {
            let params = param.init(&mut Stream::new(own, 0), &mut Stream::new(9, 9));
            let mut other = params.clone();
            other[param.shared()].iter_mut().for_each(|v| *v += 0.5);
            let (a, b) = (checks::image_of(&param, &params), checks::image_of(&param, &other));
            a.iter().zip(&b).map(|(a, b)| b - a).collect::<Vec<f32>>()
        };
        let (a, b) = (moved(1), moved(2));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(a.iter().any(|v| v.abs() > 0.1));
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for options in [
            SharedOptions { factors: vec![4, 0], ..SharedOptions::default() },
            SharedOptions { factors: vec![], detail: Detail::None, ..SharedOptions::default() },
            SharedOptions { weight: 0.0, ..SharedOptions::default() },
        ] {
            assert!(Shared::new([3, 8, 8], options, &ParamSources::default()).is_err());
        }
    }
}
