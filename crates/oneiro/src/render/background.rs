//! Backgrounds of transparent pictures: a new random picture in each step. So a picture becomes opaque only
//! where the objective needs it.

use crate::error::Result;
use crate::param::{Fourier, FourierOptions, Param, ParamSources, Work};
use crate::rng::Stream;
use oneiro_image::Extent;

/// Deviation of the background's spectrum (Lucid, `optvis/transform.py`, `collapse_alpha_random`).
const BACKGROUND_STD: f32 = 0.5;

/// A random picture with the spectrum and colours of photographs.
pub(super) struct Background {
    param: Fourier,
    work: Work,
    image: Vec<f32>,
}

impl Background {
    /// Creates backgrounds for pictures of this extent, without the transparency channel.
    pub fn new(extent: Extent) -> Result<Self> {
        let options = FourierOptions { init_std: BACKGROUND_STD, ..FourierOptions::default() };
        let param = Fourier::new(extent, options, &ParamSources::default())?;
        Ok(Self { work: param.work(), image: vec![0.0; extent.values()], param })
    }

    /// Draws a new random background.
    pub fn draw(&mut self, rng: &mut Stream) {
        let params = self.param.init(rng, &mut Stream::new(0, 0));
        self.param.image(&params, &mut self.work, &mut self.image);
    }

    pub fn image(&self) -> &[f32] {
        &self.image
    }
}
