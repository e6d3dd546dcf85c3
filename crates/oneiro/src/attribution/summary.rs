//! Summary statistics of an attribution map.

use serde::Serialize;

use super::Attribution;

/// Share of pixels within a colour scale. A scale up to the largest value would make most pixels pale.
const SCALE_SHARE: f64 = 0.99;

/// Summary statistics of an attribution map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Sum of the positive values over the sum of all magnitudes. It is 1 for a map without signs, and 0 for
    /// an empty map.
    pub positive_share: f64,
    /// Centroid of the positive values as (y, x), from 0 at the top left to 1; the middle for an empty map.
    pub centroid: [f64; 2],
    /// Entropy of the magnitudes relative to a uniform map: 0 for a single pixel, 1 if all pixels are equal.
    pub entropy: f64,
    /// The 99th percentile of the map's magnitudes.
    pub scale: f64,
}

impl Summary {
    /// Summarizes an attribution's map.
    pub fn of(attribution: &Attribution) -> Self {
        let (map, [h, w]) = (&attribution.map, attribution.size);
        let positive = |v: f32| f64::from(v.max(0.0));
        let for_it: f64 = map.iter().map(|&v| positive(v)).sum();
        let total: f64 = map.iter().map(|&v| f64::from(v.abs())).sum();
        let center = |along: &dyn Fn(usize) -> usize, n: usize| match for_it {
            0.0 => 0.5,
            _ => {
                let moment = |(i, &v): (usize, &f32)| positive(v) * (along(i) as f64 + 0.5);
                map.iter().enumerate().map(moment).sum::<f64>() / for_it / n as f64
            }
        };
        let term = |v: &f32| match f64::from(v.abs()) / total {
            0.0 => 0.0,
            p => -p * p.ln(),
        };
        let entropy = match total {
            0.0 => 0.0,
            _ if map.len() < 2 => 0.0,
            _ => map.iter().map(term).sum::<f64>() / (map.len() as f64).ln(),
        };
        Self {
            positive_share: if total == 0.0 { 0.0 } else { for_it / total },
            centroid: [center(&|i| i / w % h, h), center(&|i| i % w, w)],
            entropy,
            scale: scale(map),
        }
    }
}

/// Returns the 99th percentile of a map's magnitudes: the end of its colour scale.
pub fn scale(map: &[f32]) -> f64 {
    let mut sizes: Vec<f32> = map.iter().map(|v| v.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    let at = (SCALE_SHARE * sizes.len().saturating_sub(1) as f64).round() as usize;
    let scale = sizes.get(at).copied().unwrap_or(0.0);
    // If the percentile is 0, because few pixels are not zero, the scale ends at the largest magnitude.
    f64::from(if scale > 0.0 { scale } else { sizes.last().copied().unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use oneiro_image::Extent;

    use super::super::Method;
    use super::*;

    fn summary(map: &[f32], size: [usize; 2]) -> Summary {
        let extent = Extent::still(1, size[0], size[1]);
        Summary::of(&Attribution::new(Method::Occlusion, 0, extent, map.to_vec(), map.to_vec(), 0.0).unwrap())
    }

    #[test]
    fn a_single_pixel_is_its_own_centre_and_has_no_entropy() {
        let mut map = [0.0; 12];
        map[4 + 3] = 2.0;
        let s = summary(&map, [3, 4]);
        assert_eq!((s.positive_share, s.centroid, s.entropy, s.scale), (1.0, [0.5, 0.875], 0.0, 2.0));
    }

    #[test]
    fn even_maps_empty_maps_and_signs() {
        let even = summary(&[0.5; 12], [3, 4]);
        assert!((even.entropy - 1.0).abs() < 1e-12 && even.centroid == [0.5, 0.5]);
        let empty = summary(&[0.0; 12], [3, 4]);
        assert_eq!(
            (empty.positive_share, empty.centroid, empty.entropy, empty.scale),
            (0.0, [0.5; 2], 0.0, 0.0)
        );
        assert_eq!(summary(&[1.0, -3.0], [1, 2]).positive_share, 0.25);
        assert_eq!(summary(&[1.0], [1, 1]).entropy, 0.0);
    }

    #[test]
    fn the_scale_leaves_out_one_in_a_hundred() {
        let mut map = vec![1.0; 1000];
        map[..5].fill(-100.0);
        assert_eq!(scale(&map), 1.0);
        map[..50].fill(-100.0);
        assert_eq!(scale(&map), 100.0);
    }
}
