//! Pictures with transparency: an additional channel α, from 0 (transparent) to 1 (opaque).
//!
//! Colours and α have separate parametrizations ([`WithAlpha`]), so that colours are mixed and squashed as
//! without α. α is one plane without mixing and mean. A sigmoid keeps it in 0–1, starting near .5. The
//! network sees the picture over a background ([`composite`]).

use super::{Param, Work, check_image};
use crate::error::{Error, Result};
use crate::rng::Stream;
use oneiro_image::Extent;
use std::ops::Range;

/// Colour and transparency. The image has one more channel than the colour: α is the last one. The parameters
/// are those of the colour, then those of α.
#[derive(Debug)]
pub struct WithAlpha {
    color: Box<dyn Param>,
    alpha: Box<dyn Param>,
}

impl WithAlpha {
    /// Combines a parametrization of colour with one of α. `alpha` must have one channel and the frames,
    /// height and width of `color`.
    ///
    /// # Errors
    ///
    /// If the sizes differ, `alpha` has several channels, or it shares parameters within a batch.
    pub fn new(color: Box<dyn Param>, alpha: Box<dyn Param>) -> Result<WithAlpha> {
        let (plane, of_alpha) = (color.extent().with_channels(1), alpha.extent());
        if of_alpha != plane {
            return Err(Error::Settings(format!(
                "transparency of {of_alpha} values for a picture whose channels have {plane}; it needs one channel like these"
            )));
        }
        if !alpha.shared().is_empty() {
            return Err(Error::Settings(
                "the transparency cannot be shared over a batch; choose another parametrization for it"
                    .into(),
            ));
        }
        Ok(WithAlpha { color, alpha })
    }

    /// Number of values in the image without its opacity channel.
    fn colored(&self) -> usize {
        self.color.extent().values()
    }
}

impl Param for WithAlpha {
    fn len(&self) -> usize {
        self.color.len() + self.alpha.len()
    }

    fn extent(&self) -> Extent {
        let color = self.color.extent();
        color.with_channels(color.channels + 1)
    }

    fn shared(&self) -> Range<usize> {
        self.color.shared()
    }

    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32> {
        let mut params = self.color.init(rng, shared);
        params.extend(self.alpha.init(rng, shared));
        params
    }

    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent());
        let (color, alpha) = image.split_at(self.colored());
        let mut params = self.color.from_image(color)?;
        params.extend(self.alpha.from_image(alpha)?);
        Some(params)
    }

    fn work(&self) -> Work {
        Work { planes: vec![self.color.work(), self.alpha.work()], ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        let (of_color, of_alpha) = params.split_at(self.color.len());
        let (color, alpha) = out.split_at_mut(self.colored());
        self.color.image(of_color, &mut work.planes[0], color);
        self.alpha.image(of_alpha, &mut work.planes[1], alpha);
    }

    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let (of_color, of_alpha) = params.split_at(self.color.len());
        let (color, alpha) = grad_image.split_at(self.colored());
        let (grad_color, grad_alpha) = grad_params.split_at_mut(self.color.len());
        self.color.adjoint(of_color, &mut work.planes[0], color, grad_color);
        self.alpha.adjoint(of_alpha, &mut work.planes[1], alpha, grad_alpha);
    }
}

/// Computes out = α·color + (1 − α)·background, for `image` `[C + 1, H, W]` and `background` `[C, H, W]`.
pub fn composite(image: &[f32], background: &[f32], out: &mut [f32]) {
    let (color, alpha) = parts(image, background);
    assert_eq!(out.len(), background.len(), "the composite has the shape of the background");
    for (((out, color), background), alpha) in
        out.iter_mut().zip(color).zip(background).zip(alpha.iter().cycle())
    {
        *out = background + alpha * (color - background);
    }
}

