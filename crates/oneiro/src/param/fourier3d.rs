//! Spectra in space and time as the parameters of clips: low temporal frequencies are favoured, so frames
//! resemble each other.
//!
//! The parameters are a complex half spectrum of each channel, `[C, T, H, W/2 + 1, (re, im)]`, over the
//! frequencies of time, rows and columns. In space, entries are scaled like those of
//! [`Fourier`](super::Fourier). In time they are scaled by s(f) ∝ 1/max(f, 1/T)^time_decay, normalised to Σ
//! s² = T, so that a single frame varies as a still with the same options. The temporal frequency 0, which
//! all frames share, is also multiplied by `still`. Clips are periodic in time, because Fourier series are.

use std::fmt;
use std::sync::Arc;

use oneiro_image::Extent;
use realfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};
use serde::{Deserialize, Serialize};

use super::colors::Colors;
use super::fourier::scale;
use super::{INIT_STD, LUCID_DIVISOR, Param, ParamSources, Squash, Work, check_image, normal_numbers};
use crate::color::Decorrelate;
use crate::error::Result;
use crate::rng::Stream;
use crate::spectrum::Spectrum;

/// Settings of [`Fourier3d`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fourier3dOptions {
    /// Exponent with which the scale falls with spatial frequency.
    pub decay: f32,
    /// Exponent with which the scale falls with temporal frequency: 0 makes frames independent, larger values
    /// make slow motion.
    pub time_decay: f32,
    /// Factor on the temporal frequency 0, the part that all frames share. Above 1, more of the clip stands
    /// still.
    pub still: f32,
    /// Divisor of the clip's values before the squash.
    pub divisor: f32,
    /// Source of the matrix that decorrelates colours.
    pub decorrelate: Decorrelate,
    /// Last function, which maps values to 0–1. With [`Squash::Identity`], the mean colour of photographs (or
    /// of the data) is added instead.
    pub squash: Squash,
    /// Standard deviation of the random initial parameters.
    pub init_std: f32,
}

impl Default for Fourier3dOptions {
    /// The same as [`FourierOptions`](super::FourierOptions) in space, and the same decay in time.
    fn default() -> Fourier3dOptions {
        Fourier3dOptions {
            decay: 1.0,
            time_decay: 1.0,
            still: 1.0,
            divisor: LUCID_DIVISOR,
            decorrelate: Decorrelate::Imagenet,
            squash: Squash::Sigmoid,
            init_std: INIT_STD,
        }
    }
}

impl Fourier3dOptions {
    /// Settings that let all frames share most of their appearance, with motion as a detail of it.
    pub fn steady() -> Fourier3dOptions {
        Fourier3dOptions { still: STEADY, ..Fourier3dOptions::default() }
    }
}

/// Factor on the part of a steady clip that all frames share; chosen by us, not from a paper.
const STEADY: f32 = 4.0;

/// The parametrization of a clip by a half spectrum in space and time for each channel.
#[derive(Clone)]
pub struct Fourier3d {
    extent: Extent,
    options: Fourier3dOptions,
    colors: Colors,
    spectrum: Spectrum,
    /// The factor of each temporal frequency, including the Fourier transform's 1/√T.
    in_time: Vec<f32>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
}

impl Fourier3d {
    /// Makes the parametrization for clips of this extent; a still is a clip of one frame.
    ///
    /// # Errors
    ///
    /// If colours are to be decorrelated by data, but `sources` has none for C channels.
    pub fn new(
        extent: impl Into<Extent>,
        options: Fourier3dOptions,
        sources: &ParamSources,
    ) -> Result<Fourier3d> {
        let extent = extent.into();
        let colors = Colors::new(extent.channels, options.decorrelate, options.squash, sources)?;
        let scale = scale(extent.size(), options.decay, options.divisor);
        let mut planner = FftPlanner::new();
        Ok(Fourier3d {
            extent,
            options,
            colors,
            spectrum: Spectrum::new(extent.height, extent.width, scale),
            in_time: in_time(extent.frames, options.time_decay, options.still),
            forward: planner.plan_fft_forward(extent.frames),
            inverse: planner.plan_fft_inverse(extent.frames),
        })
    }

