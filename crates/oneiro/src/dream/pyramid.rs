//! The Laplacian pyramid of a gradient (Burt & Adelson 1983), whose levels are made equally strong.
//!
//! [`split`] decomposes planes into levels, and [`merge`] sums the levels again. [`normalize`] splits,
//! divides each level by its root mean square, and merges. Borders are mirrored, so that a level has no
//! visible frame.

use rayon::prelude::*;

use crate::transform::reflected;

use super::planes::{for_each_row, mean_by_rows};

/// The binomial filter of one axis, to be divided by 16. `K5x5` of the TensorFlow notebook is its square.
const BINOMIAL: [f32; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];
/// Sum of the entries of [`BINOMIAL`].
const SUM: f32 = 16.0;
/// Smallest divisor of a level (`normalize_std` of the TensorFlow notebook).
const SMALLEST: f64 = 1e-10;

/// A level: planes of this height and width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    pub size: [usize; 2],
    pub data: Vec<f32>,
}

/// Splits planes into `splits` bands from fine to coarse, and the remaining low frequencies.
pub(super) fn split(data: Vec<f32>, size: [usize; 2], splits: usize) -> Vec<Level> {
    let mut levels = vec![Level { size, data }];
    for _ in 0..splits {
        let Some(fine) = levels.last_mut() else { break };
        if fine.size == [1, 1] {
            break;
        }
        let coarse = reduce(fine);
        add_expanded(fine, &coarse, -1.0);
        levels.push(coarse);
    }
    levels
}

/// Sums the levels of a Laplacian pyramid to an image.
pub(super) fn merge(mut levels: Vec<Level>) -> Vec<f32> {
    while levels.len() > 1
        && let Some(coarse) = levels.pop()
        && let Some(fine) = levels.last_mut()
    {
        add_expanded(fine, &coarse, 1.0);
    }
    levels.pop().map(|level| level.data).unwrap_or_default()
}

/// Divides each level by its root mean square. With a mask, which all planes share, it is measured within the
/// mask.
pub(super) fn normalize(data: Vec<f32>, size: [usize; 2], splits: usize, mask: Option<&[f32]>) -> Vec<f32> {
    let mut levels = split(data, size, splits);
    let mut mask = mask.map(|mask| Level { size, data: mask.to_vec() });
    for level in &mut levels {
        if let Some(finer) = mask.as_mut().filter(|mask| mask.size != level.size) {
            *finer = reduce(finer);
        }
        let (width, within) = (level.size[1], mask.as_ref().map(|mask| mask.data.as_slice()));
        let square = mean_by_rows(&level.data, within, width, |x| x * x).unwrap_or(0.0);
        let factor = (1.0 / square.sqrt().max(SMALLEST)) as f32;
        for_each_row(&mut level.data, width, |_, row| row.iter_mut().for_each(|x| *x *= factor));
    }
    merge(levels)
}

/// Blurs with the binomial filter and keeps every other pixel of every other row.
fn reduce(fine: &Level) -> Level {
    let [h, w] = fine.size;
    let size = [h.div_ceil(2), w.div_ceil(2)];
    let mut data = vec![0.0; fine.data.len() / (h * w) * size[0] * size[1]];
    let taps = |center: usize, len: usize| {
        let at = move |k: usize| reflected(center as isize + k as isize - 2, len);
        (0..BINOMIAL.len()).map(move |k| (at(k), BINOMIAL[k] / SUM))
    };
    data.par_chunks_mut(size[1]).enumerate().for_each_init(
        || vec![0.0; w],
        |blurred, (row, out)| {
            let (plane, y) = (row / size[0], row % size[0]);
            blurred.fill(0.0);
            for (source, weight) in taps(2 * y, h) {
                let source = &fine.data[(plane * h + source) * w..][..w];
                blurred.iter_mut().zip(source).for_each(|(b, s)| *b += weight * s);
            }
            for (x, out) in out.iter_mut().enumerate() {
                *out = taps(2 * x, w).map(|(at, weight)| weight * blurred[at]).sum();
            }
        },
    );
    Level { size, data }
}

/// Returns the one, two or three coarse pixels from which a fine pixel is interpolated, with their weights.
/// The weights are twice the binomial filter, applied between inserted zeros.
fn sources(at: usize, fine: usize) -> [(usize, f32); 3] {
    let place = |at: isize| reflected(at, fine) / 2;
    let at = at as isize;
    if at % 2 == 0 {
        [(place(at - 2), 2.0 / SUM), (place(at), 12.0 / SUM), (place(at + 2), 2.0 / SUM)]
    } else {
        [(place(at - 1), 8.0 / SUM), (place(at + 1), 8.0 / SUM), (place(at - 1), 0.0)]
    }
}

