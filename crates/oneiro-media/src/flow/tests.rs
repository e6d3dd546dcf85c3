use super::*;
use crate::Image;

/// A texture that never repeats and is as smooth as photos: a sum of smoothed lattice noise at three scales,
/// 0–255.
pub(super) fn texture(x: f32, y: f32) -> f32 {
    let octaves = [(24.0, 0.35), (10.0, 0.35), (5.0, 0.3)];
    octaves.into_iter().map(|(size, weight)| 255.0 * weight * noise(x / size, y / size)).sum()
}

/// Lattice noise: random values 0–1 at integer points, interpolated smoothly between them.
fn noise(x: f32, y: f32) -> f32 {
    let value = |x: f32, y: f32| {
        let mut bits = (x as i64 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (y as i64 as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        bits = (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((bits >> 40) as f32) / (1u32 << 24) as f32
    };
    let smooth = |t: f32| t * t * t * (t * (6.0 * t - 15.0) + 10.0);
    let (left, top) = (x.floor(), y.floor());
    let (across, down) = (smooth(x - left), smooth(y - top));
    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
    mix(
        mix(value(left, top), value(left + 1.0, top), across),
        mix(value(left, top + 1.0), value(left + 1.0, top + 1.0), across),
        down,
    )
}

#[test]
fn shapes_have_to_fit() {
    assert!(Flow::new(1, 2, 3, vec![0.0; 11]).is_err());
    assert!(Flow::new(0, 2, 3, vec![]).is_err());
    assert!(Flow::new(usize::MAX, 2, 3, vec![0.0]).is_err());
    let flow = Flow::new(2, 1, 2, (0..8).map(|i| i as f32).collect()).unwrap();
    assert_eq!((flow.u(1), flow.v(1), flow.at(0, 1, 0)), (&[4.0, 5.0][..], &[6.0, 7.0][..], [1.0, 3.0]));
    assert_eq!(Flow::stack(&[flow.field(0), flow.field(1)]).unwrap(), flow);
    assert_eq!(flow.largest(), 5.0f32.hypot(7.0));
    let other = Flow::new(1, 2, 1, vec![0.0; 4]).unwrap();
    assert!(Flow::stack(&[flow, other]).unwrap_err().to_string().contains("2×1 and 1×2"));
    assert!(Flow::stack(&[]).is_err());
}

#[test]
fn luminance_is_that_of_opencv() {
    // Expected values are those of `cv2.cvtColor(…, cv2.COLOR_RGB2GRAY)`.
    let bytes = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 12, 200, 99, 1, 2, 3];
    let frame = Luminance::from_rgb8(6, 1, &bytes).unwrap();
    assert_eq!(frame.data, [76.0, 150.0, 29.0, 255.0, 132.0, 2.0]);
    let image = Image::from_rgb8(6, 1, &bytes).unwrap();
    assert_eq!(luminance(&image).unwrap(), [frame]);
    assert!(Luminance::new(1, 2, vec![0.0, f32::NAN]).is_err());
    let bands = Image::new([4, 1, 1], vec![0.0; 4]).unwrap();
    assert!(luminance(&bands).unwrap_err().to_string().contains("4 channels"));
}
