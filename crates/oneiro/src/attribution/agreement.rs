//! Agreement of two attribution maps on the regions of an image.

use super::Attribution;

/// Rows and columns of the regions whose sums are compared. Methods differ in single pixels always.
const REGIONS: usize = 7;

/// Returns the correlation of two maps' sums over 7×7 regions, from −1 to 1. Returns `None` for maps of
/// different images or inputs, and for maps whose regions are all equal.
pub fn agreement(a: &Attribution, b: &Attribution) -> Option<f64> {
    if (a.input, a.frames, a.size) != (b.input, b.frames, b.size) {
        return None;
    }
    let (a, b) = (regions(a), regions(b));
    let count = a.len() as f64;
    let mean = |of: &[f64]| of.iter().sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let scale = product(&a, mean_a, &a, mean_a) * product(&b, mean_b, &b, mean_b);
    (scale > 0.0).then(|| product(&a, mean_a, &b, mean_b) / scale.sqrt())
}

/// Returns the sums of a map over its regions, of all frames together.
fn regions(attribution: &Attribution) -> Vec<f64> {
    let [height, width] = attribution.size;
    let mut sums = vec![0.0; REGIONS * REGIONS];
    for (i, &value) in attribution.map.iter().enumerate() {
        let (y, x) = (i / width % height, i % width);
        sums[y * REGIONS / height * REGIONS + x * REGIONS / width] += f64::from(value);
    }
    sums
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
}
