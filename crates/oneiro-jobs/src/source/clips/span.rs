//! Computes which frames of a video the inputs of a network see.
//!
//! All inputs of a clip lie in one span of frames, as long as the longest input needs, and each input is
//! centred in it. A video of `total` frames has `P = max(1, total - span + 1)` possible starts. The k-th of K
//! clips starts at `P · (2k + 1) / (2K)`, rounded down, as in [`oneiro_media::Sampling`].

/// The part of a span that an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The part has this number of frames.
    Frames(usize),
    /// This number of flow fields; field t leads from frame t to frame t + 1.
    Fields(usize),
}

impl Part {
    /// Returns the number of frames that the part spans.
    fn span(self, stride: usize) -> usize {
        let reach = |count: usize| count.max(1).saturating_sub(1).saturating_mul(stride);
        match self {
            Self::Frames(count) => reach(count).saturating_add(1),
            Self::Fields(count) => reach(count).saturating_add(2),
        }
    }

    fn count(self) -> usize {
        match self {
            Self::Frames(count) | Self::Fields(count) => count,
        }
    }

    /// Returns the index of the last frame or flow field of a video. A video of one frame has one field,
    /// without motion.
    fn last(self, total: usize) -> usize {
        match self {
            Self::Frames(_) => total.saturating_sub(1),
            Self::Fields(_) => total.saturating_sub(2),
        }
    }
}

/// The range of frames that all inputs of a clip cover together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    parts: Vec<Part>,
    stride: usize,
    frames: usize,
}

impl Span {
    /// Makes a span for inputs whose frames or flow fields are `stride` frames of the video apart.
    pub fn new(parts: Vec<Part>, stride: usize) -> Self {
        let frames = parts.iter().map(|part| part.span(stride)).max().unwrap_or(1);
        Self { parts, stride, frames }
    }

    /// Returns the span's number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Returns the first frame of each of `count` clips of a video with `total` frames.
    pub fn starts(&self, total: usize, count: usize) -> Vec<usize> {
        let possible = total.saturating_sub(self.frames) + 1;
        // The product is taken in 128 bits, because it might overflow 64.
        (0..count).map(|k| (possible as u128 * (2 * k as u128 + 1) / (2 * count as u128)) as usize).collect()
    }

    /// Returns the middle frame of the span that begins at frame `start`.
    pub fn middle(&self, start: usize, total: usize) -> usize {
        (start + self.frames.min(total) / 2).min(total.saturating_sub(1))
    }

    /// Returns the indices of an input's frames or flow fields. Indices beyond the video's end become the
    /// last one's.
    pub fn indices(&self, part: usize, start: usize, total: usize) -> Vec<usize> {
        let part = self.parts[part];
        let there = self.frames.min(total);
        let offset = there.saturating_sub(part.span(self.stride)).div_ceil(2);
        let index = |i: usize| start.saturating_add(offset).saturating_add(i.saturating_mul(self.stride));
        (0..part.count()).map(|i| index(i).min(part.last(total))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_and_flow_lie_in_the_middle_of_each_other() {
        // The convention of two-stream networks: a single frame, and the flow around it.
        let span = Span::new(vec![Part::Frames(1), Part::Fields(10)], 1);
        assert_eq!(span.starts(16, 1), [3]);
        assert_eq!(span.indices(0, 3, 16), [8]);
        assert_eq!(span.middle(3, 16), 8);
        assert_eq!(span.indices(1, 3, 16), (3..13).collect::<Vec<_>>());
    }

    #[test]
    fn clips_are_where_sampling_a_video_takes_them() {
        for (frames, stride, count, total) in [(16, 1, 1, 16), (3, 2, 1, 9), (2, 1, 3, 10), (4, 1, 1, 2)] {
            let span = Span::new(vec![Part::Frames(frames)], stride);
            let sampling = oneiro_media::Sampling::Clips { count, frames, stride };
            let wanted: Vec<Vec<usize>> =
                sampling.indices(total).into_iter().map(|(indices, _)| indices).collect();
            let starts = span.starts(total, count);
            let found: Vec<_> = starts.iter().map(|&start| span.indices(0, start, total)).collect();
            assert_eq!(found, wanted, "{frames} {stride} {count} {total}");
        }
    }

    #[test]
    fn short_videos_repeat_their_last_frame_and_their_last_field() {
        let span = Span::new(vec![Part::Frames(4), Part::Fields(3), Part::Frames(1)], 1);
        assert_eq!(span.indices(0, 0, 2), [0, 1, 1, 1]);
        assert_eq!(span.indices(1, 0, 3), [0, 1, 1]);
        assert_eq!(span.indices(1, 0, 1), [0, 0, 0]);
        assert_eq!(span.indices(2, 0, 2), [1]);
    }

    #[test]
    fn every_frame_lies_in_the_video() {
        for total in 1..30 {
            for stride in [1, 3, usize::MAX] {
                let span = Span::new(vec![Part::Frames(5), Part::Fields(4), Part::Frames(1)], stride);
                for start in span.starts(total, 3) {
                    for part in 0..3 {
                        assert!(span.indices(part, start, total).iter().all(|&index| index < total));
                    }
                    assert!(span.middle(start, total) < total);
                }
            }
        }
    }
}
