//! Maps that mix the frames of a clip. Every frame of the result interpolates between two neighbouring
//! frames.

/// The two source frames of a frame of the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameTap {
    near: usize,
    far: usize,
    /// Weight of `far`. The weight of `near` is one minus this weight.
    weight: f32,
}

/// For each frame of the result, its (fractional) position in the source clip.
pub type FrameTaps = Vec<FrameTap>;

/// Returns, for each frame t of a clip of `frames` frames, the taps at position `at(t)`, clamped to the range
/// from `low` to `high`.
fn taps(frames: usize, [low, high]: [usize; 2], at: impl Fn(f64) -> f64) -> FrameTaps {
    let tap = |t: usize| {
        let at = at(t as f64).clamp(low as f64, high as f64);
        let near = at as usize;
        FrameTap { near, far: (near + 1).min(high), weight: (at - near as f64) as f32 }
    };
    (0..frames).map(tap).collect()
}

/// Removes `cut` frames and keeps the others, from `start` on, in the middle of the clip. The outermost kept
/// frames are repeated. If `cut` is odd, the smaller half of the repetitions comes before them, as when a
/// jittered image is padded to its canvas.
pub fn jitter(frames: usize, cut: usize, start: usize) -> FrameTaps {
    let kept = frames - cut;
    taps(frames, [start, start + kept - 1], |t| t + start as f64 - (cut / 2) as f64)
}

/// Stretches the `length` frames from `start` on to the whole clip, linearly, with half-frame centres.
pub fn crop(frames: usize, length: usize, start: usize) -> FrameTaps {
    let ratio = length as f64 / frames as f64;
    taps(frames, [start, start + length - 1], |t| start as f64 + (t + 0.5) * ratio - 0.5)
}

/// Plays the clip `factor` times as fast about its middle. The outermost frames are repeated.
pub fn speed(frames: usize, factor: f64) -> FrameTaps {
    let middle = 0.5 * (frames - 1) as f64;
    taps(frames, [0, frames - 1], |t| middle + (t - middle) * factor)
}

/// Whether every frame's source is the frame itself.
pub fn is_identity(taps: &[FrameTap]) -> bool {
    taps.iter().enumerate().all(|(t, tap)| tap.near == t && tap.weight == 0.0)
}

/// Computes cells of frame t of the result, from cell `start` on. `frames` holds all frames of one channel.
pub fn frame(taps: &[FrameTap], t: usize, frames: &[f32], start: usize, out: &mut [f32]) {
    let len = frames.len() / taps.len();
    let FrameTap { near, far, weight } = taps[t];
    let cells = |frame: usize| &frames[frame * len + start..][..out.len()];
    let (near, far) = (cells(near), cells(far));
    if weight == 0.0 {
        out.copy_from_slice(near);
        return;
    }
    out.iter_mut().zip(near).zip(far).for_each(|((out, a), b)| *out = a + weight * (b - a));
}

/// Adjoint of [`frame`]: computes the gradient with respect to cells of frame t of the source clip, from the
/// gradients with respect to all frames of the result.
pub fn frame_adjoint(taps: &[FrameTap], t: usize, grad_frames: &[f32], start: usize, grad: &mut [f32]) {
    let len = grad_frames.len() / taps.len();
    grad.fill(0.0);
    for (source, tap) in grad_frames.chunks_exact(len).zip(taps) {
        let source = &source[start..][..grad.len()];
        for (from, share) in [(tap.near, 1.0 - tap.weight), (tap.far, tap.weight)] {
            if from == t && share != 0.0 {
                grad.iter_mut().zip(source).for_each(|(grad, g)| *grad += share * g);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the taps to a clip of one pixel whose frame t has the value t.
    fn played(taps: &[FrameTap]) -> Vec<f32> {
        let clip: Vec<f32> = (0..taps.len()).map(|t| t as f32).collect();
        let mut out = vec![f32::NAN; taps.len()];
        out.chunks_mut(1).enumerate().for_each(|(t, out)| frame(taps, t, &clip, 0, out));
        out
    }

    #[test]
    fn jitter_moves_the_clip_and_repeats_its_ends() {
        assert_eq!(played(&jitter(6, 2, 0)), [0.0, 0.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(played(&jitter(6, 2, 1)), [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(played(&jitter(6, 2, 2)), [2.0, 2.0, 3.0, 4.0, 5.0, 5.0]);
        assert_eq!(played(&jitter(3, 2, 1)), [1.0; 3]);
        assert!(is_identity(&jitter(6, 0, 0)));
    }

    #[test]
    fn crop_stretches_a_run_of_frames() {
        assert_eq!(played(&crop(6, 3, 2)), [2.0, 2.25, 2.75, 3.25, 3.75, 4.0]);
        assert_eq!(played(&crop(4, 1, 3)), [3.0; 4]);
        assert!(is_identity(&crop(7, 7, 0)));
    }

    #[test]
    fn speed_plays_faster_and_slower_about_the_middle() {
        assert_eq!(played(&speed(5, 2.0)), [0.0, 0.0, 2.0, 4.0, 4.0]);
        assert_eq!(played(&speed(5, 0.5)), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert!(is_identity(&speed(8, 1.0)) && is_identity(&speed(1, 3.0)));
    }
}
