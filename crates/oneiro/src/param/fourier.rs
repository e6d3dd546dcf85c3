//! Fourier parametrization with decorrelated colours (Lucid; Olah, Mordvintsev & Schubert, "Feature
//! Visualization").
//!
//! The parameters are a complex half spectrum for each channel, `[C, H, W/2 + 1, (re, im)]`. Its entries are
//! scaled by sqrt(H·W) / max(f, 1/max(H, W))^d, so that every frequency has the share that it has in
//! photographs, then
//!
//! image = squash(M · irfft2(scale · spectrum) / divisor),
//!
//! where irfft2 is normalised by 1/(H·W) and M mixes the channels ([`Mixing`]).

use super::{INIT_STD, Param, Squash, Work, normal_numbers};
use crate::color::{IMAGENET_COLOR_MEAN, Mixing};
use crate::rng::Stream;
use rayon::prelude::*;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What Lucid divides the inverse transform by (`lucid/optvis/param/spatial.py`, `fft_image`).
pub const LUCID_DIVISOR: f32 = 4.0;

/// Settings of [`Fourier`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FourierOptions {
    /// The power d by which the scale falls with frequency: 1 in Lucid and Conveiro, 0.85 in Xplique, 1.5 in
    /// torch-dreams.
    pub decay: f32,
    /// What the image is divided by before the squash: [`LUCID_DIVISOR`], or 1 in Conveiro.
    pub divisor: f32,
    /// Whether the colours of an RGB image are decorrelated. Other channel counts are left as they are.
    pub decorrelate: bool,
    /// With [`Squash::Identity`] the mean colour of photographs is added to an RGB image.
    pub squash: Squash,
    /// Standard deviation of the first parameters.
    pub init_std: f32,
}

impl Default for FourierOptions {
    /// Lucid's settings.
    fn default() -> FourierOptions {
        FourierOptions {
            decay: 1.0,
            divisor: LUCID_DIVISOR,
            decorrelate: true,
            squash: Squash::Sigmoid,
            init_std: INIT_STD,
        }
    }
}

/// A half spectrum for each channel.
#[derive(Clone)]
pub struct Fourier {
    shape: [usize; 3],
    options: FourierOptions,
    mixing: Mixing,
    /// Added to each channel after mixing.
    mean: Vec<f32>,
    spectrum: Spectrum,
}

impl Fourier {
    /// The half spectrum of a `[C, H, W]` image. Any H and W of 1 or more; both may be odd.
    pub fn new(shape: [usize; 3], options: FourierOptions) -> Fourier {
        let channels = shape[0];
        let mixing =
            if options.decorrelate { Mixing::for_channels(channels) } else { Mixing::identity(channels) };
        Fourier::with_mixing(shape, options, mixing)
    }

    /// The same with the colour matrix of another data set; `options.decorrelate` is not looked at.
    pub fn with_mixing(shape: [usize; 3], options: FourierOptions, mixing: Mixing) -> Fourier {
        let [channels, height, width] = shape;
        assert!(channels > 0 && height > 0 && width > 0, "an image of shape {shape:?} has no pixels");
        assert_eq!(mixing.channels(), channels, "the colour matrix must fit the channels");
        let mean = match options.squash {
            Squash::Identity if channels == 3 => IMAGENET_COLOR_MEAN.to_vec(),
            Squash::Identity | Squash::Sigmoid => vec![0.0; channels],
        };
        let spectrum = Spectrum::new(height, width, options.decay, options.divisor);
        Fourier { shape, options, mixing, mean, spectrum }
    }

