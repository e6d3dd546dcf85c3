//! Pyramids: tensors of several resolutions, which are summed at the size of the image.
//!
//! Every level is `[C·T, h, w]`. Its planes are upsampled bilinearly with aligned pixel centres (the
//! convention of OpenCV, PyTorch and TensorFlow 2), and edges are repeated. Upsampling runs along the rows of
//! the small plane first, then along columns.

use super::Work;
use crate::parallel;
use oneiro_image::Extent;

/// The two neighbours of a position, and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

/// Returns the taps that resample an axis of `from` pixels to `to` pixels.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let tap = |at: usize| {
        let source = (at as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let source = source.clamp(0.0, (from - 1) as f64);
        let first = source.floor() as usize;
        Tap { first, second: (first + 1).min(from - 1), share: (source - first as f64) as f32 }
    };
    (0..to).map(tap).collect()
}

/// Bilinear upsampling of one plane of a level.
#[derive(Debug, Clone)]
struct Upsample {
    from: [usize; 2],
    to: [usize; 2],
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

impl Upsample {
    fn new(from: [usize; 2], to: [usize; 2]) -> Upsample {
        Upsample { from, to, rows: taps(from[0], to[0]), columns: taps(from[1], to[1]) }
    }

    fn len(&self) -> usize {
        self.from[0] * self.from[1]
    }

    /// Adds the upsampled plane `small` to `out`.
    fn add(&self, small: &[f32], wide: &mut Vec<f32>, out: &mut [f32]) {
        if self.from == self.to {
            out.iter_mut().zip(small).for_each(|(o, s)| *o += s);
            return;
        }
        let width = self.to[1];
        wide.resize(self.from[0] * width, 0.0);
        for (wide, small) in wide.chunks_exact_mut(width).zip(small.chunks_exact(self.from[1])) {
            for (value, tap) in wide.iter_mut().zip(&self.columns) {
                *value = small[tap.first] + tap.share * (small[tap.second] - small[tap.first]);
            }
        }
        for (out, tap) in out.chunks_exact_mut(width).zip(&self.rows) {
            let (first, second) = (&wide[tap.first * width..], &wide[tap.second * width..]);
            for ((o, a), b) in out.iter_mut().zip(first).zip(second) {
                *o += a + tap.share * (b - a);
            }
        }
    }

    /// Applies the transpose of upsampling to a gradient and stores the result in `small`.
    fn adjoint(&self, gradient: &[f32], wide: &mut Vec<f32>, small: &mut [f32]) {
        if self.from == self.to {
            small.copy_from_slice(gradient);
            return;
        }
        let width = self.to[1];
        wide.clear();
        wide.resize(self.from[0] * width, 0.0);
        for (gradient, tap) in gradient.chunks_exact(width).zip(&self.rows) {
            for (row, share) in [(tap.first, 1.0 - tap.share), (tap.second, tap.share)] {
                let wide = &mut wide[row * width..(row + 1) * width];
                wide.iter_mut().zip(gradient).for_each(|(w, g)| *w += share * g);
            }
        }
        small.fill(0.0);
        for (small, wide) in small.chunks_exact_mut(self.from[1]).zip(wide.chunks_exact(width)) {
            for (gradient, tap) in wide.iter().zip(&self.columns) {
                small[tap.first] += (1.0 - tap.share) * gradient;
                small[tap.second] += tap.share * gradient;
            }
        }
    }

    /// Returns the small plane's share of an image. Each of its pixels is a weighted mean of the pixels over
    /// which upsampling spreads it, with the same weights.
    fn downsample(&self, image: &[f32]) -> Vec<f32> {
        let (mut small, mut weight) = (vec![0.0; self.len()], vec![0.0; self.len()]);
        let mut wide = Vec::new();
        self.adjoint(image, &mut wide, &mut small);
        self.adjoint(&vec![1.0; image.len()], &mut wide, &mut weight);
        small.iter_mut().zip(&weight).for_each(|(s, w)| *s /= w);
        small
    }
}

/// The levels of a pyramid, in the order of their parameters.
#[derive(Debug, Clone)]
pub(super) struct Pyramid {
    extent: Extent,
    levels: Vec<Upsample>,
}

impl Pyramid {
    /// Creates levels of H/factor × W/factor pixels (rounded down, at least 1) for each factor.
    pub fn new(extent: impl Into<Extent>, factors: &[usize]) -> Pyramid {
        let extent = extent.into();
        let [height, width] = extent.size();
        assert!(!extent.is_empty(), "an image of {extent} has no pixels");
        let side = |whole: usize, factor: usize| (whole / factor).max(1);
        let level =
            |&factor: &usize| Upsample::new([side(height, factor), side(width, factor)], [height, width]);
        Pyramid { extent, levels: factors.iter().map(level).collect() }
    }

