//! Arithmetic on whole pictures: sums that do not depend on threads, resizing, and the zoom of a film.

use rayon::prelude::*;

use super::preset::Zoom;

/// Sums a function of every value: first within each row, then over the rows, in order.
pub(super) fn sum_by_rows(data: &[f32], width: usize, f: impl Fn(f64) -> f64 + Sync) -> f64 {
    let rows: Vec<f64> =
        data.par_chunks(width).map(|row| row.iter().map(|x| f(f64::from(*x))).sum()).collect();
    rows.iter().sum()
}

/// Returns the mean of a function over all values, weighted by a mask that all planes share. Returns `None`
/// if the mask is zero everywhere.
pub(super) fn mean_by_rows(
    data: &[f32],
    mask: Option<&[f32]>,
    width: usize,
    f: impl Fn(f64) -> f64 + Sync,
) -> Option<f64> {
    let Some(mask) = mask else { return Some(sum_by_rows(data, width, f) / data.len() as f64) };
    let lines = mask.len() / width;
    let row = |(i, row): (usize, &[f32])| -> f64 {
        let weights = &mask[i % lines * width..][..width];
        row.iter().zip(weights).map(|(x, m)| f64::from(*m) * f(f64::from(*x))).sum()
    };
    let rows: Vec<f64> = data.par_chunks(width).enumerate().map(row).collect();
    let planes = (data.len() / mask.len()) as f64;
    let weight = planes * sum_by_rows(mask, width, |m| m);
    (weight > 0.0).then(|| rows.iter().sum::<f64>() / weight)
}

/// Returns mean and standard deviation of all pixel values.
pub(super) fn moments(data: &[f32], width: usize) -> (f64, f64) {
    let n = data.len().max(1) as f64;
    let mean = sum_by_rows(data, width, |x| x) / n;
    (mean, (sum_by_rows(data, width, |x| (x - mean).powi(2)) / n).sqrt())
}

/// Calls `f` with the index and the values of every row.
pub(super) fn for_each_row(data: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    data.par_chunks_mut(width).enumerate().for_each(|(i, row)| f(i, row));
}

/// Keys' parameter of the cubic filter (Keys 1981), the only one with third-order accuracy.
const KEYS: f64 = -0.5;
/// Half the width of the cubic interpolation filter, in pixels.
const SUPPORT: f64 = 2.0;

fn cubic(x: f64) -> f64 {
    match x.abs() {
        d if d < 1.0 => ((KEYS + 2.0) * d - (KEYS + 3.0)) * d * d + 1.0,
        d if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * KEYS,
        _ => 0.0,
    }
}

/// The pixels from which one pixel is computed: index of the first, and a weight for each. Weights sum to 1.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

/// Returns the taps of an axis. If the axis shrinks, the filter is widened, so that every pixel counts.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let ratio = from as f64 / to as f64;
    let stretch = ratio.max(1.0);
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * ratio;
            let first = (center - SUPPORT * stretch - 0.5).ceil().max(0.0) as usize;
            let last = ((center + SUPPORT * stretch - 0.5).floor() as usize + 1).min(from);
            let weight = |x: usize| cubic((x as f64 + 0.5 - center) / stretch);
            let sum: f64 = (first..last).map(weight).sum();
            Tap { first, weights: (first..last).map(|x| (weight(x) / sum) as f32).collect() }
        })
        .collect()
}

/// Resizes planes from one height and width to another by a cubic filter.
pub(super) fn resize(data: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    if from == to {
        return data.to_vec();
    }
    let [h, w] = from;
    let (rows, columns) = (taps(h, to[0]), taps(w, to[1]));
    let planes = data.len() / (h * w);
    let mut out = vec![0.0; planes * to[0] * to[1]];
    out.par_chunks_mut(to[1]).enumerate().for_each_init(
        || vec![0.0; w],
        |line, (i, out)| {
            let (plane, tap) = (i / to[0], &rows[i % to[0]]);
            line.fill(0.0);
            for (k, weight) in tap.weights.iter().enumerate() {
                let source = &data[(plane * h + tap.first + k) * w..][..w];
                line.iter_mut().zip(source).for_each(|(l, s)| *l += weight * s);
            }
            for (out, tap) in out.iter_mut().zip(&columns) {
                *out = line[tap.first..].iter().zip(&tap.weights).map(|(l, weight)| l * weight).sum();
            }
        },
    );
    out
}

