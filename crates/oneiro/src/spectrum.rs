//! Half spectra of real planes: the Fourier transform, its inverse, and the inverse's adjoint.
//!
//! The half spectrum of a plane `[H, W]` has the entries `[H, W/2 + 1]` of a real Fourier transform, in
//! numpy's order. As parameters, entries are stored as pairs, `[H, W/2 + 1, (re, im)]`.

use crate::parallel;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Number of rows or columns that one task transforms. As many complex numbers fill one cache line, so that
/// strided reads across the lines use whole cache lines.
const LINES: usize = 8;

/// Scratch memory of the transforms of one plane.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpectrumWork {
    /// The half spectrum in column-major order.
    columns: Vec<Complex32>,
    /// The half spectrum in row-major order.
    rows: Vec<Complex32>,
    /// Scratch memory of each task of the transforms.
    lines: Vec<Lines>,
}

/// Scratch memory of one task.
#[derive(Debug, Clone, Default)]
struct Lines {
    /// Half spectra of the rows that the task transforms.
    rows: Vec<Complex32>,
    /// Scratch memory of the FFT plans.
    fft: Vec<Complex32>,
}

/// One axis of a Fourier transform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// Number of positions along this axis.
    pub len: usize,
    /// Factor of the axis's frequencies (cycles per position) when frequencies of several axes are combined.
    pub weight: f64,
}

impl Axis {
    /// Creates an axis of an image, with weight 1.
    pub fn of_pixels(len: usize) -> Axis {
        Axis { len, weight: 1.0 }
    }
}

/// Returns the lengths of the frequency vectors of a half spectrum over these axes, slowest axis first. A
/// length is the root of the sum of (weight · f)². f is numpy's `rfftfreq` along the last axis and the
/// magnitude of its `fftfreq` along the others.
pub(crate) fn frequencies(axes: &[Axis]) -> Vec<f64> {
    let Some((last, slower)) = axes.split_last() else { return vec![0.0] };
    let along = |axis: &Axis, k: usize| axis.weight * k.min(axis.len - k) as f64 / axis.len as f64;
    let mut lengths = vec![0.0f64];
    for axis in slower {
        lengths = lengths.iter().flat_map(|f| (0..axis.len).map(|k| f.hypot(along(axis, k)))).collect();
    }
    lengths.iter().flat_map(|f| (0..=last.len / 2).map(|k| f.hypot(along(last, k)))).collect()
}

/// Returns max(f, 1/L)^decay for each entry of a half spectrum, where L is the longest axis. Magnitudes of
/// photographs fall like this with frequency, and spectra are divided by it. The constant counts as the
/// lowest frequency.
pub(crate) fn natural_decay(axes: &[Axis], decay: f64) -> Vec<f64> {
    let longest = axes.iter().map(|axis| axis.len).max().unwrap_or(1);
    let lowest = 1.0 / longest as f64;
    frequencies(axes).into_iter().map(|f| f.max(lowest).powf(decay)).collect()
}

