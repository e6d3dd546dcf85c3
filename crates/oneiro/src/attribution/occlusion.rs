//! Occlusion: how much the objective falls when a window of the image is covered.
//!
//! Zeiler & Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014), section 4.2. A window
//! moves over the image by a stride; the last one in a row or column is cut off by the border. A pixel's
//! value is the mean of f(x) − f(x covered) over the windows that cover it. Occlusion needs no gradient. Its
//! map depends on the window's size. In clips and flow, windows extend and move in time, too; each input is
//! covered by itself, while the others stay as they are.

use std::ops::Range;

use oneiro_image::Extent;

use super::{Attribution, AttributionTarget, Method, Settings, Watch};
use crate::error::Result;

/// Attributes by covering windows with [`Settings::fill`].
pub fn occlusion(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let windows: Vec<Window> = target
        .parts()
        .enumerate()
        .flat_map(|(at, (input, part))| Window::all(settings, at, input.extent, part.start))
        .collect();
    let count = windows.len();
    let fill = target.baseline(settings.fill, display, settings.seed);
    let value = target.value(display)?;
    let values = target.values(
        count,
        |k, out| {
            out.copy_from_slice(display);
            windows[k].rows(&mut |positions| {
                for channel in 0..windows[k].extent.channels {
                    let start = windows[k].start + channel * windows[k].extent.positions();
                    let at = start + positions.start..start + positions.end;
                    out[at.clone()].copy_from_slice(&fill[at]);
                }
            });
        },
        |done| watch(done, count),
    )?;
    let mut found = Vec::new();
    for (at, (input, _)) in target.parts().enumerate() {
        let positions = input.extent.positions();
        let (mut falls, mut covers) = (vec![0.0f64; positions], vec![0u32; positions]);
        for (window, covered) in windows.iter().zip(&values).filter(|(window, _)| window.input == at) {
            window.rows(&mut |row| {
                falls[row.clone()].iter_mut().for_each(|f| *f += value - covered);
                covers[row].iter_mut().for_each(|n| *n += 1);
            });
        }
        // If the stride exceeds the window, pixels between windows are never covered and get 0.
        let mean = |(fall, &n): (&f64, &u32)| (fall / f64::from(n.max(1))) as f32;
        let map: Vec<f32> = falls.iter().zip(&covers).map(mean).collect();
        found.push(Attribution::new(Method::Occlusion, at, input.extent, map.clone(), map, value)?);
    }
    Ok(found)
}

/// A window of an input that is covered.
struct Window {
    /// Index of the input.
    input: usize,
    extent: Extent,
    /// Index of the input's first display value.
    start: usize,
    /// Along time, y and x.
    ranges: [Range<usize>; 3],
}

impl Window {
    /// All windows of an input.
    fn all(settings: &Settings, input: usize, extent: Extent, start: usize) -> Vec<Self> {
        let (window, stride) = settings.windows(extent);
        let sides = [extent.frames, extent.height, extent.width];
        let [times, rows, columns] = [0, 1, 2].map(|axis| places(sides[axis], window[axis], stride[axis]));
        let mut all = Vec::with_capacity(times.len() * rows.len() * columns.len());
        for time in &times {
            for row in &rows {
                let ranges = |column: &Range<usize>| [time.clone(), row.clone(), column.clone()];
                all.extend(columns.iter().map(|c| Self { input, extent, start, ranges: ranges(c) }));
            }
        }
        all
    }

    /// Calls `run` with every contiguous range of positions, `[T, H, W]`, in the window.
    fn rows(&self, run: &mut dyn FnMut(Range<usize>)) {
        let [time, rows, columns] = &self.ranges;
        for t in time.clone() {
            for y in rows.clone() {
                let row = (t * self.extent.height + y) * self.extent.width;
                run(row + columns.start..row + columns.end);
            }
        }
    }
}

/// Returns the ranges of the windows along a side. The last window is cut off at the border.
fn places(side: usize, window: usize, stride: usize) -> Vec<Range<usize>> {
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
        close(&a.map, &super::super::over_channels(&terms, 3, |sum, v| sum + v), 1e-5);
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
