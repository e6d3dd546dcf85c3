//! Agreement of two attribution maps on the regions of an image.

use super::Attribution;
use crate::similarity::pearson;

/// Rows and columns of the regions whose means are compared. Methods differ in single pixels always.
const REGIONS: usize = 7;
/// A map varies if the standard deviation of its regions is more than this share of their magnitude. Less is
/// rounding.
const VARIES: f64 = 1e-6;

/// Returns the correlation of two maps' means over 7×7 regions, from −1 to 1. Returns `None` for maps of
/// different images or inputs, and for maps whose regions are all equal.
pub fn agreement(a: &Attribution, b: &Attribution) -> Option<f64> {
    if (a.input, a.frames, a.size) != (b.input, b.frames, b.size) {
        return None;
    }
    let (a, b) = (regions(a), regions(b));
    if varies(&a) && varies(&b) { pearson(&a, &b) } else { None }
}

/// Returns the means of a map over its regions, of all frames together.
fn regions(attribution: &Attribution) -> Vec<f32> {
    let [height, width] = attribution.size;
    let mut sums = vec![(0.0, 0); REGIONS * REGIONS];
    for (i, &value) in attribution.map.iter().enumerate() {
        let (y, x) = (i / width % height, i % width);
        let (sum, pixels) = &mut sums[y * REGIONS / height * REGIONS + x * REGIONS / width];
        *sum += f64::from(value);
        *pixels += 1;
    }
    // A small image has fewer regions.
    sums.into_iter()
        .filter(|(_, pixels)| *pixels > 0)
        .map(|(sum, pixels)| (sum / f64::from(pixels)) as f32)
        .collect()
}

fn varies(regions: &[f32]) -> bool {
    let count = regions.len() as f64;
    let mean = regions.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let deviation = (regions.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count).sqrt();
    deviation > VARIES * regions.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use oneiro_image::Extent;

    use super::super::Method;
    use super::*;

    fn map(values: &[f32]) -> Attribution {
        let extent = Extent::still(1, 14, 14);
        Attribution::new(Method::Occlusion, 0, extent, values.to_vec(), values.to_vec(), 0.0).unwrap()
    }

    #[test]
    fn maps_of_the_same_regions_agree_and_opposite_ones_do_not() {
        let left: Vec<f32> = (0..196).map(|i| if i % 14 < 8 { 1.0 } else { -1.0 }).collect();
        // Differs in every second pixel, but not in the sum of a region.
        let grainy: Vec<f32> =
            left.iter().enumerate().map(|(i, v)| if i % 2 == 0 { 2.0 * v } else { 0.0 }).collect();
        let right: Vec<f32> = left.iter().map(|v| 3.0 - v).collect();
        assert!((agreement(&map(&left), &map(&grainy)).unwrap() - 1.0).abs() < 1e-9);
        assert!((agreement(&map(&left), &map(&right)).unwrap() + 1.0).abs() < 1e-9);
        assert_eq!(agreement(&map(&left), &map(&[1.0; 196])), None);
    }

    #[test]
    fn regions_of_several_sizes_count_by_their_means() {
        let map = |values: Vec<f32>| {
            let extent = Extent::still(1, 24, 24);
            Attribution::new(Method::Occlusion, 0, extent, values.clone(), values, 0.0).unwrap()
        };
        // The sums of regions of 3 and of 4 pixels differ; both maps are even all the same.
        assert_eq!(agreement(&map(vec![0.3; 576]), &map(vec![-0.7; 576])), None);
        let left: Vec<f32> = (0..576).map(|i| if i % 24 < 14 { 1.0 } else { 0.0 }).collect();
        let right: Vec<f32> = left.iter().map(|v| v - 5.0).collect();
        assert!((agreement(&map(left), &map(right)).unwrap() - 1.0).abs() < 1e-6);
    }
}