    /// Number of values in all levels together.
    pub fn len(&self) -> usize {
        self.extent.planes() * self.levels.iter().map(Upsample::len).sum::<usize>()
    }

    fn plane(&self) -> usize {
        self.extent.plane()
    }

    /// Creates scratch memory for one image.
    pub fn work(&self) -> Vec<Work> {
        vec![Work::default(); self.extent.planes()]
    }

    /// Adds the upsampled levels to `out`, with planes in parallel.
    pub fn add(&self, params: &[f32], planes: &mut [Work], out: &mut [f32]) {
        assert_eq!(params.len(), self.len(), "the levels of an image of {}", self.extent);
        parallel::each(out.chunks_exact_mut(self.plane()).zip(planes), |plane, (out, work)| {
            let mut rest = params;
            for level in &self.levels {
                let (params, after) = rest.split_at(self.extent.planes() * level.len());
                level.add(&params[plane * level.len()..][..level.len()], &mut work.image, out);
                rest = after;
            }
        });
    }

    /// Computes the gradient of every level from that of the image.
    pub fn adjoint(&self, gradient: &[f32], planes: &mut [Work], grad_params: &mut [f32]) {
        assert_eq!(grad_params.len(), self.len(), "the levels of an image of {}", self.extent);
        let mut rest = grad_params;
        for level in &self.levels {
            let (params, after) = std::mem::take(&mut rest).split_at_mut(self.extent.planes() * level.len());
            let planes_of = params.chunks_exact_mut(level.len()).zip(gradient.chunks_exact(self.plane()));
            parallel::each(planes_of.zip(planes.iter_mut()), |_, ((params, gradient), work)| {
                level.adjoint(gradient, &mut work.image, params)
            });
            rest = after;
        }
    }

    /// Returns levels whose sum is this image, if one of them has its size. Each level takes what the
    /// previous levels have left.
    pub fn decompose(&self, mut image: Vec<f32>) -> Option<Vec<f32>> {
        let mut params = Vec::with_capacity(self.len());
        let mut wide = Vec::new();
        let mut exact = false;
        for level in &self.levels {
            for plane in image.chunks_exact_mut(self.plane()) {
                let mut small = level.downsample(plane);
                let mut up = vec![0.0; plane.len()];
                level.add(&small, &mut wide, &mut up);
                plane.iter_mut().zip(&up).for_each(|(p, u)| *p -= u);
                params.append(&mut small);
            }
            exact |= level.from == level.to;
        }
        exact.then_some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{checks, normal_numbers};
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_line_is_upsampled_as_by_pytorch() {
        // Result of torch.nn.functional.interpolate([0, 4, 8], size=6, mode="bilinear", align_corners=False).
        let mut out = vec![0.0; 6];
        Upsample::new([1, 3], [1, 6]).add(&[0.0, 4.0, 8.0], &mut Vec::new(), &mut out);
        assert_eq!(out, [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]);
    }

    #[test]
    fn the_pyramid_passes_the_adjoint_test() {
        for (shape, factors) in [([3, 13, 8], &[4, 2, 1][..]), ([1, 3, 2], &[8]), ([2, 1, 1], &[1, 2])] {
            let pyramid = Pyramid::new(shape, factors);
            let mut rng = Stream::new(6, 0);
            let x = normal_numbers(&mut rng, pyramid.len(), 0.0, 1.0);
            let y = normal_numbers(&mut rng, shape.iter().product(), 0.0, 1.0);
            let (mut ax, mut aty) = (vec![0.0; y.len()], vec![f32::NAN; x.len()]);
            let mut work = pyramid.work();
            pyramid.add(&x, &mut work, &mut ax);
            pyramid.adjoint(&y, &mut work, &mut aty);
            let (left, right) = (checks::dot(&ax, &y), checks::dot(&x, &aty));
            assert!((left - right).abs() < 1e-4, "{shape:?}: {left} {right}");
        }
    }

    #[test]
    fn a_constant_stays_a_constant_both_ways() {
        let up = Upsample::new([3, 5], [10, 17]);
        let small = up.downsample(&vec![2.5; 170]);
        assert!(small.iter().all(|v| (v - 2.5).abs() < 1e-5), "{small:?}");
        let mut out = vec![0.0; 170];
        up.add(&small, &mut Vec::new(), &mut out);
        assert!(out.iter().all(|v| (v - 2.5).abs() < 1e-5), "{out:?}");
    }
}