    /// Returns the number of parameters of one frame of one channel.
    fn plane_len(&self) -> usize {
        2 * self.spectrum.len()
    }

    /// Transforms each entry of a channel's spectrum along time, with a factor for every temporal frequency.
    fn along_time(&self, fft: &dyn Fft<f32>, from: &[f32], to: &mut [f32], factors: Factors<'_>) {
        let (frames, len) = (self.extent.frames, self.plane_len());
        let mut lines = vec![Complex32::default(); BLOCK * frames];
        let mut scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
        for first in (0..len / 2).step_by(BLOCK) {
            let count = BLOCK.min(len / 2 - first);
            let lines = &mut lines[..count * frames];
            for t in 0..frames {
                let row = &from[t * len + 2 * first..][..2 * count];
                let factor = if let Factors::Before(factors) = factors { factors[t] } else { 1.0 };
                for (i, pair) in row.as_chunks::<2>().0.iter().enumerate() {
                    lines[i * frames + t] = Complex32::new(pair[0], pair[1]) * factor;
                }
            }
            fft.process_with_scratch(lines, &mut scratch);
            for t in 0..frames {
                let row = &mut to[t * len + 2 * first..][..2 * count];
                let factor = if let Factors::After(factors) = factors { factors[t] } else { 1.0 };
                for (i, pair) in row.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    let value = lines[i * frames + t] * factor;
                    *pair = [value.re, value.im];
                }
            }
        }
    }
}

/// How many entries of a spectrum are transformed along time together.
const BLOCK: usize = 64;

