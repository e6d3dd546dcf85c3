//! Phases alone (Fel et al. 2023, "Unlocking Feature Visualization for Deeper Networks with MAgnitude
//! Constrained Optimization"). The magnitude of every frequency is that of natural images, whatever the
//! optimisation does. So noise cannot excite the network.
//!
//! The parameters are phases φ, `[C, H, W/2 + 1]`, and
//!
//! image = squash(M · irfft2(magnitude · e^{iφ'})),
//!
//! where φ' are the phases standardised to mean 0 and variance 1 over all channels, as in the authors' code
//! (Xplique, Horama), or φ itself. M and the magnitudes come from the same [`Statistics`], because a spectrum
//! is valid only for the colours in which it was measured.
//!
//! **A real image fixes some phases.** In the columns 0 and W/2 of a half spectrum, an entry and its mirror
//! image are conjugates, so only the upper half is free. Entries that are their own mirror image are real;
//! their sign is fixed by their initial phase. Phases without effect have zero gradient.
//!
//! **The constant** alone has no fixed magnitude. It is magnitude · cos φ', minus its mean over the channels,
//! as in the authors' code. So a channel's mean changes with its phase, instead of depending on the initial
//! sign.
//!
//! **Size.** The spectrum is multiplied by frequency, and then resized bilinearly at equal frequencies in
//! cycles per pixel. A spectrum that falls as 1/f is constant then, and is extrapolated as 1/f below the
//! lowest frequency of the statistics. It is scaled so that decorrelated values have the standard deviation
//! [`MacoOptions::contrast`] about their channel's mean. The authors divide each image by its own deviation.
//! That is as fixed as the magnitudes, apart from the contribution of the channels' means.

use super::colors::Colors;
use super::{Param, ParamSources, Squash, Work, check_image, check_still, normal_numbers};
use crate::error::{Error, Result};
use crate::parallel;
use crate::rng::Stream;
use crate::spectrum::{Axis, Spectrum, natural_decay};
use crate::statistics::{Statistics, StatisticsError};
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Added to the standard deviation of the phases before they are divided by it (Xplique).
const EPSILON: f64 = 1e-5;

/// Settings of [`Maco`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MacoOptions {
    /// Whether phases are standardised. Steps then shrink as phases grow, which the authors' learning rate of
    /// 1 needs. Starting from an image is then impossible.
    pub standardize: bool,
    /// Standard deviation of decorrelated values before the squash.
    pub contrast: f32,
    /// The function that limits values. With [`Squash::Identity`], the mean colour of the statistics is
    /// added.
    pub squash: Squash,
    /// Standard deviation of the initial phases.
    pub init_std: f32,
}

impl Default for MacoOptions {
    /// The default is the settings of Xplique and Horama.
    fn default() -> MacoOptions {
        MacoOptions { standardize: true, contrast: 1.0, squash: Squash::Sigmoid, init_std: 1.0 }
    }
}

/// How an entry of the half spectrum depends on other entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A free entry on which no other entry depends.
    Free,
    /// Free, and the entry in this row of the same column is its conjugate.
    Mirrored(usize),
    /// The complex conjugate of an entry above it.
    Mirror,
    /// A real number.
    Real,
    /// The sum over the plane: real, with a magnitude that depends on its phase.
    Constant,
}

/// The parametrization MACO: one phase for each frequency and channel.
#[derive(Clone)]
pub struct Maco {
    extent: Extent,
    options: MacoOptions,
    colors: Colors,
    spectrum: Spectrum,
    /// The fixed magnitudes of the spectrum, `[C, H, W/2 + 1]`.
    magnitude: Vec<f32>,
}