    fn planes(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Parameters of one channel.
    fn channel_len(&self) -> usize {
        2 * self.spectrum.scale.len()
    }
}

impl fmt::Debug for Fourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fourier")
            .field("shape", &self.shape)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Param for Fourier {
    fn len(&self) -> usize {
        self.shape[0] * self.channel_len()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn init(&self, rng: &mut Stream) -> Vec<f32> {
        normal_numbers(rng, self.len(), 0.0, self.options.init_std)
    }

    fn from_image(&self, image: &[f32]) -> Vec<f32> {
        assert_eq!(
            image.len(),
            self.shape.iter().product::<usize>(),
            "from_image takes an image of {:?}",
            self.shape
        );
        let mut image = image.to_vec();
        self.options.squash.unapply(&mut image);
        for (plane, mean) in image.chunks_exact_mut(self.planes()).zip(&self.mean) {
            plane.iter_mut().for_each(|v| *v -= mean);
        }
        self.mixing.unapply(&mut image);
        let mut params = vec![0.0; self.len()];
        let mut work = self.work();
        for (plane, params) in
            image.chunks_exact_mut(self.planes()).zip(params.chunks_exact_mut(self.channel_len()))
        {
            self.spectrum.parameters_of(plane, &mut work, params);
        }
        params
    }

    fn work(&self) -> Work {
        Work {
            image: vec![0.0; self.shape.iter().product()],
            planes: (0..self.shape[0]).map(|_| self.spectrum.work()).collect(),
            ..self.spectrum.work()
        }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        assert_eq!(params.len(), self.len(), "the spectrum of an image of {:?}", self.shape);
        out.par_chunks_exact_mut(self.planes())
            .zip(params.par_chunks_exact(self.channel_len()))
            .zip(&mut work.planes)
            .for_each(|((plane, params), work)| self.spectrum.to_plane(params, work, plane));
        self.mixing.apply(out);
        for (plane, mean) in out.chunks_exact_mut(self.planes()).zip(&self.mean) {
            if *mean != 0.0 {
                plane.iter_mut().for_each(|v| *v += mean);
            }
        }
        self.options.squash.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let mut gradient = std::mem::take(&mut work.image);
        gradient.copy_from_slice(grad_image);
        self.options.squash.adjoint(&mut gradient, &work.squashed);
        self.mixing.adjoint(&mut gradient);
        gradient
            .par_chunks_exact_mut(self.planes())
            .zip(grad_params.par_chunks_exact_mut(self.channel_len()))
            .zip(&mut work.planes)
            .for_each(|((plane, params), work)| self.spectrum.to_plane_adjoint(plane, work, params));
        work.image = gradient;
    }
}

/// Frequencies of the half spectrum, row by row: sqrt(fx² + fy²) with fy as `fftfreq(H)` and fx as
/// `rfftfreq(W)`, in cycles per pixel.
fn frequencies(height: usize, width: usize) -> Vec<f64> {
    let rows = (0..height).map(|y| y.min(height - y) as f64 / height as f64);
    rows.flat_map(|fy| (0..=width / 2).map(move |x| fy.hypot(x as f64 / width as f64))).collect()
}

/// One plane and its scaled half spectrum.
#[derive(Clone)]
struct Spectrum {
    height: usize,
    width: usize,
    /// What each entry is multiplied by, `[H, W/2 + 1]`: scale by frequency / divisor / (H·W).
    scale: Vec<f32>,
    columns_forward: Arc<dyn Fft<f32>>,
    columns_inverse: Arc<dyn Fft<f32>>,
    rows_forward: Arc<dyn RealToComplex<f32>>,
    rows_inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Spectrum {
    fn new(height: usize, width: usize, decay: f32, divisor: f32) -> Spectrum {
        let lowest = 1.0 / height.max(width) as f64;
        let pixels = (height * width) as f64;
        let scale =
            |f: f64| pixels.sqrt() / f.max(lowest).powf(f64::from(decay)) / f64::from(divisor) / pixels;
        let (mut columns, mut rows) = (FftPlanner::new(), RealFftPlanner::new());
        Spectrum {
            height,
            width,
            scale: frequencies(height, width).into_iter().map(|f| scale(f) as f32).collect(),
            columns_forward: columns.plan_fft_forward(height),
            columns_inverse: columns.plan_fft_inverse(height),
            rows_forward: rows.plan_fft_forward(width),
            rows_inverse: rows.plan_fft_inverse(width),
        }
    }

    fn half(&self) -> usize {
        self.width / 2 + 1
    }

    /// Whether this column of the half spectrum stands for itself alone. Every other stands also for its
    /// mirror image, the negative frequency.
    fn is_single(&self, column: usize) -> bool {
        column == 0 || 2 * column == self.width
    }

    fn work(&self) -> Work {
        let columns = self
            .columns_forward
            .get_inplace_scratch_len()
            .max(self.columns_inverse.get_inplace_scratch_len());
        let rows = self.rows_forward.get_scratch_len().max(self.rows_inverse.get_scratch_len());
        let zero = Complex32::default();
        Work {
            columns: vec![zero; self.scale.len()],
            row: vec![zero; self.half()],
            fft: vec![zero; columns.max(rows)],
            ..Work::default()
        }
    }

    /// plane = irfft2(scale · params): complex along y, then real along x, which ignores the imaginary parts
    /// of the columns that stand for themselves (numpy's convention).
    fn to_plane(&self, params: &[f32], work: &mut Work, plane: &mut [f32]) {
        let (half, height) = (self.half(), self.height);
        for (y, (params, scale)) in
            params.chunks_exact(2 * half).zip(self.scale.chunks_exact(half)).enumerate()
        {
            for (k, (pair, scale)) in params.chunks_exact(2).zip(scale).enumerate() {
                work.columns[k * height + y] = Complex32::new(pair[0], pair[1]) * scale;
            }
        }
        self.columns_inverse.process_with_scratch(&mut work.columns, &mut work.fft);
        for (y, pixels) in plane.chunks_exact_mut(self.width).enumerate() {
            for (k, entry) in work.row.iter_mut().enumerate() {
                *entry = work.columns[k * height + y];
                if self.is_single(k) {
                    entry.im = 0.0;
                }
            }
            let done = self.rows_inverse.process_with_scratch(&mut work.row, pixels, &mut work.fft);
            done.expect("lengths are the plan's, and single columns are real");
        }
    }

    /// grad_params = scale · weight · rfft2(grad_plane), where the weight is 2 for columns that stand for
    /// two. The plane is overwritten.
    fn to_plane_adjoint(&self, grad_plane: &mut [f32], work: &mut Work, grad_params: &mut [f32]) {
        self.transform(grad_plane, work);
        self.read_columns(work, grad_params, |entry, scale, single| {
            entry * if single { scale } else { 2.0 * scale }
        });
    }

    /// The parameters whose plane this is: params = rfft2(plane) / (scale · H · W), the 1/(H·W) of the
    /// inverse transform being part of the scale. The plane is overwritten.
    fn parameters_of(&self, plane: &mut [f32], work: &mut Work, params: &mut [f32]) {
        let pixels = (self.height * self.width) as f32;
        self.transform(plane, work);
        self.read_columns(work, params, |entry, scale, _| entry / (scale * pixels));
    }

    /// rfft2 without normalisation, left in `work.columns`.
    fn transform(&self, plane: &mut [f32], work: &mut Work) {
        for (y, pixels) in plane.chunks_exact_mut(self.width).enumerate() {
            let done = self.rows_forward.process_with_scratch(pixels, &mut work.row, &mut work.fft);
            done.expect("lengths are the plan's");
            for (k, entry) in work.row.iter().enumerate() {
                work.columns[k * self.height + y] = *entry;
            }
        }
        self.columns_forward.process_with_scratch(&mut work.columns, &mut work.fft);
    }

    fn read_columns(
        &self,
        work: &Work,
        params: &mut [f32],
        value: impl Fn(Complex32, f32, bool) -> Complex32,
    ) {
        let half = self.half();
        for (y, (params, scale)) in
            params.chunks_exact_mut(2 * half).zip(self.scale.chunks_exact(half)).enumerate()
        {
            for (k, (pair, scale)) in params.chunks_exact_mut(2).zip(scale).enumerate() {
                let entry = value(work.columns[k * self.height + y], *scale, self.is_single(k));
                (pair[0], pair[1]) = (entry.re, entry.im);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    const SIZES: [[usize; 2]; 10] =
        [[4, 4], [5, 4], [4, 5], [7, 7], [1, 6], [6, 1], [1, 5], [1, 1], [2, 2], [3, 16]];

    fn linear(channels: usize, height: usize, width: usize) -> Fourier {
        let options = FourierOptions { squash: Squash::Identity, ..FourierOptions::default() };
        Fourier::new([channels, height, width], options)
    }

    #[test]
    fn scale_of_a_4_by_4_image_is_lucids() {
        let expected = [
            [16.0, 16.0, 8.0],
            [16.0, 11.313708, 7.155418],
            [8.0, 7.155418, 5.656854],
            [16.0, 11.313708, 7.155418],
        ];
        let spectrum = Spectrum::new(4, 4, 1.0, 1.0);
        for (ours, expected) in spectrum.scale.iter().zip(expected.concat()) {
            assert!((ours * 16.0 - expected).abs() < 1e-5, "{ours} {expected}");
        }
    }

    #[test]
    fn the_inverse_transform_is_numpys() {
        // Against the sum that defines it, imaginary parts of single columns included.
        for [height, width] in SIZES {
            let spectrum = Spectrum::new(height, width, 0.0, 1.0);
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
                // A decay of 0 leaves sqrt(H·W) / (H·W).
                expected /= ((height * width) as f64).sqrt();
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{height}x{width}: {value} {expected}");
            }
        }
    }

    #[test]
    fn the_linear_part_passes_the_adjoint_test() {
        for [height, width] in SIZES {
            let spectrum = Spectrum::new(height, width, 1.0, LUCID_DIVISOR);
            let mut rng = Stream::new(4, 0);
            let x = normal_numbers(&mut rng, 2 * spectrum.scale.len(), 0.0, 1.0);
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
                let squashed = Fourier::new([channels, height, width], FourierOptions::default());
                checks::assert_gradient(&squashed, 0.3, 1e-2, 2e-3);
                checks::assert_way_back(&squashed, 1e-4);
                checks::assert_gradient(&linear(channels, height, width), 0.3, 1e-1, 1e-3);
                checks::assert_way_back(&linear(channels, height, width), 1e-4);
            }
        }
    }

    #[test]
    fn the_mean_colour_is_added_only_without_sigmoid() {
        let zero = |param: &Fourier| checks::image_of(param, &vec![0.0; param.len()]);
        assert_eq!(zero(&linear(3, 1, 1)), IMAGENET_COLOR_MEAN);
        assert_eq!(zero(&linear(1, 1, 1)), [0.0]);
        assert_eq!(zero(&Fourier::new([3, 1, 1], FourierOptions::default())), [0.5; 3]);
    }

    #[test]
    fn a_work_can_be_used_again() {
        let param = Fourier::new([3, 6, 9], FourierOptions::default());
        let (a, b) = (param.init(&mut Stream::new(1, 0)), param.init(&mut Stream::new(2, 0)));
        let mut work = param.work();
        let mut out = vec![0.0; 3 * 54];
        param.image(&a, &mut work, &mut out);
        param.image(&b, &mut work, &mut out);
        assert_eq!(out, checks::image_of(&param, &b));
    }
}