/// Whether the temporal frequencies' factors are applied before or after the transform.
#[derive(Clone, Copy)]
enum Factors<'a> {
    Before(&'a [f32]),
    After(&'a [f32]),
}

/// Returns s(f) · 1/√T for each temporal frequency, with `still` as an extra factor at frequency 0.
fn in_time(frames: usize, decay: f32, still: f32) -> Vec<f32> {
    let n = frames as f64;
    let frequency = |k: usize| k.min(frames - k) as f64 / n;
    let scale: Vec<f64> = (0..frames).map(|k| frequency(k).max(1.0 / n).powf(-f64::from(decay))).collect();
    let norm = (scale.iter().map(|s| s * s).sum::<f64>() / n).sqrt() * n.sqrt();
    let own = |k: usize| if k == 0 { f64::from(still) } else { 1.0 };
    scale.iter().enumerate().map(|(k, s)| (s * own(k) / norm) as f32).collect()
}

impl fmt::Debug for Fourier3d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fourier3d")
            .field("extent", &self.extent)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Param for Fourier3d {
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
        let mut frames = vec![0.0; self.len()];
        let mut work = self.spectrum.work();
        for (plane, params) in
            image.chunks_exact_mut(self.extent.plane()).zip(frames.chunks_exact_mut(self.plane_len()))
        {
            self.spectrum.parameters_of(plane, &mut work, params);
        }
        // An unnormalised transform and its inverse together multiply by T.
        let n = self.extent.frames as f32;
        let back: Vec<f32> = self.in_time.iter().map(|s| 1.0 / (n * s)).collect();
        let mut params = vec![0.0; self.len()];
        let channel = self.extent.frames * self.plane_len();
        for (from, to) in frames.chunks_exact(channel).zip(params.chunks_exact_mut(channel)) {
            self.along_time(&*self.forward, from, to, Factors::After(&back));
        }
        Some(params)
    }

    fn work(&self) -> Work {
        let of_time = Work { image: vec![0.0; self.len()], ..Work::default() };
        Work {
            image: vec![0.0; self.extent.values()],
            spectrum: self.spectrum.work(),
            planes: vec![of_time],
            ..Work::default()
        }
    }

    fn image(&self, params: &[f32], work: &mut Work, out: &mut [f32]) {
        assert_eq!(params.len(), self.len(), "the spectrum of a clip of {}", self.extent);
        let channel = self.extent.frames * self.plane_len();
        let frames = &mut work.planes[0].image;
        for (from, to) in params.chunks_exact(channel).zip(frames.chunks_exact_mut(channel)) {
            self.along_time(&*self.inverse, from, to, Factors::Before(&self.in_time));
        }
        let planes = out.chunks_exact_mut(self.extent.plane());
        for (plane, spectrum) in planes.zip(frames.chunks_exact(self.plane_len())) {
            self.spectrum.to_plane(spectrum, &mut work.spectrum, plane);
        }
        self.colors.apply(out, &mut work.squashed);
    }

    fn adjoint(&self, _params: &[f32], work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        work.image.copy_from_slice(grad_image);
        self.colors.adjoint(&mut work.image, &work.squashed);
        let frames = &mut work.planes[0].image;
        let planes = work.image.chunks_exact_mut(self.extent.plane());
        for (plane, spectrum) in planes.zip(frames.chunks_exact_mut(self.plane_len())) {
            self.spectrum.to_plane_adjoint(plane, &mut work.spectrum, spectrum);
        }
        let channel = self.extent.frames * self.plane_len();
        for (from, to) in frames.chunks_exact(channel).zip(grad_params.chunks_exact_mut(channel)) {
            self.along_time(&*self.forward, from, to, Factors::After(&self.in_time));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fourier, FourierOptions, checks};
    use super::*;

    const EXTENTS: [[usize; 4]; 5] = [[3, 4, 5, 6], [2, 5, 4, 4], [1, 1, 6, 3], [3, 2, 1, 1], [2, 7, 9, 16]];

    fn extent([channels, frames, height, width]: [usize; 4]) -> Extent {
        Extent { channels, frames, height, width }
    }

    fn made(extent: Extent, options: Fourier3dOptions) -> Fourier3d {
        Fourier3d::new(extent, options, &ParamSources::default()).unwrap()
    }

    #[test]
    fn gradient_and_way_back() {
        for shape in EXTENTS {
            for options in [Fourier3dOptions::default(), Fourier3dOptions::steady()] {
                let param = made(extent(shape), options);
                checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
                checks::assert_way_back(&param, 1e-4);
            }
        }
    }

    #[test]
    fn a_single_frame_is_a_still() {
        let still = extent([3, 1, 6, 7]);
        let param = made(still, Fourier3dOptions::default());
        let of_still = Fourier::new(still, FourierOptions::default(), &ParamSources::default()).unwrap();
        let params = checks::start_of(&param, 3);
        let (ours, theirs) = (checks::image_of(&param, &params), checks::image_of(&of_still, &params));
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    /// Returns the mean square difference of successive frames, relative to the values' variance.
    fn change(options: Fourier3dOptions) -> f64 {
        let extent = extent([1, 16, 16, 16]);
        let param = made(extent, Fourier3dOptions { squash: Squash::Identity, ..options });
        let clip = checks::image_of(&param, &checks::start_of(&param, 1));
        let mean = clip.iter().sum::<f32>() / clip.len() as f32;
        let all: f32 = clip.iter().map(|x| (x - mean).powi(2)).sum();
        let steps: f32 = clip.iter().zip(&clip[256..]).map(|(a, b)| (a - b).powi(2)).sum();
        f64::from(steps / all)
    }

    #[test]
    fn a_larger_decay_in_time_is_slower_and_a_steady_clip_changes_less() {
        let of = |time_decay| change(Fourier3dOptions { time_decay, ..Fourier3dOptions::default() });
        let [independent, usual, slow] = [0.0, 1.0, 2.0].map(of);
        assert!(
            independent > 1.5 && usual < 0.7 * independent && slow < 0.5 * usual,
            "{independent} {usual} {slow}"
        );
        assert!(change(Fourier3dOptions::steady()) < 0.5 * usual);
    }
}
