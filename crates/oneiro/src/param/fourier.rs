//! Fourier parametrization with decorrelated colours (Lucid; Olah, Mordvintsev & Schubert, "Feature
//! Visualization").
//!
//! The parameters are a complex half spectrum for each channel, `[C, H, W/2 + 1, (re, im)]`. Its entries are
//! scaled by sqrt(H·W) / max(f, 1/max(H, W))^d, so that each frequency is as strong as in photographs. Then
//!
//! image = squash(M · irfft2(scale · spectrum) / divisor),
//!
//! where irfft2 is normalised by 1/(H·W) and M mixes the channels ([`Mixing`]).

use super::colors::Colors;
use super::{INIT_STD, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::color::{Decorrelate, Mixing};
use crate::error::Result;
use crate::rng::Stream;
use crate::spectrum::{Axis, Spectrum, natural_decay};
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Lucid's divisor of the inverse transform (`lucid/optvis/param/spatial.py`, `fft_image`).
pub const LUCID_DIVISOR: f32 = 4.0;

/// Settings of [`Fourier`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FourierOptions {
    /// The power d by which the scale falls with frequency: 1 in Lucid and Conveiro, 0.85 in Xplique, 1.5 in
    /// torch-dreams.
    pub decay: f32,
    /// The number by which the image is divided before the squash: [`LUCID_DIVISOR`], or 1 in Conveiro.
    pub divisor: f32,
    /// Where the decorrelated colours come from.
    pub decorrelate: Decorrelate,
    /// The function that limits values. With [`Squash::Identity`], the mean colour of photographs (or of the
    /// data) is added.
    pub squash: Squash,
    /// Standard deviation of the initial parameters.
    pub init_std: f32,
}

impl Default for FourierOptions {
    /// The default is the settings of Lucid.
    fn default() -> FourierOptions {
        FourierOptions {
            decay: 1.0,
            divisor: LUCID_DIVISOR,
            decorrelate: Decorrelate::Imagenet,
            squash: Squash::Sigmoid,
            init_std: INIT_STD,
        }
    }
}

/// A half spectrum for each plane: for each channel of a still, or for each frame of each channel of a clip.
#[derive(Clone)]
pub struct Fourier {
    extent: Extent,
    options: FourierOptions,
    colors: Colors,
    spectrum: Spectrum,
}

impl Fourier {
    /// Creates the half spectra of an image of this extent. H and W may be any numbers from 1 on, also odd.
    ///
    /// # Errors
    ///
    /// If colours are to be decorrelated by data, but `sources` has none for C channels.
    pub fn new(
        extent: impl Into<Extent>,
        options: FourierOptions,
        sources: &ParamSources,
    ) -> Result<Fourier> {
        let extent = extent.into();
        let colors = Colors::new(extent.channels, options.decorrelate, options.squash, sources)?;
        Ok(Fourier::with_colors(extent, options, colors))
    }

    /// Creates the parametrization with this colour matrix; `options.decorrelate` is ignored.
    pub fn with_mixing(extent: impl Into<Extent>, options: FourierOptions, mixing: Mixing) -> Fourier {
        let extent = extent.into();
        assert_eq!(mixing.channels(), extent.channels, "the colour matrix must fit the channels");
        Fourier::with_colors(extent, options, Colors::of_photographs(mixing, options.squash))
    }

    pub(super) fn with_colors(extent: Extent, options: FourierOptions, colors: Colors) -> Fourier {
        assert!(!extent.is_empty(), "an image of {extent} has no pixels");
        let scale = scale(extent.size(), options.decay, options.divisor);
        Fourier { extent, options, colors, spectrum: Spectrum::new(extent.height, extent.width, scale) }
    }

    /// Number of pixels in a plane of the image.
    fn plane(&self) -> usize {
        self.extent.plane()
    }

    /// Number of parameters of one plane.
    fn plane_len(&self) -> usize {
        2 * self.spectrum.len()
    }
}