/// Enlarges a picture about its centre and rotates it, by a cubic filter. It is mirrored beyond its border.
pub(super) fn zoomed(data: &[f32], [h, w]: [usize; 2], zoom: &Zoom) -> Vec<f32> {
    let (sin, cos) = zoom.rotate.to_radians().sin_cos();
    let center = [h as f64 / 2.0, w as f64 / 2.0];
    let fold = |at: isize, len: usize| {
        let at = at.rem_euclid(2 * len as isize) as usize;
        if at < len { at } else { 2 * len - 1 - at }
    };
    let mut out = vec![0.0; data.len()];
    for_each_row(&mut out, w, |i, row| {
        let (plane, y) = (&data[i / h * h * w..][..h * w], i % h);
        let dy = (y as f64 + 0.5 - center[0]) / zoom.factor;
        for (x, out) in row.iter_mut().enumerate() {
            let dx = (x as f64 + 0.5 - center[1]) / zoom.factor;
            let sy = center[0] + sin * dx + cos * dy - 0.5;
            let sx = center[1] + cos * dx - sin * dy - 0.5;
            let (y0, x0) = (sy.floor(), sx.floor());
            let column = |k: isize| (fold(x0 as isize + k, w), cubic(x0 + k as f64 - sx) as f32);
            let columns = [-1, 0, 1, 2].map(column);
            *out = (-1..=2)
                .map(|k| {
                    let line = &plane[fold(y0 as isize + k, h) * w..][..w];
                    let weight = cubic(y0 + k as f64 - sy) as f32;
                    weight * columns.iter().map(|(at, weight)| weight * line[*at]).sum::<f32>()
                })
                .sum();
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp([h, w]: [usize; 2]) -> Vec<f32> {
        (0..3 * h * w).map(|i| (i / w % h) as f32 * 2.0 + (i % w) as f32).collect()
    }

    #[test]
    fn resizing_keeps_constants_and_the_middle_of_ramps() {
        for to in [[10, 7], [29, 41], [1, 1], [20, 60]] {
            assert!(resize(&vec![3.0; 3 * 600], [20, 30], to).iter().all(|x| (x - 3.0).abs() < 1e-5));
        }
        let large = resize(&ramp([20, 30]), [20, 30], [40, 60]);
        // Row 20, column 30 of the large picture corresponds to 9.75, 14.75 of the small one.
        assert!((large[20 * 60 + 30] - (9.75 * 2.0 + 14.75)).abs() < 1e-4);
        let small = resize(&large, [40, 60], [20, 30]);
        let inner = |v: &[f32]| v[10 * 30 + 15];
        assert!((inner(&small) - inner(&ramp([20, 30]))).abs() < 1e-3);
    }

    #[test]
    fn a_zoom_keeps_the_centre_and_enlarges_about_it() {
        let size = [21, 31];
        let same = zoomed(&ramp(size), size, &Zoom { frames: 1, factor: 1.0, rotate: 0.0 });
        assert_eq!(same, ramp(size));
        let large = zoomed(&ramp(size), size, &Zoom { frames: 1, factor: 1.25, rotate: 0.0 });
        let at = |data: &[f32], y: usize, x: usize| data[y * 31 + x];
        assert!((at(&large, 10, 15) - at(&ramp(size), 10, 15)).abs() < 1e-4);
        assert!((at(&large, 10, 20) - at(&ramp(size), 10, 19)).abs() < 1e-4, "5 / 1.25 = 4");
        // A quarter turn anticlockwise moves pixels from right of the centre to above it.
        let turned = zoomed(&ramp(size), size, &Zoom { frames: 1, factor: 1.0, rotate: 90.0 });
        assert!((at(&turned, 7, 15) - at(&ramp(size), 10, 18)).abs() < 1e-3);
    }

    #[test]
    fn sums_do_not_depend_on_threads() {
        let data: Vec<f32> = (0..9000).map(|i| ((i * 7919) % 1000) as f32 * 1e-3 - 0.3).collect();
        let sum = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| moments(&data, 30))
        };
        let (one, eight) = (sum(1), sum(8));
        assert_eq!((one.0.to_bits(), one.1.to_bits()), (eight.0.to_bits(), eight.1.to_bits()));
    }
}
