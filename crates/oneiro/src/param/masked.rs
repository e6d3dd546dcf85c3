//! A picture of which only a part is optimised: image = m·inner + (1 − m)·base, with a mask m over the
//! positions.

use super::{Param, Work, check_image};
use crate::error::{Error, Result};
use crate::rng::Stream;
use oneiro_image::Extent;
use std::ops::Range;

/// A parametrization of which a mask selects the part that is optimised.
#[derive(Debug)]
pub struct Masked {
    inner: Box<dyn Param>,
    /// The mask m, `[H, W]`.
    mask: Vec<f32>,
    /// (1 − m)·base, with the extent of the image.
    outside: Vec<f32>,
}

impl Masked {
    /// Combines a parametrization with a base image of equal extent. `mask` is `[H, W]`: 1 shows `inner` and
    /// 0 shows `base`. All frames share it.
    ///
    /// # Errors
    ///
    /// If mask or base differ in size from `inner`, or the mask has values outside 0–1.
    pub fn new(inner: Box<dyn Param>, mask: Vec<f32>, base: &[f32]) -> Result<Masked> {
        let extent = inner.extent();
        if mask.len() != extent.plane() || base.len() != extent.values() {
            return Err(Error::Settings(format!(
                "a mask of {} values and an image of {} for a picture of {extent}; \
                 resize both to it",
                mask.len(),
                base.len()
            )));
        }
        if let Some(value) = mask.iter().find(|m| !(0.0..=1.0).contains(*m)) {
            let needed = "a number from 0 to 1 (1 where the picture is optimised)";
            return Err(Error::out_of_range("a value of the mask", value, needed));
        }
        let outside = base.iter().zip(mask.iter().cycle()).map(|(b, m)| (1.0 - m) * b).collect();
        Ok(Masked { inner, mask, outside })
    }
}

impl Param for Masked {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn extent(&self) -> Extent {
        self.inner.extent()
    }

    fn project(&self, params: &mut [f32], bound: f32) {
        self.inner.project(params, bound);
    }

    fn shared(&self) -> Range<usize> {
        self.inner.shared()
    }

    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32> {
        self.inner.init(rng, shared)
    }

    /// Returns the inner parameters of the image. Where the mask is 0, the base shows in any case.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent());
        // Where the mask is between 0 and 1, the contribution of the base is subtracted first.
        let behind = |((value, outside), mask): ((&f32, &f32), &f32)| match *mask {
            0.0 => *value,
            mask => (value - outside) / mask,
        };
        let inner: Vec<f32> =
            image.iter().zip(&self.outside).zip(self.mask.iter().cycle()).map(behind).collect();
        self.inner.from_image(&inner)
    }

    fn work(&self) -> Work {
        Work { image: vec![0.0; self.outside.len()], planes: vec![self.inner.work()], ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        self.inner.image(params, &mut work.planes[0], out);
        for ((value, outside), mask) in out.iter_mut().zip(&self.outside).zip(self.mask.iter().cycle()) {
            *value = mask * *value + outside;
        }
    }

    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        for ((masked, gradient), mask) in work.image.iter_mut().zip(grad_image).zip(self.mask.iter().cycle())
        {
            *masked = mask * gradient;
        }
        self.inner.adjoint(params, &mut work.planes[0], &work.image, grad_params);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fourier, FourierOptions, ParamSources, checks};
    use super::*;

    fn fourier() -> Box<dyn Param> {
        Box::new(Fourier::new([3, 2, 3], FourierOptions::default(), &ParamSources::default()).unwrap())
    }

    #[test]
    fn gradient_and_way_back() {
        let param = Masked::new(fourier(), vec![0.5, 0.75, 1.0, 0.9, 0.6, 1.0], &[0.5; 18]).unwrap();
        checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
        let image: Vec<f32> = (0..18).map(|k| 0.45 + 0.005 * k as f32).collect();
        let again = checks::image_of(&param, &param.from_image(&image).unwrap());
        assert!(image.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-4), "{again:?}");
    }

    #[test]
    fn the_base_shows_where_the_mask_is_closed() {
        let base: Vec<f32> = (0..18).map(|k| k as f32 / 18.0).collect();
        let mask = vec![0.0, 1.0, 0.0, 0.25, 0.0, 1.0];
        let param = Masked::new(fourier(), mask.clone(), &base).unwrap();
        let params = checks::start_of(&param, 1);
        let (image, inner) = (checks::image_of(&param, &params), checks::image_of(&*fourier(), &params));
        for at in 0..18 {
            let m = mask[at % 6];
            assert!((image[at] - m * inner[at] - (1.0 - m) * base[at]).abs() < 1e-6);
        }
    }

    #[test]
    fn the_bound_of_pixels_holds_behind_a_mask() {
        /// A parametrization of which only the projection is tested.
        #[derive(Debug)]
        struct Halves;
        impl Param for Halves {
            fn len(&self) -> usize {
                18
            }
            fn extent(&self) -> Extent {
                Extent::still(3, 2, 3)
            }
            fn project(&self, params: &mut [f32], bound: f32) {
                params.iter_mut().for_each(|x| *x = x.min(bound));
            }
            fn init(&self, _: &mut Stream, _: &mut Stream) -> Vec<f32> {
                vec![0.0; 18]
            }
            fn from_image(&self, _: &[f32]) -> Option<Vec<f32>> {
                None
            }
            fn work(&self) -> Work {
                Work::default()
            }
            fn image(&self, params: &[f32], _: &mut Work, out: &mut [f32]) {
                out.copy_from_slice(params);
            }
            fn adjoint(&self, _: &[f32], _: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
                grad_params.copy_from_slice(grad_image);
            }
        }
        let mut params = vec![3.0; 18];
        Masked::new(Box::new(Halves), vec![1.0; 6], &[0.5; 18]).unwrap().project(&mut params, 2.0);
        assert_eq!(params, [2.0; 18]);
    }

    #[test]
    fn masks_that_do_not_fit_are_refused() {
        assert!(Masked::new(fourier(), vec![1.0; 5], &[0.5; 18]).is_err());
        assert!(Masked::new(fourier(), vec![1.0; 6], &[0.5; 6]).is_err());
        for wrong in [-0.1, 1.1, f32::NAN] {
            let error = Masked::new(fourier(), vec![wrong; 6], &[0.5; 18]).unwrap_err();
            assert!(error.to_string().contains("0 to 1"), "{error}");
        }
    }
}