/// Adds the enlarged coarse level, times a factor, to the fine level.
fn add_expanded(fine: &mut Level, coarse: &Level, factor: f32) {
    let [h, w] = fine.size;
    let [ch, cw] = coarse.size;
    fine.data.par_chunks_mut(w).enumerate().for_each_init(
        || vec![0.0; cw],
        |between, (row, out)| {
            let (plane, y) = (row / h, row % h);
            between.fill(0.0);
            for (source, weight) in sources(y, h) {
                let source = &coarse.data[(plane * ch + source) * cw..][..cw];
                between.iter_mut().zip(source).for_each(|(b, s)| *b += weight * s);
            }
            for (x, out) in out.iter_mut().enumerate() {
                *out += factor * sources(x, w).iter().map(|(at, weight)| weight * between[*at]).sum::<f32>();
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn noise(len: usize) -> Vec<f32> {
        let mut stream = Stream::new(1, 2);
        (0..len).map(|_| stream.normal() as f32).collect()
    }

    const SIZES: [[usize; 2]; 6] = [[32, 48], [33, 47], [5, 2], [1, 9], [2, 2], [1, 1]];

    #[test]
    fn splitting_and_merging_give_back_the_planes() {
        for size in SIZES {
            let planes = noise(3 * size[0] * size[1]);
            let levels = split(planes.clone(), size, 4);
            let back = merge(levels);
            let worst = planes.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(back.len() == planes.len() && worst < 1e-6, "{size:?}: {worst}");
        }
    }

    #[test]
    fn a_constant_is_all_in_the_coarsest_level() {
        for size in SIZES {
            let levels = split(vec![7.0; 3 * size[0] * size[1]], size, 4);
            let (last, bands) = levels.split_last().unwrap();
            assert!(last.data.iter().all(|x| (x - 7.0).abs() < 1e-5), "{size:?}");
            assert!(bands.iter().flat_map(|b| &b.data).all(|x| x.abs() < 1e-5), "{size:?}");
        }
    }

    #[test]
    fn four_splits_make_five_levels_each_half_as_large() {
        let sizes: Vec<_> = split(noise(3 * 40 * 51), [40, 51], 4).iter().map(|l| l.size).collect();
        assert_eq!(sizes, [[40, 51], [20, 26], [10, 13], [5, 7], [3, 4]]);
    }

    #[test]
    fn normalizing_makes_every_level_of_unit_strength() {
        // The levels before merging are compared, because the merged result would split into slightly
        // different levels.
        let size = [64, 80];
        let planes: Vec<f32> = noise(3 * size[0] * size[1]).iter().map(|x| 1e-4 * x).collect();
        let mut levels = split(planes.clone(), size, 4);
        for level in &mut levels {
            let rms = |data: &[f32]| {
                (data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / data.len() as f64).sqrt()
            };
            let factor = (1.0 / rms(&level.data)) as f32;
            level.data.iter_mut().for_each(|x| *x *= factor);
            assert!((rms(&level.data) - 1.0).abs() < 1e-5);
        }
        let expected = merge(levels);
        let ours = normalize(planes, size, 4, None);
        let worst = expected.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
        assert_eq!(normalize(vec![0.0; 3 * 16], [4, 4], 2, None), vec![0.0; 3 * 16], "no gradient, no step");
    }

    #[test]
    fn a_level_is_measured_within_the_mask() {
        // All quarters of the plane are equal, so each quarter has the RMS of the whole plane.
        let size = [64, 64];
        let quarter = noise(3 * 32 * 32);
        let at = |i: usize| (i / 4096) * 1024 + (i / 64 % 32) * 32 + i % 32;
        let planes: Vec<f32> = (0..3 * 4096).map(|i| 1e-4 * quarter[at(i)]).collect();
        let corner = |i: usize| if i / 64 < 32 && i % 64 < 32 { 1.0 } else { 0.0 };
        let mask: Vec<f32> = (0..4096).map(corner).collect();
        let strength = |data: &[f32]| mean_by_rows(data, Some(&mask), 64, |x| x * x).unwrap().sqrt();
        let (whole, masked) =
            (normalize(planes.clone(), size, 4, None), normalize(planes, size, 4, Some(&mask)));
        let ratio = strength(&masked) / strength(&whole);
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    }
}
