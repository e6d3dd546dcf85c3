//! Optical flow as the parameters of an optimisation: flow is an affine function of an optimised two-channel
//! picture, whose middle grey means no motion.

use super::{Param, Work};
use crate::rng::Stream;
use oneiro_image::Extent;
use std::ops::Range;

/// Picture value that means no motion.
const MIDDLE: f32 = 0.5;

/// flow = span · (picture − ½), in pixels per frame. A picture from 0 to 1 thus gives flow of ±span/2, the
/// range in the model card. In the units of Feichtenhofer et al. (IJCV 2020), a pixel of 255 levels less the
/// mean, that range is ±127.5.
#[derive(Debug)]
pub struct Flow {
    picture: Box<dyn Param>,
    span: f32,
}

impl Flow {
    /// Makes flow from pictures with two channels: horizontal and vertical motion. `span` is twice the card's
    /// range.
    pub fn new(picture: Box<dyn Param>, span: f32) -> Flow {
        Flow { picture, span }
    }
}

impl Param for Flow {
    fn len(&self) -> usize {
        self.picture.len()
    }

    fn extent(&self) -> Extent {
        self.picture.extent()
    }

    fn project(&self, params: &mut [f32], bound: f32) {
        self.picture.project(params, bound);
    }

    fn shared(&self) -> Range<usize> {
        self.picture.shared()
    }

    fn init(&self, rng: &mut Stream, shared: &mut Stream) -> Vec<f32> {
        self.picture.init(rng, shared)
    }

    fn from_image(&self, flow: &[f32]) -> Option<Vec<f32>> {
        let picture: Vec<f32> = flow.iter().map(|x| x / self.span + MIDDLE).collect();
        self.picture.from_image(&picture)
    }

    fn work(&self) -> Work {
        Work {
            image: vec![0.0; self.extent().values()],
            planes: vec![self.picture.work()],
            ..Work::default()
        }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        self.picture.image(params, &mut work.planes[0], out);
        out.iter_mut().for_each(|x| *x = self.span * (*x - MIDDLE));
    }

    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        work.image.iter_mut().zip(grad_image).for_each(|(out, g)| *out = self.span * g);
        self.picture.adjoint(params, &mut work.planes[0], &work.image, grad_params);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ParamSources, Pixel, PixelOptions, checks};
    use super::*;
    use crate::preset::ParamSpec;

    const FIELDS: Extent = Extent { channels: 2, frames: 3, height: 4, width: 5 };

    #[test]
    fn gradient_and_way_back() {
        for kind in ["pixel", "fourier", "laplacian"] {
            let picture = ParamSpec::named(kind).unwrap().build(FIELDS, &ParamSources::default()).unwrap();
            let flow = Flow::new(picture, 4.0);
            checks::assert_gradient(&flow, 0.3, 1e-2, 2e-3);
            let still = checks::image_of(&flow, &flow.from_image(&[0.0; 120]).unwrap());
            assert!(still.iter().all(|x| x.abs() < 1e-4), "{kind}");
        }
    }

    #[test]
    fn levels_are_those_of_the_paper() {
        let sources = ParamSources { mean: vec![0.5], ..ParamSources::default() };
        let picture = Pixel::new(FIELDS, PixelOptions::preimage(), &sources).unwrap();
        let flow = Flow::new(Box::new(picture), 2.0 * 20.0);
        // In the units of the parameters, 127.5 stands for the card's range, here 20 pixels per frame.
        let out = checks::image_of(&flow, &vec![-127.5; 120]);
        assert!(out.iter().all(|x| (x + 20.0).abs() < 1e-4), "{}", out[0]);
    }
}