impl Maco {
    /// Creates the phases of a still. The statistics are those of `sources`, or the embedded ones of
    /// photographs.
    ///
    /// # Errors
    ///
    /// If the statistics have another number of channels than the image, or the contrast is not positive.
    pub fn new(extent: impl Into<Extent>, options: MacoOptions, sources: &ParamSources) -> Result<Maco> {
        let extent = extent.into();
        check_still("maco", extent)?;
        assert!(!extent.is_empty(), "an image of {extent} has no pixels");
        if !(options.contrast.is_finite() && options.contrast > 0.0) {
            return Err(Error::out_of_range("the contrast", options.contrast, "a positive number"));
        }
        let statistics = sources.statistics.clone().unwrap_or_else(Statistics::imagenet);
        statistics.require_channels(extent.channels)?;
        let mean = statistics.mean().iter().map(|m| *m as f32).collect();
        let colors = Colors::with_mixing(statistics.mixing().clone(), mean, options.squash);
        let magnitude = magnitude(&statistics, extent.size(), options.contrast)?;
        let spectrum = Spectrum::unscaled(extent.height, extent.width);
        Ok(Maco { extent, options, colors, spectrum, magnitude })
    }

    /// Magnitudes of the decorrelated channels, `[C, H, W/2 + 1]`, in the units of rfft2 without
    /// normalisation.
    pub fn magnitude(&self) -> &[f32] {
        &self.magnitude
    }

    fn pixels(&self) -> usize {
        self.extent.plane()
    }

    fn role(&self, at: usize) -> Role {
        let (row, column) = (at / self.spectrum.half(), at % self.spectrum.half());
        let mirror = (self.extent.height - row) % self.extent.height;
        match () {
            () if at == 0 => Role::Constant,
            () if !self.spectrum.is_single(column) => Role::Free,
            () if mirror == row => Role::Real,
            () if mirror > row => Role::Mirrored(mirror),
            () => Role::Mirror,
        }
    }

    /// Returns the mean of the phases, and the divisor of deviations from it.
    fn standard(&self, phases: &[f32]) -> (f64, f64) {
        if !self.options.standardize {
            return (0.0, 1.0);
        }
        let count = phases.len() as f64;
        let mean = phases.iter().map(|p| f64::from(*p)).sum::<f64>() / count;
        let variance = phases.iter().map(|p| (f64::from(*p) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt() + EPSILON)
    }

    /// Returns each channel's magnitude · cos φ of the constant, minus the mean over the channels.
    fn constants(&self, params: &[f32], (mean, deviation): (f64, f64)) -> Vec<f32> {
        let entries = self.spectrum.len();
        let channels = self.magnitude.iter().step_by(entries).zip(params.iter().step_by(entries));
        let of = |(m, phase): (&f32, &f32)| f64::from(*m) * ((f64::from(*phase) - mean) / deviation).cos();
        let mut constants: Vec<f64> = channels.map(of).collect();
        subtract_mean(&mut constants);
        constants.into_iter().map(|c| c as f32).collect()
    }

    /// Returns the phases of these constants, from which the mean over the channels has been subtracted.
    fn phases_of_constants(&self, constants: &[f32]) -> Vec<f32> {
        let magnitudes = || self.magnitude.iter().step_by(self.spectrum.len());
        // Any mean is valid that keeps all constants within their magnitudes, if such a mean exists.
        let bound = |sign: f32| magnitudes().zip(constants).map(move |(m, c)| sign * m - c);
        let (least, most) = (bound(-1.0).fold(f32::MIN, f32::max), bound(1.0).fold(f32::MAX, f32::min));
        let mean = (least + most) / 2.0;
        let phase = |(m, c): (&f32, &f32)| ((c + mean) / m.max(f32::MIN_POSITIVE)).clamp(-1.0, 1.0).acos();
        magnitudes().zip(constants).map(phase).collect()
    }

    /// Writes magnitude · e^{iφ} of one channel as pairs (re, im); `phases` are standardised.
    fn entries(&self, magnitudes: &[f32], phases: &[f32], constant: f32, pairs: &mut [f32]) {
        let half = self.spectrum.half();
        for (at, (magnitude, phase)) in magnitudes.iter().zip(phases).enumerate() {
            let (re, im) = (magnitude * phase.cos(), magnitude * phase.sin());
            match self.role(at) {
                Role::Free => (pairs[2 * at], pairs[2 * at + 1]) = (re, im),
                Role::Mirrored(row) => {
                    let mirror = row * half + at % half;
                    (pairs[2 * at], pairs[2 * at + 1]) = (re, im);
                    (pairs[2 * mirror], pairs[2 * mirror + 1]) = (re, -im);
                }
                Role::Mirror => {}
                Role::Real => (pairs[2 * at], pairs[2 * at + 1]) = (magnitude.copysign(re), 0.0),
                Role::Constant => (pairs[2 * at], pairs[2 * at + 1]) = (constant, 0.0),
            }
        }
    }

    /// Converts gradients of the pairs to gradients of standardised phases, except for the constant.
    fn entries_adjoint(&self, pairs: &[f32], gradient: &[f32], out: &mut [f32]) {
        let half = self.spectrum.half();
        for (at, out) in out.iter_mut().enumerate() {
            // The derivative of an entry (re, im) with respect to its phase is (−im, re).
            let turn =
                |at: usize| pairs[2 * at] * gradient[2 * at + 1] - pairs[2 * at + 1] * gradient[2 * at];
            *out = match self.role(at) {
                Role::Free => turn(at),
                Role::Mirrored(row) => turn(at) - turn(row * half + at % half),
                Role::Mirror | Role::Real | Role::Constant => 0.0,
            };
        }
    }
}

fn subtract_mean(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|v| *v -= mean);
}

