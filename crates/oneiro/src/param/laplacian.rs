//! A parametrization by a pyramid of images (Lucid, `optvis/param/spatial.py`, `laplacian_pyramid_image`).
//!
//! The parameters are `[C, H/2ⁿ, W/2ⁿ]` for n = levels − 1, …, 0, the lowest resolution first;
//!
//! image = squash(M · Σ up(level)),
//!
//! with bilinear upsampling, and M mixing the channels. Steps of equal size on every parameter move low
//! frequencies more than high ones, as with a Fourier parametrization. But each parameter acts at one place.

use super::colors::Colors;
use super::pyramid::Pyramid;
use super::{INIT_STD, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::color::Decorrelate;
use crate::error::{Error, Result};
use crate::rng::Stream;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

/// Number of levels of Lucid's pyramid.
const LUCID_LEVELS: usize = 4;
/// Most levels. Any further level would be a single pixel even for the largest pictures.
const MAX_LEVELS: usize = 16;

/// Settings of [`Laplacian`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaplacianOptions {
    /// Number of resolutions, from that of the image downwards, each half the previous one.
    pub levels: usize,
    /// Where the decorrelated colours come from.
    pub decorrelate: Decorrelate,
    /// The function that limits values. With [`Squash::Identity`], the mean colour of photographs (or of the
    /// data) is added.
    pub squash: Squash,
    /// Standard deviation of the initial parameters, equal on every level.
    pub init_std: f32,
}

impl Default for LaplacianOptions {
    /// The default is the settings of Lucid.
    fn default() -> LaplacianOptions {
        LaplacianOptions {
            levels: LUCID_LEVELS,
            decorrelate: Decorrelate::Imagenet,
            squash: Squash::Sigmoid,
            init_std: INIT_STD,
        }
    }
}

/// A parametrization with a pyramid for each plane of the image.
#[derive(Debug, Clone)]
pub struct Laplacian {
    extent: Extent,
    options: LaplacianOptions,
    colors: Colors,
    pyramid: Pyramid,
}

impl Laplacian {
    /// Creates the pyramids for an image of this extent.
    ///
    /// # Errors
    ///
    /// If there are no levels or more than 16. Also if colours are to be decorrelated by data, but `sources`
    /// has none for C channels.
    pub fn new(
        extent: impl Into<Extent>,
        options: LaplacianOptions,
        sources: &ParamSources,
    ) -> Result<Laplacian> {
        let extent = extent.into();
        if !(1..=MAX_LEVELS).contains(&options.levels) {
            let needed = format!("a number from 1 to {MAX_LEVELS}");
            return Err(Error::out_of_range(
                "the Laplacian pyramid's number of levels",
                options.levels,
                needed,
            ));
        }
        let colors = Colors::new(extent.channels, options.decorrelate, options.squash, sources)?;
        let factors: Vec<usize> = (0..options.levels).rev().map(|n| 1 << n).collect();
        Ok(Laplacian { extent, options, colors, pyramid: Pyramid::new(extent, &factors) })
    }
}

impl Param for Laplacian {
    fn len(&self) -> usize {
        self.pyramid.len()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        normal_numbers(rng, self.len(), 0.0, self.options.init_std)
    }

    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        let mut image = image.to_vec();
        self.colors.unapply(&mut image);
        self.pyramid.decompose(image)
    }

    fn work(&self) -> Work {
        Work { image: vec![0.0; self.extent.values()], planes: self.pyramid.work(), ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        out.fill(0.0);
        self.pyramid.add(params, &mut work.planes, out);
        self.colors.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        work.image.copy_from_slice(grad_image);
        self.colors.adjoint(&mut work.image, &work.squashed);
        self.pyramid.adjoint(&work.image, &mut work.planes, grad_params);
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    #[test]
    fn gradient_and_way_back() {
        for shape in [[1, 9, 14], [3, 8, 8], [2, 1, 5], [3, 1, 1]] {
            for squash in [Squash::Sigmoid, Squash::Identity] {
                let options = LaplacianOptions { squash, ..LaplacianOptions::default() };
                let param = Laplacian::new(shape, options, &ParamSources::default()).unwrap();
                checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
                checks::assert_way_back(&param, 1e-4);
            }
        }
    }

    #[test]
    fn the_lowest_level_comes_first_and_reaches_the_whole_image() {
        let options = LaplacianOptions {
            decorrelate: Decorrelate::None,
            squash: Squash::Identity,
            ..LaplacianOptions::default()
        };
        let param = Laplacian::new([1, 8, 8], options, &ParamSources::default()).unwrap();
        assert_eq!(param.len(), 1 + 4 + 16 + 64);
        let mut params = vec![0.0; param.len()];
        params[0] = 1.0;
        assert_eq!(checks::image_of(&param, &params), [1.0; 64]);
    }

    #[test]
    fn impossible_counts_of_levels_are_refused() {
        for levels in [0, 17] {
            let options = LaplacianOptions { levels, ..LaplacianOptions::default() };
            let error = Laplacian::new([3, 8, 8], options, &ParamSources::default()).unwrap_err();
            assert!(error.to_string().contains("levels"), "{error}");
        }
    }
}
