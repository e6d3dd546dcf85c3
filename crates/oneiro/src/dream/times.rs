//! Windows of time: a clip of any length is shown to a network of clips in parts.
//!
//! A clip that is longer than the network's has windows that overlap by half at least. The weights of a
//! frame over all windows sum to 1, and fall towards the ends of each window. A shorter clip repeats its last
//! frame, whose copies have weight 0. A still is one window of one frame.

/// The windows of a clip.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Times {
    /// Frames of the clip.
    pub frames: usize,
    pub windows: Vec<Window>,
}

/// The frames that a network sees at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Indices of the clip's frames.
    pub frames: Vec<usize>,
    /// Weights of the frames' gradients.
    pub weights: Vec<f32>,
}

impl Times {
    /// Divides a clip of `frames` frames into windows of `seen` frames.
    pub fn new(frames: usize, seen: usize) -> Self {
        if frames <= seen {
            let weight = |k: usize| if k < frames { 1.0 } else { 0.0 };
            let window = Window {
                frames: (0..seen).map(|k| k.min(frames.saturating_sub(1))).collect(),
                weights: (0..seen).map(weight).collect(),
            };
            return Self { frames, windows: vec![window] };
        }
        let advance = seen.div_ceil(2);
        let more = (frames - seen).div_ceil(advance);
        let starts: Vec<usize> = (0..=more).map(|i| i * (frames - seen) / more).collect();
        let rise = |k: usize| (k + 1).min(seen - k) as f32;
        let mut total = vec![0.0f32; frames];
        for start in &starts {
            (0..seen).for_each(|k| total[start + k] += rise(k));
        }
        let window = |&start: &usize| Window {
            frames: (start..start + seen).collect(),
            weights: (0..seen).map(|k| rise(k) / total[start + k]).collect(),
        };
        Self { frames, windows: starts.iter().map(window).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_frame_sum_to_one() {
        for (frames, seen) in [(1, 1), (5, 1), (16, 16), (17, 16), (24, 16), (100, 16), (7, 3), (3, 8)] {
            let times = Times::new(frames, seen);
            let mut total = vec![0.0f32; frames];
            for Window { frames, weights } in &times.windows {
                assert_eq!((frames.len(), weights.len()), (seen, seen));
                frames.iter().zip(weights).for_each(|(frame, weight)| total[*frame] += weight);
            }
            assert!(total.iter().all(|t| (t - 1.0).abs() < 1e-5), "{frames} of {seen}: {total:?}");
        }
    }

    #[test]
    fn windows_overlap_by_half_at_least() {
        let starts: Vec<usize> = Times::new(40, 16).windows.iter().map(|window| window.frames[0]).collect();
        assert_eq!(starts, [0, 8, 16, 24]);
        assert_eq!(Times::new(3, 5).windows[0].frames, [0, 1, 2, 2, 2]);
        assert_eq!(Times::new(1, 1).windows[0], Window { frames: vec![0], weights: vec![1.0] });
    }
}