/// Returns the statistics' spectrum at the size of the image, scaled to the contrast.
fn magnitude(statistics: &Statistics, size: [usize; 2], contrast: f32) -> Result<Vec<f32>> {
    let flatness = |size: [usize; 2]| natural_decay(&size.map(Axis::of_pixels), 1.0);
    let (from, [height, width]) = (statistics.size(), size);
    let (from_half, half) = (from[1] / 2 + 1, width / 2 + 1);
    let flat: Vec<f64> = flatness(from);
    let decay = flatness(size);
    let mut magnitudes = Vec::with_capacity(statistics.channels() * height * half);
    for channel in statistics.spectrum().chunks_exact(from[0] * from_half) {
        let value = |row: usize, column: usize| {
            let at = (row % from[0]) * from_half + column.min(from_half - 1);
            f64::from(channel[at]) * flat[at]
        };
        for at in 0..height * half {
            // Rows beyond the middle are negative frequencies. They are mirrored so that real images stay
            // real.
            let (row, column) = (at / half, at % half);
            let y = (row as f64 / height as f64) * from[0] as f64;
            let x = (column as f64 / width as f64) * from[1] as f64;
            let (y0, x0) = (y.floor(), x.floor());
            let (ty, tx) = (y - y0, x - x0);
            let (y0, x0) = (y0 as usize, x0 as usize);
            let line = |row: usize| value(row, x0) * (1.0 - tx) + value(row, x0 + 1) * tx;
            magnitudes.push((line(y0) * (1.0 - ty) + line(y0 + 1) * ty) / decay[at]);
        }
    }
    // Parseval: the mean square of a plane is the sum of squares of its full spectrum over (H·W)².
    let pixels = (height * width) as f64;
    let single = |at: usize| at.is_multiple_of(half) || 2 * (at % half) == width;
    let power = |(at, m): (usize, &f64)| if single(at % (height * half)) { m * m } else { 2.0 * m * m };
    let constant = |(at, m): (usize, &f64)| if at % (height * half) == 0 { m * m } else { 0.0 };
    let total = |part: &dyn Fn((usize, &f64)) -> f64| magnitudes.iter().enumerate().map(part).sum::<f64>();
    // A picture of one pixel has no deviation, so its mean square is used instead.
    let (all, constants) = (total(&power), total(&constant));
    let varying = if all > constants { all - constants } else { all };
    let deviation = (varying / statistics.channels() as f64).sqrt() / pixels;
    if deviation == 0.0 {
        return Err(StatisticsError::NoSpectrum.into());
    }
    Ok(magnitudes.into_iter().map(|m| (f64::from(contrast) * m / deviation) as f32).collect())
}

