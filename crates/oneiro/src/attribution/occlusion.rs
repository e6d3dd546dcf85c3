//! Occlusion: how much the objective falls when a window of the image is covered.
//!
//! Zeiler & Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014), section 4.2. A window
//! moves over the image by a stride; the last one in a row or column is cut off by the border. A pixel's
//! value is the mean of f(x) − f(x covered) over the windows that cover it. Occlusion needs no gradient. Its
//! map depends on the window's size.

use super::{Attribution, AttributionTarget, Method, Settings, Watch};
use crate::error::Result;

/// Attributes by covering windows with [`Settings::fill`].
pub fn occlusion(
    target: &mut AttributionTarget<'_>,
    image: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Attribution> {
    let size = target.size();
    let (window, stride) = settings.windows(size);
    let rows = places(size[0], window[0], stride[0]);
    let columns = places(size[1], window[1], stride[1]);
    let fill = settings.fill.of(image, size, &target.input.preprocess, settings.seed);
    let plane = size[0] * size[1];
    let count = rows.len() * columns.len();
    // Calls `run` with every contiguous range of pixels in window `k`.
    let covered = |k: usize, run: &mut dyn FnMut(std::ops::Range<usize>)| {
        let (row, column) = (&rows[k / columns.len()], &columns[k % columns.len()]);
        row.clone().for_each(|y| run(y * size[1] + column.start..y * size[1] + column.end));
    };
    let value = target.value(image)?;
    let values = target.values(
        count,
        |k, out| {
            out.copy_from_slice(image);
            covered(k, &mut |pixels| {
                for color in 0..3 {
                    let at = color * plane + pixels.start..color * plane + pixels.end;
                    out[at.clone()].copy_from_slice(&fill[at]);
                }
            });
        },
        |done| watch(done, count),
    )?;
    let (mut falls, mut windows) = (vec![0.0f64; plane], vec![0u32; plane]);
    for (k, covered_value) in values.iter().enumerate() {
        covered(k, &mut |pixels| {
            falls[pixels.clone()].iter_mut().for_each(|f| *f += value - covered_value);
            windows[pixels].iter_mut().for_each(|n| *n += 1);
        });
    }
    // If the stride exceeds the window, pixels between windows are never covered and get 0.
    let map: Vec<f32> = falls.iter().zip(&windows).map(|(f, &n)| (f / f64::from(n.max(1))) as f32).collect();
    Attribution::new(Method::Occlusion, size, map.clone(), map, value)
}

/// Returns the ranges of the windows along a side. The last window is cut off at the border.
fn places(side: usize, window: usize, stride: usize) -> Vec<std::ops::Range<usize>> {
    let count = side.saturating_sub(window).div_ceil(stride) + 1;
    (0..count).map(|i| i * stride..(i * stride + window).min(side)).filter(|r| !r.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Baseline;
    use super::super::testing::{attribution, close, curved, image, linear, linear_weights, target};
    use super::*;

    #[test]
    fn windows_reach_the_border() {
        assert_eq!(places(10, 4, 3), [0..4, 3..7, 6..10]);
        assert_eq!(places(10, 4, 4), [0..4, 4..8, 8..10]);
        assert_eq!(places(3, 8, 4), std::iter::once(0..3).collect::<Vec<_>>());
        assert_eq!(places(1, 1, 1), std::iter::once(0..1).collect::<Vec<_>>());
        assert_eq!(places(10, 2, 7), [0..2, 7..9]);
    }

    #[test]
    fn single_pixels_of_a_linear_network_fall_by_weight_times_distance() {
        let settings =
            Settings { window: Some([1, 1]), stride: Some(1), fill: Baseline::Mean, ..Settings::default() };
        let a = attribution(&linear(), Method::Occlusion, &settings);
        let terms: Vec<f32> = linear_weights().iter().zip(image()).map(|(w, x)| w * (x - 0.5)).collect();
        close(&a.map, &super::super::over_colors(&terms, super::super::sum), 1e-5);
    }

    #[test]
    fn a_pixel_has_the_mean_fall_of_the_windows_over_it() {
        let model = curved();
        let settings = Settings { window: Some([3, 2]), stride: Some(2), ..Settings::default() };
        let a = attribution(&model, Method::Occlusion, &settings);
        let (mut s, x) = (target(&model), image());
        let [h, w] = s.size();
        let whole = s.value(&x).unwrap();
        let (mut falls, mut counts) = (vec![0.0; h * w], vec![0.0; h * w]);
        for top in (0..h).step_by(2) {
            for left in (0..w).step_by(2) {
                let mut masked = x.clone();
                let inside =
                    |y: usize, x: usize| (top..top + 3).contains(&y) && (left..left + 2).contains(&x);
                for i in (0..x.len()).filter(|i| inside(i / w % h, i % w)) {
                    masked[i] = 0.5;
                }
                let fall = whole - s.value(&masked).unwrap();
                for i in (0..h * w).filter(|i| inside(i / w, i % w)) {
                    falls[i] += fall;
                    counts[i] += 1.0;
                }
            }
        }
        let expected: Vec<f32> = falls.iter().zip(&counts).map(|(f, c)| (f / c) as f32).collect();
        close(&a.map, &expected, 1e-5);
    }
}