/// The transforms between one plane and its scaled half spectrum.
#[derive(Clone)]
pub(crate) struct Spectrum {
    height: usize,
    width: usize,
    /// The factor of each entry, `[H, W/2 + 1]`, including 1/(H·W).
    scale: Vec<f32>,
    columns_forward: Arc<dyn Fft<f32>>,
    columns_inverse: Arc<dyn Fft<f32>>,
    rows_forward: Arc<dyn RealToComplex<f32>>,
    rows_inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Spectrum {
    /// `scale` has one factor for each of the H·(W/2 + 1) entries. The inverse transform, which itself does
    /// not normalise, multiplies entries by these factors first.
    pub fn new(height: usize, width: usize, scale: Vec<f32>) -> Spectrum {
        assert_eq!(scale.len(), height * (width / 2 + 1), "a factor for each entry of the half spectrum");
        let (mut columns, mut rows) = (FftPlanner::new(), RealFftPlanner::new());
        Spectrum {
            height,
            width,
            scale,
            columns_forward: columns.plan_fft_forward(height),
            columns_inverse: columns.plan_fft_inverse(height),
            rows_forward: rows.plan_fft_forward(width),
            rows_inverse: rows.plan_fft_inverse(width),
        }
    }

    /// Creates the plain transform: planes are irfft2 of the entries, normalised by 1/(H·W).
    pub fn unscaled(height: usize, width: usize) -> Spectrum {
        let one = (1.0 / (height * width) as f64) as f32;
        Spectrum::new(height, width, vec![one; height * (width / 2 + 1)])
    }

    /// Returns the number of entries of the half spectrum.
    pub fn len(&self) -> usize {
        self.scale.len()
    }

    /// Returns the number of columns of the half spectrum.
    pub fn half(&self) -> usize {
        self.width / 2 + 1
    }

    /// Whether this column of the half spectrum occurs once in the full spectrum. Every other column also
    /// represents its negative frequency, whose entries are the complex conjugates.
    pub fn is_single(&self, column: usize) -> bool {
        column == 0 || 2 * column == self.width
    }

    /// Allocates scratch memory for one plane.
    pub fn work(&self) -> SpectrumWork {
        let scratch = [
            self.columns_forward.get_inplace_scratch_len(),
            self.columns_inverse.get_inplace_scratch_len(),
            self.rows_forward.get_scratch_len(),
            self.rows_inverse.get_scratch_len(),
        ];
        let scratch = scratch.into_iter().max().unwrap_or(0);
        let zero = Complex32::default();
        let lines = || Lines { rows: vec![zero; LINES * self.half()], fft: vec![zero; scratch] };
        SpectrumWork {
            columns: vec![zero; self.scale.len()],
            rows: vec![zero; self.scale.len()],
            lines: (0..self.height.max(self.half()).div_ceil(LINES)).map(|_| lines()).collect(),
        }
    }

    /// Computes plane = irfft2(scale · params): a complex transform along y, then a real one along x. Like
    /// numpy, the real one ignores the imaginary parts of columns for which [`Spectrum::is_single`] holds.
    pub fn to_plane(&self, params: &[f32], work: &mut SpectrumWork, plane: &mut [f32]) {
        let (half, height) = (self.half(), self.height);
        let SpectrumWork { columns, lines, .. } = work;
        parallel::each(columns.chunks_mut(LINES * height).zip(&mut *lines), |block, (columns, lines)| {
            for (k, column) in (block * LINES..).zip(columns.chunks_exact_mut(height)) {
                let rows = params.chunks_exact(2 * half).zip(self.scale.chunks_exact(half));
                for (entry, (pairs, scale)) in column.iter_mut().zip(rows) {
                    *entry = Complex32::new(pairs[2 * k], pairs[2 * k + 1]) * scale[k];
                }
            }
            self.columns_inverse.process_with_scratch(columns, &mut lines.fft);
        });
        let columns = &*columns;
        parallel::each(plane.chunks_mut(LINES * self.width).zip(lines), |block, (plane, lines)| {
            let count = plane.len() / self.width;
            for (k, column) in columns.chunks_exact(height).enumerate() {
                for (y, entry) in column[block * LINES..][..count].iter().enumerate() {
                    lines.rows[y * half + k] = *entry;
                }
            }
            let rows = lines.rows.chunks_exact_mut(half);
            for (pixels, row) in plane.chunks_exact_mut(self.width).zip(rows) {
                for single in [0, half - 1].into_iter().filter(|k| self.is_single(*k)) {
                    row[single].im = 0.0;
                }
                let done = self.rows_inverse.process_with_scratch(row, pixels, &mut lines.fft);
                done.expect("lengths are the plan's, and single columns are real");
            }
        });
    }

    /// Computes grad_params = scale · weight · rfft2(grad_plane). The weight is 1 for columns for which
    /// [`Spectrum::is_single`] holds and 2 for all others. The plane is overwritten.
    pub fn to_plane_adjoint(&self, grad_plane: &mut [f32], work: &mut SpectrumWork, grad_params: &mut [f32]) {
        self.transform(grad_plane, work);
        self.read(work, grad_params, 2, |entry, scale, single, pair| {
            let entry = entry * if single { scale } else { 2.0 * scale };
            pair.copy_from_slice(&[entry.re, entry.im]);
        });
    }

    /// Computes the parameters of a plane: params = rfft2(plane) / (scale · H · W). The scale includes the
    /// 1/(H·W) of the inverse transform. The plane is overwritten.
    pub fn parameters_of(&self, plane: &mut [f32], work: &mut SpectrumWork, params: &mut [f32]) {
        let pixels = (self.height * self.width) as f32;
        self.transform(plane, work);
        self.read(work, params, 2, |entry, scale, _, pair| {
            let entry = entry / (scale * pixels);
            pair.copy_from_slice(&[entry.re, entry.im]);
        });
    }

    /// Writes the magnitudes of rfft2(plane), without normalisation, `[H, W/2 + 1]`. The plane is
    /// overwritten.
    pub fn magnitudes_of(&self, plane: &mut [f32], work: &mut SpectrumWork, magnitudes: &mut [f32]) {
        self.transform(plane, work);
        self.read(work, magnitudes, 1, |entry, _, _, magnitude| magnitude[0] = entry.norm());
    }

    /// Writes rfft2 of the plane, without normalisation, to `work.columns`.
    fn transform(&self, plane: &mut [f32], work: &mut SpectrumWork) {
        let (half, height) = (self.half(), self.height);
        let SpectrumWork { columns, rows, lines } = work;
        let blocks = plane.chunks_mut(LINES * self.width).zip(rows.chunks_mut(LINES * half)).zip(&mut *lines);
        parallel::each(blocks, |_, ((plane, rows), lines)| {
            for (pixels, row) in plane.chunks_exact_mut(self.width).zip(rows.chunks_exact_mut(half)) {
                let done = self.rows_forward.process_with_scratch(pixels, row, &mut lines.fft);
                done.expect("lengths are the plan's");
            }
        });
        let rows = &*rows;
        parallel::each(columns.chunks_mut(LINES * height).zip(lines), |block, (columns, lines)| {
            for (k, column) in (block * LINES..).zip(columns.chunks_exact_mut(height)) {
                column.iter_mut().zip(rows.chunks_exact(half)).for_each(|(entry, row)| *entry = row[k]);
            }
            self.columns_forward.process_with_scratch(columns, &mut lines.fft);
        });
    }

    /// Calls `write` for every entry of `work.columns`. Its arguments are the entry, the entry's scale,
    /// whether the column [is single](Self::is_single), and the entry's `size` elements of `result`.
    fn read(
        &self,
        work: &SpectrumWork,
        result: &mut [f32],
        size: usize,
        write: impl Fn(Complex32, f32, bool, &mut [f32]) + Sync,
    ) {
        let (half, height) = (self.half(), self.height);
        let blocks = result.chunks_mut(LINES * half * size).zip(self.scale.chunks(LINES * half));
        parallel::each(blocks, |block, (result, scale)| {
            let count = result.len() / (half * size);
            for (k, column) in work.columns.chunks_exact(height).enumerate() {
                let single = self.is_single(k);
                for (y, entry) in column[block * LINES..][..count].iter().enumerate() {
                    let at = y * half + k;
                    write(*entry, scale[at], single, &mut result[at * size..][..size]);
                }
            }
        });
    }
}