impl fmt::Debug for Fourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fourier")
            .field("extent", &self.extent)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Param for Fourier {
    fn len(&self) -> usize {
        self.extent.planes() * self.plane_len()
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
        let mut params = vec![0.0; self.len()];
        let mut work = self.spectrum.work();
        for (plane, params) in
            image.chunks_exact_mut(self.plane()).zip(params.chunks_exact_mut(self.plane_len()))
        {
            self.spectrum.parameters_of(plane, &mut work, params);
        }
        Some(params)
    }

    fn work(&self) -> Work {
        Work { image: vec![0.0; self.extent.values()], spectrum: self.spectrum.work(), ..Work::default() }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        assert_eq!(params.len(), self.len(), "the spectrum of an image of {}", self.extent);
        for (plane, params) in out.chunks_exact_mut(self.plane()).zip(params.chunks_exact(self.plane_len())) {
            self.spectrum.to_plane(params, &mut work.spectrum, plane);
        }
        self.colors.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        work.image.copy_from_slice(grad_image);
        self.colors.adjoint(&mut work.image, &work.squashed);
        let planes = work.image.chunks_exact_mut(self.plane());
        for (plane, params) in planes.zip(grad_params.chunks_exact_mut(self.plane_len())) {
            self.spectrum.to_plane_adjoint(plane, &mut work.spectrum, params);
        }
    }
}

