//! Carries the dream of a video's frame to the next frame, along the motion between them.
//!
//! Ruder, Dosovitskiy & Brox, "Artistic style transfer for videos" (GCPR 2016), sections 4.1 and 4.3: a frame
//! starts from the one before, warped by optical flow. Where places come into view, or at the borders of
//! motion, flow is not to be trusted, and nothing is carried. Their tests are those of Sundaram, Brox &
//! Keutzer (ECCV 2010).

use oneiro_media::flow::{Flow, Luminance, TvL1Options, tvl1};
use oneiro_media::{Image, MediaError};

/// A place has come into view if |f + b|² exceeds this share of |f|² + |b|², and this number, in pixels².
/// f is the flow forward, b that backward.
const DISAGREE: (f32, f32) = (0.01, 0.5);
/// A place is at a border of motion if |∇u|² + |∇v|² exceeds this share of |b|², and this number.
const BORDER: (f32, f32) = (0.01, 0.002);

/// Returns the start of a frame: a mix of the frame, and of the dream of the frame before, which counts by
/// `blend` where motion is known. All have one size.
///
/// # Errors
/// Those of [`tvl1`].
pub(super) fn start(
    frame: &Image,
    dreamt: &Image,
    [before, now]: [&Luminance; 2],
    blend: f32,
) -> Result<Image, MediaError> {
    let options = TvL1Options::default();
    let (forward, backward) = (tvl1(before, now, &options)?, tvl1(now, before, &options)?);
    let [h, w] = [frame.height, frame.width];
    let mut start = frame.clone();
    for y in 0..h {
        for x in 0..w {
            let Some(from) = carried_from(&forward, &backward, [y, x]) else { continue };
            for channel in 0..frame.channels {
                let plane = &dreamt.data[channel * h * w..][..h * w];
                let value = &mut start.data[channel * h * w + y * w + x];
                *value += blend * (sampled(plane, [h, w], from) - *value);
            }
        }
    }
    Ok(start)
}

/// Where a pixel was in the frame before (y, x); `None` if that is not known.
fn carried_from(forward: &Flow, backward: &Flow, [y, x]: [usize; 2]) -> Option<[f32; 2]> {
    let size @ [h, w] = [backward.height, backward.width];
    let at = y * w + x;
    let (u, v) = (backward.u(0), backward.v(0));
    let b = [u[at], v[at]];
    let from = [y as f32 + b[1], x as f32 + b[0]];
    if !(0.0..=(h - 1) as f32).contains(&from[0]) || !(0.0..=(w - 1) as f32).contains(&from[1]) {
        return None;
    }
    let f = [sampled(forward.u(0), size, from), sampled(forward.v(0), size, from)];
    let square = |a: [f32; 2]| a[0] * a[0] + a[1] * a[1];
    let disagree = square([f[0] + b[0], f[1] + b[1]]);
    // Differences to the next pixel; the last row and column have those before.
    let (right, down) = (if x + 1 < w { at + 1 } else { at }, if y + 1 < h { at + w } else { at });
    let gradient = [u, v].map(|plane| square([plane[right] - plane[at], plane[down] - plane[at]]));
    let is_known = disagree <= DISAGREE.0 * (square(f) + square(b)) + DISAGREE.1
        && gradient[0] + gradient[1] <= BORDER.0 * square(b) + BORDER.1;
    is_known.then_some(from)
}

/// Interpolates a plane bilinearly at (y, x), which lies within it.
fn sampled(plane: &[f32], [h, w]: [usize; 2], [y, x]: [f32; 2]) -> f32 {
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(h - 1), (left + 1).min(w - 1));
    let (down, along) = (y - top as f32, x - left as f32);
    let row = |row: usize| plane[row * w + left] + along * (plane[row * w + right] - plane[row * w + left]);
    row(top) + down * (row(bottom) - row(top))
}

#[cfg(test)]
mod tests {
    use oneiro_media::flow::luminance;

    use super::*;

    /// A texture that moves to the right.
    fn frame(shift: f32) -> Image {
        let [h, w] = [40, 56];
        let value = |x: usize, y: usize| {
            let (x, y) = (x as f32 - shift, y as f32);
            0.5 + 0.2 * (0.5 * x).sin() + 0.2 * (0.4 * y + 0.2 * x).cos()
        };
        let plane: Vec<f32> = (0..h * w).map(|i| value(i % w, i / w)).collect();
        Image::rgb(w, h, [plane.clone(), plane.clone(), plane].concat()).unwrap()
    }

    #[test]
    fn what_was_dreamt_moves_with_the_video() {
        let frames = [frame(0.0), frame(2.0)];
        let light = frames.each_ref().map(|frame| luminance(frame).unwrap().swap_remove(0));
        // The dream of the first frame: a bright square.
        let mut dreamt = frames[0].clone();
        let square = |y: usize, x: usize| (14..24).contains(&y) && (20..30).contains(&x);
        for i in 0..40 * 56 {
            if square(i / 56, i % 56) {
                (0..3).for_each(|c| dreamt.data[c * 40 * 56 + i] = 3.0);
            }
        }
        let start = start(&frames[1], &dreamt, [&light[0], &light[1]], 0.5).unwrap();
        let difference = |y: usize, x: usize| start.data[y * 56 + x] - frames[1].data[y * 56 + x];
        for y in 0..40 {
            for x in 4..52 {
                let expected = if square(y, x - 2) { 0.5 * (3.0 - frames[1].data[y * 56 + x]) } else { 0.0 };
                let inner = square(y, x - 2) == square(y.saturating_sub(2), x) && !(17..24).contains(&x);
                let edge = !inner || (28..36).contains(&x) || (10..28).contains(&y) && !square(y, x - 2);
                assert!(
                    edge || (difference(y, x) - expected).abs() < 0.1,
                    "{y} {x}: {} for {expected}",
                    difference(y, x)
                );
            }
        }
        // The middle of the square has moved by two pixels.
        assert!(
            difference(19, 28) > 0.8 && difference(19, 20) < 0.3,
            "{} {}",
            difference(19, 28),
            difference(19, 20)
        );
    }

    #[test]
    fn places_outside_are_not_known() {
        let plane = |u: f32| Flow::new(1, 4, 4, [vec![u; 16], vec![0.0; 16]].concat()).unwrap();
        assert_eq!(carried_from(&plane(-2.0), &plane(2.0), [1, 1]), Some([1.0, 3.0]));
        assert_eq!(carried_from(&plane(-2.0), &plane(2.0), [1, 2]), None, "beyond the border");
        assert_eq!(carried_from(&plane(2.0), &plane(2.0), [1, 1]), None, "both directions disagree");
    }
}