/// Computes the gradient with respect to `image` from the gradient with respect to its composite with
/// `background`.
pub fn composite_adjoint(image: &[f32], background: &[f32], gradient: &[f32], grad_image: &mut [f32]) {
    let (color, alpha) = parts(image, background);
    assert_eq!((gradient.len(), grad_image.len()), (background.len(), image.len()), "shapes of gradients");
    let plane = alpha.len();
    let (grad_color, grad_alpha) = grad_image.split_at_mut(color.len());
    grad_alpha.fill(0.0);
    let channels =
        gradient.chunks_exact(plane).zip(color.chunks_exact(plane)).zip(background.chunks_exact(plane));
    for (((gradient, color), background), grad_color) in channels.zip(grad_color.chunks_exact_mut(plane)) {
        for at in 0..plane {
            grad_color[at] = alpha[at] * gradient[at];
            grad_alpha[at] += gradient[at] * (color[at] - background[at]);
        }
    }
}

/// Splits an image into colour and α; the background gives the length of the colour.
fn parts<'a>(image: &'a [f32], background: &[f32]) -> (&'a [f32], &'a [f32]) {
    let plane = image.len().saturating_sub(background.len());
    assert!(
        plane > 0 && background.len().is_multiple_of(plane),
        "the image has one channel more than the background"
    );
    image.split_at(background.len())
}

#[cfg(test)]
mod tests {
    use super::super::{
        Fourier, FourierOptions, ParamSources, Pixel, PixelOptions, Squash, checks, normal_numbers,
    };
    use super::*;

    fn fourier(channels: usize) -> Box<dyn Param> {
        let shape = [channels, 4, 5];
        Box::new(Fourier::new(shape, FourierOptions::default(), &ParamSources::default()).unwrap())
    }

    #[test]
    fn gradient_and_way_back() {
        let pixel = PixelOptions { squash: Squash::Sigmoid, ..PixelOptions::default() };
        let plane = Box::new(Pixel::new([1, 4, 5], pixel, &ParamSources::default()).unwrap());
        for param in [WithAlpha::new(fourier(3), fourier(1)), WithAlpha::new(fourier(1), plane)] {
            let param = param.unwrap();
            checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
            checks::assert_way_back(&param, 1e-4);
        }
    }

    #[test]
    fn transparency_starts_near_one_half() {
        let param = WithAlpha::new(fourier(3), fourier(1)).unwrap();
        let image = checks::image_of(&param, &checks::start_of(&param, 0));
        assert!(image[60..].iter().all(|a| (a - 0.5).abs() < 0.1), "{image:?}");
    }

    #[test]
    fn transparency_of_another_shape_is_refused() {
        assert!(WithAlpha::new(fourier(3), fourier(2)).is_err());
        assert!(
            WithAlpha::new(
                fourier(3),
                Box::new(Pixel::new([1, 4, 4], PixelOptions::default(), &ParamSources::default()).unwrap())
            )
            .is_err()
        );
    }

    #[test]
    fn a_composite_is_the_formula_and_has_its_gradient() {
        let mut rng = Stream::new(7, 0);
        let mut numbers = |len: usize| normal_numbers(&mut rng, len, 0.5, 0.3);
        let (image, background, y) = (numbers(4 * 6), numbers(3 * 6), numbers(3 * 6));
        let over = |image: &[f32]| {
            let mut out = vec![f32::NAN; 18];
            composite(image, &background, &mut out);
            out
        };
        for (at, value) in over(&image).iter().enumerate() {
            let alpha = image[18 + at % 6];
            assert!((value - (alpha * image[at] + (1.0 - alpha) * background[at])).abs() < 1e-6);
        }
        let mut gradient = vec![f32::NAN; 24];
        composite_adjoint(&image, &background, &y, &mut gradient);
        for at in 0..24 {
            let moved = |step: f32| {
                let mut image = image.clone();
                image[at] += step;
                checks::dot(&over(&image), &y)
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((numeric - f64::from(gradient[at])).abs() < 1e-3, "{at}: {numeric} {}", gradient[at]);
        }
    }
}