/// The factor of each entry of the half spectrum: sqrt(H·W) / max(f, 1/max(H, W))^decay / divisor,
/// and the 1/(H·W) of the inverse transform.
pub(super) fn scale([height, width]: [usize; 2], decay: f32, divisor: f32) -> Vec<f32> {
    let pixels = (height * width) as f64;
    let decay = natural_decay(&[height, width].map(Axis::of_pixels), f64::from(decay));
    decay.into_iter().map(|decay| (pixels.sqrt() / decay / f64::from(divisor) / pixels) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::color::IMAGENET_COLOR_MEAN;
    use crate::statistics::Statistics;

    const SIZES: [[usize; 2]; 10] =
        [[4, 4], [5, 4], [4, 5], [7, 7], [1, 6], [6, 1], [1, 5], [1, 1], [2, 2], [3, 16]];

    fn linear(channels: usize, height: usize, width: usize) -> Fourier {
        let options = FourierOptions { squash: Squash::Identity, ..FourierOptions::default() };
        Fourier::new([channels, height, width], options, &ParamSources::default()).unwrap()
    }

    #[test]
    fn scale_of_a_4_by_4_image_is_lucids() {
        let expected = [
            [16.0, 16.0, 8.0],
            [16.0, 11.313708, 7.155418],
            [8.0, 7.155418, 5.656854],
            [16.0, 11.313708, 7.155418],
        ];
        for (ours, expected) in scale([4, 4], 1.0, 1.0).into_iter().zip(expected.concat()) {
            assert!((ours * 16.0 - expected).abs() < 1e-5, "{ours} {expected}");
        }
    }

    #[test]
    fn the_inverse_transform_is_numpys() {
        // Compares with the defining sum, including imaginary parts in columns that occur once.
        for [height, width] in SIZES {
            let spectrum = Spectrum::new(height, width, scale([height, width], 0.0, 1.0));
            let half = spectrum.half();
            let mut rng = Stream::new(3, 0);
            let params = normal_numbers(&mut rng, 2 * height * half, 0.0, 1.0);
            let mut plane = vec![0.0; height * width];
            spectrum.to_plane(&params, &mut spectrum.work(), &mut plane);
            for (position, value) in plane.iter().enumerate() {
                let (y, x) = (position / width, position % width);
                let mut expected = 0.0f64;
                for k in 0..half {
                    let mut column = (0.0f64, 0.0f64);
                    for v in 0..height {
                        let (sin, cos) = (std::f64::consts::TAU * (v * y) as f64 / height as f64).sin_cos();
                        let at = 2 * (v * half + k);
                        let (re, im) = (f64::from(params[at]), f64::from(params[at + 1]));
                        column = (column.0 + re * cos - im * sin, column.1 + re * sin + im * cos);
                    }
                    let (sin, cos) = (std::f64::consts::TAU * (k * x) as f64 / width as f64).sin_cos();
                    let single = spectrum.is_single(k);
                    expected += if single { column.0 * cos } else { 2.0 * (column.0 * cos - column.1 * sin) };
                }
                // With a decay of 0, the scale is sqrt(H·W) / (H·W).
                expected /= ((height * width) as f64).sqrt();
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{height}x{width}: {value} {expected}");
            }
        }
    }

    #[test]
    fn the_linear_part_passes_the_adjoint_test() {
        for [height, width] in SIZES {
            let spectrum = Spectrum::new(height, width, scale([height, width], 1.0, LUCID_DIVISOR));
            let mut rng = Stream::new(4, 0);
            let x = normal_numbers(&mut rng, 2 * spectrum.len(), 0.0, 1.0);
            let mut y = normal_numbers(&mut rng, height * width, 0.0, 1.0);
            let (mut work, mut ax, mut aty) = (spectrum.work(), vec![0.0; y.len()], vec![0.0; x.len()]);
            spectrum.to_plane(&x, &mut work, &mut ax);
            let left = checks::dot(&ax, &y);
            spectrum.to_plane_adjoint(&mut y, &mut work, &mut aty);
            let right = checks::dot(&x, &aty);
            assert!((left - right).abs() < 1e-4 * (1.0 + left.abs()), "{height}x{width}: {left} {right}");
        }
    }

    #[test]
    fn gradient_and_way_back() {
        for channels in [1, 2, 3] {
            for [height, width] in SIZES {
                let squashed = Fourier::new(
                    [channels, height, width],
                    FourierOptions::default(),
                    &ParamSources::default(),
                )
                .unwrap();
                checks::assert_gradient(&squashed, 0.3, 1e-2, 2e-3);
                checks::assert_way_back(&squashed, 1e-4);
                checks::assert_gradient(&linear(channels, height, width), 0.3, 1e-1, 1e-3);
                checks::assert_way_back(&linear(channels, height, width), 1e-4);
            }
        }
    }

    #[test]
    fn colours_of_data_are_those_of_its_statistics() {
        let options = FourierOptions { decorrelate: Decorrelate::Data, ..FourierOptions::default() };
        assert!(Fourier::new([3, 4, 4], options, &ParamSources::default()).is_err());
        let sources = ParamSources { statistics: Some(Statistics::imagenet()), ..ParamSources::default() };
        let error = Fourier::new([2, 4, 4], options, &sources).unwrap_err().to_string();
        assert!(error.contains("3 channels") && error.contains('2'), "{error}");
        let data = Fourier::new([3, 4, 5], options, &sources).unwrap();
        checks::assert_gradient(&data, 0.3, 1e-2, 2e-3);
        checks::assert_way_back(&data, 1e-3);
        let mixing = Statistics::imagenet().mixing().clone();
        let same = Fourier::with_mixing([3, 4, 5], options, mixing);
        let params = checks::start_of(&data, 1);
        assert_eq!(checks::image_of(&data, &params), checks::image_of(&same, &params));
    }

    #[test]
    fn the_mean_colour_is_added_only_without_sigmoid() {
        let zero = |param: &Fourier| checks::image_of(param, &vec![0.0; param.len()]);
        assert_eq!(zero(&linear(3, 1, 1)), IMAGENET_COLOR_MEAN);
        assert_eq!(zero(&linear(1, 1, 1)), [0.0]);
        assert_eq!(
            zero(&Fourier::new([3, 1, 1], FourierOptions::default(), &ParamSources::default()).unwrap()),
            [0.5; 3]
        );
    }

    #[test]
    fn a_work_can_be_used_again() {
        let param = Fourier::new([3, 6, 9], FourierOptions::default(), &ParamSources::default()).unwrap();
        let (a, b) = (checks::start_of(&param, 1), checks::start_of(&param, 2));
        let mut work = param.work();
        let mut out = vec![0.0; 3 * 54];
        param.image(&a, &mut work, &mut out);
        param.image(&b, &mut work, &mut out);
        assert_eq!(out, checks::image_of(&param, &b));
    }
}