impl fmt::Debug for Maco {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maco")
            .field("extent", &self.extent)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Param for Maco {
    fn len(&self) -> usize {
        self.magnitude.len()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        normal_numbers(rng, self.len(), 0.0, self.options.init_std)
    }

    /// Returns the image's phases. Among all images with these magnitudes, the one with these phases is
    /// nearest (before the squash). Returns `None` if phases are standardised.
    fn from_image(&self, image: &[f32]) -> Option<Vec<f32>> {
        check_image(image, self.extent);
        if self.options.standardize {
            return None;
        }
        let mut image = image.to_vec();
        self.colors.unapply(&mut image);
        let mut work = self.spectrum.work();
        let mut pairs = vec![0.0; 2 * self.spectrum.len()];
        let mut phases = Vec::with_capacity(self.len());
        let mut constants = Vec::with_capacity(self.extent.channels);
        for plane in image.chunks_exact_mut(self.pixels()) {
            self.spectrum.parameters_of(plane, &mut work, &mut pairs);
            constants.push(f64::from(pairs[0]));
            phases.extend(pairs.chunks_exact(2).map(|pair| pair[1].atan2(pair[0])));
        }
        subtract_mean(&mut constants);
        let constants: Vec<f32> = constants.into_iter().map(|c| c as f32).collect();
        let places = phases.iter_mut().step_by(self.spectrum.len());
        places.zip(self.phases_of_constants(&constants)).for_each(|(phase, constant)| *phase = constant);
        Some(phases)
    }

    fn work(&self) -> Work {
        let plane = || Work {
            // Room for pairs (re, im) and standardised phases, and for gradients of the pairs.
            squashed: vec![0.0; 2 * self.spectrum.len()],
            image: vec![0.0; 2 * self.spectrum.len()],
            spectrum: self.spectrum.work(),
            ..Work::default()
        };
        Work {
            image: vec![0.0; self.extent.values()],
            planes: (0..self.extent.channels).map(|_| plane()).collect(),
            ..Work::default()
        }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        assert_eq!(params.len(), self.len(), "the phases of an image of {}", self.extent);
        let (mean, deviation) = self.standard(params);
        let constants = self.constants(params, (mean, deviation));
        let entries = self.spectrum.len();
        let channels = out.chunks_exact_mut(self.pixels()).zip(params.chunks_exact(entries));
        let channels = channels.zip(self.magnitude.chunks_exact(entries)).zip(&mut work.planes);
        parallel::each(channels, |channel, (((plane, phases), magnitudes), work)| {
            let standard = &mut work.image[..entries];
            for (standard, phase) in standard.iter_mut().zip(phases) {
                *standard = ((f64::from(*phase) - mean) / deviation) as f32;
            }
            self.entries(magnitudes, standard, constants[channel], &mut work.squashed);
            self.spectrum.to_plane(&work.squashed, &mut work.spectrum, plane);
        });
        self.colors.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        work.image.copy_from_slice(grad_image);
        self.colors.adjoint(&mut work.image, &work.squashed);
        let entries = self.spectrum.len();
        let channels = work.image.chunks_exact_mut(self.pixels()).zip(grad_params.chunks_exact_mut(entries));
        parallel::each(channels.zip(&mut work.planes), |_, ((plane, gradient), work)| {
            self.spectrum.to_plane_adjoint(plane, &mut work.spectrum, &mut work.image);
            self.entries_adjoint(&work.squashed, &work.image, gradient);
        });
        let (mean, deviation) = self.standard(params);
        let mut constants: Vec<f64> = work.planes.iter().map(|work| f64::from(work.image[0])).collect();
        subtract_mean(&mut constants);
        for (channel, constant) in constants.into_iter().enumerate() {
            let at = channel * entries;
            let sin = ((f64::from(params[at]) - mean) / deviation).sin();
            grad_params[at] = (-f64::from(self.magnitude[at]) * sin * constant) as f32;
        }
        if !self.options.standardize {
            return;
        }
        // φ' = (φ − mean)/(σ + ε): gradient = (g − mean(g) − φ'·mean(g·φ')·(σ + ε)/σ)/(σ + ε).
        let spread = (deviation - EPSILON).max(f64::MIN_POSITIVE);
        let standard = |phase: &f32| (f64::from(*phase) - mean) / deviation;
        let count = params.len() as f64;
        let level = grad_params.iter().map(|g| f64::from(*g)).sum::<f64>() / count;
        let along =
            grad_params.iter().zip(params).map(|(g, p)| f64::from(*g) * standard(p)).sum::<f64>() / count;
        for (gradient, phase) in grad_params.iter_mut().zip(params) {
            let own = f64::from(*gradient) - level - standard(phase) * along * deviation / spread;
            *gradient = (own / deviation) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::statistics::ColorAccumulator;
    use std::sync::Arc;

    /// Returns statistics of noise images with this number of channels.
    fn sources(channels: usize, size: [usize; 2]) -> ParamSources {
        let mut rng = Stream::new(4, 0);
        let images: Vec<Vec<f32>> =
            (0..5).map(|_| normal_numbers(&mut rng, channels * size[0] * size[1], 0.5, 0.2)).collect();
        let mut colors = ColorAccumulator::new(channels);
        images.iter().for_each(|i| colors.add(i));
        let mut spectra = colors.finish(size).unwrap();
        images.iter().for_each(|i| spectra.add(i));
        ParamSources { statistics: Some(Arc::new(spectra.finish().unwrap())), ..ParamSources::default() }
    }

    const SHAPES: [[usize; 3]; 6] = [[1, 8, 8], [2, 5, 6], [3, 6, 5], [1, 1, 7], [2, 4, 1], [3, 16, 12]];

    #[test]
    fn gradient() {
        for shape in SHAPES {
            for (standardize, squash) in [(true, Squash::Sigmoid), (false, Squash::Identity)] {
                let options = MacoOptions { standardize, squash, ..MacoOptions::default() };
                let param = Maco::new(shape, options, &sources(shape[0], [8, 8])).unwrap();
                checks::assert_gradient(&param, 0.3, 1e-3, 5e-3);
            }
        }
    }

    /// Returns the magnitudes of the decorrelated channels before the squash.
    fn magnitudes(param: &Maco, params: &[f32]) -> Vec<f32> {
        let mut image = checks::image_of(param, params);
        param.colors.unapply(&mut image);
        let mut work = param.spectrum.work();
        let mut found = vec![0.0; param.len()];
        for (plane, found) in
            image.chunks_exact_mut(param.pixels()).zip(found.chunks_exact_mut(param.spectrum.len()))
        {
            param.spectrum.magnitudes_of(plane, &mut work, found);
        }
        found
    }

    #[test]
    fn the_image_has_the_given_magnitudes_whatever_the_phases() {
        let options = MacoOptions { squash: Squash::Identity, ..MacoOptions::default() };
        let mut cases: Vec<Maco> = SHAPES
            .iter()
            .map(|shape| Maco::new(*shape, options, &sources(shape[0], [8, 8])).unwrap())
            .collect();
        cases.push(Maco::new([3, 50, 61], options, &ParamSources::default()).unwrap());
        for param in cases {
            let largest = param.magnitude().iter().fold(0.0f32, |m, v| m.max(*v));
            for seed in 0..3 {
                let params = checks::start_of(&param, seed);
                let found = magnitudes(&param, &params);
                let pairs = found.iter().zip(param.magnitude()).enumerate();
                // Compares the magnitudes of all frequencies except zero.
                for (_, (found, given)) in pairs.filter(|(at, _)| at % param.spectrum.len() != 0) {
                    let error = f64::from((found - given).abs() / largest);
                    assert!(error < 2e-5, "{param:?}: {found} {given}");
                }
            }
        }
    }

    #[test]
    fn at_the_size_of_the_statistics_the_magnitudes_are_theirs_but_for_a_factor() {
        let photographs = Statistics::imagenet();
        let [height, width] = photographs.size();
        let param = Maco::new([3, height, width], MacoOptions::default(), &ParamSources::default()).unwrap();
        let factor = param.magnitude()[1] / photographs.spectrum()[1];
        for (ours, theirs) in param.magnitude().iter().zip(photographs.spectrum()) {
            assert!((ours - factor * theirs).abs() <= 1e-4 * ours, "{ours} {theirs}");
        }
    }

    #[test]
    fn decorrelated_values_have_the_contrast_as_deviation() {
        for size in [[64, 64], [200, 131]] {
            let options = MacoOptions { contrast: 0.7, squash: Squash::Identity, ..MacoOptions::default() };
            let param = Maco::new([3, size[0], size[1]], options, &ParamSources::default()).unwrap();
            let mut image = checks::image_of(&param, &checks::start_of(&param, 5));
            param.colors.unapply(&mut image);
            let variance = |plane: &[f32]| {
                let mean = plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64;
                plane.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / plane.len() as f64
            };
            let mean = image.chunks_exact(param.pixels()).map(variance).sum::<f64>() / 3.0;
            assert!((mean.sqrt() - 0.7).abs() < 1e-3, "{}", mean.sqrt());
        }
    }

    #[test]
    fn an_image_of_the_set_comes_back_from_its_phases() {
        for shape in SHAPES {
            let options =
                MacoOptions { standardize: false, squash: Squash::Identity, ..MacoOptions::default() };
            let param = Maco::new(shape, options, &sources(shape[0], [8, 8])).unwrap();
            let image = checks::image_of(&param, &checks::start_of(&param, 3));
            let again = checks::image_of(&param, &param.from_image(&image).unwrap());
            assert!(image.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-3), "{param:?}");
        }
        let standard = Maco::new([3, 4, 4], MacoOptions::default(), &ParamSources::default()).unwrap();
        assert!(standard.from_image(&[0.5; 48]).is_none());
    }

    #[test]
    fn statistics_of_other_channels_are_refused() {
        let error = Maco::new([1, 8, 8], MacoOptions::default(), &ParamSources::default()).unwrap_err();
        assert!(error.to_string().contains("3 channels"), "{error}");
    }

    #[test]
    fn the_mean_of_a_channel_moves_with_its_phase_and_that_of_all_is_none() {
        let options = MacoOptions { squash: Squash::Identity, ..MacoOptions::default() };
        let param = Maco::new([3, 24, 20], options, &ParamSources::default()).unwrap();
        let mut means = Vec::new();
        for seed in 0..8 {
            let mut params = checks::start_of(&param, seed);
            let mut means_at = |phase: f32| -> Vec<f64> {
                params[0] = phase;
                let mut image = checks::image_of(&param, &params);
                param.colors.unapply(&mut image);
                let planes = image.chunks_exact(param.pixels());
                planes.map(|p| p.iter().map(|v| f64::from(*v)).sum::<f64>() / p.len() as f64).collect()
            };
            let [low, high] = [3.0, 0.5].map(&mut means_at);
            assert!(high[0] > low[0] + 0.1, "{low:?} {high:?}");
            means.extend([low, high]);
        }
        assert!(means.iter().all(|means| means.iter().sum::<f64>().abs() < 1e-4), "{means:?}");
    }
}
