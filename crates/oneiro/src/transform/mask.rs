//! Windows through which the image is seen. Outside the window is the fill colour.

/// The window of [`Transform::Mask`](super::Transform::Mask), about the middle of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Mask {
    /// A disc whose radius is this fraction of half the shorter side. Its edge is soft: the window falls from
    /// 1 to 0 between 0.9 and 1.1 radii.
    Circle(f64),
    /// A box with this fraction of the height and the width. A pixel at its edge has the fraction of its area
    /// that the box covers.
    Box(f64),
}

/// Width of a circle's soft edge in radii, wide enough that the network does not see the edge as a feature.
const EDGE: f64 = 0.2;

/// The smallest radius in pixels, so that the soft edge has a finite slope.
const SMALLEST: f64 = 1e-3;

impl Mask {
    /// Writes the window, with values in 0–1, for an image of this size.
    pub fn window(&self, [height, width]: [usize; 2], out: &mut Vec<f32>) {
        out.clear();
        match *self {
            Mask::Circle(fraction) => {
                let radius = (0.5 * fraction * height.min(width) as f64).max(SMALLEST);
                let centre = |n: usize| 0.5 * (n - 1) as f64;
                let (inner, slope) = (radius * (1.0 - 0.5 * EDGE), 1.0 / (radius * EDGE));
                out.extend((0..height * width).map(|at| {
                    let (y, x) = ((at / width) as f64 - centre(height), (at % width) as f64 - centre(width));
                    let t = (((y * y + x * x).sqrt() - inner) * slope).clamp(0.0, 1.0);
                    // Smoothstep has zero slope at both ends of the edge.
                    (1.0 - t * t * (3.0 - 2.0 * t)) as f32
                }));
            }
            Mask::Box(fraction) => {
                let covered = |i: usize, n: usize| {
                    let (low, high) = (0.5 * (1.0 - fraction) * n as f64, 0.5 * (1.0 + fraction) * n as f64);
                    ((i + 1) as f64).min(high) - (i as f64).max(low)
                };
                let along = |n: usize| (0..n).map(move |i| covered(i, n).clamp(0.0, 1.0) as f32);
                let columns: Vec<f32> = along(width).collect();
                along(height).for_each(|y| out.extend(columns.iter().map(|x| y * x)));
            }
        }
    }
}

/// Computes out = fill + window·(in − fill).
pub fn apply(window: &[f32], fill: f32, input: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(input).zip(window).for_each(|((out, x), w)| *out = fill + w * (x - fill));
}

/// Applies the adjoint (transpose) of [`apply`] to a gradient.
pub fn adjoint(window: &[f32], grad_out: &[f32], grad_in: &mut [f32]) {
    grad_in.iter_mut().zip(grad_out).zip(window).for_each(|((grad, g), w)| *grad = w * g);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_covers_its_share_of_the_area() {
        let mut window = Vec::new();
        for (size, fraction) in [([10, 20], 0.5), ([7, 5], 0.61), ([1, 1], 0.3), ([4, 4], 1.0)] {
            Mask::Box(fraction).window(size, &mut window);
            let sum: f32 = window.iter().sum();
            let expected = fraction * fraction * (size[0] * size[1]) as f64;
            assert!((f64::from(sum) - expected).abs() < 1e-4, "{size:?} {fraction}: {sum}");
        }
        Mask::Box(0.5).window([4, 4], &mut window);
        assert_eq!(window[4..8], [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_circle_is_clear_inside_and_shut_outside_its_soft_edge() {
        let mut window = Vec::new();
        Mask::Circle(0.8).window([41, 61], &mut window);
        let radius = 0.8 * 20.5;
        for (at, w) in window.iter().enumerate() {
            let (y, x) = ((at / 61) as f64 - 20.0, (at % 61) as f64 - 30.0);
            let r = (y * y + x * x).sqrt() / radius;
            assert!(r > 0.9 || *w == 1.0);
            assert!(r < 1.1 || *w == 0.0);
        }
        assert!(window.iter().any(|w| (0.2..0.8).contains(w)));
    }
}
